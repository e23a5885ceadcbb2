//! The requests of one organization do not influence the answers to another: a scenario is run with and without a busy
//! neighbour, and its answers are the same to the byte, apart from ids and times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ratchet_model::clock::Timestamp;
use ratchet_model::execution::TriggerType;
use ratchet_model::list::Filter;
use ratchet_model::status::Status;
use reqwest::Method;
use serde_json::{Value, json};
use tests::coverage::{assert_covers, operations};
use tests::{Answer, Api, BASE, below_base, text};

use super::{field, id_of, routes};

/// The answers to an organization, in the form in which they are compared.
struct Transcript<'a> {
    api: &'a Api,
    key: &'a str,
    organization: &'a str,
    ids: BTreeMap<String, String>,
    lines: Vec<String>,
    called: BTreeSet<String>,
}

impl Transcript<'_> {
    /// Sends a request and keeps its answer: status, headers and bytes, with names instead of ids and times.
    async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let call = self.api.with_key(self.key).request(method.clone(), path);
        let call = body.into_iter().fold(call, tests::Call::json);
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        let answer = call.send().await;
        let whole = format!("{BASE}{path}");
        self.called
            .extend(operations().into_iter().filter(|one| one.is_called_by(method.as_str(), &whole)).map(|one| one.id));
        let mut text = format!("{method} {path} {body:?}\n{} {}", answer.status, answer.text);
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| !["date", "x-correlation-id", "content-length"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        self.name(&answer.body, None);
        self.replace(&answer, path, &mut text);
        self.lines.push(format!("{text}\n{}", headers.join("\n")));
        answer
    }

    /// Gives each id a name, in the order in which they appear.
    fn name(&mut self, value: &Value, member: Option<&str>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| self.name(value, Some(name))),
            Value::Array(entries) => entries.iter().for_each(|entry| self.name(entry, None)),
            Value::String(id) if matches!(member, Some("id" | "execution_id")) => {
                let name = format!("<id {}>", self.ids.len());
                self.ids.entry(id.clone()).or_insert(name);
            }
            _ => {}
        }
    }

    fn replace(&self, answer: &Answer, path: &str, text: &mut String) {
        if let Some(correlation) = answer.header("x-correlation-id") {
            *text = text.replace(correlation, "<request>");
        }
        if let Some(cursor) = field(&answer.body, "next_cursor") {
            // A cursor contains a time and an id, too.
            let position = self
                .api
                .cursors
                .open(&tests::organization(self.organization), &filter(path), cursor)
                .expect("its own cursor");
            let id = &self.ids[&position.id.to_string()];
            *text = text
                .replace(cursor, &format!("<cursor after {id}, page {} of {:?}>", position.page, position.total_count));
        }
        for (id, name) in &self.ids {
            *text = text.replace(id, name);
        }
        let mut times = Vec::new();
        collect(&answer.body, &mut times);
        for time in times {
            *text = text.replace(&time, "<time>");
        }
    }
}

/// The texts that change from run to run: times and durations.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Number(number) if name == "duration_ms" => found.push(format!("\"duration_ms\":{number},")),
                    value => collect(value, found),
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, found)),
        Value::String(time) if Timestamp::parse(time).is_ok() => found.push(time.clone()),
        _ => {}
    }
}

/// The filters of the lists in the scenario.
const FILTERS: [&str; 5] =
    ["", "flow_id=shared", "status=running", "trigger_type=test", "status=running&flow_id=shared"];

fn filter(path: &str) -> Filter {
    Filter {
        flow_id: path.contains("flow_id=shared").then(|| "shared".to_owned()),
        status: path.contains("status=running").then_some(Status::Running).into_iter().collect(),
        trigger_type: path.contains("trigger_type=test").then_some(TriggerType::Test),
        ..Filter::default()
    }
}

/// A neighbour that uses the same flows, keys and headers, the other's ids, and the other's cursors.
async fn disturb(api: &Api, key: &str, ids: &[String], cursors: &[(String, String)], step: usize) {
    let neighbour = api.with_key(key);
    let body = json!({ "flow_id": "shared", "trigger_type": "test", "metadata": { "step": 0 } });
    let call = neighbour.request(Method::POST, "/flows/execute").json(&body);
    let mine = id_of(&call.header("idempotency-key", format!("execute-{step}")).send().await);
    let call = neighbour.request(Method::PATCH, &format!("/flows/executions/{mine}"));
    call.json(&json!({ "status": "running" })).header("idempotency-key", "run").send().await.assert_status(200);
    // One in each step.
    if let Some(id) = ids.get(step % ids.len().max(1)) {
        let path = format!("/flows/executions/{id}");
        for read in routes().filter(|route| route.method == "GET") {
            let path = below_base(read).replace("{execution_id}", id);
            neighbour.get(&path).await.assert_error(404, "EXECUTION_NOT_FOUND");
        }
        for body in [json!({ "status": "cancelled" }), json!({ "metadata": { "theirs": true } })] {
            let call = neighbour.request(Method::PATCH, &path).json(&body).header("idempotency-key", "run");
            call.send().await.assert_error(404, "EXECUTION_NOT_FOUND");
        }
        let path = format!("/executions/{id}");
        neighbour.patch(&path, &json!({ "status": "failed" })).await.assert_error(404, "EXECUTION_NOT_FOUND");
        let steps = json!({ "steps": [{ "step_id": "01", "status": "failed", "output_data": { "theirs": true } }] });
        let call = neighbour.request(Method::POST, &format!("{path}/steps")).json(&steps);
        call.header("idempotency-key", "steps").send().await.assert_error(404, "EXECUTION_NOT_FOUND");
        neighbour.post(&format!("/executions/{mine}/steps"), &steps).await.assert_status(200);
        for path in [format!("{path}/heartbeat"), format!("{path}/cancel")] {
            neighbour.post(&path, &json!({})).await.assert_error(404, "EXECUTION_NOT_FOUND");
        }
    }
    for (filter, cursor) in cursors.iter().rev().take(2) {
        let answer = neighbour.get(&format!("/flows/executions?{filter}&cursor={cursor}")).await;
        assert_eq!(answer.validation_errors().len(), 1, "{}", answer.text);
        assert!(answer.validation_errors()[0].starts_with("query.cursor: "), "{}", answer.text);
    }
    // One in each step: a list takes more requests than all the rest.
    let filter = FILTERS[step % FILTERS.len()];
    neighbour.get(&format!("/flows/executions?page_size=3&{filter}")).await.assert_status(200);
}

/// Runs the scenario for the organization of `key`; between its steps a neighbour may be busy.
#[expect(clippy::too_many_lines, reason = "one line for each request")]
async fn scenario(key: &str, organization: &str, neighbour: Option<&str>) -> Vec<String> {
    let api = Api::start().await;
    let mut transcript =
        Transcript { api: &api, key, organization, ids: BTreeMap::new(), lines: Vec::new(), called: BTreeSet::new() };
    let (mut ids, mut cursors, mut step) = (Vec::new(), Vec::new(), 0);
    macro_rules! disturbed {
        () => {
            step += 1;
            if let Some(neighbour) = neighbour {
                disturb(&api, neighbour, &ids, &cursors, step).await;
            }
        };
    }
    for number in 0..9 {
        disturbed!();
        let trigger = if number % 3 == 0 { "api" } else { "test" };
        let flow = if number % 4 == 3 { "own" } else { "shared" };
        let body = json!({ "flow_id": flow, "trigger_type": trigger, "metadata": { "step": number } });
        let key = format!("execute-{number}");
        let answer = transcript.send(Method::POST, "/flows/execute", &[("idempotency-key", &key)], Some(&body)).await;
        ids.push(id_of(&answer));
        // Two that are created in the same millisecond would be listed in the order of their ids.
        api.clock.advance(Duration::from_millis(5));
    }
    let moves: [(usize, &str); 10] = [
        (0, "running"),
        (1, "running"),
        (2, "running"),
        (4, "running"),
        (5, "running"),
        (5, "completed"),
        (6, "failed"),
        (5, "running"),
        (1, "retrying"),
        (1, "running"),
    ];
    for (number, status) in moves {
        disturbed!();
        let path = format!("/flows/executions/{}", ids[number]);
        // A key for one request of each kind, so that its repeat is a replay.
        let key = format!("{status}-{step}");
        let body = json!({ "status": status, "metadata": { "to": status } });
        for _ in 0..2 {
            transcript.send(Method::PATCH, &path, &[("idempotency-key", &key)], Some(&body)).await;
        }
        transcript.send(Method::PATCH, &path, &[("if-match", "\"2\"")], Some(&json!({ "tokens_used": step }))).await;
    }
    disturbed!();
    let path = format!("/executions/{}", ids[2]);
    transcript.send(Method::PATCH, &path, &[], Some(&json!({ "status": "cancelled" }))).await;
    for filter in FILTERS {
        let mut cursor = String::new();
        loop {
            disturbed!();
            let path = format!("/flows/executions?page_size=2&{filter}");
            // The cursor's bytes would be in the transcript's line of the request.
            let full = format!("{path}{cursor}");
            let answer = transcript.send(Method::GET, &full, &[], None).await;
            if let (false, Some(line)) = (cursor.is_empty(), transcript.lines.last_mut()) {
                *line = line.replace(&cursor, "&cursor=<the last one>");
            }
            match field(&answer.assert_status(200).body, "next_cursor") {
                Some(next) => {
                    cursors.push((filter.to_owned(), next.to_owned()));
                    cursor = format!("&cursor={next}");
                    assert!(cursors.len() < 1_000, "the walk does not end");
                }
                None => break,
            }
        }
        for page in 1..=4 {
            disturbed!();
            transcript
                .send(Method::GET, &format!("/flows/executions?page_size=3&page={page}&{filter}"), &[], None)
                .await;
        }
    }
    for id in &ids {
        disturbed!();
        let record = transcript.send(Method::GET, &format!("/flows/executions/{id}"), &[], None).await;
        assert_eq!(text(&record.body["organization_id"]), organization);
        transcript.send(Method::GET, &format!("/executions/{id}/transitions"), &[], None).await;
        transcript.send(Method::GET, &format!("/executions/{id}/heartbeat"), &[], None).await;
    }
    // One that runs, and one that has ended.
    for id in [&ids[4], &ids[5]] {
        disturbed!();
        let path = format!("/executions/{id}");
        transcript.send(Method::POST, &format!("{path}/heartbeat"), &[], Some(&json!({ "attempt": 1 }))).await;
        let steps = json!({ "steps": [
            { "step_id": "01", "status": "completed", "output_data": { "n": 1.0 } },
            { "step_id": "02" },
        ] });
        for _ in 0..2 {
            let path = format!("{path}/steps");
            transcript.send(Method::POST, &path, &[("idempotency-key", "steps")], Some(&steps)).await;
            disturbed!();
            transcript.send(Method::GET, &path, &[], None).await;
        }
        transcript.send(Method::GET, &format!("/flows/executions/{id}"), &[], None).await;
        let cancel = json!({ "reason": "not needed", "grace_seconds": 30 });
        for _ in 0..2 {
            let path = format!("{path}/cancel");
            transcript.send(Method::POST, &path, &[("idempotency-key", "cancel")], Some(&cancel)).await;
        }
    }
    disturbed!();
    // One that has ended, and one whose version the caller has not.
    for (id, headers) in [(&ids[6], &[][..]), (&ids[7], &[("if-none-match", "\"9\"")][..])] {
        transcript.send(Method::GET, &format!("/flows/executions/{id}/wait"), headers, None).await;
    }
    disturbed!();
    let caller = transcript.send(Method::GET, "/me", &[], None).await;
    assert_eq!(text(&caller.body["organization_id"]), organization);
    assert_covers("the scenario beside a busy neighbour", &transcript.called);
    assert!(!cursors.is_empty(), "no list had a second page");
    transcript.lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_neighbour_changes_no_byte_of_the_answers_to_another_organization() {
    for (key, organization, neighbour) in [("test-key", "acme", "other-key"), ("other-key", "other", "test-key")] {
        let alone = scenario(key, organization, None).await;
        let disturbed = scenario(key, organization, Some(neighbour)).await;
        assert_eq!(alone.len(), disturbed.len());
        for (alone, disturbed) in alone.iter().zip(&disturbed) {
            assert_eq!(alone, disturbed);
        }
        assert!(alone.len() > 80, "{}", alone.len());
    }
}
