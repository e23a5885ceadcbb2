"""Breaks the code in one place at a time, and shows that a test fails each time.

    python3 tools/mutations.py [--only N,N-M | --sample N [--seed S]] [--list]

Each mutation is one edit of a copy of the working tree (in target/mutations, with a target folder of its own). The tests
that are nearest to it run first, all others if those find nothing. Prints the table, and ends with 1 where a mutation was
not found, does not build, or no longer applies: then the code has changed, and the mutation must be written anew.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target" / "mutations"
COPY = PLACE / "tree"

CHANGE = "shared/store/src/change.rs"
RULES = "shared/store/src/rules.rs"
TABLE = "shared/store/src/table.rs"
DEDUP = "shared/store/src/dedup.rs"
ATTEMPTS = "shared/store/src/attempts.rs"
STATUS = "shared/model/src/status.rs"
API_KEY = "shared/model/src/api_key.rs"
GUARD = "shared/http/src/gateway_event.rs"
API_KEYS = "shared/store/src/api_keys.rs"
CALLER = "shared/model/src/caller.rs"
TRANSITIONS = "shared/store/src/item/transitions.rs"
EXECUTION = "shared/store/src/item/execution.rs"
CREATE = "shared/store/src/create.rs"
GET_CALLER = "functions/get_caller/src/lib.rs"
CONSOLE = "functions/console/src/lib.rs"
CONSOLE_BUILD = "functions/console/build/main.rs"
DEADLINES = "shared/store/src/deadlines.rs"
HEARTBEAT = "shared/store/src/heartbeat.rs"
REQUESTED = "shared/model/src/change.rs"
SUPERVISION = "shared/model/src/supervision.rs"
ORDERS = "shared/model/src/heartbeat.rs"
STEPS = "shared/store/src/steps.rs"
STEP = "shared/model/src/step.rs"
RECORD = "shared/model/src/execution.rs"
CURSOR = "shared/http/src/cursor.rs"
WAIT = "shared/store/src/wait.rs"
EVENT = "shared/model/src/event.rs"
STREAM = "shared/store/src/stream.rs"
BUS = "functions/publish_events/src/bus.rs"
PUBLISH = "functions/publish_events/src/lib.rs"
ENDED = "functions/publish_events/src/ended.rs"
EVENTBRIDGE = "functions/publish_events/src/eventbridge.rs"


@dataclass
class Mutation:
    """One edit: in words, the file, the text that stands there exactly once, and what takes its place."""

    what: str
    file: str
    old: str
    new: str
    # Names of the tests that are nearest, as Cargo's test runner takes them.
    near: str = ""


MUTATIONS = [
    Mutation(
        "the status is not a condition of the write",
        RULES,
        """                let condition = is_one_of(expression, a::STATUS, statuses(transition.allowed_sources()));
                expression.require(condition);
""",
        "                let _ = transition;\n",
        "update_execution",
    ),
    Mutation(
        "a result is refused where the running before it is late",
        STATUS,
        "            Completed | Failed | Cancelled | Timeout => &[",
        "            Completed => &[Running, Interrupted],\n            Failed | Cancelled | Timeout => &[",
        "update_execution",
    ),
    Mutation(
        "a terminal status may be left",
        STATUS,
        "Queued => &[Pending, Retrying, Interrupted],",
        "Queued => &[Pending, Retrying, Interrupted, Timeout],",
        "update_execution",
    ),
    Mutation(
        "a write does not check for its own token",
        CHANGE,
        "        self.token.require_absent(&mut expression);\n",
        "",
        "repeats",
    ),
    Mutation(
        "a change of fields records no token",
        CHANGE,
        "None => self.token.record(&mut expression),",
        "None => {}",
        "repeats",
    ),
    Mutation(
        "a transition records no token of its own",
        CHANGE,
        "let entry = expression.member(a::TRANSITIONS, self.token.id());",
        'let entry = expression.member(a::TRANSITIONS, "x");',
        "repeats",
    ),
    Mutation(
        "the last time bucket is not checked",
        DEDUP,
        "checked: &[-1, 0, 1],",
        "checked: &[0, 1],",
        "repeats",
    ),
    Mutation(
        "the next time bucket is cleared, into which a fast clock may have written",
        DEDUP,
        "cleared: 2,",
        "cleared: 1,",
        "repeats",
    ),
    Mutation(
        "no time bucket is cleared",
        DEDUP,
        "        expression.assign(self.ring.cleared(self.bucket), empty_map());\n",
        "",
        "repeats",
    ),
    Mutation(
        "a write is not refused by the fence",
        DEDUP,
        '            expression.require(format!("(NOT {fence} > {own})"));\n',
        "",
        "in_doubt",
    ),
    Mutation(
        "a write does not raise the fence",
        DEDUP,
        "            expression.set(&fence, &own);\n",
        "",
        "in_doubt",
    ),
    Mutation(
        "a fenced write takes a token that was cleared for one that never was",
        DEDUP,
        "token_retained: fence <= own + 1 })",
        "token_retained: fence <= own + 2 })",
        "in_doubt",
    ),
    Mutation(
        "a fenced write does not advance to the fence",
        DEDUP,
        "        self.bucket = fenced.bucket;\n",
        "        let _ = fenced;\n",
        "in_doubt",
    ),
    Mutation(
        "a reused key with another body is taken for a replay",
        DEDUP,
        "if body != self.body.as_ref().map_or(&[][..], |body| body) {",
        "if false {",
        "repeats",
    ),
    Mutation(
        "an Idempotency-Key counts across operations",
        "shared/model/src/idempotency.rs",
        'Sha256::digest(format!("{operation}\\n{key}"))',
        "Sha256::digest(key)",
        "repeats",
    ),
    Mutation(
        "If-Match is not checked",
        RULES,
        "            rules.push(Self::Version(versions.clone()));\n",
        "            let _ = versions;\n",
        "update_execution",
    ),
    Mutation(
        "a write does not raise the version",
        CHANGE,
        """            let one = expression.value(number(1));
            expression.set(&version""",
        """            let one = expression.value(number(0));
            expression.set(&version""",
        "update_execution",
    ),
    Mutation(
        "the organization is no part of an execution's key",
        "shared/store/src/table_keys.rs",
        'format!("e#{organization}#{id}")',
        'format!("e##{id}")',
        "tenants",
    ),
    Mutation(
        "the fields of a terminal execution are not frozen",
        RULES,
        "if !frozen.is_empty() {",
        "if false && !frozen.is_empty() {",
        "update_execution",
    ),
    Mutation(
        "one retry too many",
        RULES,
        '"{count} < {max}"',
        '"{count} <= {max}"',
        "update_execution",
    ),
    Mutation(
        "a retry counts twice",
        CHANGE,
        """            let count = expression.name(a::RETRY_COUNT);
            expression.set(&count, &format!("{count} + {one}"));""",
        """            let count = expression.name(a::RETRY_COUNT);
            let two = expression.value(number(2));
            expression.set(&count, &format!("{count} + {two}"));""",
        "update_execution",
    ),
    Mutation(
        "retry_count may pass max_retries",
        RULES,
        '"{requested} <= {max}"',
        '"({requested} <= {max} OR {max} < {requested})"',
        "update_execution",
    ),
    Mutation(
        "an update creates an execution that does not exist",
        CHANGE,
        'expression.require(format!("attribute_exists({pk})"));',
        "let _ = pk;",
        "update_execution",
    ),
    Mutation(
        "a rejection is reported though an attempt in doubt may still be applied",
        RULES,
        "if in_doubt && !settled {",
        "if false && in_doubt && !settled {",
        "in_doubt",
    ),
    Mutation(
        "a write in doubt is reported as not done",
        ATTEMPTS,
        "Error::StoreUnavailable { reason } if attempts.any_in_doubt() || may_have_been_applied(error) => {",
        "Error::StoreUnavailable { reason } if false && may_have_been_applied(error) && attempts.any_in_doubt() => {",
        "in_doubt",
    ),
    Mutation(
        "an answer of 500 counts as final",
        ATTEMPTS,
        "    status < 500\n",
        "    status < 600\n",
        "in_doubt",
    ),
    Mutation(
        "started_at changes with every `running`",
        CHANGE,
        'expression.set(&started, &format!("if_not_exists({started}, {now})"));',
        "expression.set(&started, &now);",
        "update_execution",
    ),
    Mutation(
        "an execution is created over another one",
        "shared/store/src/create.rs",
        'format!("attribute_not_exists({pk})")',
        'format!("attribute_not_exists({pk}) OR attribute_exists({pk})")',
        "repeats",
    ),
    Mutation(
        "a change of status does not change the index",
        CHANGE,
        "        expression.assign(a::BY_STATUS, text(k::status_partition(organization, shard, to)));\n",
        "        let _ = (organization, shard);\n",
        "list_executions",
    ),
    Mutation(
        "a cursor works with other filters",
        "shared/http/src/cursor.rs",
        "for part in parts {",
        "for part in parts.into_iter().take(1) {",
        "cursor",
    ),
    Mutation(
        "a cursor works for another organization",
        "shared/http/src/cursor.rs",
        "            Some(organization.to_string()),\n",
        "            Some(organization.as_str().chars().take(0).collect::<String>()),\n",
        "cursor",
    ),
    Mutation(
        "a list shows what has left its status",
        "shared/store/src/list/mod.rs",
        "record.filter(|execution| still_matches(execution, &self.query.filter))",
        "record.filter(|execution| still_matches(execution, &self.query.filter) || true)",
        "list_executions",
    ),
    Mutation(
        "a revoked key is allowed",
        API_KEY,
        "let valid = !matches!(self.state(now), KeyState::Revoked(_));",
        "let valid = true || !matches!(self.state(now), KeyState::Revoked(_));",
        "key",
    ),
    Mutation(
        "a key is allowed by its id alone",
        API_KEY,
        "let same: bool = self.digest.ct_eq(&key.digest()).into();",
        "let same = self.digest.len() == key.digest().len();",
        "key",
    ),
    Mutation(
        "a key without the scope may write",
        "shared/http/src/endpoint.rs",
        "match operation.scope.map_or(Ok(()), |scope| request.require(scope)) {",
        "match operation.scope.map_or(Ok(()), |scope| request.require(scope).or(Ok::<(), HttpError>(()))) {",
        "update_execution",
    ),
    Mutation(
        "DynamoDB's answer that the item is too large is not reported as 413",
        ATTEMPTS,
        'message.to_ascii_lowercase().contains("item size")',
        'message.contains("never said")',
        "sizes",
    ),
    Mutation(
        "a cleaning up of the status needs no admin",
        "functions/update_execution_status/src/request.rs",
        "if to != Status::Cancelled {",
        "if false && to != Status::Cancelled {",
        "update_execution_status",
    ),
    Mutation(
        "an override is allowed from every status",
        REQUESTED,
        "Self { to, allowed_sources: &[Status::Running, Status::Interrupted], writer: Writer::Outside }",
        "Self { to, allowed_sources: to.allowed_sources(), writer: Writer::Outside }",
        "update_execution_status",
    ),
    Mutation(
        "the Host of a request reaches lambda_http",
        GUARD,
        "    event.headers.remove(HOST);\n",
        "    let _ = HOST;\n",
        "hostile_events",
    ),
    Mutation(
        "a control character in a header fails the event",
        GUARD,
        ".or_else(|_| with_legal_headers(text.get()))",
        ".or_else(|error| with_legal_headers(text.get()).and(Err(error)))",
        "hostile_events",
    ),
    Mutation(
        "a false claim of base64 reaches lambda_http",
        GUARD,
        "    event.is_base64_encoded &= ",
        "    let _ = ",
        "hostile_events",
    ),
    Mutation(
        "a rotation loses the name of the key",
        API_KEYS,
        "let record = ApiKeyRecord { digest: key.digest(), valid_until, ..stored.clone() };",
        "let record = ApiKeyRecord { digest: key.digest(), valid_until, name: None, ..stored.clone() };",
        "get_caller",
    ),
    Mutation(
        "the name of a key is not escaped in the authorizer's context",
        CALLER,
        "utf8_percent_encode(name.as_str(), ESCAPED).to_string()",
        "name.to_string()",
        "caller::tests",
    ),
    Mutation(
        "the authorizer does not say when the key ends",
        API_KEY,
        "            expires_at: self.valid_until,",
        "            expires_at: None,",
        "get_caller",
    ),
    Mutation(
        "in the transition log a name takes the place of a reason that there is not",
        TRANSITIONS,
        "parts.extend(optional.into_iter().take(length).map(|part| part.unwrap_or(AttributeValue::Null(true))));",
        "parts.extend(optional.into_iter().take(length).flatten());",
        "list_transitions",
    ),
    Mutation(
        "a key that may only write does not learn who it speaks for",
        GET_CALLER,
        'path: "/api/v1/me", scope: None };',
        'path: "/api/v1/me", scope: Some(Scope::Read) };',
        "get_caller",
    ),
    Mutation(
        "a write is applied in another attempt than the one for which it speaks",
        RULES,
        "            rules.push(Self::Attempt(attempt));\n",
        "            let _ = attempt;\n",
        "attempts",
    ),
    Mutation(
        "a claim does not raise the attempt",
        CHANGE,
        'format!("if_not_exists({attempt}, {zero}) + {one}")',
        'format!("if_not_exists({attempt}, {one}) + {zero}")',
        "attempts",
    ),
    Mutation(
        "the log does not say which entries begin an attempt",
        TRANSITIONS,
        "transition.begins_an_attempt().then(|| number(1))",
        "(transition.to() == Status::Pending).then(|| number(1))",
        "attempts",
    ),
    Mutation(
        "the repeat of a claim is shown another worker's attempt",
        RULES,
        "begun.filter(|begun| is_claim && *begun != state.attempt)?",
        "begun.filter(|begun| is_claim && *begun > state.attempt)?",
        "attempts",
    ),
    Mutation(
        "a timeout may fall",
        RULES,
        'expression.require(format!("{present} <= {requested}"));',
        'expression.require(format!("({present} <= {requested} OR {present} > {requested})"));',
        "attempts",
    ),
    Mutation(
        "a report for an attempt that may still come is refused for good",
        RULES,
        "            Self::Attempt(requested) => *requested < state.attempt,",
        "            Self::Attempt(_) => true,",
        "rules::tests",
    ),
    Mutation(
        "the head is put without its inputs",
        CREATE,
        "                .transact_items(self.put_if_absent(inputs)?)\n",
        "",
        "inputs",
    ),
    Mutation(
        "inputs that are not visible yet are taken for none",
        EXECUTION,
        "Attributes(apart.ok_or_else(reason)?)",
        "Attributes(apart.ok_or_else(reason).unwrap_or(head))",
        "inputs",
    ),
    Mutation(
        "a transaction that met another one is an internal error",
        CREATE,
        '["TransactionConflict", "ThrottlingError",',
        '["TransactionInConflict", "ThrottlingError",',
        "inputs",
    ),
    Mutation(
        "a write whose inputs cannot be read is answered as not done",
        CHANGE,
        "Error::StoreUnavailable { reason } if writes => Error::OutcomeUnknown { reason },",
        "Error::StoreUnavailable { reason } if !writes => Error::OutcomeUnknown { reason },",
        "inputs",
    ),
    Mutation(
        "what the page has read is not counted",
        "shared/store/src/list/count.rs",
        "        let mut total = scan.found();\n",
        "        let mut total = 0;\n",
        "list_executions",
    ),
    Mutation(
        "a page goes on over a gap",
        "shared/store/src/list/scan.rs",
        "                Some(scanned_to) => self.orders.partition_point(|order| order.as_str() >= scanned_to),\n",
        "                Some(_) => self.orders.len(),\n",
        "list_executions",
    ),
    Mutation(
        "a count that fails fails the page",
        "shared/store/src/list/mod.rs",
        "Ok(self.count_or_none(scan, count_limit).await)",
        "self.count(scan, count_limit).await",
        "list_executions",
    ),
    Mutation(
        "the statuses of a list are read all at once",
        "shared/store/src/list/scan.rs",
        "self.shards.chunk_by_mut(|one, other| one.group == other.group)",
        "self.shards.chunk_by_mut(|_, _| true)",
        "list_executions",
    ),
    Mutation(
        "a page of another site may frame the console",
        CONSOLE_BUILD,
        "frame-ancestors 'none'; ",
        "",
        "console",
    ),
    Mutation(
        "a browser keeps the console's page for good",
        CONSOLE,
        'Keep::Never => "no-cache",',
        'Keep::Never => "public, max-age=31536000, immutable",',
        "console",
    ),
    Mutation(
        "the console compresses for those who refuse it",
        CONSOLE,
        "then(|| !is_refused())",
        "then_some(true)",
        "console",
    ),
    Mutation(
        "a file that the console does not have is its page",
        CONSOLE,
        "    if !is_page(below) {",
        "    if below == VERSION {",
        "console",
    ),
    Mutation(
        "supervision changes what was heard since it looked",
        RULES,
        "rules.extend([Self::Version(vec![judged.version]), Self::Heard(judged.last_heartbeat)]);",
        "rules.extend([Self::Version(vec![judged.version])]);",
        "supervision",
    ),
    Mutation(
        "supervision changes what was changed since it looked",
        RULES,
        "rules.extend([Self::Version(vec![judged.version]), Self::Heard(judged.last_heartbeat)]);",
        "rules.extend([Self::Heard(judged.last_heartbeat)]);",
        "supervision",
    ),
    Mutation(
        "an entry is filed anew whatever has become of its execution",
        DEADLINES,
        "        if let Some(version) = version {\n            let (present, version)",
        "        if let Some(version) = version.filter(|_| false) {\n            let (present, version)",
        "supervision",
    ),
    Mutation(
        "a late heartbeat takes a later one back",
        HEARTBEAT,
        '        expression.require(format!("(NOT {last} >= {heard})"));\n',
        "",
        "record_heartbeat",
    ),
    Mutation(
        "a claim is no heartbeat",
        CHANGE,
        "            expression.assign(a::LAST_HEARTBEAT, now.clone());\n",
        "",
        "supervision",
    ),
    Mutation(
        "the bound of a claim is later than its silence",
        EXECUTION,
        "number(millis(watch_interval(new.timeout_seconds, new.heartbeat_timeout_seconds)))",
        "number(millis(watch_interval(new.timeout_seconds, None)))",
        "supervision",
    ),
    Mutation(
        "a cancel that is requested does not bring the bound forward",
        CHANGE,
        "        expression.assign(a::BOUND, number(IN_EVERY_PASS));\n",
        "        let _ = number(IN_EVERY_PASS);\n",
        "supervision",
    ),
    Mutation(
        "a cancel that was requested before is said to stand after the end",
        RULES,
        "change.cancel.is_some() || change.cancel_stands",
        "change.cancel.is_some()",
        "cancel_execution",
    ),
    Mutation(
        "a cancel that is requested hides what is overdue from the next passes",
        CHANGE,
        "number(IN_EVERY_PASS)",
        "number(self.now.millis())",
        "supervision",
    ),
    Mutation(
        "a revival sets no bound of its own",
        SUPERVISION,
        "revived.due().map_or(of_claim, |due| due.at.min(of_claim))",
        "revived.due().map_or(of_claim, |due| due.at.max(of_claim))",
        "supervision",
    ),
    Mutation(
        "a revival begins an attempt",
        REQUESTED,
        "self.to.begins_an_attempt() && self.revival_bound().is_none()",
        "self.to.begins_an_attempt()",
        "record_heartbeat",
    ),
    Mutation(
        "a revival clears what the attempt has said",
        REQUESTED,
        "    pub const fn clears(&self) -> bool {\n        self.revival_bound().is_none()",
        "    pub const fn clears(&self) -> bool {\n        true",
        "record_heartbeat",
    ),
    Mutation(
        "a revival is written whatever has happened since the heartbeat",
        HEARTBEAT,
        "if_match: Some(IfMatch::Versions(vec![read_state(&head)?.version])),",
        "if_match: Some(IfMatch::Any),",
        "record_heartbeat",
    ),
    Mutation(
        "a worker of an attempt that is over is told to go on",
        ORDERS,
        "        Some(spoken) if spoken < attempt => {",
        "        Some(spoken) if spoken + 1 < attempt => {",
        "record_heartbeat",
    ),
    Mutation(
        "an execution that has ended is watched still",
        CHANGE,
        "            expression.remove(a::BY_DEADLINE);\n            expression.remove(a::BOUND);\n",
        "",
        "supervision",
    ),
    Mutation(
        "a cancel that is requested does not keep others from starting it again",
        REQUESTED,
        "            Status::Queued | Status::Retrying => true,\n            Status::Running => self.revival_bound().is_none(),",
        "            Status::Queued | Status::Retrying | Status::Running => false,",
        "cancel_execution",
    ),
    Mutation(
        "a second cancel gives more time than the first",
        RULES,
        'expression.require(format!("(NOT {present} <= {force_at})"));',
        'expression.require(format!("(NOT {present} = {force_at})"));',
        "cancel_execution",
    ),
    Mutation(
        "of two cancels the second reason stays",
        CHANGE,
        """            let (path, value) = (expression.name(name), expression.value(value));
            expression.set(&path, &format!("if_not_exists({path}, {value})"));""",
        """            let (path, value) = (expression.name(name), expression.value(value));
            expression.set(&path, &value);""",
        "cancel_execution",
    ),
    Mutation(
        "supervision does not wait for as long as clocks may differ",
        DEADLINES,
        "        let judged_at = now.minus(CLOCK_TOLERANCE);\n",
        "        let judged_at = now.minus(CLOCK_TOLERANCE / 1_000);\n",
        "supervision",
    ),
    Mutation(
        "a mass silence is that of the workers",
        SUPERVISION,
        "    silent >= MASS_SILENCE && silent > heard",
        "    silent >= MASS_SILENCE && silent > heard && heard > silent",
        "supervision",
    ),
    Mutation(
        "a cancel waits in a mass silence, too",
        DEADLINES,
        "    due.cause != Cause::Cancel && due.at.plus(MASS_SILENCE_DELAY) > now",
        "    due.at.plus(MASS_SILENCE_DELAY) > now",
        "supervision",
    ),
    Mutation(
        "a shard leaves in place whatever is not due",
        DEADLINES,
        "due.at > now.plus(REFILED_BEYOND) || *left >= LEFT_IN_PLACE",
        "due.at > now.plus(REFILED_BEYOND)",
        "supervision",
    ),
    Mutation(
        "a damaged execution stays in front of the others",
        DEADLINES,
        "            seen.decisions.push(Decision::Refile { entry, bound: now.plus(DAMAGED_FOR), version: None });\n",
        "            let _ = (entry, DAMAGED_FOR);\n",
        "supervision",
    ),
    Mutation(
        "an execution is interrupted for ever",
        SUPERVISION,
        "        let silence = silent_at.filter(|_| self.interruptions < MAX_INTERRUPTIONS);\n",
        "        let silence = silent_at.filter(|_| self.interruptions < i64::MAX);\n        let _ = MAX_INTERRUPTIONS;\n",
        "supervision",
    ),
    Mutation(
        "a timeout overwrites the message of the worker",
        CHANGE,
        'expression.set(&message, &format!("if_not_exists({message}, {reason})"));',
        "expression.set(&message, &reason);",
        "supervision",
    ),
    Mutation(
        "the time to start is counted from the creation, whenever it is scheduled",
        SUPERVISION,
        "self.scheduled_at.map_or(self.created_at, |at| at.max(self.created_at))",
        "self.scheduled_at.map_or(self.created_at, |at| at.min(self.created_at))",
        "supervision",
    ),
    Mutation(
        "a report of a step is written whatever the table says",
        STEPS,
        "alternatives.extend(is_in(status.allowed_sources(), expression));",
        "alternatives.extend(is_in(&Status::ALL, expression));",
        "steps",
    ),
    Mutation(
        "a report of a step is written again where its mark is",
        DEDUP,
        'expression.require(format!("(NOT contains({set}, {id}))"));',
        'expression.require(format!("(NOT contains({set}, {id}) OR contains({set}, {id}))"));',
        "steps",
    ),
    Mutation(
        "a report with a key that has nothing to say leaves no mark",
        STEPS,
        "if fields.is_empty() && !write.keyed && !in_doubt {",
        "if fields.is_empty() && !in_doubt {",
        "steps",
    ),
    Mutation(
        "a report that has nothing to say leaves no mark while an attempt at it is under way",
        STEPS,
        "if fields.is_empty() && !write.keyed && !in_doubt {",
        "if fields.is_empty() && !write.keyed {",
        "steps",
    ),
    Mutation(
        "the repeat of a first report of a step says that it changed it",
        STEPS,
        "Deed::Wrote if created() => StepOutcome::Created,",
        "Deed::Wrote if !created() => StepOutcome::Created,",
        "steps",
    ),
    Mutation(
        "the first report of a step does not say on the head that there are any",
        STEPS,
        "if !has_steps(&head) {",
        "if has_steps(&head) {",
        "steps",
    ),
    Mutation(
        "steps of an attempt that is over are written",
        STEPS,
        "if let Some(requested) = request.attempt.filter(|spoken| *spoken != told.attempt) {",
        "if let Some(requested) = request.attempt.filter(|spoken| *spoken > told.attempt) {",
        "steps",
    ),
    Mutation(
        "the result of a step that has ended is not frozen",
        STEP,
        "let frozen = if current.is_terminal() { fields.frozen() } else { Vec::new() };",
        "let frozen = if current.is_terminal() { Vec::new() } else { fields.frozen() };",
        "steps",
    ),
    Mutation(
        "a stale report of a step overwrites",
        STEP,
        "let lacking = report.fields.clone().select(&known.with_derived(), Keep::Lacking);",
        "let lacking = report.fields.clone().select(&known.with_derived(), Keep::Different);",
        "steps",
    ),
    Mutation(
        "a stale report fills in the result of a step that has ended",
        STEP,
        "if current.is_terminal() { lacking.without_frozen() } else { lacking };",
        "if current.is_terminal() { lacking } else { lacking.without_frozen() };",
        "steps",
    ),
    Mutation(
        "a step that has ended is shown as interrupted when its execution has",
        STEP,
        "if execution.is_terminal() && !step.is_terminal() { Status::Interrupted } else { step }",
        "if execution.is_terminal() { Status::Interrupted } else { step }",
        "steps",
    ),
    Mutation(
        "the tag of a record does not change with its steps",
        RECORD,
        "        hash.update(step.version.to_be_bytes());\n",
        "",
        "steps",
    ),
    Mutation(
        "a cursor of steps goes on in another execution",
        CURSOR,
        "        mac.update(id.as_bytes());\n        mac.update(content);\n",
        "        mac.update(content);\n",
        "steps",
    ),
    Mutation(
        'a wait ends with any write, tag or no tag',
        WAIT,
        'execution.status.is_terminal() || self.known.is_some_and(|known| !known(&execution.etag()))',
        'execution.status.is_terminal() || self.known.is_none_or(|known| !known(&execution.etag()))',
        'wait_execution',
    ),
    Mutation(
        'a waiter with a version is not told of a write',
        WAIT,
        'glance.version > seen && (glance.status.is_terminal() || self.known.is_some());',
        'glance.version > seen && glance.status.is_terminal();',
        'wait_execution',
    ),
    Mutation(
        'a read that DynamoDB does not answer ends a wait',
        WAIT,
        '                Ok(Err(Error::StoreUnavailable { reason })) => tracing::debug!(reason, "a read of a wait failed"),\n',
        '',
        'wait_execution',
    ),
    Mutation(
        'the last read of a wait takes as long as it likes',
        WAIT,
        'timeout(LAST_READ, self.execution(caller, id))',
        'timeout(LAST_READ * 10, self.execution(caller, id))',
        'wait_execution',
    ),
    Mutation(
        'a transition that was told is told in each later event',
        EVENT,
        'transition.version > seen));',
        'transition.version >= seen));',
        'publish_events',
    ),
    Mutation(
        'the creation is told of with each change',
        EVENT,
        'seen.is_none().then(|| event(execution, None));',
        'Some(event(execution, None));',
        'publish_events',
    ),
    Mutation(
        'an error message is not cut in an event',
        EVENT,
        'error_message.map(|message| cut(message, "error_message", &mut truncated));',
        'error_message;',
        'publish_events',
    ),
    Mutation(
        'a control character counts as one byte of an event',
        EVENT,
        "'\\0'..='\\u{1f}' => 6,",
        "'\\0'..='\\u{1f}' => 1,",
        'event::tests',
    ),
    Mutation(
        'what was not seen before a damaged image is not told',
        STREAM,
        '.unwrap_or(0)\n    });',
        '.unwrap_or(i64::MAX)\n    });',
        'publish_events',
    ),
    Mutation(
        'a damaged record fails the batch',
        PUBLISH,
        '                        (None, Vec::new())\n',
        '                        panic!("damaged")\n',
        'publish_events',
    ),
    Mutation(
        'the last record that was not taken is reported, and not the first',
        BUS,
        'left.iter().map(|left| left.record).min()',
        'left.iter().map(|left| left.record).max()',
        'publish_events',
    ),
    Mutation(
        'what the bus did not take is not put again',
        BUS,
        '                        again.push(one);\n                    }\n                    // A bus',
        '                    }\n                    // A bus',
        'publish_events',
    ),
    Mutation(
        'an event that the bus says nothing of counts as taken',
        BUS,
        '                    None => again.push(one),',
        '                    None => published.taken += 1,',
        'publish_events',
    ),
    Mutation(
        'a throttled event is never put again',
        EVENTBRIDGE,
        'const NEVER: [&str; 4] = ["MalformedDetail",',
        'const NEVER: [&str; 5] = ["ThrottlingException", "MalformedDetail",',
        'publish_events',
    ),
    Mutation(
        'an end is counted again with each correction after it',
        STREAM,
        'self.seen.is_none_or(|seen| last.version > seen).then_some(last)',
        'Some(last)',
        'publish_events',
    ),
    Mutation(
        'an error message is in the log of what ended',
        ENDED,
        'if is_name { name } else { "other" }',
        'message',
        'ended::tests',
    ),
    Mutation(
        'what has ended still shows a deadline to those who watch',
        'functions/get_heartbeat/src/lib.rs',
        'heard.watch.deadline().filter(|_| waits)',
        'heard.watch.deadline()',
        'get_heartbeat',
    ),
    Mutation(
        'those who watch are shown a forced cancel that is not due',
        'functions/get_heartbeat/src/lib.rs',
        'map(|cancel| cancel.force_at)',
        'map(|cancel| cancel.requested_at)',
        'get_heartbeat',
    ),
    Mutation(
        "a table's tag is not looked at",
        TABLE,
        "tags.find(|tag| tag.key() == LIST_SHARDS_TAG)",
        "tags.find(|tag| tag.key().is_empty())",
        "list_shards",
    ),
    Mutation(
        "a table that is created has no tag",
        TABLE,
        "if self.list_shards != ListShards::EIGHT {",
        "if self.list_shards == ListShards::EIGHT {",
        "list_shards",
    ),
    Mutation(
        "a change of status files its entry in another shard than the creation",
        CHANGE,
        "self.list_shards.of(self.id)",
        "ListShards::EIGHT.of(self.id)",
        "list_shards",
    ),
    Mutation(
        "a list shows no details of an error",
        EXECUTION,
        "a::FINAL_OUTPUT, a::ERROR_DETAILS, a::METRICS]",
        "a::FINAL_OUTPUT, a::METRICS]",
        "list_executions",
    ),
    Mutation(
        "a list does not know that inputs are apart",
        EXECUTION,
        "a::INPUTS_APART, a::FINAL_OUTPUT,",
        "a::FINAL_OUTPUT,",
        "inputs",
    ),
]


# Three times what all tests take, in seconds.
LIMIT = 1_200


def run(*arguments: str) -> tuple[int | None, str]:
    """The exit code of these tests and what they said; None and nothing where they did not end."""
    with subprocess.Popen(
        ["cargo", "test", "--locked", "--no-fail-fast", *arguments],
        cwd=COPY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Beside the copy and not in it, so that the next mutation builds on this one's work.
        env=os.environ | {"CARGO_TARGET_DIR": str(PLACE / "target"), "CARGO_TERM_COLOR": "never"},
        # A group of its own: what hangs is a test, and not the cargo that started it.
        start_new_session=True,
    ) as cargo:
        try:
            said, _ = cargo.communicate(timeout=LIMIT)
            return cargo.returncode, said
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            if cargo.poll() is None:
                os.killpg(cargo.pid, signal.SIGKILL)


def copy_dependencies() -> None:
    """Takes over what the workspace has built of others' crates, which no mutation changes."""
    built, target = ROOT / "target" / "debug", PLACE / "target" / "debug"
    if target.exists() or not built.exists():
        return
    for folder in ("deps", "build", ".fingerprint"):

        def programs(place: str, names: list[str]) -> list[str]:
            # Tests that were linked: gigabytes, and none of them is run here.
            return [name for name in names if folder == "deps" and "." not in name] if place.endswith("deps") else []

        shutil.copytree(built / folder, target / folder, ignore=programs, symlinks=True, dirs_exist_ok=True)


def copy_tree() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    COPY.mkdir(parents=True, exist_ok=True)
    for name in listed.decode().split("\0"):
        source, target = ROOT / name, COPY / name
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            # Only what differs: Cargo goes by the time of a file's last change.
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copyfile(source, target)


# With `keys` and the command line, though they have nothing to do here: with these, the features of others' crates are those that
# the whole workspace asks for, so that none is built again.
SHARED = [argument for layer in ("model", "http", "store", "runtime") for argument in ("--package", f"ratchet-{layer}")]
NEAR = ["--package", "tests", *SHARED, "--package", "keys", "--package", "ratchet-cli", "--lib", "--test", "api"]
ALL = ["--package", "tests", *SHARED, "--package", "local", "--package", "keys", "--package", "ratchet-cli"]


def all_apply(mutations: list[Mutation], folder: Path) -> bool:
    """Whether each mutation finds its text once, whichever are tried: a sample would tell of it some runs later. Names the others."""
    gone = [number for number, it in enumerate(mutations, 1) if (folder / it.file).read_text().count(it.old) != 1]
    for number in gone:
        print(f"!! {number:2} {mutations[number - 1].what}: no longer applies")
    return not gone


def try_one(mutation: Mutation) -> tuple[str, str]:
    """The verdict on a mutation, and which test found it."""
    file = COPY / mutation.file
    original = file.read_text()
    file.write_text(original.replace(mutation.old, mutation.new))
    try:
        for arguments in ([*NEAR, mutation.near], ALL) if mutation.near else (ALL,):
            code, said = run(*arguments)
            if code is None:
                # Found, in a way; but whoever makes such a mistake waits for CI and learns nothing.
                return "HANGS", f"for {LIMIT} seconds"
            failed = re.findall(r"^test (\S+) \.\.\. FAILED$", said, re.M)
            if failed:
                return "caught", f"{failed[0]}" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")
            if code != 0:
                return "does not build", next((line for line in said.splitlines() if "error" in line), "?")
        return "SURVIVED", ""
    finally:
        file.write_text(original)


def chosen(text: str | None, count: int) -> list[int]:
    if not text:
        return list(range(1, count + 1))
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return [number for number in numbers if 1 <= number <= count]


def selected(mutations: list[Mutation], says: str) -> list[int]:
    """The numbers of the mutations that the command line asks for; none where it asks for a list of them, which is printed."""
    parser = argparse.ArgumentParser(description=says.splitlines()[0])
    parser.add_argument("--only", help="which ones, by their numbers: 1,4-6")
    parser.add_argument("--sample", type=int, metavar="N", help="so many, drawn by a seed")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)), help="of the sample")
    parser.add_argument("--list", action="store_true", help="print the mutations and end")
    arguments = parser.parse_args()
    numbers = chosen(arguments.only, len(mutations))
    if arguments.sample:
        numbers = sorted(random.Random(arguments.seed).sample(numbers, min(arguments.sample, len(numbers))))
        print(f"mutations: --sample {arguments.sample} --seed {arguments.seed}")
    if arguments.list:
        for number in numbers:
            print(f"{number:3} {mutations[number - 1].file}: {mutations[number - 1].what}")
        return []
    return numbers


def main() -> int:
    numbers = selected(MUTATIONS, __doc__)
    if not numbers:
        return 0
    if not all_apply(MUTATIONS, ROOT):
        return 1
    copy_tree()
    copy_dependencies()
    rows = []
    for number in numbers:
        begun = time.monotonic()
        verdict, by = try_one(MUTATIONS[number - 1])
        rows.append((number, MUTATIONS[number - 1].what, verdict, by))
        mark = "ok" if verdict == "caught" else "!!"
        print(f"{mark} {number:2} {MUTATIONS[number - 1].what}: {verdict} {by} ({time.monotonic() - begun:.0f} s)", flush=True)
    caught = sum(verdict == "caught" for _, _, verdict, _ in rows)
    print(f"\n| # | broken | found by |\n| --- | --- | --- |")
    for number, what, verdict, by in rows:
        print(f"| {number} | {what} | {by if verdict == 'caught' else f'**{verdict}** {by}'} |")
    print(f"\nmutations: {caught} of {len(rows)} caught")
    return 0 if caught == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
