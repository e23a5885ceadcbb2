//! A client that sends one request after the other, and checks each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::model::{Change, History, Kind, Seen, Settled, TABLE, What, is_terminal, settle, targets};
use crate::service::Dice;
use crate::world::{Kept, Run, World, hash, key};

#[path = "supervised.rs"]
mod supervised;

/// What the requests of a client met.
#[derive(Default)]
pub struct Met {
    /// How long each request took, in microseconds, by what it was for.
    pub took: BTreeMap<&'static str, Vec<u32>>,
    /// How often each code of a refusal was answered that was due.
    pub refused: BTreeMap<String, u64>,
    /// How often each code of a 503 was answered. Each took at least as long as an attempt of a request to DynamoDB may.
    pub unavailable: BTreeMap<String, u64>,
    /// How many writes were applied, and how many of them were recognized by their tokens alone.
    pub settled: Settled,
}

/// An answer.
struct Answer {
    status: u16,
    version: Option<i64>,
    replayed: bool,
    body: Value,
}

/// A request.
struct Request<'a> {
    purpose: &'static str,
    organization: u64,
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl<'a> Request<'a> {
    fn get(purpose: &'static str, organization: u64, path: &'a str) -> Self {
        Self { purpose, organization, method: Method::GET, path, headers: Vec::new(), body: None }
    }
}

/// A client.
pub struct Client {
    http: reqwest::Client,
    url: String,
    name: usize,
    dice: Dice,
    nonces: u64,
    world: Arc<World>,
    /// What its requests met.
    pub met: Met,
}

/// How often a request that may be repeated is repeated while DynamoDB is slow.
const TRIES: usize = 10;

/// The `timeout_seconds` of an execution that no supervision ends while the test runs, in seconds: a day.
const LONG: u64 = 86_400;

/// How long an attempt that was given up may still be under way in a DynamoDB on this machine.
const LATE: Duration = Duration::from_secs(10);

/// The terminal statuses. Update execution status sets the first three.
const ENDS: [&str; 4] = ["completed", "failed", "cancelled", "timeout"];
/// The trigger types.
const TRIGGERS: [&str; 6] = ["manual", "event", "scheduled", "api", "webhook", "test"];

impl Client {
    /// The n-th client of a seed.
    pub fn new(name: usize, seed: u64, url: &str, world: Arc<World>) -> Self {
        let http = reqwest::Client::builder().build().expect("a client");
        let dice = Dice(seed ^ (name as u64).wrapping_mul(0xd134_2543_de82_ef95));
        Self { http, url: url.to_owned(), name, dice, nonces: 0, world, met: Met::default() }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.dice.below(100) < percent
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        let place = self.dice.below(choices.len() as u64);
        choices[usize::try_from(place).expect("a place")]
    }

    fn nonce(&mut self) -> String {
        self.nonces += 1;
        format!("{}-{}", self.name, self.nonces)
    }

    /// Sends a request, and returns the answer and how many microseconds it took.
    async fn exchange(&self, request: &Request<'_>) -> (Answer, u32) {
        let url = format!("{}/api/v1{}", self.url, request.path);
        let mut call = self.http.request(request.method.clone(), url).header("x-api-key", key(request.organization));
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        if let Some(body) = &request.body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        let begun = Instant::now();
        let response = call.send().await.unwrap_or_else(|error| panic!("no answer to {}: {error}", request.path));
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        let version = header("etag").map(|tag| tag.trim_matches('"').parse().expect("a version"));
        let replayed = header("idempotency-replayed").is_some();
        let text = response.text().await.unwrap_or_else(|error| panic!("half an answer to {}: {error}", request.path));
        self.world.answered.fetch_add(1, Ordering::Relaxed);
        let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
        (Answer { status, version, replayed, body }, took)
    }

    async fn send(&mut self, request: &Request<'_>) -> Answer {
        let (answer, took) = self.exchange(request).await;
        self.took(request.purpose, &answer, took);
        answer
    }

    fn took(&mut self, purpose: &'static str, answer: &Answer, took: u32) {
        self.met.took.entry(purpose).or_default().push(took);
        if answer.status == 503 {
            // There are no faults and no throttling here: the only valid cause is that DynamoDB did not answer in time.
            let limit = ratchet_store::client::ATTEMPT_TIMEOUT.as_micros();
            assert!(u128::from(took) >= limit, "after {took} us of {limit}: {}", answer.body);
            let code = answer.body["error_code"].as_str().expect("a code").to_owned();
            *self.met.unavailable.entry(code).or_default() += 1;
        }
    }

    /// Sends a request that may be repeated until it is answered.
    async fn send_for(&mut self, wanted: u16, request: &Request<'_>) -> Answer {
        let mut answer = self.send(request).await;
        for _ in 0..TRIES {
            if answer.status != 503 {
                break;
            }
            answer = self.send(request).await;
        }
        assert_eq!(answer.status, wanted, "{} {} {:?}: {}", request.method, request.path, request.headers, answer.body);
        answer
    }

    /// Works until the world is over.
    pub async fn work(mut self) -> Met {
        while !self.world.over.load(Ordering::Relaxed) {
            match self.dice.below(1_000) {
                0..5 => self.walk().await,
                5..20 => self.page().await,
                _ => self.ask_one().await,
            }
        }
        self.met
    }

    /// Starts an execution that nobody but its clients ends, and puts it into a slot.
    pub async fn begin(&mut self, slot: usize) {
        self.begin_with(slot, json!({ "timeout_seconds": LONG }), 0).await;
    }

    /// Starts an execution with these limits, and puts it into a slot. `unseen` is how many versions supervision may write
    /// before a client learns of one.
    async fn begin_with(&mut self, slot: usize, limits: Value, unseen: i64) {
        let begun = self.world.begun.fetch_add(1, Ordering::Relaxed);
        let (organization, flow) = (self.world.organization(begun), World::flow(begun));
        let mut body = json!({
            "flow_id": flow, "trigger_type": self.one_of(&TRIGGERS), "metadata": { "by": "nobody" },
            "retry_config": { "max_retries": self.dice.below(5) },
            "variables": { "begun": begun, "text": "x".repeat(usize::try_from(self.dice.below(300)).expect("a length")) },
        });
        for (name, value) in limits.as_object().expect("limits") {
            body[name.as_str()] = value.clone();
        }
        // Always with a key: a request whose outcome is unknown can be repeated.
        let headers = vec![("idempotency-key", format!("{}-{flow}", self.nonce()))];
        let request = Request {
            purpose: "execute",
            organization,
            method: Method::POST,
            path: "/flows/execute",
            headers,
            body: Some(body),
        };
        let repeated = self.chance(25);
        let top = {
            let mut flows = self.world.flows.lock().expect("no panic while it is held");
            let flow = flows.entry(flow.clone()).or_default();
            flow.organization = organization;
            flow.asked += 1;
            flow.top
        };
        let answer = self.send_for(200, &request).await;
        let late = self.met.unavailable.len();
        assert!(late > 0 || !answer.replayed, "a new execution: {}", answer.body);
        assert_eq!(answer.version, Some(1), "a new execution: {}", answer.body);
        let created = answer.body["execution"].clone();
        let run = Run::new(organization, created.clone(), 20 + self.dice.below(30), unseen);
        let number = created["execution_number"].as_i64().expect("a number");
        assert!(number > top, "a number after {top}: {created}");
        {
            let mut flows = self.world.flows.lock().expect("no panic while it is held");
            let flow = flows.entry(flow).or_default();
            assert!(flow.known.insert(run.id.clone()), "an id twice: {created}");
            flow.top = flow.top.max(number);
        }
        if repeated {
            let again = self.send_for(200, &Request { purpose: "execute, repeated", ..request }).await;
            assert!(again.replayed, "a repeat: {}", again.body);
            assert_eq!(again.body["execution"], created, "no other client knows it yet");
        }
        *self.world.slots[slot].lock().expect("no panic while it is held") = Some(Arc::new(run));
    }

    /// Ends the work on the execution of a slot, once no other client works on it, and checks its history.
    pub async fn finish(&mut self, run: &Run) {
        let mut closed = run.closed.write().await;
        if std::mem::replace(&mut *closed, true) {
            return;
        }
        let unknown = |seen: &Seen| matches!(seen.what, What::Unknown(_));
        if run.seen.lock().expect("no panic while it is held").iter().any(unknown) {
            tokio::time::sleep(LATE).await;
        }
        let path = format!("/flows/executions/{}", run.id);
        let record = self.send_for(200, &Request::get("get, at the end", run.organization, &path)).await;
        let log_path = format!("/executions/{}/transitions", run.id);
        let log = self.send_for(200, &Request::get("log, at the end", run.organization, &log_path)).await.body;
        let version = record.version.expect("an ETag");
        let record = record.body;
        let seen = std::mem::take(&mut *run.seen.lock().expect("no panic while it is held"));
        let history = History { created: &run.created, seen, record: &record, version, log: &log };
        let settled = settle(&history).unwrap_or_else(|wrong| {
            let answers: Vec<String> = history.seen.iter().map(|seen| format!("{seen:?}")).collect();
            panic!("execution {}: {wrong}\nrecord: {record}\nlog: {log}\n{}", run.id, answers.join("\n"))
        });
        self.met.settled.add(settled);
        let text = |field: &str| record[field].as_str().expect("text").to_owned();
        let kept = Kept {
            organization: run.organization,
            flow: text("flow_id"),
            number: record["execution_number"].as_i64().expect("a number"),
            trigger: text("trigger_type"),
            status: text("status"),
            version,
            record: hash(&record),
            log: hash(&log),
            place: 0,
        };
        let mut all = self.world.kept.lock().expect("no panic while it is held");
        let place = all.len();
        all.insert(run.id.clone(), Kept { place, ..kept });
    }

    /// Sends one request, or a few that belong together, about some execution.
    async fn ask_one(&mut self) {
        let slot = usize::try_from(self.dice.below(self.world.shared as u64)).expect("a slot");
        let run = self.world.slots[slot].lock().expect("no panic while it is held").clone();
        let Some(run) = run else { return };
        let asked = run.asked.fetch_add(1, Ordering::Relaxed);
        if asked == run.life {
            self.begin(slot).await;
            self.finish(&run).await;
            return;
        }
        let closed = run.closed.read().await;
        if *closed {
            return;
        }
        let old = asked > run.life * 6 / 10;
        match self.dice.below(100) {
            0..28 => {
                let change = self.transition(&run, old);
                self.change(&run, change, "transition").await;
            }
            28..33 if old => {
                let change = self.ending(&run);
                self.change(&run, change, "end a run").await;
            }
            28..58 => {
                let change = self.fields(&run);
                self.change(&run, change, "fields").await;
            }
            58..60 => self.nothing(&run).await,
            60..76 => self.get(&run).await,
            76..84 => self.get_if_changed(&run).await,
            84..90 => self.log(&run).await,
            90..94 => self.reuse(&run).await,
            _ => self.twice(&run, old).await,
        }
    }

    fn transition(&mut self, run: &Run, old: bool) -> Change {
        let (_, status) = run.known();
        let any: Vec<&'static str> = TABLE.iter().map(|(status, _)| *status).collect();
        let allowed = targets(&status);
        let ends: Vec<&str> = allowed.iter().copied().filter(|to| is_terminal(to)).collect();
        let goes_on: Vec<&str> = allowed.iter().copied().filter(|to| !is_terminal(to)).collect();
        let status = match self.dice.below(10) {
            0..2 if old => self.one_of(&any),
            0..2 => self.one_of(&["pending", "queued", "running", "retrying", "interrupted"]),
            2..6 if old && !ends.is_empty() => self.one_of(&ends),
            _ if !goes_on.is_empty() => self.one_of(&goes_on),
            _ => self.one_of(&any),
        };
        let mut change = if self.chance(40) { self.fields(run) } else { self.bare(run) };
        change.status = Some(status);
        change
    }

    /// A change that only its nonce identifies.
    fn bare(&mut self, run: &Run) -> Change {
        let nonce = self.nonce();
        let mut fields = Map::new();
        fields.insert("metadata".to_owned(), json!({ "by": nonce }));
        let if_match = self.if_match(run);
        let attempt = self.chance(10).then(|| i64::try_from(self.dice.below(4)).expect("a small number"));
        Change { nonce, kind: Kind::Update, status: None, fields, if_match, attempt }
    }

    fn if_match(&mut self, run: &Run) -> Option<i64> {
        let (version, _) = run.known();
        match self.dice.below(10) {
            0..2 => Some(version),
            2 => Some((version - 1).max(1)),
            _ => None,
        }
    }

    fn fields(&mut self, run: &Run) -> Change {
        let mut change = self.bare(run);
        let text = "y".repeat(usize::try_from(self.dice.below(600)).expect("a length"));
        let number = self.dice.below(1_000_000);
        // Below what it is, and so refused, or more. What supervision is to end is given no more time.
        let (limit, raised) = if run.unseen > 0 { (LONG, 0) } else { (LONG - 5 + number % 10, 5) };
        for (name, value, percent) in [
            ("tokens_used", json!(number), 40),
            ("tool_calls_count", json!(number % 100), 30),
            ("cost_estimate", json!(f64::from(u32::try_from(number).expect("small")) / 64.0), 20),
            ("performance_metrics", json!({ "text": text, "number": number }), 30),
            ("final_output", json!({ "rows": number, "text": text }), 15),
            ("error_message", json!(format!("message {number}")), 15),
            ("error_details", json!({ "number": number }), 10),
            ("retry_count", json!(number % 6), 5),
            ("duration_ms", json!(number), 5),
            ("timeout_seconds", json!(limit), raised),
        ] {
            if self.chance(percent) {
                change.fields.insert(name.to_owned(), value);
            }
        }
        change
    }

    /// A change by update execution status.
    fn ending(&mut self, run: &Run) -> Change {
        let (nonce, if_match) = (self.nonce(), self.if_match(run));
        let fields = json!({ "error_message": nonce, "error_details": { "message": nonce, "more": [1, 2] } });
        let fields = fields.as_object().cloned().unwrap_or_default();
        let status = self.one_of(&ENDS[..3]);
        Change { nonce, kind: Kind::Override, status: Some(status), fields, if_match, attempt: None }
    }

    /// The request of a change.
    fn asking<'a>(
        purpose: &'static str,
        run: &Run,
        path: &'a str,
        change: &Change,
        key: Option<&str>,
        minimal: bool,
    ) -> Request<'a> {
        let mut body = match change.kind {
            Kind::Override => json!({ "error_info": change.fields["error_details"] }),
            Kind::Cancel(grace) => json!({ "reason": change.nonce, "grace_seconds": grace }),
            _ => Value::Object(change.fields.clone()),
        };
        let cancels = matches!(change.kind, Kind::Cancel(_));
        if let Some(status) = change.status.filter(|_| !cancels) {
            body["status"] = json!(status);
        }
        if let Some(attempt) = change.attempt {
            body["attempt"] = json!(attempt);
        }
        let mut headers = Vec::new();
        headers.extend(key.map(|key| ("idempotency-key", key.to_owned())));
        headers.extend(change.if_match.map(|version| ("if-match", format!("\"{version}\""))));
        headers.extend(minimal.then(|| ("prefer", "return=minimal".to_owned())));
        let method = if cancels { Method::POST } else { Method::PATCH };
        Request { purpose, organization: run.organization, method, path, headers, body: Some(body) }
    }

    fn path(run: &Run, change: &Change) -> String {
        match change.kind {
            Kind::Override => format!("/executions/{}", run.id),
            Kind::Cancel(_) => format!("/executions/{}/cancel", run.id),
            _ => format!("/flows/executions/{}", run.id),
        }
    }

    /// Sends a change, with or without a key. With a key it may be repeated.
    async fn change(&mut self, run: &Run, change: Change, purpose: &'static str) {
        let key = self.chance(40).then(|| self.nonce());
        let minimal = change.kind == Kind::Update && self.chance(10);
        let path = Self::path(run, &change);
        let request = Self::asking(purpose, run, &path, &change, key.as_deref(), minimal);
        let done = self.ask_for(run, &change, &request).await;
        if done && key.is_some() && self.chance(50) {
            let low = run.ask(0);
            let again = self.send(&Request { purpose: "repeat", ..request }).await;
            if again.status != 503 {
                Self::repeated(run, &change, low, &again);
            }
        }
    }

    /// Sends a change. Returns whether it was certainly applied.
    async fn ask_for(&mut self, run: &Run, change: &Change, request: &Request<'_>) -> bool {
        let low = run.ask(1);
        let answer = self.send(request).await;
        if answer.status != 503 {
            return self.answered(run, change, low, 1, &answer);
        }
        if answer.body["error_code"] == "STORE_UNAVAILABLE" {
            run.answered(1, None, None);
            return false;
        }
        // It may be applied: from here on there may always be one version more than is known.
        if request.headers.iter().any(|(name, _)| *name == "idempotency-key") {
            let again = self.send(request).await;
            if matches!(again.status, 200 | 204) {
                Self::applied(run, change, low, 1, &again);
                return true;
            }
            if again.status != 503 {
                self.answered(run, change, low, 0, &again);
            }
        }
        run.keep(low, low, What::Unknown(change.clone()));
        false
    }

    /// Checks the answer to a change that was not applied before. Returns whether it was applied now.
    fn answered(&mut self, run: &Run, change: &Change, low: i64, writes: i64, answer: &Answer) -> bool {
        assert!(!answer.replayed, "this was never sent before: {change:?} {}", answer.body);
        if matches!(answer.status, 200 | 204) {
            Self::applied(run, change, low, writes, answer);
            return true;
        }
        if is_superseded_claim(change, answer) {
            // It was applied, and another client has claimed since. Its version is one that no answer has named.
            run.keep(low, low, What::Unknown(change.clone()));
            return false;
        }
        let high = run.answered(writes, None, None);
        let text = |field: &str| answer.body[field].as_str().unwrap_or_default().to_owned();
        let (code, detail) = (text("error_code"), text("detail"));
        assert!(matches!(answer.status, 400 | 409 | 412), "{} to {change:?}: {}", answer.status, answer.body);
        *self.met.refused.entry(code.clone()).or_default() += 1;
        run.keep(low, high, What::Refused(change.clone(), answer.status, code, detail));
        false
    }

    /// Checks the answer to a change that was applied.
    fn applied(run: &Run, change: &Change, low: i64, writes: i64, answer: &Answer) {
        let status = match change.kind {
            Kind::Update => answer.body["status"].as_str(),
            _ => answer.body["current_status"].as_str(),
        };
        let high = run.answered(writes, answer.version, status);
        run.learn(&answer.body);
        let version = answer.version.expect("an ETag");
        assert!(low < version && version <= high, "version {version} of {low}..{high}: {}", answer.body);
        assert!(change.if_match.is_none_or(|wanted| version > wanted), "{change:?}: {version}");
        Self::assert_ended(change, answer);
        let record = (answer.status == 200 && change.kind == Kind::Update).then(|| answer.body.clone());
        run.keep(low, high, What::Done(change.clone(), version, record));
    }

    /// Checks from what to what an override or a cancel says that it changed the status.
    fn assert_ended(change: &Change, answer: &Answer) {
        let (previous, current) = (&answer.body["previous_status"], &answer.body["current_status"]);
        match change.kind {
            Kind::Override => {
                assert!(*previous == "running" || *previous == "interrupted", "{}", answer.body);
                assert_eq!(*current, json!(change.status), "{}", answer.body);
            }
            Kind::Cancel(_) if answer.body["outcome"] == "requested" => {
                assert_eq!((previous, current), (&json!("running"), &json!("running")), "{}", answer.body);
            }
            Kind::Cancel(_) => {
                assert_eq!(answer.body["outcome"], "cancelled", "{}", answer.body);
                assert!(*previous != "running" && *current == "cancelled", "{}", answer.body);
            }
            Kind::Update | Kind::Revival | Kind::Service(_) => {}
        }
    }

    /// Checks the answer to the repeat of a change that was applied.
    fn repeated(run: &Run, change: &Change, low: i64, answer: &Answer) {
        if is_superseded_claim(change, answer) {
            run.answered(0, None, None);
            return;
        }
        assert!(matches!(answer.status, 200 | 204), "a repeat: {} to {change:?}: {}", answer.status, answer.body);
        assert!(answer.replayed, "applied before: {change:?} {}", answer.body);
        Self::assert_ended(change, answer);
        let record = (answer.status == 200 && change.kind == Kind::Update).then(|| answer.body.clone());
        Self::read(run, low, answer, record);
    }

    /// Checks an answer that shows the current state of the execution.
    fn read(run: &Run, low: i64, answer: &Answer, record: Option<Value>) {
        let high = run.answered(0, answer.version, answer.body["status"].as_str());
        run.learn(&answer.body);
        let version = answer.version.expect("an ETag");
        assert!(low <= version && version <= high, "version {version} of {low}..{high}: {}", answer.body);
        if let Some(record) = record {
            run.keep(low, high, What::Record(version, record));
        }
    }

    /// The same request twice, at the same moment.
    async fn twice(&mut self, run: &Run, old: bool) {
        let change = match self.dice.below(3) {
            0 if old => self.ending(run),
            1 => self.transition(run, old),
            _ => self.fields(run),
        };
        let key = self.nonce();
        let path = Self::path(run, &change);
        let request = Self::asking("two at once", run, &path, &change, Some(&key), false);
        let low = run.ask(1);
        let (one, other) = tokio::join!(self.exchange(&request), self.exchange(&request));
        self.took(request.purpose, &one.0, one.1);
        self.took(request.purpose, &other.0, other.1);
        // First the one that was applied, then its replay. Both may have been refused; or one, if the other came later and was
        // allowed then.
        let ((one, _), (other, _)) = if one.0.replayed { (other, one) } else { (one, other) };
        if one.status == 503 || other.status == 503 {
            let (known, applied) =
                if one.status == 503 { (&other, other.status == 200) } else { (&one, one.status == 200) };
            if applied {
                // Once: by that request, or by the one whose outcome is unknown.
                Self::applied(run, &change, low, 1, known);
                return;
            }
            if known.status != 503 {
                self.answered(run, &change, low, 0, known);
            }
            run.keep(low, low, What::Unknown(change));
        } else if other.replayed {
            assert!(one.status == 200, "a repeat of nothing: {}", one.body);
            assert!(other.version >= one.version, "{} {}", one.body, other.body);
            let done = self.answered(run, &change, low, 1, &one);
            assert!(done, "{}", one.body);
            Self::repeated(run, &change, low, &other);
        } else {
            assert!(one.status != 200 || other.status != 200, "applied twice: {} {}", one.body, other.body);
            // The write counts as under way until both answers are checked.
            self.answered(run, &change, low, 0, &one);
            self.answered(run, &change, low, 1, &other);
        }
    }

    /// Sends another body with a key that was used.
    async fn reuse(&mut self, run: &Run) {
        let change = self.bare(run);
        let key = self.nonce();
        let path = Self::path(run, &change);
        let request = Self::asking("fields", run, &path, &change, Some(&key), false);
        if self.ask_for(run, &change, &request).await {
            let another = self.fields(run);
            let request = Self::asking("reused key", run, &path, &another, Some(&key), false);
            let answer = self.send_for(422, &request).await;
            assert_eq!(answer.body["error_code"], "IDEMPOTENCY_KEY_REUSED", "{}", answer.body);
            *self.met.refused.entry("IDEMPOTENCY_KEY_REUSED".to_owned()).or_default() += 1;
        }
    }

    async fn nothing(&mut self, run: &Run) {
        let path = format!("/flows/executions/{}", run.id);
        let low = run.ask(0);
        let body = Some(json!({}));
        let request = Request {
            purpose: "no change",
            organization: run.organization,
            method: Method::PATCH,
            path: &path,
            headers: Vec::new(),
            body,
        };
        let answer = self.send_for(200, &request).await;
        Self::read(run, low, &answer, Some(answer.body.clone()));
    }

    async fn get(&mut self, run: &Run) {
        let path = format!("/flows/executions/{}", run.id);
        let low = run.ask(0);
        let answer = self.send_for(200, &Request::get("get", run.organization, &path)).await;
        Self::read(run, low, &answer, Some(answer.body.clone()));
    }

    async fn get_if_changed(&mut self, run: &Run) {
        let path = format!("/flows/executions/{}", run.id);
        let low = run.ask(0);
        let mut request = Request::get("get if changed", run.organization, &path);
        request.headers.push(("if-none-match", format!("\"{low}\"")));
        let answer = self.send(&request).await;
        match answer.status {
            503 => {}
            304 => {
                assert_eq!((answer.version, &answer.body), (Some(low), &Value::Null));
                Self::read(run, low, &answer, None);
            }
            200 => {
                assert_ne!(answer.version, Some(low), "it has not changed: {}", answer.body);
                Self::read(run, low, &answer, Some(answer.body.clone()));
            }
            status => panic!("{status} to If-None-Match: {}", answer.body),
        }
    }

    async fn log(&mut self, run: &Run) {
        let path = format!("/executions/{}/transitions", run.id);
        let low = run.ask(0);
        let answer = self.send_for(200, &Request::get("log", run.organization, &path)).await;
        assert_eq!(answer.body["execution_id"], run.id.as_str());
        let high = run.answered(0, None, None);
        run.keep(low, high, What::Log(answer.body));
    }

    /// How many executions are done.
    fn done(&self) -> usize {
        self.world.kept.lock().expect("no panic while it is held").len()
    }

    /// Checks the records of a page: newest first, each matches the filters, and those that were done before the page was
    /// requested are as they were when they were checked. Returns their ids.
    fn check_page(
        &self,
        page: &Value,
        filters: &[(&str, String)],
        done: usize,
        last: &mut Option<(String, String)>,
    ) -> Vec<String> {
        let records = page["executions"].as_array().expect("executions");
        let kept = self.world.kept.lock().expect("no panic while it is held");
        let mut ids = Vec::with_capacity(records.len());
        for record in records {
            for (name, value) in filters {
                assert_eq!(record[*name], value.as_str(), "a record that the filters exclude: {record}");
            }
            let text = |field: &str| record[field].as_str().expect("text").to_owned();
            let place = (text("created_at"), text("id"));
            assert!(last.as_ref().is_none_or(|last| place < *last), "{place:?} after {last:?}");
            if let Some(kept) = kept.get(&place.1).filter(|kept| kept.place < done) {
                assert_eq!(hash(record), kept.record, "not as it was when it was done: {record}");
            }
            ids.push(place.1.clone());
            *last = Some(place);
        }
        ids
    }

    /// One page, by its number or the first of a walk.
    async fn page(&mut self) {
        let mut filters: Vec<(&str, String)> = Vec::new();
        let (flow, organization) = self.some_flow();
        if self.chance(60) {
            let any: Vec<&'static str> = TABLE.iter().map(|(status, _)| *status).collect();
            filters.push(("status", self.one_of(&any).to_owned()));
        }
        if self.chance(60) {
            filters.push(("flow_id", flow));
            if self.chance(40) {
                filters.push(("trigger_type", self.one_of(&TRIGGERS).to_owned()));
            }
        }
        let size = 1 + self.dice.below(40);
        let number = 1 + self.dice.below(3);
        let mut path = format!("/flows/executions?page_size={size}&count_limit=10000");
        for (name, value) in &filters {
            path.extend(["&", name, "=", value]);
        }
        let numbered = self.chance(70);
        if numbered {
            path.extend(["&page=", &number.to_string()]);
        }
        let number = if numbered { number } else { 1 };
        let ((known, _), done) = (self.world.total(organization), self.done());
        let purpose = if filters.is_empty() { "page of all" } else { "page by filters" };
        let answer = self.send_for(200, &Request::get(purpose, organization, &path)).await;
        let (_, asked) = self.world.total(organization);
        let page = &answer.body;
        assert_eq!((&page["page"], &page["page_size"]), (&json!(number), &json!(size)), "{path}");
        assert_eq!(page["has_more"] == true, page["next_cursor"].is_string(), "{path}");
        let ids = self.check_page(page, &filters, done, &mut None);
        assert!(ids.len() as u64 <= size, "{path}: {} records", ids.len());
        // A count that DynamoDB did not answer in time is missing, and so is one that would take too much reading.
        let Some(total) = page["total_count"].as_u64() else { return };
        if filters.is_empty() {
            let least = known.min(10_000) as u64;
            assert!(least <= total && total <= asked.min(10_000), "{total} of {known} to {asked}");
        } else {
            // There may be fewer executions in a status at the time of the count than at that of the page.
            let moves = filters.iter().any(|(name, _)| *name == "status");
            assert!(moves || total >= ids.len() as u64, "{path}: {total} in all, {} here", ids.len());
        }
    }

    /// One of the last flows, and its organization.
    fn some_flow(&mut self) -> (String, u64) {
        let begun = self.world.begun.load(Ordering::Relaxed).saturating_sub(self.dice.below(400));
        (World::flow(begun), self.world.organization(begun))
    }

    /// Walks through a flow by cursor, while it may grow.
    async fn walk(&mut self) {
        let (flow, organization) = self.some_flow();
        let size = 5 + self.dice.below(96);
        let known = self.world.known(&flow);
        let (mut met, mut last, mut cursor, mut total) = (BTreeSet::new(), None, String::new(), None);
        let mut pages = 0;
        loop {
            let path = format!("/flows/executions?flow_id={flow}&page_size={size}&count_limit=10000{cursor}");
            let done = self.done();
            let page = self.send_for(200, &Request::get("page of a walk", organization, &path)).await.body;
            for id in self.check_page(&page, &[("flow_id", flow.clone())], done, &mut last) {
                assert!(met.insert(id), "an execution twice in a walk: {page}");
            }
            pages += 1;
            assert_eq!(page["page"], json!(pages), "{path}");
            let count = page["total_count"].as_u64();
            assert_eq!(*total.get_or_insert(count), count, "the count of the walk's start");
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(known.known.is_subset(&met), "a walk through {flow} missed {:?}", known.known.difference(&met));
        let asked = self.world.known(&flow).asked;
        assert!(met.len() as u64 <= asked, "{} met of {asked}", met.len());
        let Some(total) = total.expect("a page") else { return };
        assert!(known.known.len() as u64 <= total && total <= asked, "{total} of {}..{asked}", known.known.len());
    }

    /// Compares an execution that is done with what it was when it was checked.
    pub async fn compare(&mut self, organization: u64, id: &str) {
        let path = format!("/flows/executions/{id}");
        let record = self.send_for(200, &Request::get("final get", organization, &path)).await;
        let path = format!("/executions/{id}/transitions");
        let log = self.send_for(200, &Request::get("final log", organization, &path)).await.body;
        let kept = self.world.kept.lock().expect("no panic while it is held");
        let kept = &kept[id];
        assert_eq!(record.version, Some(kept.version), "{}", record.body);
        assert_eq!((hash(&record.body), hash(&log)), (kept.record, kept.log), "{} {log}", record.body);
    }

    /// Walks through all executions of an organization. Returns the ids.
    pub async fn walk_through_all(&mut self, organization: u64) -> BTreeSet<String> {
        let (mut met, mut last, mut cursor) = (BTreeSet::new(), None, String::new());
        loop {
            let path = format!("/flows/executions?page_size=100{cursor}");
            let done = self.done();
            let page = self.send_for(200, &Request::get("final page of all", organization, &path)).await.body;
            for id in self.check_page(&page, &[], done, &mut last) {
                assert!(met.insert(id), "an execution twice in the walk");
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return met,
            }
        }
    }

    /// The `total_count` of a list.
    pub async fn count(&mut self, organization: u64, filter: &str) -> u64 {
        let path = format!("/flows/executions?page_size=1&count_limit=10000&{filter}");
        let page = self.send_for(200, &Request::get("final count", organization, &path)).await.body;
        page["total_count"].as_u64().expect("a count")
    }
}

/// Whether the answer says that a claim took effect, and that another client has claimed since.
fn is_superseded_claim(change: &Change, answer: &Answer) -> bool {
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    answer.status == 409 && change.status == Some("running") && detail.starts_with("This claim took effect ")
}
