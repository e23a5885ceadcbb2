"""Breaks the Rust client in one place at a time, and shows that one of its own tests fails each time.

    python3 tools/client_mutations.py [--only N,N-M | --sample N [--seed S]] [--list]

As tools/mutations.py does for the service: the same copy of the working tree, the same table.
"""

import sys

import mutations
from mutations import Mutation

RETRY = "clients/rust/src/retry.rs"
TRANSPORT = "clients/rust/src/transport.rs"
CLIENT = "clients/rust/src/client.rs"
WAIT = "clients/rust/src/wait.rs"
BEATS = "clients/rust/src/heartbeats.rs"
WALK = "clients/rust/src/walk.rs"
ERROR = "clients/rust/src/error.rs"
WIRE = "clients/rust/src/wire.rs"
ANSWER = "clients/rust/src/answer.rs"
REQUEST = "clients/rust/src/request.rs"

MUTATIONS = [
    Mutation("one request too many", RETRY, "if made >= self.requests", "if made > self.requests"),
    Mutation("a Retry-After of any length is waited for", RETRY, "asked > self.longest_retry_after", "asked > Duration::MAX"),
    Mutation("the longest Retry-After ends the call", RETRY, "asked > self.longest_retry_after", "asked >= self.longest_retry_after"),
    Mutation("no Retry-After is waited for", RETRY, "drawn.max(retry_after.unwrap_or_default())", "drawn"),
    Mutation("a Retry-After is the most, and not the least", RETRY, "drawn.max(retry_after.unwrap_or_default())", "retry_after.unwrap_or(drawn)"),
    Mutation("a wait goes beyond the end of the call", RETRY, "(elapsed.saturating_add(delay) < self.total)", "(elapsed < self.total)"),
    Mutation("waits do not grow", RETRY, "4_u32.saturating_pow(made)", "4_u32.saturating_pow(1.min(made))"),
    Mutation("waits have no cap", RETRY, "saturating_pow(made)).min(self.cap)", "saturating_pow(made)).min(Duration::MAX)"),
    Mutation("there is no jitter", RETRY, "spread.mul_f64(f64::from(random) / f64::from(u32::MAX))", "spread.mul_f64(f64::from(u32::MAX.max(random)) / f64::from(u32::MAX))"),
    Mutation("the first wait may be none at all", RETRY, "self.base.min(self.cap) + spread", "spread"),
    Mutation(
        "a write that was cut is not in doubt",
        TRANSPORT,
        "in_doubt |= failure.in_doubt && call.writes;",
        "in_doubt = failure.in_doubt && call.writes;",
    ),
    Mutation(
        "a call that reads is in doubt",
        TRANSPORT,
        "in_doubt |= failure.in_doubt && call.writes;",
        "in_doubt |= failure.in_doubt;",
    ),
    Mutation("a connection that was refused is in doubt", TRANSPORT, "in_doubt: !error.is_connect()", "in_doubt: true"),
    Mutation("nothing is ever in doubt after an answer", TRANSPORT, "in_doubt: !nothing_done", "in_doubt: false"),
    Mutation("a throttled request is in doubt", TRANSPORT, "status == StatusCode::TOO_MANY_REQUESTS || refusal.code", "status == StatusCode::NOT_FOUND || refusal.code"),
    Mutation("a store that was away leaves doubt", TRANSPORT, "refusal.code == Some(ErrorCode::StoreUnavailable)", "refusal.code == Some(ErrorCode::Internal)"),
    Mutation("429 is final", TRANSPORT, "        | StatusCode::TOO_MANY_REQUESTS\n", ""),
    Mutation("408 is final", TRANSPORT, "        | StatusCode::REQUEST_TIMEOUT\n", ""),
    Mutation("502 is final", TRANSPORT, "        | StatusCode::BAD_GATEWAY\n", ""),
    Mutation("503 is final", TRANSPORT, "        | StatusCode::SERVICE_UNAVAILABLE\n", ""),
    Mutation("504 is final", TRANSPORT, "        | StatusCode::GATEWAY_TIMEOUT => {", "        => {"),
    Mutation(
        "a bug of the service is asked for four times",
        TRANSPORT,
        "StatusCode::INTERNAL_SERVER_ERROR if refusal.code.is_some()",
        "StatusCode::INTERNAL_SERVER_ERROR if refusal.code.is_none()",
    ),
    Mutation(
        "an answer that is not JSON is the end",
        TRANSPORT,
        "if status.is_success() && serde_json::from_slice::<&RawValue>(&body).is_err()",
        "if status.is_informational() && serde_json::from_slice::<&RawValue>(&body).is_err()",
    ),
    Mutation("a Retry-After is read by another name", TRANSPORT, 'header(&headers, "retry-after")', 'header(&headers, "retry-later")'),
    Mutation("a date of Retry-After is not understood", TRANSPORT, "Some(date.saturating_sub(now))", "Some(date.saturating_sub(date.min(now + date)))"),
    Mutation("a request may outlast its call", TRANSPORT, "saturating_add(call.hold).min(left);", "saturating_add(call.hold).min(left.max(policy.request_timeout));"),
    Mutation("a replay is not marked", TRANSPORT, '== Some("true")', '== Some("yes")'),
    Mutation(
        "a redirect is followed",
        CLIENT,
        "reqwest::redirect::Policy::none()",
        "reqwest::redirect::Policy::limited(10)",
    ),
    Mutation("the caller's key is not sent", CLIENT, "key.cloned().map_or_else(IdempotencyKey::random, Ok)?", "key.map_or_else(IdempotencyKey::random, |_| IdempotencyKey::random())?"),
    Mutation(
        "all writes have one key",
        CLIENT,
        "key.cloned().map_or_else(IdempotencyKey::random, Ok)?",
        'key.cloned().map_or_else(|| IdempotencyKey::parse("one"), Ok)?',
    ),
    Mutation("If-Match is not sent", CLIENT, "headers.push((IF_MATCH, etag.to_string()));", "let _ = (IF_MATCH, etag);"),
    Mutation("If-None-Match is not sent", CLIENT, "call.headers.push((IF_NONE_MATCH, seen.as_str().to_owned()));", "let _ = (&mut call, IF_NONE_MATCH, seen);"),
    Mutation("a key is shown in debugging texts", CLIENT, "key.set_sensitive(true);", "key.set_sensitive(false);"),
    Mutation("a wait that was cut is not held again", WAIT, "Way::Once => way = Way::Hold,", "Way::Once => way = Way::Poll,"),
    Mutation("a wait is held for ever, however often it is cut", WAIT, "Way::Hold if cut_in_a_row >= 1 => Way::Poll,", "Way::Hold if cut_in_a_row >= 9 => Way::Poll,"),
    Mutation("a throttled wait is held again", WAIT, "unavailable.status == Some(429) => Some(Way::Poll)", "unavailable.status == Some(429) => Some(Way::Hold)"),
    Mutation("a service without the wait operation is an error", WAIT, "refusal.status == 404 && refusal.code.is_none()", "refusal.status == 405 && refusal.code.is_none()"),
    Mutation("a wait for what is not there goes on", WAIT, "refusal.status == 404 && refusal.code.is_none()", "refusal.status == 404"),
    Mutation(
        "a held request that comes back early is asked for in a circle",
        WAIT,
        "asked_at.elapsed() >= Duration::from_secs(hold).mul_f64(0.9)",
        "asked_at.elapsed() >= Duration::ZERO.mul_f64(0.9)",
    ),
    Mutation("a service that was never there is waited for in vain, and not said", WAIT, "|| (is_over && last.is_none())", "|| (is_over && last.is_some())"),
    Mutation("heartbeats end at any refusal", BEATS, "error.code() == Some(ErrorCode::ExecutionNotFound)", "error.code() == Some(ErrorCode::ExecutionNotFound) || error.refusal().is_some()"),
    Mutation("heartbeats go on after a stop", BEATS, "                if over {", "                if over && every.is_none() {"),
    Mutation("heartbeats end at a cancel", BEATS, "let over = matches!(said, Notice::Stop { .. });", "let over = said.ends_the_work();"),
    Mutation("a cancel is no reason to end the work", BEATS, "Self::Cancel { .. } | Self::Stop { .. } => true,", "Self::Cancel { .. } => false,\n            Self::Stop { .. } => true,"),
    Mutation("the first heartbeat is sent at once", BEATS, "let mut pause = first;", "let mut pause = Duration::ZERO;"),
    Mutation("heartbeats outlive the work", BEATS, "        self.task.abort();", "        let _ = &self.task;"),
    Mutation("a walk ends after its first page", WALK, "self.ended = next_cursor.is_none();", "self.ended = true;"),
    Mutation("a validation error is not told", ERROR, "unwrap_or_else(|_| validation_errors(detail))", "unwrap_or_else(|_| detail.chars().take(validation_errors(detail).len().min(1)).collect())"),
    Mutation("the version has the hash of the steps in it", ANSWER, "inner.split('.').next()?.parse().ok()", "inner.parse().ok()"),
    Mutation("a cost may be negative", REQUEST, "first.is_ascii_digit())", "first.is_ascii_digit() || first == '-')"),
]


if __name__ == "__main__":
    mutations.MUTATIONS = MUTATIONS
    mutations.NEAR = mutations.ALL = ["--package", "ratchet-client", "--lib", "--test", "calls"]
    # Seconds, where the tests take ten: what hangs is found sooner.
    mutations.LIMIT = 600
    sys.exit(mutations.main())
