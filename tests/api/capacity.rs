//! The capacity units that writes and lists consume, as DynamoDB reports them.

use ratchet_model::execution::TriggerType;
use serde_json::json;
use tests::{Api, Seed};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_status_costs_one_table_unit_and_two_of_one_index_and_of_fields_none() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let path = format!("/flows/executions/{id}");
    let _ = api.watch.units();
    for body in [
        json!({ "status": "queued" }),
        json!({ "status": "running" }),
        json!({ "status": "retrying", "error_message": "rate limit" }),
        json!({ "status": "running" }),
        json!({ "status": "completed", "final_output": { "answer": 42 } }),
    ] {
        api.patch(&path, &body).await.assert_status(200);
        assert!(api.item_size(&id).await < 1_024, "the promise is for a head under 1 KB");
        assert_eq!(api.watch.units(), (1.0, 2.0), "{body}");
    }
    for body in [json!({ "tokens_used": 1 }), json!({ "metadata": { "a": 1 }, "cost_estimate": 0.5 }), json!({})] {
        api.patch(&path, &body).await.assert_status(200);
        assert!(api.item_size(&id).await < 1_024, "the promise is for a head under 1 KB");
        assert_eq!(api.watch.units(), (1.0, 0.0), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_execution_costs_five_units() {
    let api = Api::start().await;
    let _ = api.watch.units();
    api.new_execution().await;
    // The counter, the head, and one for each index.
    assert_eq!(api.watch.units(), (2.0, 3.0));
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
