//! Histories of one step: concurrent reports of several workers, through two instances of the service and under faults that
//! a seed decides, and what list steps shows meanwhile. Each is checked against the contract as a sequential object, which
//! this file writes down once more.
//!
//! A step has no version that an answer shows and no log, so that the checker alone says whether what was acknowledged has
//! taken effect once, and in an order that the answers allow.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::seeded::{Disturbance, Kind, Odds, Random};
use tests::step_table::TABLE;
use tests::{Api, Instance, text};
use todc_utils::{Action, History, Specification, WGLChecker};

use crate::run::{ATTEMPT_TIMEOUT, tune};
use crate::variable;

const RUNNING: usize = 2;
const FIRST_TERMINAL: usize = 5;

/// The fields that are reported, and whether an end freezes them.
const FIELDS: [(&str, bool); 3] = [("input_data", false), ("output_data", true), ("metadata", false)];

/// How many histories run at the same time, each on an execution of its own. Most of their time they wait for a timeout.
const AT_ONCE: usize = 8;

/// How often a report with a key is repeated while its outcome is unknown.
const REPEATS: usize = 12;

type Fields = BTreeMap<&'static str, String>;

/// A step, as far as the checker looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Step {
    status: usize,
    fields: Fields,
}

/// What a worker asks, with what it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Operation {
    /// A report; `None`: its outcome is not known.
    Report { status: Option<usize>, fields: Fields, outcome: Option<String> },
    /// What list steps shows.
    Shown(Option<Step>),
}

/// The contract of one step.
struct Contract;

impl Specification for Contract {
    type State = Option<Step>;
    type Operation = Operation;

    fn init() -> Self::State {
        None
    }

    fn apply(operation: &Operation, state: &Self::State) -> (bool, Self::State) {
        match operation {
            Operation::Shown(shown) => (shown == state, state.clone()),
            Operation::Report { status, fields, outcome } => {
                let (would, next) = report(state.clone(), *status, fields);
                (outcome.as_ref().is_none_or(|outcome| outcome == would), Some(next))
            }
        }
    }
}

/// What a report does, and what that is called.
fn report(state: Option<Step>, status: Option<usize>, fields: &Fields) -> (&'static str, Step) {
    let Some(mut step) = state else {
        return ("created", Step { status: status.unwrap_or(RUNNING), fields: fields.clone() });
    };
    let to = status.unwrap_or(step.status);
    let frozen = |field: &str| FIELDS.iter().any(|(name, frozen)| *name == field && *frozen);
    match TABLE[step.status].1.as_bytes()[to] {
        b'E' => {
            step.status = to;
            step.fields.extend(fields.clone());
            ("updated", step)
        }
        b'U' => {
            let differs = |field: &str| step.fields.get(field) != fields.get(field);
            let differing: Vec<&str> = fields.keys().copied().filter(|field| differs(field)).collect();
            if to >= FIRST_TERMINAL && differing.iter().any(|field| frozen(field)) {
                return ("refused", step);
            }
            let outcome = if differing.is_empty() { "unchanged" } else { "updated" };
            step.fields.extend(fields.clone());
            (outcome, step)
        }
        b'S' => {
            for (field, value) in fields {
                if !(step.status >= FIRST_TERMINAL && frozen(field)) {
                    step.fields.entry(field).or_insert_with(|| value.clone());
                }
            }
            ("stale", step)
        }
        _ => ("refused", step),
    }
}

/// An operation, and when it was asked and answered among all moments of its history.
type Moment = (u64, u64, Operation);

/// Whether the contract allows some order of the operations that respects time.
fn is_linearizable(moments: &[Moment]) -> bool {
    let mut actions = BTreeMap::new();
    let mut after = Vec::new();
    for (process, (invoked, returned, operation)) in moments.iter().enumerate() {
        actions.insert(*invoked, (process, Action::Call(operation.clone())));
        let response = (process, Action::Response(operation.clone()));
        // What has no answer may take effect at any later time, or, after everything, without a trace.
        if matches!(operation, Operation::Report { outcome: None, .. }) {
            after.push(response);
        } else {
            actions.insert(*returned, response);
        }
    }
    let actions: Vec<_> = actions.into_values().chain(after).collect();
    WGLChecker::<Contract>::is_linearizable(History::from_actions(actions))
}

/// One history while it runs.
struct Run<'a> {
    api: &'a Api,
    instances: &'a [Instance; 2],
    path: String,
    moments: AtomicU64,
    done: Mutex<Vec<Moment>>,
}

impl Run<'_> {
    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    fn keep(&self, invoked: u64, operation: Operation) {
        let returned = self.moment();
        self.done.lock().expect("no test panics while it holds this").push((invoked, returned, operation));
    }

    /// Reports the step, and repeats what has a key until its outcome is known.
    async fn report(&self, instance: usize, key: Option<&str>, status: Option<usize>, fields: Fields) {
        let mut step = json!({ "step_id": "01" });
        if let Some(status) = status {
            step["status"] = json!(TABLE[status].0);
        }
        for (field, value) in &fields {
            step[*field] = serde_json::from_str(value).expect("JSON");
        }
        let body = json!({ "steps": [step] });
        let invoked = self.moment();
        let mut outcome = None;
        for repeat in 0..if key.is_some() { REPEATS } else { 1 } {
            let service = &self.instances[(instance + repeat) % 2];
            let call = self.api.at(service, tests::KEY).request(Method::POST, &self.path).json(&body);
            let answer = key.into_iter().fold(call, |call, key| call.header("idempotency-key", key)).send().await;
            match answer.status.as_u16() {
                200 => {
                    outcome = Some(text(&answer.body["outcomes"][0]["outcome"]));
                    break;
                }
                503 if answer.body["error_code"] == "STORE_UNAVAILABLE" && key.is_none() => return,
                503 => {}
                status => panic!("{status}: {}", answer.text),
            }
        }
        self.keep(invoked, Operation::Report { status, fields, outcome });
    }

    async fn read(&self, service: &Instance) {
        let invoked = self.moment();
        let answer = self.api.at(service, tests::KEY).get(&self.path).await;
        if answer.status != 200 {
            answer.assert_error(503, "STORE_UNAVAILABLE");
            return;
        }
        let steps = answer.body["steps"].as_array().cloned().expect("steps");
        assert!(steps.len() <= 1, "a report created a second step: {}", answer.text);
        let shown = steps.first().map(|step| {
            let status = TABLE.iter().position(|(name, _)| step["status"] == *name).expect("a status");
            let fields = FIELDS.iter().filter_map(|(field, _)| {
                let value = &step[*field];
                let absent = value.is_null() || *value == json!({});
                (!absent).then(|| (*field, value.to_string()))
            });
            Step { status, fields: fields.collect() }
        });
        self.keep(invoked, Operation::Shown(shown));
    }
}

/// The requests of a worker.
async fn work(run: &Run<'_>, mut numbers: Random, worker: u64) {
    for turn in 0..2 + numbers.below(3) {
        tokio::time::sleep(Duration::from_millis(numbers.below(30))).await;
        let instance = usize::try_from(numbers.below(2)).expect("one of two");
        if numbers.chance(250) {
            run.read(&run.instances[instance]).await;
            continue;
        }
        // Few values, so that two may say the same.
        let fields = FIELDS.iter().filter_map(|(field, _)| {
            let value = json!({ "by": numbers.below(3) }).to_string();
            numbers.chance(400).then_some((*field, value))
        });
        let fields: Fields = fields.collect();
        let status = numbers.weighted(&[
            (None, 2),
            (Some(RUNNING), 3),
            (Some(1), 1),
            (Some(3), 2),
            (Some(4), 1),
            (Some(5), 1),
            (Some(6), 1),
        ]);
        let key = numbers.chance(600).then(|| format!("{worker}-{turn}"));
        run.report(instance, key.as_deref(), status, fields).await;
    }
}

/// Runs the history of a seed: its operations.
async fn run(api: &Api, instances: &[Instance; 2], patient: &Instance, seed: u64) -> Vec<Moment> {
    let mut numbers = Random::new(seed);
    let calm = api.at(patient, tests::KEY);
    let made = calm.post("/flows/execute", &json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    let id = text(&made.assert_status(200).body["execution"]["id"]);
    let item = tests::item_key(&id);
    let odds = if numbers.chance(250) {
        // So many answers that a report without a key is left without an outcome, on a machine of any speed.
        Odds::of(&[(Kind::DropAnswer, 400)])
    } else {
        Odds::of(&Kind::ALL.map(|kind| (kind, if kind == Kind::Slow { 60 } else { 15 })))
    };
    api.proxy.disturb(&item, Disturbance { seed, odds, attempt_timeout: ATTEMPT_TIMEOUT });
    let path = format!("/executions/{id}/steps");
    let run = Run { api, instances, path, moments: AtomicU64::new(0), done: Mutex::default() };
    let workers = 2 + numbers.below(4);
    join_all((0..workers).map(|worker| work(&run, Random::nth(seed, worker + 1), worker))).await;
    // Whatever is under way arrives, and then the step stays as it is.
    api.proxy.settle(&item).await;
    for _ in 0..2 {
        run.read(patient).await;
    }
    run.done.into_inner().expect("no test panics while it holds this")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_history_of_a_step_is_one_that_the_contract_allows() {
    let seed = variable("RATCHET_SEED").unwrap_or_else(|| Random::new(u64::from(std::process::id())).number());
    let again = variable("RATCHET_STEP_HISTORY");
    let histories = variable("RATCHET_STEP_HISTORIES").unwrap_or(if again.is_some() { 10 } else { 120 });
    println!("histories of a step: RATCHET_SEED={seed:#x} RATCHET_STEP_HISTORIES={histories}");
    let api = Api::start_with(tune).await;
    let instances = [api.instance(api.clock.clone(), tune).await, api.instance(api.clock.clone(), tune).await];
    let patient = api.instance(api.clock.clone(), tests::patient).await;
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    let numbers: Vec<u64> = (0..histories).map(|n| again.unwrap_or_else(|| Random::nth(seed, n).number())).collect();
    for some in numbers.chunks(AT_ONCE) {
        let runs = some.iter().map(|seed| run(&api, &instances, &patient, *seed));
        for (seed, moments) in some.iter().zip(join_all(runs).await) {
            for (_, _, operation) in &moments {
                let name = match operation {
                    Operation::Report { outcome, .. } => outcome.as_deref().unwrap_or("without an outcome"),
                    Operation::Shown(_) => "read",
                };
                *met.entry(name.to_owned()).or_default() += 1;
            }
            let shown: Vec<String> = moments.iter().map(|moment| format!("{moment:?}")).collect();
            assert!(
                is_linearizable(&moments),
                "history {seed:#x}:\n{}\nTo repeat it, each time with another timing:\nRATCHET_STEP_HISTORY={seed:#x} cargo test -p \
                 tests --test histories of_a_step",
                shown.join("\n")
            );
        }
    }
    println!("{met:?} {:?}", api.proxy.counts());
    if again.is_none() && histories >= 100 {
        for name in ["created", "updated", "unchanged", "stale", "refused", "read", "without an outcome"] {
            assert!(met.contains_key(name), "no {name}: {met:?}");
        }
        assert!(api.proxy.counts().iter().all(|(_, count)| *count > 0), "{:?}", api.proxy.counts());
    }
}

/// The checker finds what it is there for.
#[test]
fn histories_that_the_contract_does_not_allow_are_found() {
    let fields = |by: u64| Fields::from([("metadata", json!({ "by": by }).to_string())]);
    let report = |status: Option<usize>, by: u64, outcome: &str| Operation::Report {
        status,
        fields: fields(by),
        outcome: (!outcome.is_empty()).then(|| outcome.to_owned()),
    };
    let shown = |status: usize, by: u64| Operation::Shown(Some(Step { status, fields: fields(by) }));
    let one_by_one = |operations: Vec<Operation>| -> Vec<Moment> {
        operations.into_iter().enumerate().map(|(n, operation)| (2 * n as u64, 2 * n as u64 + 1, operation)).collect()
    };
    for (allowed, operations) in [
        (true, vec![report(None, 1, "created"), report(Some(5), 2, "updated"), shown(5, 2)]),
        // A second step, or one that was created twice.
        (false, vec![report(None, 1, "created"), report(None, 1, "created")]),
        // An acknowledged report is lost, or a later one overwritten by its repeat.
        (false, vec![report(None, 1, "created"), shown(2, 2)]),
        (false, vec![report(None, 1, "created"), report(None, 2, "updated"), shown(2, 1)]),
        // Two ends.
        (false, vec![report(Some(5), 1, "created"), report(Some(6), 1, "updated")]),
        (true, vec![report(Some(5), 1, "created"), report(Some(6), 1, "refused")]),
        // An end is undone by a late report.
        (false, vec![report(Some(5), 1, "created"), report(Some(2), 1, "stale"), shown(2, 1)]),
        // What was refused has an effect.
        (false, vec![report(Some(5), 1, "created"), report(Some(6), 2, "refused"), shown(5, 2)]),
        // Without an outcome it may have taken effect or not, but not be undone.
        (true, vec![report(None, 1, "created"), report(None, 2, ""), shown(2, 1)]),
        (true, vec![report(None, 1, "created"), report(None, 2, ""), shown(2, 2)]),
        (false, vec![report(None, 1, "created"), report(None, 2, ""), shown(2, 2), shown(2, 1)]),
    ] {
        let text = format!("{operations:?}");
        assert_eq!(is_linearizable(&one_by_one(operations)), allowed, "{text}");
    }
}
