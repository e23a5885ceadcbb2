//! A history, and whether it is linearizable.
//!
//! The checker is Wing and Gong's, with Lowe's memory of the states that were tried (`todc-utils`, tested by its authors
//! against the histories of etcd that Jepsen recorded). Two rules about bytes, which the model does not have, are checked
//! besides: one version looks the same in all answers, and a terminal result stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use todc_utils::{Action, History as Entries, WGLChecker};

use crate::model::{Answer, Contract, Look, Request, Step};

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
}

/// All requests at one execution.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In the order of their invocations.
    pub operations: Vec<Operation>,
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
        self.check_bytes()?;
        if self.is_linearizable(u64::MAX) { Ok(()) } else { Err(self.explain()) }
    }

    /// Whether the contract allows some order of the operations that respects time. An answer after `until` counts as not
    /// arrived.
    fn is_linearizable(&self, until: u64) -> bool {
        // A request that was answered with "nothing was changed" is left out: if it did change something, a later answer
        // shows it.
        let known: Vec<(usize, &Operation)> = self
            .operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| operation.invoked <= until)
            .filter(|(_, operation)| operation.returned > until || *operation.answer != Answer::Unavailable)
            .collect();
        let answered = |operation: &Operation| operation.returned <= until && *operation.answer != Answer::Unknown;
        let looking: Vec<(usize, &Operation)> =
            known.iter().copied().filter(|(_, operation)| answered(operation) && operation.looks()).collect();
        let looks_before = |moment: u64| -> Vec<usize> {
            let before = looking.iter().enumerate().filter(|(_, (_, look))| look.returned < moment);
            before.map(|(place, _)| place).collect()
        };
        let look = |(own, operation): &(usize, &Operation)| Look {
            request: operation.request.clone(),
            answer: operation.answer.clone(),
            effects_before: known
                .iter()
                .filter(|(_, other)| other.acts() && answered(other))
                .filter(|(index, other)| other.returned < operation.invoked || index == own)
                .map(|(index, _)| *index)
                .collect(),
            looks_before: looks_before(operation.invoked),
        };
        let looks: Arc<Vec<Look>> = Arc::new(looking.iter().map(look).collect());

        let mut moments: BTreeMap<u64, (usize, Action<Step>)> = BTreeMap::new();
        let mut after = Vec::new();
        for (index, operation) in &known {
            let answered = answered(operation);
            // A look without an answer restricts nothing.
            if answered && !operation.acts() || !matches!(*operation.request, Request::Change(_) | Request::Create) {
                continue;
            }
            let step = Step {
                operation: *index,
                request: operation.request.clone(),
                answer: if answered { operation.answer.clone() } else { Arc::new(Answer::Unknown) },
                looks: looks.clone(),
                looks_before: looks_before(operation.invoked),
            };
            // Each operation is a process of its own: one without an answer does not keep its sender from going on.
            moments.insert(operation.invoked, (*index, Action::Call(step.clone())));
            if answered {
                moments.insert(operation.returned, (*index, Action::Response(step)));
            } else {
                after.push((*index, Action::Response(step)));
            }
        }
        let process = self.operations.len();
        let (request, answer) = (Arc::new(Request::End), Arc::new(Answer::Unknown));
        let end = Step { operation: usize::MAX, request, answer, looks, looks_before: Vec::new() };
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
            ];
            let frozen: Vec<&Value> =
                frozen.iter().chain(&["error_details", "retry_count"]).map(|name| &record[*name]).collect();
            let known = result.get_or_insert_with(|| frozen.clone());
            if *known != frozen {
                return Err(format!("a terminal result changed: {known:?} and {frozen:?}"));
            }
        }
        Ok(())
    }

    /// The operations, one a line.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for (index, operation) in self.operations.iter().enumerate() {
            let Operation { worker, request, answer, time: (invoked, returned), .. } = operation;
            let _ = writeln!(
                text,
                "{index:>3} worker {worker} [{:>4} {:>8.1} ms .. {:>4} {:>8.1} ms] {request:?}\n        {answer:?}",
                operation.invoked,
                invoked.as_secs_f64() * 1e3,
                operation.returned,
                returned.as_secs_f64() * 1e3,
            );
        }
        text
    }
}

impl Operation {
    /// Whether the answer, given that there is one, says that the request changed something.
    fn acts(&self) -> bool {
        match *self.request {
            Request::Create => true,
            Request::Change(_) => {
                matches!(*self.answer, Answer::Changed { replayed: false, .. } | Answer::Superseded { .. })
            }
            Request::Read | Request::Log | Request::End => false,
        }
    }

    /// Whether the answer shows the execution, or is a refusal because of its state.
    fn looks(&self) -> bool {
        !matches!((self.request.as_ref(), self.answer.as_ref()), (Request::Create, _) | (_, Answer::Wrong(_)))
    }

    /// The version of the record in the answer, if there is a record in it.
    fn record_version(&self) -> Option<i64> {
        use crate::model::View;
        match self.answer.as_ref() {
            Answer::Record(record) | Answer::Changed { view: View::Record(record), .. } => Some(record.version),
            _ => None,
        }
    }
}
