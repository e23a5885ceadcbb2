//! The capacity units that requests consume, as DynamoDB reports them.

use std::time::Duration;

use ratchet_model::execution::TriggerType;
use ratchet_store::table_keys::DEADLINE_SHARDS;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Api, Seed, text};

/// What a change costs does not depend on the inputs: a kilobyte, and what their item holds at most.
const INPUTS: [usize; 4] = [0, 1_000, 100_000, 390_000];

fn with_inputs(bytes: usize) -> Value {
    let data = if bytes == 0 { json!({}) } else { json!({ "text": "x".repeat(bytes) }) };
    json!({ "flow_id": "demo", "trigger_type": "test", "variables": data })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_status_costs_one_table_unit_and_two_or_three_of_indexes_and_of_fields_none() {
    let api = Api::start().await;
    for bytes in INPUTS {
        let id = text(&api.execute(&with_inputs(bytes)).await["id"]);
        let path = format!("/flows/executions/{id}");
        let _ = api.watch.units();
        // Two are those of the index by status; the third puts an entry into the index by deadline, or takes it out.
        for (body, indexes) in [
            (json!({ "status": "queued" }), 2.0),
            (json!({ "status": "running" }), 3.0),
            (json!({ "status": "retrying", "error_message": "rate limit" }), 2.0),
            (json!({ "status": "running" }), 2.0),
            (json!({ "status": "completed", "final_output": { "answer": 42 } }), 3.0),
        ] {
            api.patch(&path, &body).await.assert_status(200);
            assert!(api.item_size(&id).await < 1_024, "the promise is for a head under 1 KB");
            assert_eq!(api.watch.units(), (1.0, indexes), "{body} with inputs of {bytes} bytes");
        }
        for body in [json!({ "tokens_used": 1 }), json!({ "metadata": { "a": 1 }, "cost_estimate": 0.5 }), json!({})] {
            api.patch(&path, &body).await.assert_status(200);
            assert!(api.item_size(&id).await < 1_024, "the promise is for a head under 1 KB");
            assert_eq!(api.watch.units(), (1.0, 0.0), "{body} with inputs of {bytes} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_execution_costs_five_units_and_twice_its_inputs_where_they_are_apart() {
    let api = Api::start().await;
    for bytes in INPUTS {
        let _ = api.watch.units();
        api.execute(&with_inputs(bytes)).await;
        // The counter, the head, and one for each index. A transaction writes an item for twice its units.
        let item_keys = "pksk".len() + tests::item_key("6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9").len() + "i".len();
        let inputs = "va".len() + with_inputs(bytes)["variables"].to_string().len();
        let kilobytes = u32::try_from((item_keys + inputs).div_ceil(1_024)).expect("a small number");
        let table = if bytes == 0 { 2.0 } else { 1.0 + 2.0 * (1.0 + f64::from(kilobytes)) };
        let units = api.watch.units();
        // By DynamoDB's documentation a transaction costs twice the units of its items. The embedded one reports that; DynamoDB
        // Local reports it twice, and four times those of the indexes.
        let of_local = if bytes == 0 { (table, 3.0) } else { (2.0 * table - 1.0, 12.0) };
        let expected = [(table, 3.0), of_local];
        assert!(expected.contains(&units), "{units:?} and not {expected:?} for inputs of {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_status_reads_inputs_only_for_an_answer_that_shows_them() {
    let api = Api::start().await;
    let id = text(&api.execute(&with_inputs(100_000)).await["id"]);
    let path = format!("/flows/executions/{id}");
    let _ = (api.watch.requests(), api.watch.read_units());
    let running = api.request(Method::PATCH, &path).json(&json!({ "status": "running" }));
    running.header("prefer", "return=minimal").send().await.assert_status(204);
    assert_eq!((api.watch.requests(), api.watch.read_units()), (vec!["UpdateItem".to_owned()], 0.0));
    let record = api.patch(&path, &json!({ "tokens_used": 1 })).await;
    assert_eq!(text(&record.assert_status(200).body["variables"]["text"]).len(), 100_000);
    assert_eq!(api.watch.requests(), ["UpdateItem", "Query"]);
    assert!((24.0..=26.0).contains(&api.watch.read_units()), "100 KB, read consistently");
    api.patch(&format!("/executions/{id}"), &json!({ "status": "failed" })).await.assert_status(200);
    assert_eq!(api.watch.requests(), ["UpdateItem"]);
    api.get(&format!("/executions/{id}/transitions")).await.assert_status(200);
    assert_eq!((api.watch.requests(), api.watch.read_units()), (vec!["GetItem".to_owned()], 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_page_costs_the_page_and_the_count_that_was_asked_for_whatever_the_table_holds() {
    let api = Api::start().await;
    let mut held = 0;
    for executions in [20, 2_000, 5_000] {
        let seed = |number: u32| Seed {
            flow_id: "nightly-report",
            trigger_type: TriggerType::Test,
            millis: i64::from(number),
            shard: None,
            bytes: 0,
        };
        api.seed(executions - held, seed).await;
        held = executions;
        let _ = api.watch.read_units();
        for (query, most) in [
            ("", 35.0),
            ("&flow_id=nightly-report", 35.0),
            ("&status=pending", 35.0),
            ("&count_limit=0", 15.0),
            ("&view=summary&count_limit=0", 15.0),
            ("&flow_id=nightly-report&count_limit=0", 15.0),
            ("&status=pending&count_limit=0", 15.0),
        ] {
            let answer = api.get(&format!("/flows/executions?page_size=10{query}")).await;
            assert_eq!(answer.assert_status(200).body["executions"].as_array().map(Vec::len), Some(10), "{query}");
            let units = api.watch.read_units();
            assert!(units <= most, "{units} for {query:?} of {executions}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_does_not_pay_for_inputs() {
    let api = Api::start().await;
    for _ in 0..10 {
        api.execute(&with_inputs(100_000)).await;
    }
    let _ = api.watch.read_units();
    for (view, least, most) in [("summary", 0.0, 15.0), ("full", 250.0, 280.0)] {
        let answer = api.get(&format!("/flows/executions?page_size=10&view={view}")).await;
        assert_eq!(answer.assert_status(200).body["executions"].as_array().map(Vec::len), Some(10), "{view}");
        let units = api.watch.read_units();
        assert!((least..=most).contains(&units), "{units} for {view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn supervision_costs_what_the_index_by_deadline_costs_and_a_heartbeat_nothing_of_it() {
    let api = Api::start().await;
    for bytes in INPUTS {
        let watched = |start: bool| {
            let mut body = with_inputs(bytes);
            body["heartbeat_timeout_seconds"] = json!(60);
            body["start_timeout_seconds"] = if start { json!(60) } else { Value::Null };
            body
        };
        let new = async |start: bool| text(&api.execute(&watched(start)).await["id"]);
        let post = async |id: &str, operation: &str, body: Value| {
            let _ = (api.watch.units(), api.watch.read_units(), api.watch.requests());
            let answer = api.post(&format!("/executions/{id}/{operation}"), &body).await;
            assert!(api.item_size(id).await < 1_024, "the promise is for a head under 1 KB");
            (answer.assert_status(200).body.clone(), api.watch.units())
        };
        let patch = async |id: &str, body: Value| {
            let _ = api.watch.units();
            let call = api.request(Method::PATCH, &format!("/flows/executions/{id}")).json(&body);
            call.header("prefer", "return=minimal").send().await.assert_status(204);
            api.watch.units()
        };
        let with = format!("inputs of {bytes} bytes");

        // With a start timeout the creation has an entry, and the first running moves it.
        let id = new(true).await;
        assert_eq!(patch(&id, json!({ "status": "running" })).await, (1.0, 4.0), "{with}");
        for attempt in [json!({}), json!({ "attempt": 1 })] {
            api.clock.advance(Duration::from_millis(10));
            assert_eq!(post(&id, "heartbeat", attempt).await.1, (1.0, 0.0), "{with}");
        }
        // A revival is a refused heartbeat, whose unit no answer reports, and a change of status. It keeps the bound of the
        // claim.
        assert_eq!(patch(&id, json!({ "status": "interrupted" })).await, (1.0, 2.0), "{with}");
        let (told, units) = post(&id, "heartbeat", json!({ "attempt": 1 })).await;
        assert_eq!((&told["status"], units), (&json!("running"), (1.0, 2.0)), "{with}");
        assert_eq!(patch(&id, json!({ "timeout_seconds": 600 })).await, (1.0, 0.0), "{with}");
        let (told, units) = post(&id, "cancel", json!({})).await;
        assert_eq!((&told["outcome"], units), (&json!("requested"), (1.0, 2.0)), "{with}");
        assert_eq!(patch(&id, json!({ "status": "failed" })).await, (1.0, 3.0), "{with}");

        // Nobody works on it: the request is refused, which no answer reports, and the end has no entry to take out.
        let id = new(false).await;
        let (told, units) = post(&id, "cancel", json!({})).await;
        assert_eq!((&told["outcome"], units), (&json!("cancelled"), (1.0, 2.0)), "{with}");

        // A look reads half a unit, of a head that is read for its attributes alone; an interruption is a change of status.
        let id = new(false).await;
        patch(&id, json!({ "status": "running" })).await;
        // Heard since, so that its bound has passed and it is not due.
        api.clock.advance(Duration::from_secs(30));
        post(&id, "heartbeat", json!({})).await;
        api.clock.advance(Duration::from_secs(35));
        let _ = (api.watch.units(), api.watch.read_units());
        let report = enforce_deadlines::pass(&api.proxied, Duration::from_secs(30)).await;
        assert_eq!((report.looked, report.ended.len()), (1, 0), "{report:?}");
        // The query that finds the entry costs half a unit, and by DynamoDB's documentation those of fifteen empty shards cost
        // as much each. The embedded one reports that; DynamoDB Local reports nothing for a query that finds nothing.
        let (writes, reads) = (api.watch.units(), api.watch.read_units());
        let expected = [f64::from(DEADLINE_SHARDS) * 0.5, 0.5].map(|queries| queries + 0.5);
        assert!(writes == (0.0, 0.0) && expected.contains(&reads), "{writes:?} {reads} {with}");
        api.clock.advance(Duration::from_secs(30));
        let report = enforce_deadlines::pass(&api.proxied, Duration::from_secs(30)).await;
        assert_eq!(report.ended["interrupted"], 1, "{report:?}");
        assert_eq!(api.watch.units(), (1.0, 2.0), "{with}");
        patch(&id, json!({ "status": "failed" })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_timeout_costs_an_entry_at_the_creation() {
    let api = Api::start().await;
    let body = json!({ "flow_id": "demo", "trigger_type": "test", "start_timeout_seconds": 60 });
    let _ = api.watch.units();
    api.execute(&body).await;
    assert_eq!(api.watch.units(), (2.0, 4.0));
}
