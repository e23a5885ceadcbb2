//! Events out: what the function `publish_events` tells of the records of the table's stream, whatever the bus does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::Credentials;
use lambda_http::{Context, LambdaEvent};
use local::database::DynamoDb;
use local::events::{Changes, Delivered, Printer};
use publish_events::bus::{Bus, Entry, PAUSES, PUT_AT_ONCE, Refusal};
use publish_events::eventbridge::EventBridge;
use publish_events::{Answer, Publisher, StreamEvent};
use ratchet_model::clock::{Clock, SystemClock};
use ratchet_model::event::{MAX_EVENT, MAX_METADATA, MAX_TEXT};
use ratchet_model::id::ExecutionId;
use ratchet_runtime::settings::Account;
use ratchet_store::Store;
use ratchet_store::item::Item;
use ratchet_store::trust_roots::TrustRoots;
use replay::{Which, replay};
use reqwest::Method;
use serde_json::{Value, json};
use tests::eventbridge::{Requests, took_all_but};
use tests::seeded::Random;
use tests::stream::record;
use tests::{Api, patient, text, write_directly};

/// What a bus does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It takes all.
    Takes,
    /// It takes none.
    Refuses,
    /// It takes all but one.
    RefusesOne(usize),
    /// It takes all, and says that it did not.
    Lies,
    /// It takes all, and never says so.
    TakesAndHangs,
    /// It takes none, and never says so.
    Hangs,
    /// It takes the first half, and says nothing of the others.
    ForgetsHalf,
    /// It does not take metadata.
    RefusesMetadata,
    /// It will never take anything.
    Never,
}

/// A bus that does as it is told, and checks what it gets.
struct Moody {
    /// The bodies that it took, by the ids of their events.
    taken: Mutex<BTreeMap<String, Vec<Value>>>,
    requests: Mutex<Vec<usize>>,
    moods: Box<dyn Fn(usize) -> Mood + Send + Sync>,
}

impl Moody {
    /// In this mood at the n-th request.
    fn new(moods: impl Fn(usize) -> Mood + Send + Sync + 'static) -> Self {
        Self { taken: Mutex::default(), requests: Mutex::default(), moods: Box::new(moods) }
    }

    fn ids(&self) -> BTreeSet<String> {
        self.taken.lock().expect("no panic").keys().cloned().collect()
    }

    /// How many events each request had, since the last call.
    fn requests(&self) -> Vec<usize> {
        std::mem::take(&mut self.requests.lock().expect("no panic"))
    }

    /// What it has, by id.
    fn taken(&self) -> BTreeMap<String, Vec<Value>> {
        self.taken.lock().expect("no panic").clone()
    }

    fn take(&self, entry: &Entry<'_>) {
        assert!(entry.body.len() < MAX_EVENT, "{} bytes", entry.body.len());
        let body: Value = serde_json::from_str(entry.body).expect("JSON");
        assert_eq!((&body["id"], &body["type"]), (&json!(entry.event.id), &json!(entry.event.kind.as_str())));
        assert!(body.is_object() && !entry.body.contains('\n'), "one object, in one line");
        self.taken.lock().expect("no panic").entry(entry.event.id.clone()).or_default().push(body);
    }
}

impl Bus for Moody {
    async fn put(&self, entries: &[Entry<'_>]) -> Vec<Result<(), Refusal>> {
        assert!((1..=PUT_AT_ONCE).contains(&entries.len()), "{} events at once", entries.len());
        let number = {
            let mut requests = self.requests.lock().expect("no panic");
            requests.push(entries.len());
            requests.len() - 1
        };
        let mood = (self.moods)(number);
        let later = || Err(Refusal::Later("ThrottlingException".to_owned()));
        let mut outcomes = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let has_metadata = entry.body.contains("\"metadata\":");
            outcomes.push(match mood {
                Mood::Refuses | Mood::Hangs => later(),
                Mood::RefusesOne(one) if place == one % entries.len() => later(),
                Mood::Lies => {
                    self.take(entry);
                    later()
                }
                Mood::ForgetsHalf if place > entries.len() / 2 => break,
                Mood::RefusesMetadata if has_metadata => Err(Refusal::Never("MalformedDetail".to_owned())),
                Mood::Never => Err(Refusal::Never("MalformedDetail".to_owned())),
                Mood::Takes | Mood::TakesAndHangs | Mood::RefusesOne(_) | Mood::ForgetsHalf | Mood::RefusesMetadata => {
                    self.take(entry);
                    Ok(())
                }
            });
        }
        if matches!(mood, Mood::Hangs | Mood::TakesAndHangs) {
            std::future::pending::<()>().await;
        }
        outcomes
    }
}

/// Hands records to the function, with so much time. What it returned, and its lines of metrics.
async fn hand(bus: &Moody, records: &[Value], time: Duration) -> (Answer, Vec<Value>) {
    hand_with(bus, records, time, &PAUSES).await
}

async fn hand_with(bus: &Moody, records: &[Value], time: Duration, pauses: &[Duration]) -> (Answer, Vec<Value>) {
    let mut context = Context::default();
    // Two seconds of it are kept back.
    context.deadline =
        (SystemClock.now().millis().unsigned_abs()) + 2_000 + u64::try_from(time.as_millis()).expect("short");
    let event = LambdaEvent::new(StreamEvent { records: records.to_vec() }, context);
    let mut lines = Vec::new();
    let publisher = Publisher { bus: Some(bus), clock: &SystemClock, table: "t", pauses };
    let answer = publisher.handle(event, &mut lines).await.unwrap_or_else(|never| match never {});
    let lines = String::from_utf8(lines).expect("UTF-8");
    (answer, lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

const ENOUGH: Duration = Duration::from_secs(60);

/// What a busy machine may take besides. A bus that hangs does so for ever.
const SLACK: Duration = Duration::from_secs(10);

/// The lines of what ended, and that of the batch.
fn split(lines: Vec<Value>) -> (Vec<Value>, Value) {
    let (ended, batch): (Vec<Value>, Vec<Value>) = lines.into_iter().partition(|line| !line["Ended"].is_null());
    let [batch] = &batch[..] else { panic!("not one line for the batch: {batch:?}") };
    (ended, batch.clone())
}

/// A stream of the changes that are made through it.
struct Stream<'a> {
    api: &'a Api,
    heads: BTreeMap<String, Item>,
    records: Vec<Value>,
}

impl<'a> Stream<'a> {
    fn of(api: &'a Api) -> Self {
        Self { api, heads: BTreeMap::new(), records: Vec::new() }
    }

    fn push(&mut self, old: Option<&Item>, new: Option<&Item>) {
        let number = self.records.len() as u64 + 1;
        self.records.push(record(number, old, new));
    }

    /// Adds the record of what happened to an execution since the last time; none, if nothing did.
    async fn look(&mut self, id: &str) {
        let new = self.api.head(id).await;
        let old = self.heads.insert(id.to_owned(), new.clone());
        if old.as_ref() != Some(&new) {
            self.push(old.as_ref(), Some(&new));
        }
    }

    async fn create(&mut self, body: &Value) -> String {
        let id = text(&self.api.execute(body).await["id"]);
        self.look(&id).await;
        id
    }

    /// A change, whether it is allowed or not.
    async fn patch(&mut self, id: &str, body: &Value) {
        self.api.patch(&format!("/flows/executions/{id}"), body).await;
        self.look(id).await;
    }

    async fn post(&mut self, path: &str, id: &str, body: &Value) {
        self.api.post(&format!("/executions/{id}/{path}"), body).await;
        self.look(id).await;
    }

    /// The ids that a bus must have: of each creation and each transition.
    async fn expected(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for id in self.heads.keys() {
            ids.insert(format!("evt_{id}_1"));
            let answer = self.api.get(&format!("/executions/{id}/transitions")).await;
            for transition in answer.assert_status(200).body["transitions"].as_array().expect("a list") {
                ids.insert(format!("evt_{id}_{}", transition["version"]));
            }
        }
        ids
    }
}

fn demo() -> Value {
    json!({ "flow_id": "demo", "trigger_type": "test", "metadata": { "team": "growth" } })
}

#[tokio::test]
async fn an_event_for_the_creation_and_for_each_transition_and_none_for_anything_else() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let id = stream.create(&demo()).await;
    stream.patch(&id, &json!({ "status": "running" })).await;
    stream.patch(&id, &json!({ "tokens_used": 7 })).await;
    api.clock.advance(Duration::from_secs(1));
    stream.post("heartbeat", &id, &json!({})).await;
    stream.post("cancel", &id, &json!({ "reason": "not needed" })).await;
    // A write that changed nothing, which the embedded DynamoDB tells of and AWS does not.
    let head = stream.heads[&id].clone();
    stream.push(Some(&head), Some(&head));
    stream.patch(&id, &json!({ "status": "cancelled" })).await;
    // Other kinds of items, and a removal.
    for item in api.items().await.into_iter().filter(|item| item["sk"].as_s().is_ok_and(|sk| sk != "h")) {
        stream.push(None, Some(&item));
    }
    stream.push(Some(&head), None);

    let bus = Moody::new(|_| Mood::Takes);
    let (answer, lines) = hand(&bus, &stream.records, ENOUGH).await;
    assert_eq!(answer, Answer::default());
    assert_eq!(serde_json::to_value(&answer).expect("JSON"), json!({ "batchItemFailures": [] }));
    let versions = ["1", "2", "5"].map(|version| format!("evt_{id}_{version}"));
    assert_eq!(bus.ids(), versions.into());
    assert_eq!(bus.ids(), stream.expected().await);
    let taken = bus.taken();
    let created = &taken[&format!("evt_{id}_1")][0];
    assert_eq!((&created["type"], &created["data"]["transition"]), (&json!("execution.created"), &Value::Null));
    let cancelled = &taken[&format!("evt_{id}_5")][0];
    let log = api.get(&format!("/executions/{id}/transitions")).await.body["transitions"].clone();
    assert_eq!(cancelled["data"]["transition"], log[1]);
    assert_eq!((&cancelled["type"], &cancelled["timestamp"]), (&json!("execution.cancelled"), &log[1]["at"]));
    assert_eq!(cancelled["organization_id"], "acme");
    // The record as get execution gives it, but for what is left out.
    let mut record = api.record(&id).await;
    for omitted in cancelled["data"]["omitted"].as_array().expect("a list") {
        record.as_object_mut().expect("an object").remove(omitted.as_str().expect("a name"));
    }
    assert_eq!(cancelled["data"]["execution"], record);

    let (ended, batch) = split(lines);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (&batch["EventsTaken"], &batch["EventsPassedOver"], &batch["Table"]),
        (&json!(3.0), &json!(0.0), &json!("t"))
    );
}

#[tokio::test]
async fn one_line_of_metrics_for_each_execution_that_ended() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let mut body = demo();
    body["agent_id"] = json!("agent-7");
    let id = stream.create(&body).await;
    stream.patch(&id, &json!({ "status": "running" })).await;
    stream.patch(&id, &json!({ "status": "retrying" })).await;
    stream.patch(&id, &json!({ "status": "running" })).await;
    let end = json!({
        "status": "failed", "tokens_used": 1_200, "cost_estimate": 0.018, "duration_ms": 250,
        "error_message": "TimeoutError: no answer from 10.0.0.7"
    });
    stream.patch(&id, &end).await;
    // A correction after the end is no second end.
    stream.patch(&id, &json!({ "tokens_used": 1_300 })).await;
    let bare = stream.create(&demo()).await;
    stream.patch(&bare, &json!({ "status": "timeout" })).await;
    let (_, lines) = hand(&Moody::new(|_| Mood::Takes), &stream.records, ENOUGH).await;
    let (ended, _) = split(lines);
    let [failed, timeout] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!(failed["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Status"]]));
    let expected = json!({
        "Status": "failed", "Ended": 1.0, "DurationMs": 250.0, "Tokens": 1200.0, "CostUSD": 0.018, "Retries": 1.0,
        "organization": "acme", "flow": "demo", "agent": "agent-7", "execution": id, "error": "TimeoutError",
        "ended_by": "caller"
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(failed[name], *value, "{name}");
    }
    assert!(!failed.to_string().contains("10.0.0.7"), "a message is no part of a log");
    // What is not known is no metric.
    let names = |line: &Value| {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list").clone();
        metrics.iter().map(|metric| text(&metric["Name"])).collect::<Vec<_>>()
    };
    assert_eq!(names(failed), ["Ended", "DurationMs", "Tokens", "CostUSD", "Retries"]);
    assert_eq!(
        (names(timeout), &timeout["Status"]),
        (vec!["Ended".to_owned(), "Retries".to_owned()], &json!("timeout"))
    );
}

#[tokio::test]
async fn a_bus_that_takes_some_gets_the_others_again_and_nothing_else() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    for _ in 0..12 {
        stream.create(&demo()).await;
    }
    let bus = Moody::new(|number| if number == 0 { Mood::RefusesOne(3) } else { Mood::Takes });
    let (answer, _) = hand(&bus, &stream.records, ENOUGH).await;
    assert_eq!((answer.failures.len(), bus.requests()), (0, vec![10, 1, 2]));

    // All of ten, twice; then it takes them.
    let bus = Moody::new(|number| if number < 2 { Mood::Refuses } else { Mood::Takes });
    let (answer, _) = hand(&bus, &stream.records, ENOUGH).await;
    assert_eq!((answer.failures.len(), bus.requests()), (0, vec![10, 10, 10, 2]));
}

#[tokio::test]
async fn what_was_not_taken_is_reported_by_the_lowest_number_and_nothing_after_it_is_put() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let mut ids = Vec::new();
    for _ in 0..15 {
        let id = stream.create(&demo()).await;
        stream.patch(&id, &json!({ "status": "failed" })).await;
        ids.push(id);
    }
    // The first ten are taken, of the next ten all but the third.
    let bus = Moody::new(|number| match number {
        0 => Mood::Takes,
        1 => Mood::RefusesOne(2),
        _ => Mood::Refuses,
    });
    let (answer, lines) = hand(&bus, &stream.records, ENOUGH).await;
    let number = text(&stream.records[12]["dynamodb"]["SequenceNumber"]);
    assert_eq!(
        serde_json::to_value(&answer).expect("JSON"),
        json!({ "batchItemFailures": [{ "itemIdentifier": number }] })
    );
    assert_eq!(bus.requests(), [10, 10, 1, 1, 1]);
    let (ended, batch) = split(lines);
    // Lambda repeats from there, and then the later ones are counted.
    assert_eq!((ended.len(), &batch["BatchesRepeated"]), (6, &json!(1.0)));
    let (answer, lines) = hand(&Moody::new(|_| Mood::Takes), &stream.records[12..], ENOUGH).await;
    assert_eq!((answer.failures.len(), split(lines).0.len()), (0, 9));
}

#[tokio::test]
async fn a_record_that_can_never_succeed_is_passed_and_those_around_it_are_told() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let mut damaged = Vec::new();
    for harm in ["tr", "tv", "st", "v", "pk", "ca", "md"] {
        let before = stream.create(&demo()).await;
        let id = text(&api.execute(&demo()).await["id"]);
        let mut head = api.head(&id).await;
        match harm {
            // An item without its log, its status, its version.
            "tr" | "tv" | "st" | "v" => {
                head.remove(harm);
            }
            // A text where a number is, and a text that is no JSON.
            "ca" | "md" => {
                head.insert(harm.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S("{".to_owned()));
            }
            _ => {}
        }
        stream.push(None, Some(&head));
        let last = stream.records.last_mut().expect("a record");
        if harm == "pk" {
            // In another form than DynamoDB's.
            last["dynamodb"]["NewImage"]["pk"] = json!("e#acme");
        }
        damaged.push(last.clone());
        assert!(stream.heads.contains_key(&before));
    }
    // Not even a record.
    let mut records = stream.records.clone();
    records.extend([json!(null), json!({}), json!({ "eventName": "INSERT", "dynamodb": 7 })]);
    let bus = Moody::new(|_| Mood::Takes);
    let (answer, lines) = hand(&bus, &records, ENOUGH).await;
    assert_eq!(answer, Answer::default(), "it would hold up all that comes after it");
    assert_eq!(bus.ids(), stream.expected().await);
    // The last of them is of no execution.
    assert_eq!(
        split(lines).1["EventsPassedOver"],
        json!(f64::from(u32::try_from(damaged.len()).expect("a few")) + 2.0)
    );
}

#[tokio::test]
async fn an_image_of_before_that_is_damaged_loses_nothing() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let id = stream.create(&demo()).await;
    stream.patch(&id, &json!({ "status": "running" })).await;
    stream.patch(&id, &json!({ "status": "completed" })).await;
    let mut last = stream.records.pop().expect("a record");
    for harm in ["v", "all"] {
        match harm {
            "v" => {
                last["dynamodb"]["OldImage"].as_object_mut().expect("an image").remove("v");
            }
            _ => {
                last["dynamodb"].as_object_mut().expect("a change").remove("OldImage");
            }
        }
        let bus = Moody::new(|_| Mood::Takes);
        hand(&bus, std::slice::from_ref(&last), ENOUGH).await;
        // Told again, with the same ids, and never less.
        assert_eq!(bus.ids(), [2, 3].map(|version| format!("evt_{id}_{version}")).into());
    }
}

#[tokio::test]
async fn an_event_that_the_bus_will_never_take_goes_without_its_metadata_or_is_passed() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    stream.create(&demo()).await;
    stream.create(&json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    let bus = Moody::new(|_| Mood::RefusesMetadata);
    let (answer, lines) = hand(&bus, &stream.records, ENOUGH).await;
    assert_eq!(answer, Answer::default());
    // That without any was refused for another reason than its metadata, as far as the bus can be believed.
    assert_eq!(bus.ids().len(), 1);
    assert_eq!(split(lines).1["EventsPassedOver"], 1.0);
    for body in bus.taken.lock().expect("no panic").values().flatten() {
        assert!(body["data"]["omitted"].as_array().expect("a list").contains(&json!("metadata")), "{body}");
    }
    let bus = Moody::new(|_| Mood::Never);
    let (answer, lines) = hand(&bus, &stream.records, ENOUGH).await;
    assert_eq!((answer, bus.ids().len()), (Answer::default(), 0));
    assert_eq!(split(lines).1["EventsPassedOver"], 2.0);
}

#[tokio::test]
async fn a_bus_that_does_not_answer_costs_the_time_that_there_is_and_no_more() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    for _ in 0..3 {
        stream.create(&demo()).await;
    }
    for mood in [Mood::Hangs, Mood::TakesAndHangs] {
        let bus = Moody::new(move |_| mood);
        let begun = std::time::Instant::now();
        let (answer, _) = hand(&bus, &stream.records, Duration::from_millis(700)).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(700) + SLACK && took >= Duration::from_millis(650), "{took:?}");
        assert_eq!(answer.failures[0].sequence_number, text(&stream.records[0]["dynamodb"]["SequenceNumber"]));
    }
    // Without time it puts nothing, and reports everything.
    let bus = Moody::new(|_| Mood::Takes);
    let (answer, _) = hand(&bus, &stream.records, Duration::ZERO).await;
    assert_eq!((answer.failures.len(), bus.requests()), (1, vec![]));
}

#[tokio::test]
async fn a_hundred_changes_of_one_execution_are_a_hundred_events() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let mut body = demo();
    body["retry_config"] = json!({ "max_retries": 100 });
    let id = stream.create(&body).await;
    // Each a claim and a retry.
    for round in 0..50 {
        stream.patch(&id, &json!({ "status": "running" })).await;
        stream.patch(&id, &json!({ "status": "retrying", "error_message": format!("attempt {round}") })).await;
    }
    let bus = Moody::new(|_| Mood::Takes);
    hand(&bus, &stream.records[..100], ENOUGH).await;
    hand(&bus, &stream.records[100..], ENOUGH).await;
    assert_eq!(bus.ids().len(), 101);
    assert_eq!(bus.ids(), stream.expected().await);
    assert_eq!(bus.requests(), [vec![10; 10], vec![1]].concat());
    assert!(bus.taken.lock().expect("no panic").values().all(|bodies| bodies.len() == 1), "each once");

    // One record of them all, as a reader has it that missed the rest.
    let mut last = stream.records[100].clone();
    last["dynamodb"]["OldImage"] = stream.records[0]["dynamodb"]["NewImage"].clone();
    let bus = Moody::new(|_| Mood::Takes);
    hand(&bus, &[last], ENOUGH).await;
    assert_eq!(bus.ids().len(), 100, "all but the creation");
}

#[tokio::test]
async fn an_event_is_under_20_kb_with_everything_at_its_limit() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    // Six bytes as JSON, one character.
    let control = "\u{1}".repeat(256);
    let metadata = json!({ "a": "m".repeat(MAX_METADATA - r#"{"a":""}"#.len()) });
    let body = json!({
        "flow_id": control, "agent_id": control, "parent_execution_id": control, "trigger_type": "scheduled",
        "metadata": metadata, "scheduled_at": "2026-01-01T00:00:00Z", "heartbeat_timeout_seconds": 86_400,
        "start_timeout_seconds": 2_592_000, "timeout_seconds": 604_800,
    });
    let id = stream.create(&body).await;
    let digits = format!("0.{}", "7".repeat(400));
    // Of 65,536 characters, of which some thousand are written with six bytes: more would be a test of how long it takes to read
    // them. `event::tests` has all of them so.
    let message = "\u{1}".repeat(4_096) + &"x".repeat(61_440);
    let end = format!(
        r#"{{"status":"failed","error_message":{},"cost_estimate":{digits},"tokens_used":9007199254740991}}"#,
        json!(message)
    );
    let call = api.request(Method::PATCH, &format!("/flows/executions/{id}"));
    call.header("content-type", "application/json").body(end).send().await.assert_status(200);
    stream.look(&id).await;
    let bus = Moody::new(|_| Mood::Takes);
    hand(&bus, &stream.records, ENOUGH).await;
    let taken = bus.taken();
    let failed = &taken[&format!("evt_{id}_2")][0]["data"];
    assert_eq!(failed["execution"]["metadata"], metadata);
    assert_eq!(failed["truncated"], json!(["reason", "error_message"]));
    let omitted = failed["omitted"].as_array().expect("a list");
    assert!(omitted.contains(&json!("cost_estimate")) && !omitted.contains(&json!("metadata")), "{omitted:?}");
    assert_eq!(text(&failed["execution"]["error_message"]).len() * 6, MAX_TEXT - MAX_TEXT % 6);
}

/// A text of a seed, for a run that can be repeated.
fn seed() -> u64 {
    let given = std::env::var("RATCHET_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("RATCHET_SEED={seed}");
    seed
}

/// Changes of a few executions, in any order, as the seed says.
async fn changes<'a>(api: &'a Api, dice: &mut Random) -> Stream<'a> {
    let mut stream = Stream::of(api);
    let statuses = ["queued", "running", "retrying", "interrupted", "completed", "failed", "cancelled", "timeout"];
    let mut ids = vec![stream.create(&demo()).await];
    for step in 0..60 {
        let id = ids[usize::try_from(dice.below(ids.len() as u64)).expect("small")].clone();
        match dice.below(12) {
            0 => ids.push(
                stream.create(&json!({ "flow_id": "f", "trigger_type": "api", "variables": { "x": step } })).await,
            ),
            1 => stream.patch(&id, &json!({ "tokens_used": step })).await,
            2 => {
                stream
                    .patch(
                        &id,
                        &json!({ "metadata": { "x": "y".repeat(usize::try_from(dice.below(6_000)).expect("small")) } }),
                    )
                    .await;
            }
            3 => stream.post("heartbeat", &id, &json!({})).await,
            4 => stream.post("cancel", &id, &json!({ "grace_seconds": 0 })).await,
            5 => {
                let head = stream.heads[&id].clone();
                stream.push(Some(&head), Some(&head));
            }
            _ => {
                let status = statuses[usize::try_from(dice.below(8)).expect("small")];
                stream.patch(&id, &json!({ "status": status, "error_message": "E: x" })).await;
            }
        }
    }
    stream
}

/// For any sequence of changes, under any sequence of failures, the ids on the bus are those of the creations and transitions.
#[tokio::test]
async fn whatever_fails_the_bus_has_each_creation_and_each_transition_and_nothing_else() {
    let seed = seed();
    for round in 0..6 {
        let mut dice = Random::nth(seed, round);
        let (records, expected, ended) = {
            let api = Api::start().await;
            let stream = changes(&api, &mut dice).await;
            let terminal = |id: &String| {
                let status = stream.heads[id]["st"].as_s().expect("a status").clone();
                ["completed", "failed", "cancelled", "timeout"].contains(&status.as_str())
            };
            let ended: BTreeSet<String> = stream.heads.keys().filter(|id| terminal(id)).cloned().collect();
            (stream.records.clone(), stream.expected().await, ended)
        };
        let calm = std::sync::Arc::new(AtomicBool::new(false));
        let moods = Mutex::new(Random::nth(seed, 1_000 + round));
        let is_calm = calm.clone();
        let bus = Moody::new(move |_| {
            let mut dice = moods.lock().expect("no panic");
            match dice.below(14) {
                _ if is_calm.load(Ordering::Relaxed) => Mood::Takes,
                0 | 1 => Mood::Refuses,
                2 | 3 => Mood::RefusesOne(usize::try_from(dice.below(10)).expect("small")),
                4 => Mood::Lies,
                5 => Mood::TakesAndHangs,
                6 => Mood::Hangs,
                7 => Mood::ForgetsHalf,
                _ => Mood::Takes,
            }
        });
        let (mut at, mut tries, mut told_of_ends) = (0, 0, BTreeSet::new());
        while at < records.len() {
            tries += 1;
            assert!(tries < 5_000, "it does not get on");
            // In the end every outage ends.
            calm.store(tries > 120, Ordering::Relaxed);
            let size = 1 + usize::try_from(dice.below(25)).expect("small");
            let batch = &records[at..(at + size).min(records.len())];
            let pauses = [Duration::from_millis(1); 3];
            let time = if calm.load(Ordering::Relaxed) { ENOUGH } else { Duration::from_millis(60) };
            let handed = hand_with(&bus, batch, time, &pauses);
            // The function is killed, between taking and answering among others: Lambda repeats the batch.
            let killed_after = Duration::from_millis(1 + dice.below(40));
            let answered = if dice.below(4) == 0 && !calm.load(Ordering::Relaxed) {
                tokio::time::timeout(killed_after, handed).await.ok()
            } else {
                Some(handed.await)
            };
            let Some((answer, lines)) = answered else { continue };
            told_of_ends.extend(split(lines).0.iter().map(|line| text(&line["execution"])));
            at += match answer.failures.first() {
                None => batch.len(),
                Some(failure) => {
                    let is_it = |record: &Value| text(&record["dynamodb"]["SequenceNumber"]) == failure.sequence_number;
                    batch.iter().position(is_it).expect("one of the batch")
                }
            };
        }
        assert_eq!(bus.ids(), expected, "round {round}");
        assert_eq!(told_of_ends, ended, "round {round}");
    }
}

/// An embedded DynamoDB with the table, its stream, and what changes in it.
async fn embedded() -> (DynamoDb, Store, Changes) {
    let database = DynamoDb::embedded(None).await.expect("an embedded DynamoDB");
    let store = Store::new(patient(database.config()), "told", std::sync::Arc::new(SystemClock));
    let store = store.create_table_if_missing().await.expect("a table");
    for _ in 0..2 {
        store.enable_stream().await.expect("a stream, switched on once");
    }
    let changes = database.changes("told").expect("its changes");
    (database, store, changes)
}

async fn create(store: &Store) -> String {
    let caller = tests::caller(tests::ORGANIZATION, "maker", ratchet_model::scope::Scopes::ALL);
    let new = tests::new_execution("told");
    store.create(&caller, &new).await.expect("an execution").execution.id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_server_obeys_the_contract_of_a_mapping() {
    let (database, store, mut changes) = embedded().await;
    let mut expected = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..12 {
        let id = create(&store).await;
        write_directly(&store, &id, &json!({ "tokens_used": 1 })).await;
        write_directly(&store, &id, &json!({ "status": "failed" })).await;
        expected.extend([1, 3].map(|version| format!("evt_{id}_{version}")));
        ids.push(id);
    }
    // It takes the first ten, and then for a while all but one.
    let bus = Moody::new(|number| if (1..5).contains(&number) { Mood::RefusesOne(4) } else { Mood::Takes });
    let publisher = Publisher { bus: Some(&bus), clock: &SystemClock, table: "told", pauses: &PAUSES };
    let mut outcomes = Vec::new();
    loop {
        let delivered = changes.deliver(&publisher, std::io::sink()).await.expect("a stream");
        outcomes.push(delivered);
        if delivered == Delivered::Nothing {
            break;
        }
    }
    assert!(outcomes.contains(&Delivered::InPart), "{outcomes:?}");
    assert_eq!(bus.ids(), expected.into_iter().collect());
    let taken = bus.taken();
    assert_eq!(
        taken[&format!("evt_{}_1", ids[0])].len(),
        1,
        "what was done before the failure is not handed over again"
    );
    database.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_server_prints_one_line_for_each_event() {
    let (database, store, mut changes) = embedded().await;
    let id = create(&store).await;
    write_directly(&store, &id, &json!({ "status": "running", "metadata": { "line": "a\nb" } })).await;
    let mut out = Vec::new();
    {
        let printer = Printer::new(&mut out);
        let publisher = Publisher { bus: Some(&printer), clock: &SystemClock, table: "told", pauses: &PAUSES };
        while changes.deliver(&publisher, std::io::sink()).await.expect("a stream") != Delivered::Nothing {}
    }
    let out = String::from_utf8(out).expect("UTF-8");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(types, ["execution.created", "execution.running"]);
    assert_eq!(lines[1]["data"]["execution"]["metadata"]["line"], "a\nb");
    database.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_made_again_from_the_table_have_the_ids_that_they_had() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let first = stream.create(&demo()).await;
    stream.patch(&first, &json!({ "status": "running" })).await;
    api.clock.advance(Duration::from_secs(60));
    let window = api.clock.now();
    stream.patch(&first, &json!({ "status": "completed" })).await;
    let second = stream.create(&demo()).await;
    let foreign = api.with_key("other-key").post("/flows/execute", &demo()).await;
    let foreign = text(&foreign.assert_status(200).body["execution"]["id"]);
    let told = Moody::new(|_| Mood::Takes);
    hand(&told, &stream.records, ENOUGH).await;

    let (acme, id) = (tests::organization("acme"), |id: &str| ExecutionId::parse(id).expect("an id"));
    let again = async |which: Which| {
        let bus = Moody::new(|number| if number == 0 { Mood::RefusesOne(0) } else { Mood::Takes });
        let report = replay(&api.store, &bus, &which).await.expect("a replay");
        assert_eq!(report.told, bus.ids().len() as u64, "{report:?}");
        (bus.ids(), bus)
    };
    let (ids, bus) = again(Which::Execution(acme.clone(), id(&first))).await;
    assert_eq!(ids, [1, 2, 3].map(|version| format!("evt_{first}_{version}")).into());
    let (before, after) = (told.taken(), bus.taken());
    for id in &ids {
        // What it tells is the same; the record is as it is when the event is made.
        for part in ["/id", "/type", "/timestamp", "/organization_id", "/data/transition"] {
            assert_eq!(after[id][0].pointer(part), before[id][0].pointer(part), "{id} {part}");
        }
        assert_eq!(after[id][0]["data"]["execution"]["status"], "completed");
    }
    let all = |until, organization| Which::Window { since: window, until, organization };
    let ends = BTreeSet::from([format!("evt_{first}_3"), format!("evt_{second}_1")]);
    assert_eq!(again(all(None, Some(acme.clone()))).await.0, ends);
    let everybody: BTreeSet<String> = ends.iter().cloned().chain([format!("evt_{foreign}_1")]).collect();
    assert_eq!(again(all(None, None)).await.0, everybody);
    assert_eq!(again(all(Some(window), None)).await.0, BTreeSet::new());

    let missing = Which::Execution(tests::organization("other"), id(&first));
    let bus = Moody::new(|_| Mood::Takes);
    assert!(replay(&api.store, &bus, &missing).await.is_err());
}

/// An EventBridge that answers as `answer` says to the entries of a request, and keeps them.
async fn eventbridge(
    answer: impl Fn(&[Value]) -> (u16, Value) + Clone + Send + Sync + 'static,
) -> (EventBridge, Requests) {
    let (endpoint, seen) = tests::eventbridge::start(answer).await;
    let account = Account {
        region: "eu-central-1".to_owned(),
        credentials: Credentials::new("key", "secret", None, None, "tests"),
        roots: TrustRoots::System,
    };
    (EventBridge::new(account, Some(endpoint), "a-bus".to_owned()), seen)
}

/// What a bus says of the events of some records.
async fn put(bus: &EventBridge, records: &[Value]) -> Vec<Result<(), Refusal>> {
    let read = |record: &Value| ratchet_store::stream::read_record(record).expect("whole").expect("a head");
    let events: Vec<_> = records.iter().flat_map(|record| read(record).events().expect("events")).collect();
    let entries: Vec<Entry> = events.iter().map(|event| Entry { event, body: &event.body }).collect();
    bus.put(&entries).await
}

#[tokio::test(flavor = "multi_thread")]
async fn eventbridge_is_sent_what_it_asks_for_and_each_of_its_answers_is_understood() {
    let api = Api::start().await;
    let mut stream = Stream::of(&api);
    let id = stream.create(&demo()).await;
    stream.patch(&id, &json!({ "status": "running" })).await;
    stream.patch(&id, &json!({ "status": "completed" })).await;
    let later = |code: &str| Err(Refusal::Later(code.to_owned()));

    let refused = [(1, "ThrottlingException"), (2, "MalformedDetail")];
    let (bus, seen) = eventbridge(move |entries| took_all_but(&refused, entries)).await;
    let outcomes = put(&bus, &stream.records).await;
    assert_eq!(outcomes, [Ok(()), later("ThrottlingException"), Err(Refusal::Never("MalformedDetail".to_owned()))]);
    let requests = seen.lock().expect("no panic").clone();
    let [entries] = &requests[..] else { panic!("not one request: {requests:?}") };
    let log = api.get(&format!("/executions/{id}/transitions")).await.body["transitions"].clone();
    let entry = &entries[1];
    assert_eq!((&entry["Source"], &entry["DetailType"]), (&json!("ratchet"), &json!("execution.running")));
    assert_eq!((&entry["EventBusName"], &entry["Resources"]), (&json!("a-bus"), &json!([id])));
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().expect("a text")).expect("JSON");
    assert_eq!(detail["timestamp"], log[0]["at"]);
    let millis =
        ratchet_model::clock::Timestamp::parse(detail["timestamp"].as_str().expect("a time")).expect("a time").millis();
    // Seconds as a number with a fraction. Rounded, for some have no exact one.
    let expected = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    assert_eq!(entry["Time"].as_f64().map(|time| format!("{time:.3}")), Some(expected));

    // Of a request that is refused for what is in it, each is sent alone.
    let is_poison = |entry: &Value| entry["DetailType"] == "execution.running";
    let (bus, seen) = eventbridge(move |entries| {
        if entries.iter().any(is_poison) {
            (400, json!({ "__type": "ValidationException", "message": "1 validation error" }))
        } else {
            took_all_but(&[], entries)
        }
    })
    .await;
    let outcomes = put(&bus, &stream.records).await;
    assert_eq!(outcomes, [Ok(()), Err(Refusal::Never("ValidationException".to_owned())), Ok(())]);
    let sizes: Vec<usize> = seen.lock().expect("no panic").iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 1, 1, 1]);

    // All else may end, and its text may name the account.
    for (status, code) in [
        (400, "ThrottlingException"),
        (400, "AccessDeniedException"),
        (400, "ResourceNotFoundException"),
        (500, "InternalException"),
        (503, "ServiceUnavailable"),
    ] {
        let text = code.to_owned();
        let (bus, seen) = eventbridge(move |_| (status, json!({ "__type": text, "message": "of 123456789012" }))).await;
        assert_eq!(put(&bus, &stream.records).await, [later(code), later(code), later(code)]);
        assert_eq!(seen.lock().expect("no panic").len(), 1, "the batch is repeated, and not the request");
    }
    // Priming sends nothing that could be taken.
    let (bus, seen) = eventbridge(|_| (400, json!({ "__type": "ValidationException" }))).await;
    bus.prime().await;
    assert_eq!(*seen.lock().expect("no panic"), [Vec::<Value>::new()]);
    // Nobody listens.
    let account = Account {
        region: "r".to_owned(),
        credentials: Credentials::new("key", "secret", None, None, "tests"),
        roots: TrustRoots::System,
    };
    let gone = EventBridge::new(account, Some("http://127.0.0.1:9".to_owned()), "a-bus".to_owned());
    let outcomes = put(&gone, &stream.records).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Refusal::Later(_)))), "{outcomes:?}");
}
