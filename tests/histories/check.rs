//! A history, and whether it is linearizable.
//!
//! The checker is Wing and Gong's, with Lowe's memory of the states that were tried (`todc-utils`, tested by its authors
//! against the histories of etcd that Jepsen recorded). Two rules about bytes, which the model does not have, are checked
//! besides: one version looks the same in all answers, and a terminal result stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ratchet_model::clock::Timestamp;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde_json::Value;
use todc_utils::{Action, History as Entries, WGLChecker};

use crate::model::{Answer, Change, Contract, Look, Request, Route, Step, Transition, Variant, View};
use crate::overdue::Span;

/// One request, from its sender's side.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The worker that sent it.
    pub worker: usize,
    /// The request.
    pub request: Arc<Request>,
    /// The answer.
    pub answer: Arc<Answer>,
    /// The answer's record or list as it came.
    pub body: Value,
    /// The position of its invocation among all invocations and returns of the history.
    pub invoked: u64,
    /// The position of its return.
    pub returned: u64,
    /// Both times, since the beginning of the history.
    pub time: (Duration, Duration),
    /// Both by the clock of the history, which is ahead of the machine's. For a request without an answer the second one is
    /// when the service had certainly done with it.
    pub clock: Span,
}

/// All requests at one execution.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In the order of their invocations.
    pub operations: Vec<Operation>,
    /// What is wrong beside all answers, if anything is.
    pub wrong: Option<String>,
}

impl History {
    /// Whether the contract allows it.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if let Some(wrong) = self.operations.iter().find(|operation| matches!(*operation.answer, Answer::Wrong(_))) {
            return Err(format!("an answer for which the contract has no place: {:?}", wrong.answer));
        }
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        self.check_bytes()?;
        if self.is_linearizable(u64::MAX) { Ok(()) } else { Err(self.explain()) }
    }

    /// Whether the contract allows some order of the operations that respects time. An answer after `until` counts as not
    /// arrived.
    fn is_linearizable(&self, until: u64) -> bool {
        let known: Vec<(usize, &Operation)> =
            self.operations.iter().enumerate().filter(|(_, operation)| operation.invoked <= until).collect();
        let logged = Logged::of(self);
        let answered = |operation: &Operation| operation.returned <= until && operation.is_answered();
        let steps: BTreeMap<usize, Vec<Variant>> = known
            .iter()
            .map(|(index, operation)| (*index, operation.effects(operation.returned <= until, &logged)))
            .filter(|(_, variants)| !variants.is_empty())
            .collect();
        let looking: Vec<(usize, &Operation)> =
            known.iter().copied().filter(|(_, operation)| answered(operation) && operation.looks()).collect();
        let looks_before = |moment: u64| -> Vec<usize> {
            let before = looking.iter().enumerate().filter(|(_, (_, look))| look.returned < moment);
            before.map(|(place, _)| place).collect()
        };
        let heard_by = |pass: &Operation| {
            let unheard = known.iter().filter(|(_, other)| other.invoked < pass.returned && other.may_be_heard(until));
            unheard.map(|(_, other)| other.clock.to).max()
        };
        let look = |(own, operation): &(usize, &Operation)| Look {
            request: operation.request.clone(),
            answer: operation.answer.clone(),
            when: operation.clock,
            heard_by: heard_by(operation),
            effects_before: known
                .iter()
                .filter(|(index, other)| steps.contains_key(index) && answered(other))
                .filter(|(index, other)| other.returned < operation.invoked || index == own)
                .map(|(index, _)| *index)
                .collect(),
            looks_before: looks_before(operation.invoked),
        };
        let looks: Arc<Vec<Look>> = Arc::new(looking.iter().map(look).collect());

        let mut moments: BTreeMap<(u64, usize), (usize, Action<Step>)> = BTreeMap::new();
        let (mut after, mut process) = (Vec::new(), 0);
        for (index, operation) in &known {
            let answered = answered(operation);
            for (number, variant) in steps.get(index).into_iter().flatten().enumerate() {
                let step = Step {
                    operation: *index,
                    variant: *variant,
                    when: operation.clock,
                    request: operation.request.clone(),
                    answer: match (answered, operation.answer.as_ref()) {
                        (false, Answer::Passed { .. }) | (true, _) => operation.answer.clone(),
                        (false, _) => Arc::new(Answer::Unknown),
                    },
                    looks: looks.clone(),
                    looks_before: looks_before(operation.invoked),
                };
                // Each step is a process of its own: one without an answer does not keep its sender from going on.
                moments.insert((operation.invoked, number), (process, Action::Call(step.clone())));
                if answered {
                    moments.insert((operation.returned, number), (process, Action::Response(step)));
                } else {
                    after.push((process, Action::Response(step)));
                }
                process += 1;
            }
        }
        let end = Step {
            operation: usize::MAX,
            variant: Variant::Only,
            when: Span::default(),
            request: Arc::new(Request::End),
            answer: Arc::new(Answer::Unknown),
            looks,
            looks_before: Vec::new(),
        };
        let mut actions: Vec<_> = moments.into_values().collect();
        actions.extend([(process, Action::Call(end.clone())), (process, Action::Response(end))]);
        actions.extend(after);
        WGLChecker::<Contract>::is_linearizable(Entries::from_actions(actions))
    }

    /// Names the first answer after which no order is left: the place to begin reading.
    fn explain(&self) -> String {
        let mut returns: Vec<(u64, usize)> =
            self.operations.iter().enumerate().map(|(index, operation)| (operation.returned, index)).collect();
        returns.sort_unstable();
        match returns.into_iter().find(|(returned, _)| !self.is_linearizable(*returned)) {
            Some((_, index)) => format!("not linearizable from the answer of operation {index} on"),
            None => "not linearizable".to_owned(),
        }
    }

    /// The rules about what the model leaves out: times, and all other contents of a record.
    fn check_bytes(&self) -> Result<(), String> {
        self.check_times()?;
        let mut versions: BTreeMap<i64, &Value> = BTreeMap::new();
        let mut result: Option<Vec<&Value>> = None;
        let mut log: Vec<&Value> = Vec::new();
        for operation in &self.operations {
            if let Some(version) = operation.record_version() {
                let known = versions.entry(version).or_insert(&operation.body);
                if *known != &operation.body {
                    return Err(format!("version {version} is two records: {known} and {}", operation.body));
                }
            }
            for (index, entry) in operation.body["transitions"].as_array().into_iter().flatten().enumerate() {
                match log.get(index) {
                    Some(known) if *known != entry => {
                        return Err(format!("transition {index} is two: {known} and {entry}"));
                    }
                    Some(_) => {}
                    None => log.push(entry),
                }
            }
        }
        for record in versions.values() {
            if !["completed", "failed", "cancelled", "timeout"].iter().any(|status| record["status"] == *status) {
                continue;
            }
            let frozen = [
                "status",
                "attempt",
                "timeout_seconds",
                "started_at",
                "completed_at",
                "duration_ms",
                "final_output",
                "error_message",
                "error_details",
                "retry_count",
                "cancel_requested_at",
            ];
            let frozen: Vec<&Value> = frozen.iter().map(|name| &record[*name]).collect();
            let known = result.get_or_insert_with(|| frozen.clone());
            if *known != frozen {
                return Err(format!("a terminal result changed: {known:?} and {frozen:?}"));
            }
        }
        Ok(())
    }

    /// The times that are set once and stay: when it was created and first ran, and when a cancel was first requested.
    fn check_times(&self) -> Result<(), String> {
        let mut known: BTreeMap<&str, &Value> = BTreeMap::new();
        for operation in &self.operations {
            let record = &operation.body;
            let attempt = record["attempt"].as_i64().unwrap_or_default();
            for (name, value) in [
                ("created_at", &record["created_at"]),
                ("started_at", if attempt > 0 { &record["started_at"] } else { &Value::Null }),
                ("cancel_requested_at", &record["cancel_requested_at"]),
            ] {
                let first = if value.is_null() { value } else { known.entry(name).or_insert(value) };
                if *first != *value {
                    return Err(format!("{name} is two: {first} and {value}"));
                }
            }
        }
        Ok(())
    }

    /// The operations, one a line.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for (index, operation) in self.operations.iter().enumerate() {
            let Operation { worker, request, answer, time: (invoked, returned), clock, .. } = operation;
            let _ = writeln!(
                text,
                "{index:>3} worker {worker} [{:>4} {:>8.1} ms .. {:>4} {:>8.1} ms, at {} .. {}] {request:?}\n        \
                 {answer:?}",
                operation.invoked,
                invoked.as_secs_f64() * 1e3,
                operation.returned,
                returned.as_secs_f64() * 1e3,
                clock.from,
                clock.to,
            );
        }
        text
    }
}

/// What the log says in the end: an effect that it does not have need not be looked for.
#[derive(Debug, Default)]
struct Logged {
    /// The transitions, each with its time in epoch milliseconds, if that is known.
    entries: Vec<(Transition, Option<i64>)>,
    /// How many cancels were sent that are not repeats of each other.
    cancels: usize,
    /// Whether silence matters.
    watched: bool,
}

impl Logged {
    fn of(history: &History) -> Self {
        let mut logged = Self::default();
        let mut cancels = Vec::new();
        for operation in &history.operations {
            match (operation.request.as_ref(), operation.answer.as_ref()) {
                (Request::Create(limits), _) => logged.watched |= limits.heartbeat_timeout.is_some(),
                (Request::Log, Answer::Log(log)) if log.len() > logged.entries.len() => {
                    let at = |entry: &Value| Timestamp::parse(entry["at"].as_str()?).ok().map(Timestamp::millis);
                    let times = operation.body["transitions"].as_array().into_iter().flatten().map(at);
                    let times = times.chain(std::iter::repeat(None));
                    logged.entries = log.iter().cloned().zip(times).collect();
                }
                // A repeat by its key is the same cancel.
                (Request::Change(change), _)
                    if change.route == Route::Cancel && (change.key.is_none() || !cancels.contains(&&change.key)) =>
                {
                    cancels.push(&change.key);
                }
                _ => {}
            }
        }
        Self { cancels: cancels.len(), ..logged }
    }

    /// Whether it has a transition of a request that was under way in a span.
    fn has(&self, when: Span, wanted: impl Fn(&Transition) -> bool) -> bool {
        self.entries.iter().any(|(entry, at)| wanted(entry) && at.is_none_or(|at| when.may_be(at)))
    }
}

impl Operation {
    /// Whether its answer says what it did.
    fn is_answered(&self) -> bool {
        !matches!(
            *self.answer,
            Answer::Unknown | Answer::Unavailable | Answer::Passed { entered: None, certain: false, .. }
        )
    }

    /// The effects that it may have had, one of which it had if it is answered; none: it changed nothing. `arrived`: whether
    /// its answer counts.
    ///
    /// A request that was answered with "nothing was changed" has none: if it did change something, a later answer shows it.
    /// But a heartbeat that was answered so may have been written, for no record shows it; it can put off a silence.
    fn effects(&self, arrived: bool, logged: &Logged) -> Vec<Variant> {
        let answer = if arrived { self.answer.as_ref() } else { &Answer::Unknown };
        let variants = match (self.request.as_ref(), answer) {
            (Request::Heartbeat { .. }, Answer::Unavailable) => {
                Vec::from_iter(logged.watched.then_some(Variant::Heard))
            }
            (_, Answer::Unavailable) => return Vec::new(),
            (Request::Create(_), _) => vec![Variant::Only],
            (
                Request::Change(change),
                Answer::Changed { replayed: false, .. } | Answer::Superseded { .. } | Answer::Unknown,
            ) => match change.route {
                Route::Cancel if logged.cancels > 1 => vec![Variant::Sooner(true), Variant::Sooner(false)],
                _ => vec![Variant::Only],
            },
            // Whether or not it revives. Without a revival it matters only where silence does.
            (Request::Heartbeat { by, attempt }, answer) => {
                let revives = |entry: &Transition| entry.by == *by && entry.reason == "\"heartbeat\"";
                // It may have been told to stop by a later attempt of its own request, after the first one was written.
                let heard = matches!(answer, Answer::Heard(_)) && *attempt != Some(0);
                let may_be_heard = *answer == Answer::Unknown && logged.watched;
                let only = (heard && logged.watched || logged.has(self.clock, revives)).then_some(Variant::Only);
                only.into_iter().chain(may_be_heard.then_some(Variant::Heard)).collect()
            }
            (Request::Pass, Answer::Passed { entered: Some(to), .. }) => vec![Variant::Entered(*to)],
            (Request::Pass, Answer::Passed { certain: false, .. } | Answer::Unknown) => {
                [Status::Cancelled, Status::Interrupted, Status::Timeout]
                    .into_iter()
                    .filter(|to| logged.has(self.clock, |entry| entry.by == "service" && entry.to == *to))
                    .map(Variant::Entered)
                    .collect()
            }
            _ => Vec::new(),
        };
        // A change of status without an answer is in the log, or it never was.
        let Request::Change(Change { by, body, route: Route::Update | Route::UpdateStatus, .. }) =
            self.request.as_ref()
        else {
            return variants;
        };
        let to = body["status"].as_str().and_then(Status::parse).filter(|_| *answer == Answer::Unknown);
        let was = |to: Status| logged.has(self.clock, |entry| entry.by == *by && entry.to == to);
        if to.is_none_or(was) { variants } else { Vec::new() }
    }

    /// Whether it is a heartbeat that may have been recorded, and whose answer does not say so.
    fn may_be_heard(&self, until: u64) -> bool {
        let unanswered = self.returned > until || matches!(*self.answer, Answer::Unknown | Answer::Unavailable);
        matches!(*self.request, Request::Heartbeat { .. }) && unanswered
    }

    /// Whether the answer shows the execution, or is a refusal because of its state.
    fn looks(&self) -> bool {
        match (self.request.as_ref(), self.answer.as_ref()) {
            (Request::Create(_) | Request::Advance(_) | Request::End, _) | (_, Answer::Wrong(_)) => false,
            // It looked, and found nothing to do: nothing was overdue.
            (Request::Pass, answer) => {
                matches!(answer, Answer::Passed { entered: None, certain: true, lost: false })
            }
            _ => true,
        }
    }

    /// The version of the record in the answer, if there is a record in it.
    fn record_version(&self) -> Option<i64> {
        match self.answer.as_ref() {
            Answer::Record(record) | Answer::Changed { view: View::Record(record), .. } => Some(record.version),
            _ => None,
        }
    }
}
