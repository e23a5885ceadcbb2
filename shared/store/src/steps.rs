//! Steps: items of their own beside the head, written side by side, each by one conditional write.
//!
//! A report is one read of the head and one write for each step. The first report of an execution says on the head that there
//! are steps, before it writes any, so that no reader passes over one that was acknowledged. What the usual reports need
//! is the condition of the write itself: a step that is new, a transition that the table allows, fields that differ. Any
//! other report is refused by it, and the refusal returns the step; then [`judge`] decides, and what is left to write is
//! written on the version that it judged by.
//!
//! Each write leaves a mark on the step, by which a repeat and the service's own retries are recognized (`dedup`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::join_all;
use ratchet_model::caller::Caller;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::heartbeat::Action;
use ratchet_model::id::ExecutionId;
use ratchet_model::limits::{MAX_SHOWN_STEPS, MAX_STEP_REPORT};
use ratchet_model::list::View;
use ratchet_model::status::Status;
use ratchet_model::step::{
    DEFAULT_STEP_STATUS, Step, StepFields, StepId, StepOutcome, StepRefusal, StepReport, StepReports, Verdict, judge,
};
use serde_json::value::{RawValue, to_raw_value};

use crate::attempts::{Attempts, failed_read, failed_write, is_too_large};
use crate::dedup::{Deed, Duplicate, KEYED, WriteToken};
use crate::expression::{Expression, number, text};
use crate::heartbeat::Heard;
use crate::item::{
    self, Item, STEP_SUMMARY_ATTRIBUTES, has_steps, read_status, read_step, report_attributes, step_values,
};
use crate::list::{MAX_ANSWER, escaped_len};
use crate::schema as a;
use crate::table_keys as k;
use crate::{MAX_ITEM, Store};

/// How long a report may take in all: less than the function's timeout, so that the caller gets the service's own answer.
const REPORT_TIMEOUT: Duration = Duration::from_secs(9);

/// How many writes one step may take: the report, what is left of it when it was refused, and both again where another
/// writer came in between.
const TRIES: usize = 4;

/// How many bytes of an answer the steps of a record may take. With the largest head and the largest inputs it stays below
/// what Lambda returns.
const MAX_STEPS_OF_RECORD: usize = 4 * 1024 * 1024;

/// How many bytes one byte of a step may take in an answer: a control character is written as `\u0000`, whose backslash is
/// escaped once more.
const MAX_ESCAPED: usize = 7;

/// Reports that were answered.
#[derive(Debug)]
pub struct StepsReported {
    /// The status of the execution.
    pub status: Status,
    /// What the worker is to do.
    pub action: Action,
    /// What became of each report, in their order.
    pub outcomes: Vec<ReportedStep>,
    /// Whether an earlier request with the same Idempotency-Key wrote what there was to write.
    pub replayed: bool,
}

/// What became of the report of one step.
#[derive(Debug)]
pub struct ReportedStep {
    /// The step.
    pub step_id: StepId,
    /// What became of it.
    pub outcome: StepOutcome,
    /// Why it was refused, if it was.
    pub refusal: Option<StepRefusal>,
}

/// A page of the steps of an execution.
#[derive(Debug)]
pub struct StepPage {
    /// The steps, as JSON, in the order of their ids.
    pub steps: Vec<Box<RawValue>>,
    /// The last step that was passed, where there are more.
    pub next: Option<StepId>,
}

/// Which steps of an execution.
#[derive(Debug, Clone)]
pub struct StepQuery {
    /// Those after this one; `None`: from the first one on.
    pub after: Option<StepId>,
    /// How many.
    pub page_size: usize,
    /// How much of each.
    pub view: View,
}

/// What one report came to, and by whom.
struct Settled {
    outcome: StepOutcome,
    refusal: Option<StepRefusal>,
    by: By,
}

/// Who settled a report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// This request, with a write.
    Write,
    /// An earlier request with the same Idempotency-Key.
    Earlier,
    /// Nobody wrote anything.
    Nobody,
}

impl Settled {
    const fn written(outcome: StepOutcome) -> Self {
        Self { outcome, refusal: None, by: By::Write }
    }

    const fn unwritten(outcome: StepOutcome) -> Self {
        Self { outcome, refusal: None, by: By::Nobody }
    }

    const fn refused(refusal: StepRefusal) -> Self {
        Self { outcome: StepOutcome::Refused, refusal: Some(refusal), by: By::Nobody }
    }

    /// What the mark of an earlier attempt or request says.
    fn by_mark(duplicate: Duplicate, deed: Deed, step: &Item, token: &WriteToken) -> Self {
        let created = || step.get(a::CREATED_BY).is_some_and(|id| id.as_s().is_ok_and(|id| id == token.id()));
        let outcome = match deed {
            Deed::Wrote if created() => StepOutcome::Created,
            Deed::Wrote | Deed::Merged => StepOutcome::Updated,
            Deed::Nothing => StepOutcome::Unchanged,
            Deed::Filled => StepOutcome::Stale,
        };
        match duplicate {
            Duplicate::SameRequest => Self::written(outcome),
            Duplicate::Replay => Self { outcome, refusal: None, by: By::Earlier },
            Duplicate::KeyReused => Self::refused(StepRefusal::KeyReused),
        }
    }
}

/// The outcome of one write.
enum Sent {
    /// It was written; whether there was a step before.
    Written { existed: bool },
    /// The condition does not hold: the step as it is.
    Refused(Item),
    /// The step would be larger than an item may be.
    TooLarge,
}

/// The report of one step, with all that is needed to write it and to interpret the answer.
struct Write<'a> {
    pk: &'a str,
    report: &'a StepReport,
    /// Whether the request has an Idempotency-Key.
    keyed: bool,
    token: WriteToken,
    now: Timestamp,
    /// Observes the attempts at every write of this report: one of an earlier write may still be under way.
    attempts: Attempts,
}

/// What is left to write of a report, as [`judge`] decided.
struct Rest {
    /// The version of the step that was judged.
    version: i64,
    outcome: StepOutcome,
    fields: StepFields,
}

impl Rest {
    const fn deed(&self) -> Deed {
        match self.outcome {
            StepOutcome::Unchanged => Deed::Nothing,
            StepOutcome::Stale => Deed::Filled,
            _ => Deed::Merged,
        }
    }
}

impl Write<'_> {
    /// The report as one write. Its condition holds for a step that is new, and for one that the report changes without a
    /// doubt: what it does not say is never lost by that, for a refusal returns the step.
    fn report_expression(&self) -> Expression {
        let mut expression = Expression::default();
        let StepReport { status, fields, .. } = self.report;
        self.token.mark(Deed::Wrote, &mut expression);
        self.require_applicable(&mut expression);
        let now = number(self.now.millis());
        let current = expression.name(a::STATUS);
        let running = *status == Some(DEFAULT_STEP_STATUS);
        if let Some(status) = status {
            let status = expression.value(text(status.as_str()));
            expression.set(&current, &status);
        } else {
            let default = expression.value(text(DEFAULT_STEP_STATUS.as_str()));
            expression.set(&current, &format!("if_not_exists({current}, {default})"));
        }
        let (zero, one) = (expression.value(number(0)), expression.value(number(1)));
        let version = expression.name(a::VERSION);
        expression.set(&version, &format!("if_not_exists({version}, {zero}) + {one}"));
        // When it first ran has two parts, because nobody knows yet whether this is the first report.
        let begun = expression.name(a::BEGUN_AT);
        let first = if running || status.is_none() { expression.value(now.clone()) } else { zero };
        expression.set(&begun, &format!("if_not_exists({begun}, {first})"));
        if running {
            let (ran, now) = (expression.name(a::RAN_AT), expression.value(now.clone()));
            expression.set(&ran, &format!("if_not_exists({ran}, {now})"));
        }
        let (creator, id) = (expression.name(a::CREATED_BY), expression.value(text(self.token.id())));
        expression.set(&creator, &format!("if_not_exists({creator}, {id})"));
        for (name, value) in step_values(fields) {
            expression.assign(name, value);
        }
        // A terminal status that the step has already does not get here.
        if status.is_some_and(Status::is_terminal) && fields.completed_at.is_none() {
            expression.assign(a::COMPLETED_AT, now);
        }
        expression
    }

    /// Requires that the step is new, or that the report changes it and nothing forbids that.
    fn require_applicable(&self, expression: &mut Expression) {
        let StepReport { status, fields, .. } = self.report;
        let pk = expression.name(a::PK);
        let mut alternatives = vec![format!("attribute_not_exists({pk})")];
        let differs = differs(fields, expression);
        if let Some(status) = status {
            alternatives.extend(is_in(status.allowed_sources(), expression));
            if let Some(differs) = differs.filter(|_| !status.is_terminal()) {
                alternatives.extend(is_in(&[*status], expression).map(|same| format!("({same} AND {differs})")));
            }
        } else if let Some(differs) = differs {
            // Every placeholder must be used: DynamoDB refuses an expression with an unused one.
            let ended = if fields.frozen().is_empty() { None } else { is_in(&Status::TERMINAL, expression) };
            alternatives.push(match ended {
                Some(ended) => format!("(NOT {ended} AND {differs})"),
                None => differs,
            });
        }
        expression.require(format!("({})", alternatives.join(" OR ")));
    }

    /// What is left of a report, written on the version that was judged. Without fields it leaves the mark alone.
    fn rest_expression(&self, rest: &Rest) -> Expression {
        let mut expression = Expression::default();
        self.token.mark(rest.deed(), &mut expression);
        let version = expression.name(a::VERSION);
        let judged = expression.value(number(rest.version));
        expression.require(format!("{version} = {judged}"));
        if !rest.fields.is_empty() {
            let one = expression.value(number(1));
            expression.set(&version, &format!("{version} + {one}"));
            for (name, value) in step_values(&rest.fields) {
                expression.assign(name, value);
            }
        }
        expression
    }

    /// The report's own size, in bytes.
    fn size(&self) -> usize {
        size_of(self.report)
    }
}

/// The condition that one of the fields differs from what is known; `None` where there are no fields.
fn differs(fields: &StepFields, expression: &mut Expression) -> Option<String> {
    let equal: Vec<String> = step_values(fields)
        .map(|(name, value)| {
            let (name, value) = (expression.name(name), expression.value(value));
            format!("{name} = {value}")
        })
        .collect();
    (!equal.is_empty()).then(|| format!("(NOT ({}))", equal.join(" AND ")))
}

/// The condition that the step has one of these statuses; `None` where there are none.
fn is_in(statuses: &[Status], expression: &mut Expression) -> Option<String> {
    let name = expression.name(a::STATUS);
    let values: Vec<String> = statuses.iter().map(|status| expression.value(text(status.as_str()))).collect();
    (!values.is_empty()).then(|| format!("{name} IN ({})", values.join(", ")))
}

/// The size of a report as the table holds it, in bytes.
fn size_of(report: &StepReport) -> usize {
    let item: Item = step_values(&report.fields).map(|(name, value)| (name.to_owned(), value)).collect();
    item::size(&item) + report.step_id.as_str().len()
}

impl Store {
    /// Reports steps of an execution: one read of the head, and one write for each step, side by side; one more for the first
    /// report of an execution. A report that another one contradicts, or that says what is known, may take two.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Rejected`], [`Error::StepTooLarge`], [`Error::IdempotencyKeyReused`]: nothing was
    /// written. [`Error::StoreUnavailable`], [`Error::OutcomeUnknown`] where that is so of every report; what is unknown of
    /// some alone is their outcome.
    pub async fn report_steps(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        request: &StepReports,
    ) -> Result<StepsReported, Error> {
        let started = Instant::now();
        for (index, report) in request.reports.iter().enumerate() {
            let size = size_of(report);
            if size > MAX_STEP_REPORT {
                return Err(Error::StepTooLarge { index, size, limit: MAX_STEP_REPORT });
            }
        }
        let now = self.clock.now();
        let pk = k::execution_pk(&caller.organization, id);
        let head = self.item_with(pk.clone(), a::HEAD_SK, true, Some(&report_attributes())).await?;
        let head = head.ok_or(Error::NotFound)?;
        let told = Heard::by(&head, request.attempt)?;
        let token = WriteToken::new(request.idempotency_key.as_ref(), now)?;
        let settled = if let Some(requested) = request.attempt.filter(|spoken| *spoken != told.attempt) {
            self.settled_before(&pk, request, &token, requested, told.attempt).await?
        } else {
            if !has_steps(&head) {
                self.say_that_there_are_steps(&pk).await?;
            }
            let left = REPORT_TIMEOUT.saturating_sub(started.elapsed());
            let keyed = request.idempotency_key.is_some();
            let writes = request.reports.iter().map(|report| {
                let (token, attempts) = (token.clone(), Attempts::default());
                let write = Write { pk: &pk, report, keyed, token, now, attempts };
                let late = |_| Err(Error::OutcomeUnknown { reason: "the report took too long".to_owned() });
                async move { tokio::time::timeout(left, self.report_step(write)).await.unwrap_or_else(late) }
            });
            settled_together(join_all(writes).await)?
        };
        if settled.iter().any(|step| step.refusal == Some(StepRefusal::KeyReused))
            && settled.iter().all(|step| step.outcome == StepOutcome::Refused)
        {
            return Err(Error::IdempotencyKeyReused);
        }
        let is_by = |by: By| settled.iter().any(|step| step.by == by);
        let replayed = is_by(By::Earlier) && !is_by(By::Write);
        let outcomes = request.reports.iter().zip(settled).map(|(report, settled)| ReportedStep {
            step_id: report.step_id.clone(),
            outcome: settled.outcome,
            refusal: settled.refusal,
        });
        let outcomes = outcomes.collect();
        Ok(StepsReported { status: told.watch.status, action: told.order.action, outcomes, replayed })
    }

    /// Says on the head that the execution has steps. It changes nothing that a reader of the record alone sees, so that it
    /// leaves the version, and repeating it is harmless.
    async fn say_that_there_are_steps(&self, pk: &str) -> Result<(), Error> {
        let mut expression = Expression::default();
        let own = expression.name(a::PK);
        expression.require(format!("attribute_exists({own})"));
        expression.assign(a::WITH_STEPS, number(1));
        self.update_item(pk.to_owned(), a::HEAD_SK, expression)
            .send()
            .await
            // Whether or not it was written: no step was.
            .map_err(|error| failed_read(&error))?;
        Ok(())
    }

    /// What an earlier request with the same Idempotency-Key wrote of these reports, whose attempt is not the present one.
    ///
    /// # Errors
    ///
    /// [`Rejection::Attempt`] where there was no such request.
    async fn settled_before(
        &self,
        pk: &str,
        request: &StepReports,
        token: &WriteToken,
        requested: i64,
        current: i64,
    ) -> Result<Vec<Settled>, Error> {
        let superseded = || Rejection::Attempt { requested, current };
        if request.idempotency_key.is_none() {
            return Err(superseded().into());
        }
        let marks: Vec<&str> = KEYED.maps().iter().copied().chain([a::CREATED_BY]).collect();
        let marks = &marks;
        let steps = request
            .reports
            .iter()
            .map(async |report| self.item_with(pk.to_owned(), &k::step_sk(&report.step_id), true, Some(marks)).await);
        let mut settled = Vec::with_capacity(request.reports.len());
        for step in join_all(steps).await {
            let step = step?.unwrap_or_default();
            settled.push(match token.find_mark(&step) {
                Some((duplicate, deed)) => Settled::by_mark(duplicate, deed, &step, token),
                None => Settled::refused(StepRefusal::Superseded { requested, current }),
            });
        }
        let known = settled.iter().any(|step| step.by == By::Earlier || step.refusal == Some(StepRefusal::KeyReused));
        if known { Ok(settled) } else { Err(superseded().into()) }
    }

    /// Reports one step.
    async fn report_step(&self, mut write: Write<'_>) -> Result<Settled, Error> {
        let mut rest: Option<Rest> = None;
        for _ in 0..TRIES {
            let expression =
                rest.as_ref().map_or_else(|| write.report_expression(), |rest| write.rest_expression(rest));
            let step = match self.send_step(&write, expression).await? {
                Sent::Written { existed } => {
                    let first = if existed { StepOutcome::Updated } else { StepOutcome::Created };
                    return Ok(Settled::written(rest.map_or(first, |rest| rest.outcome)));
                }
                Sent::TooLarge if write.attempts.any_in_doubt() => break,
                Sent::TooLarge => {
                    return Ok(Settled::refused(StepRefusal::TooLarge { size: write.size(), limit: MAX_ITEM }));
                }
                Sent::Refused(step) => step,
            };
            if let Some((duplicate, deed)) = write.token.find_mark(&step) {
                return Ok(Settled::by_mark(duplicate, deed, &step, &write.token));
            }
            rest = None;
            let in_doubt = write.attempts.any_in_doubt();
            if let Some(fenced) = write.token.fenced(&step) {
                if in_doubt && !fenced.token_retained {
                    break;
                }
                write.token.advance_to(fenced);
                continue;
            }
            let (_, known) = read_step(&step)?;
            match judge(&known, write.report) {
                // Of a step that has ended: no later state can lift it, and no attempt in doubt be applied.
                Verdict::Refuse(refusal) => return Ok(Settled::refused(refusal)),
                // The condition would have held: the step has changed since.
                Verdict::Enter(_) => {}
                Verdict::Merge { outcome, fields } => {
                    // Without a mark a late repeat, or an attempt that is still under way, could be applied once the
                    // state has changed.
                    if fields.is_empty() && !write.keyed && !in_doubt {
                        return Ok(Settled::unwritten(outcome));
                    }
                    rest = Some(Rest { version: known.version, outcome, fields });
                }
            }
        }
        let reason = "other writers were faster than the report of a step, again and again".to_owned();
        Err(if write.attempts.any_in_doubt() {
            Error::OutcomeUnknown { reason }
        } else {
            Error::StoreUnavailable { reason }
        })
    }

    /// Sends one write of a step.
    async fn send_step(&self, write: &Write<'_>, expression: Expression) -> Result<Sent, Error> {
        let outcome = self
            .update_item(write.pk.to_owned(), k::step_sk(&write.report.step_id), expression)
            // The version before, among others: there is none where there was no step.
            .return_values(ReturnValue::UpdatedOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(write.attempts.clone())
            .send()
            .await;
        match outcome {
            Ok(output) => {
                Ok(Sent::Written { existed: output.attributes.is_some_and(|old| old.contains_key(a::VERSION)) })
            }
            Err(error) => {
                if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
                    let step = failed.item().filter(|step| !step.is_empty()).cloned();
                    return step
                        .map(Sent::Refused)
                        .ok_or_else(|| Error::internal("a step was refused that is not there"));
                }
                if is_too_large(&error) {
                    return Ok(Sent::TooLarge);
                }
                Err(failed_write(&error, &write.attempts))
            }
        }
    }

    /// A page of the steps of an execution, in the order of their ids. Two requests; one where the head says that there are no
    /// steps.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn steps(&self, caller: &Caller, id: &ExecutionId, query: &StepQuery) -> Result<StepPage, Error> {
        let pk = k::execution_pk(&caller.organization, id);
        let head = self.item_with(pk.clone(), a::HEAD_SK, true, Some(&[a::STATUS, a::WITH_STEPS])).await?;
        let head = head.ok_or(Error::NotFound)?;
        let status = read_status(&head)?;
        let (items, more) = if has_steps(&head) { self.query_steps(&pk, query).await? } else { (Vec::new(), false) };
        let mut page = StepPage { steps: Vec::with_capacity(items.len()), next: None };
        let (mut bytes, mut last) = (0, None);
        let count = items.len();
        for item in items {
            let (step_id, known) = read_step(&item)?;
            let step = known.shown(step_id.clone(), status);
            let step = match query.view {
                View::Full => step,
                View::Summary => step.into_summary(),
            };
            let step = to_raw_value(&step).map_err(|error| Error::internal(error.to_string()))?;
            bytes += escaped_len(step.get());
            if page.steps.len() == query.page_size || bytes > MAX_ANSWER && !page.steps.is_empty() {
                break;
            }
            page.steps.push(step);
            last = Some(step_id);
        }
        page.next = last.filter(|_| more || page.steps.len() < count);
        Ok(page)
    }

    /// The steps of a page, one more than it has, and whether there may be more than these.
    async fn query_steps(&self, pk: &str, query: &StepQuery) -> Result<(Vec<Item>, bool), Error> {
        let mut expression = Expression::default();
        let (pk_name, sk_name) = (expression.name(a::PK), expression.name(a::SK));
        let (partition, prefix) = (expression.value(text(pk)), expression.value(text(a::STEP_PREFIX)));
        let projection = match query.view {
            View::Full => None,
            View::Summary => Some(STEP_SUMMARY_ATTRIBUTES.iter().map(|name| expression.name(name)).collect::<Vec<_>>()),
        };
        let (names, values) = expression.into_maps();
        let start = query
            .after
            .as_ref()
            .map(|after| HashMap::from([(a::PK.to_owned(), text(pk)), (a::SK.to_owned(), text(k::step_sk(after)))]));
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(format!("{pk_name} = {partition} AND begins_with({sk_name}, {prefix})"))
            .set_projection_expression(projection.map(|names| names.join(", ")))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .set_exclusive_start_key(start)
            .limit(i32::try_from(query.page_size + 1).unwrap_or(i32::MAX))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        let more = output.last_evaluated_key.is_some_and(|key| !key.is_empty());
        Ok((output.items.unwrap_or_default(), more))
    }
}

/// What became of reports that were written side by side. A bug is an error of the request. What is unknown of all of them is
/// one, too, for nothing else is known of it; of some it is their outcome.
fn settled_together(outcomes: Vec<Result<Settled, Error>>) -> Result<Vec<Settled>, Error> {
    let mut settled = Vec::with_capacity(outcomes.len());
    let (mut unknown, mut unavailable) = (None, None);
    let mut lost = 0;
    for outcome in outcomes {
        settled.push(match outcome {
            Ok(settled) => settled,
            Err(error) => {
                lost += 1;
                match error {
                    Error::OutcomeUnknown { .. } => unknown = Some(error),
                    Error::StoreUnavailable { .. } => unavailable = Some(error),
                    error => return Err(error),
                }
                Settled::unwritten(StepOutcome::Unknown)
            }
        });
    }
    match unknown.or(unavailable) {
        Some(error) if lost == settled.len() => Err(error),
        Some(error) => {
            tracing::warn!(lost, reason = %error, "the outcome of some steps is unknown");
            Ok(settled)
        }
        None => Ok(settled),
    }
}

/// The first steps of an execution, as its record shows them: as many as fit into an answer.
pub(crate) fn shown_steps<'a>(items: impl Iterator<Item = &'a Item>, execution: Status) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let (mut bytes, mut counted, mut at_most) = (0, 0, 0);
    for item in items.take(MAX_SHOWN_STEPS) {
        let (step_id, known) = read_step(item)?;
        steps.push(known.shown(step_id, execution));
        // Serialized once more only where it could matter: then all of them.
        at_most += item::size(item) * MAX_ESCAPED;
        if at_most > MAX_STEPS_OF_RECORD {
            for step in steps.iter().skip(counted) {
                let text = serde_json::to_string(step).map_err(|error| Error::internal(error.to_string()))?;
                bytes += escaped_len(&text);
            }
            counted = steps.len();
        }
        if bytes > MAX_STEPS_OF_RECORD {
            steps.pop();
            break;
        }
    }
    Ok(steps)
}

/// Whether an item of an execution is one of its steps.
pub(crate) fn is_step(item: &Item) -> bool {
    item.get(a::SK).and_then(|sk: &AttributeValue| sk.as_s().ok()).is_some_and(|sk| sk.starts_with(a::STEP_PREFIX))
}
