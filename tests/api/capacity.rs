//! The capacity units that writes consume, as DynamoDB reports them.

use serde_json::json;
use tests::Api;

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
