//! Executions that supervision must end, and others that it must leave alone, while it is killed again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use ratchet_model::clock::{Clock, SystemClock, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::Client;

/// How many executions that are due for different reasons wait for supervision at a time.
pub const WAITING: usize = 12;

/// How many executions become due at about the same time: more than a pass ends before it is killed.
const FLOOD: usize = 40;

/// `timeout_seconds` and `start_timeout_seconds` of those that it ends: the shortest.
const LIMIT: i64 = 1;

/// By how much later than it is due supervision ends an execution, in milliseconds: clocks may differ by as much.
const TOLERANCE: i64 = 2_000;

/// The `heartbeat_timeout_seconds` of those whose workers send heartbeats: the shortest.
const SILENCE: i64 = 15;

/// The time, in epoch milliseconds.
pub fn now() -> i64 {
    SystemClock.now().millis()
}

fn time(value: &Value) -> i64 {
    Timestamp::parse(value.as_str().expect("a time")).expect("a time").millis()
}

/// When an execution was due, and when it was ended, in epoch milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// From when on supervision may end it.
    pub due: i64,
    /// When it did; `None` where its worker was faster.
    pub at: Option<i64>,
}

/// How many passes were killed after they had ended an execution and before they had ended all that was due: those in whose
/// life one was ended, and one that was due by then was not. `kills` are the moments of the kills, in epoch milliseconds.
pub fn cut_passes(ended: &[Ended], kills: &[i64]) -> usize {
    let life = |at: i64| kills.partition_point(|kill| *kill < at);
    let mut cut: Vec<usize> = ended
        .iter()
        .filter_map(|first| {
            let at = first.at?;
            let left = |other: &Ended| other.due <= at && other.at.is_some_and(|other| life(other) > life(at));
            ended.iter().any(left).then(|| life(at))
        })
        .collect();
    cut.sort_unstable();
    cut.dedup();
    cut.len()
}

impl Client {
    /// Begins an execution.
    async fn begin(&self, limits: Value) -> String {
        let mut body = json!({ "flow_id": "supervised", "trigger_type": "test" });
        for (name, value) in limits.as_object().expect("limits") {
            body[name.as_str()] = value.clone();
        }
        let created = self.until_answered(Method::POST, "/flows/execute", Some(&body)).await;
        created["execution"]["id"].as_str().expect("an id").to_owned()
    }

    async fn claim(&self, id: &str) -> Value {
        self.until_answered(Method::PATCH, &format!("/flows/executions/{id}"), Some(&json!({ "status": "running" })))
            .await
    }

    async fn record(&self, id: &str) -> Value {
        self.until_answered(Method::GET, &format!("/flows/executions/{id}"), None).await
    }

    /// Waits until supervision has entered `status`, which it may after `due`, and returns the record.
    async fn wait_for(&self, id: &str, due: i64, status: &str) -> Value {
        let mut wait = u64::try_from(due + TOLERANCE - now()).unwrap_or_default();
        loop {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let record = self.record(id).await;
            if record["status"] == status {
                return record;
            }
            wait = 500;
        }
    }

    /// Checks the transitions of an execution: each from, to, whether the service did it, why, and its version.
    async fn assert_log(&self, id: &str, expected: Value) {
        let log = self.until_answered(Method::GET, &format!("/executions/{id}/transitions"), None).await;
        let steps = log["transitions"].as_array().expect("transitions").iter();
        let steps: Vec<Value> = steps
            .map(|step| json!([step["from"], step["to"], step["by"] == "service", step["reason"], step["version"]]))
            .collect();
        assert_eq!(json!(steps), expected, "{log}");
    }

    /// One that is due after a moment, for the reason of the number.
    pub async fn overdue(&self, number: usize) -> Ended {
        match number % 4 {
            0 => {
                let id = self.begin(json!({ "timeout_seconds": LIMIT })).await;
                let due = time(&self.claim(&id).await["started_at"]) + LIMIT * 1_000;
                let why = format!("No result within timeout_seconds ({LIMIT})");
                let record = self.wait_for(&id, due, "timeout").await;
                assert_eq!((&record["error_message"], &record["etag"]), (&json!(why), &json!("3")), "{record}");
                let log = json!([["pending", "running", false, null, 2], ["running", "timeout", true, why, 3]]);
                self.assert_log(&id, log).await;
                ended(&record, due)
            }
            1 => {
                let id = self.begin(json!({ "start_timeout_seconds": LIMIT })).await;
                self.wait_for(&id, now() + LIMIT * 1_000, "timeout").await;
                self.never_started(&id).await
            }
            2 => {
                let id = self.begin(json!({})).await;
                self.claim(&id).await;
                let body = json!({ "grace_seconds": 0, "reason": "enough" });
                let path = format!("/executions/{id}/cancel");
                let asked = self.until_answered(Method::POST, &path, Some(&body)).await;
                assert_eq!(asked["outcome"], "requested", "{asked}");
                let due = time(&asked["force_at"]);
                let record = self.wait_for(&id, due, "cancelled").await;
                assert_eq!((&record["error_message"], &record["etag"]), (&Value::Null, &json!("4")), "{record}");
                let log = json!([["pending", "running", false, null, 2], ["running", "cancelled", true, "enough", 4]]);
                self.assert_log(&id, log).await;
                ended(&record, due)
            }
            _ => self.race(number).await,
        }
    }

    /// A result that is reported at the very time at which supervision gives up on it: one of both wins, whoever is killed.
    async fn race(&self, number: usize) -> Ended {
        let id = self.begin(json!({ "timeout_seconds": LIMIT })).await;
        let due = time(&self.claim(&id).await["started_at"]) + LIMIT * 1_000;
        // From a little before supervision may act to a little after.
        let around = i64::try_from(number % 16).expect("a small number") * 80 - 200;
        let wait = u64::try_from(due + TOLERANCE + around - now()).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let (path, body) = (format!("/flows/executions/{id}"), json!({ "status": "completed" }));
        let (status, answer) = self.answer(Method::PATCH, &path, Some(&body)).await;
        let record = self.record(&id).await;
        assert_eq!(record["etag"], json!("3"), "{record}");
        let (to, by_service, why) = if status == 200 {
            assert_eq!(record["status"], "completed", "{answer} {record}");
            ("completed", false, Value::Null)
        } else {
            let told = (&answer["error_code"], &answer["current_status"]);
            assert_eq!(told, (&json!("INVALID_STATUS_TRANSITION"), &json!("timeout")), "{status} {answer}");
            ("timeout", true, json!(format!("No result within timeout_seconds ({LIMIT})")))
        };
        self.assert_log(&id, json!([["pending", "running", false, null, 2], ["running", to, by_service, why, 3]]))
            .await;
        if by_service { ended(&record, due) } else { Ended { due, at: None } }
    }

    /// Checks one that was ended because nobody began it.
    async fn never_started(&self, id: &str) -> Ended {
        let record = self.record(id).await;
        let why = format!("Not started within start_timeout_seconds ({LIMIT})");
        assert_eq!((&record["error_message"], &record["etag"]), (&json!(why), &json!("2")), "{record}");
        self.assert_log(id, json!([["pending", "timeout", true, why, 2]])).await;
        ended(&record, time(&record["created_at"]) + LIMIT * 1_000)
    }

    /// Many that nobody begins, again and again, until the test is over.
    pub async fn floods(self, over: Arc<AtomicBool>) -> Vec<Ended> {
        let (mut ids, mut all) = (Vec::new(), Vec::new());
        while !over.load(Ordering::Relaxed) {
            let begun = stream::iter(0..FLOOD).map(|_| self.begin(json!({ "start_timeout_seconds": LIMIT })));
            ids.extend(begun.buffer_unordered(4).collect::<Vec<_>>().await);
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        for id in ids {
            self.wait_for(&id, 0, "timeout").await;
            all.push(self.never_started(&id).await);
        }
        all
    }

    /// A worker that is heard for as long as the service is killed. It is never taken for silent.
    pub async fn heard(&self, over: &AtomicBool) {
        let id = self.begin(json!({ "heartbeat_timeout_seconds": SILENCE, "timeout_seconds": 86_400 })).await;
        self.claim(&id).await;
        while !over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let told = self.heartbeat(&id).await;
            assert_eq!((&told["action"], &told["status"]), (&json!("continue"), &json!("running")), "{told}");
        }
        let end = json!({ "status": "completed" });
        self.until_answered(Method::PATCH, &format!("/flows/executions/{id}"), Some(&end)).await;
        let log = json!([["pending", "running", false, null, 2], ["running", "completed", false, null, 3]]);
        self.assert_log(&id, log).await;
    }

    /// Workers that fall silent and are heard again, one after the other. Returns how many there were.
    pub async fn silent(&self, over: &AtomicBool) -> usize {
        let mut times = 0;
        while times == 0 || !over.load(Ordering::Relaxed) {
            times += 1;
            let id = self.begin(json!({ "heartbeat_timeout_seconds": SILENCE })).await;
            let claimed = time(&self.claim(&id).await["started_at"]);
            let record = self.wait_for(&id, claimed + SILENCE * 1_000, "interrupted").await;
            let silent = time(&record["updated_at"]) - claimed;
            assert!(silent >= SILENCE * 1_000 + TOLERANCE, "interrupted after {silent} ms: {record}");
            assert_eq!((&record["error_message"], &record["etag"]), (&Value::Null, &json!("3")), "{record}");
            let told = self.heartbeat(&id).await;
            assert_eq!((&told["action"], &told["status"]), (&json!("continue"), &json!("running")), "{told}");
            let end = json!({ "status": "completed", "attempt": 1 });
            self.until_answered(Method::PATCH, &format!("/flows/executions/{id}"), Some(&end)).await;
            let why = format!("No heartbeat for {SILENCE} seconds");
            let log = json!([
                ["pending", "running", false, null, 2],
                ["running", "interrupted", true, why, 3],
                ["interrupted", "running", false, "heartbeat", 4],
                ["running", "completed", false, null, 5]
            ]);
            self.assert_log(&id, log).await;
        }
        times
    }

    async fn heartbeat(&self, id: &str) -> Value {
        let (path, body) = (format!("/executions/{id}/heartbeat"), json!({ "attempt": 1 }));
        self.until_answered(Method::POST, &path, Some(&body)).await
    }

    /// Begins one execution after the other that supervision must end, until the test is over.
    pub async fn overdue_ones(self, first: usize, over: Arc<AtomicBool>) -> Vec<Ended> {
        let (mut all, mut number) = (Vec::new(), first);
        while !over.load(Ordering::Relaxed) {
            all.push(self.overdue(number).await);
            number += WAITING + 1;
        }
        all
    }
}

/// An execution that supervision has ended, and not before it was due.
fn ended(record: &Value, due: i64) -> Ended {
    let at = time(&record["completed_at"]);
    assert!(at >= due + TOLERANCE, "due at {due} and ended at {at}: {record}");
    Ended { due: due + TOLERANCE, at: Some(at) }
}
