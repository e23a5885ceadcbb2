//! Whatever was acknowledged is in list and record, exactly as sent and in order: random sequences of reports, each held
//! against a model of the contract that is written here a second time.
//!
//! `RATCHET_STEP_SEQUENCES` sets how many there are (1,000; 10,000 in the long run), `RATCHET_SEED` the seed.

use std::collections::BTreeMap;

use ratchet_model::clock::Timestamp;
use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use tests::Api;
use tests::seeded::Random;

use super::{TABLE, path};

/// How many steps there are by default, each with a sequence of reports.
const SEQUENCES: usize = 1_000;

/// How many an execution has, and how many one request reports.
const STEPS: usize = 100;
const AT_ONCE: usize = 10;

/// The most reports of one step.
const REPORTS: u64 = 3;

/// The values of each field, as JSON text. None is one that the service fills in.
const VALUES: [(&str, &[&str]); 11] = [
    ("step_name", &[r#""n""#, r#""é\u0000""#]),
    ("step_type", &[r#""llm""#, r#""tool""#]),
    ("tool_name", &[r#""search""#, r##""#0""##]),
    ("input_data", &["{}", r#"{"a":1.0}"#, r#"{"z":1e400,"a":[{}]}"#]),
    ("output_data", &["{}", r#"{"n":1234567890123456789012345678901234567890}"#, r#"{"":"😀"}"#]),
    ("error_message", &[r#""""#, r#""no answer""#]),
    ("started_at", &[r#""2026-01-02T03:04:05.000Z""#, r#""2026-01-02T03:05:05.000Z""#]),
    ("completed_at", &[r#""2026-01-02T03:04:35.000Z""#, r#""2026-01-02T03:06:05.000Z""#]),
    ("duration_ms", &["7", "9007199254740991"]),
    ("retry_count", &["0", "3"]),
    ("metadata", &["{}", r#"{"k":[1.50]}"#]),
];

/// The fields that are frozen once a step has ended.
const FROZEN: [&str; 4] = ["output_data", "error_message", "completed_at", "duration_ms"];

/// A time of the service's, whichever.
const SOME_TIME: &str = "some time";

/// A report: its status, by its place in the table, and its fields.
#[derive(Debug, Clone)]
struct Report {
    status: Option<usize>,
    fields: BTreeMap<&'static str, &'static str>,
}

/// What is known of a step.
#[derive(Debug, Clone)]
struct Known {
    status: usize,
    fields: BTreeMap<&'static str, &'static str>,
    ran: bool,
}

const RUNNING: usize = 2;

const fn is_terminal(status: usize) -> bool {
    status >= 5
}

impl Known {
    /// What is shown of the fields that the service derives.
    fn shown(&self, field: &str) -> Option<&'static str> {
        let own = self.fields.get(field).copied();
        match field {
            "started_at" => own.or_else(|| self.ran.then_some(SOME_TIME)),
            "duration_ms" => own.or_else(|| {
                self.shown("started_at")?;
                self.shown("completed_at").map(|_| SOME_TIME)
            }),
            _ => own,
        }
    }

    fn write(&mut self, fields: &BTreeMap<&'static str, &'static str>) {
        self.fields.extend(fields);
    }
}

/// What a report does to a step, and what that is called.
fn apply(known: &mut Option<Known>, report: &Report) -> &'static str {
    let Some(step) = known else {
        let status = report.status.unwrap_or(RUNNING);
        let mut step = Known { status, fields: report.fields.clone(), ran: status == RUNNING };
        if is_terminal(status) {
            step.fields.entry("completed_at").or_insert(SOME_TIME);
        }
        *known = Some(step);
        return "created";
    };
    let to = report.status.unwrap_or(step.status);
    match TABLE[step.status].1.as_bytes()[to] {
        b'E' => {
            step.write(&report.fields);
            (step.status, step.ran) = (to, step.ran || to == RUNNING);
            if is_terminal(to) && !report.fields.contains_key("completed_at") {
                step.fields.insert("completed_at", SOME_TIME);
            }
            "updated"
        }
        b'U' => {
            let mut differing = report.fields.clone();
            differing.retain(|field, value| step.shown(field) != Some(value));
            if is_terminal(to) && differing.keys().any(|field| FROZEN.contains(field)) {
                return "refused";
            }
            step.write(&differing);
            if differing.is_empty() { "unchanged" } else { "updated" }
        }
        b'S' => {
            let mut lacking = report.fields.clone();
            let frozen = is_terminal(step.status);
            lacking.retain(|field, _| step.shown(field).is_none() && !(frozen && FROZEN.contains(field)));
            step.write(&lacking);
            "stale"
        }
        _ => "refused",
    }
}

fn random_report(numbers: &mut Random) -> Report {
    let status = numbers.chance(700).then(|| usize::try_from(numbers.below(9)).expect("a status"));
    let fields = VALUES.iter().filter_map(|(field, values)| {
        let value = usize::try_from(numbers.below(values.len() as u64)).expect("a value");
        numbers.chance(250).then_some((*field, values[value]))
    });
    Report { status, fields: fields.collect() }
}

/// A report as JSON. Members may come in any order.
fn text_of(step_id: &str, report: &Report) -> String {
    let mut members = vec![format!(r#""step_id":"{step_id}""#)];
    members.extend(report.status.map(|status| format!(r#""status":"{}""#, TABLE[status].0)));
    members.extend(report.fields.iter().map(|(field, value)| format!(r#""{field}":{value}"#)));
    format!("{{{}}}", members.join(","))
}

/// Ends the test unless the step is shown as it is known.
fn assert_shown(step_id: &str, known: &Known, shown: &BTreeMap<String, Box<RawValue>>) {
    let text = |name: &str| shown[name].get();
    assert_eq!(text("step_id"), format!("{step_id:?}"));
    assert_eq!(text("status"), format!("{:?}", TABLE[known.status].0), "{step_id}");
    for (field, _) in VALUES {
        let found = text(field);
        match known.shown(field) {
            Some(SOME_TIME) if field == "duration_ms" => {
                let time = |name: &str| {
                    let time: String = serde_json::from_str(text(name)).expect("a time");
                    Timestamp::parse(&time).expect("a time").millis()
                };
                let expected = (time("completed_at") - time("started_at")).max(0);
                assert_eq!(found, expected.to_string(), "{step_id} {field}");
            }
            Some(SOME_TIME) => {
                let time: String = serde_json::from_str(found).expect("a time");
                assert!(time.as_str() > "2026-01-03" && Timestamp::parse(&time).is_ok(), "{step_id} {field}: {found}");
            }
            // A text is a value: its spelling is JSON's.
            Some(value) if value.starts_with('"') => {
                let value: Value = serde_json::from_str(value).expect("JSON");
                assert_eq!(serde_json::from_str::<Value>(found).expect("JSON"), value, "{step_id} {field}");
            }
            Some(value) => assert_eq!(found, value, "{step_id} {field}"),
            None => {
                let default = match field {
                    "step_name" => format!("{step_id:?}"),
                    "step_type" => r#""task""#.to_owned(),
                    "metadata" => "{}".to_owned(),
                    _ => "null".to_owned(),
                };
                assert_eq!(found, default, "{step_id} {field}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_acknowledged_is_shown_exactly_and_in_order() {
    let seed = std::env::var("RATCHET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_u64);
    println!("seed {seed}");
    let sequences = std::env::var("RATCHET_STEP_SEQUENCES").ok().and_then(|count| count.parse().ok());
    let api = Api::start().await;
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for execution in 0..sequences.unwrap_or(SEQUENCES).div_ceil(STEPS) {
        let mut numbers = Random::nth(seed, execution as u64);
        let id = api.new_execution().await;
        // In the order of their bytes, and reported in another.
        let ids: Vec<String> = (0..STEPS).map(|n| format!("{n:02}")).collect();
        let mut known: Vec<Option<Known>> = vec![None; STEPS];
        for chunk in 0..STEPS / AT_ONCE {
            let steps: Vec<usize> = (0..AT_ONCE).map(|n| (n * (STEPS / AT_ONCE) + chunk) % STEPS).collect();
            let rounds = 1 + numbers.below(REPORTS);
            for _ in 0..rounds {
                let reports: Vec<(usize, Report)> =
                    steps.iter().map(|step| (*step, random_report(&mut numbers))).collect();
                let texts: Vec<String> = reports.iter().map(|(step, report)| text_of(&ids[*step], report)).collect();
                let call = api.request(Method::POST, &path(&id)).header("content-type", "application/json");
                let answer = call.body(format!(r#"{{"steps":[{}]}}"#, texts.join(","))).send().await;
                let found = super::outcomes(&answer);
                for (((step, report), found), text) in reports.iter().zip(found).zip(&texts) {
                    let before = known[*step].clone();
                    let expected = apply(&mut known[*step], report);
                    assert_eq!(found, expected, "execution {execution}: {text} on {before:?}");
                    *met.entry(expected).or_default() += 1;
                }
            }
        }
        let list = api.get(&path(&id)).await;
        let record = api.get(&format!("/flows/executions/{id}")).await;
        for answer in [list, record] {
            let whole: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&answer.text).expect("JSON");
            let shown: Vec<BTreeMap<String, Box<RawValue>>> =
                serde_json::from_str(whole["steps"].get()).expect("steps");
            assert_eq!(shown.len(), STEPS);
            for ((step_id, known), shown) in ids.iter().zip(&known).zip(&shown) {
                assert_shown(step_id, known.as_ref().expect("a report"), shown);
            }
        }
    }
    println!("{met:?}");
    for outcome in ["created", "updated", "unchanged", "stale", "refused"] {
        assert!(met.get(outcome).is_some_and(|count| *count > 20), "{met:?}");
    }
}
