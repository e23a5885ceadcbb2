//! No organization can read, change or detect another's executions.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api};

/// An answer without what names the request.
fn comparable(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut body = answer.body.clone();
    for field in ["correlation_id", "timestamp"] {
        if let Some(body) = body.as_object_mut() {
            body.remove(field);
        }
    }
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-correlation-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (answer.status.as_u16(), body, headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_execution_is_as_missing_as_one_that_never_was() {
    let api = Api::start().await;
    let stranger = api.with_key("other-key");
    for status in ["pending", "running", "completed"] {
        let id = api.execution_in(status).await;
        let before = api.record(&id).await;
        let never = uuid::Uuid::new_v4().to_string();
        for route in local::routes::ROUTES.iter().filter(|route| route.path.contains("{execution_id}")) {
            let bodies = match route.operation {
                "update_execution" => vec![json!({ "status": "running" }), json!({ "final_output": {} }), json!({})],
                "update_execution_status" => vec![json!({ "status": "cancelled" })],
                _ => vec![Value::Null],
            };
            for body in bodies {
                let mut answers = Vec::new();
                for id in [&id, &never] {
                    let method: Method = route.method.parse().expect("a method");
                    let call = stranger.request(method, &route.path.replace("{execution_id}", id));
                    let call = if body.is_null() { call } else { call.json(&body) };
                    let call = call.header("if-match", "*").header("idempotency-key", "k");
                    answers.push(call.send().await);
                }
                answers[0].assert_error(404, "EXECUTION_NOT_FOUND");
                assert_eq!(comparable(&answers[0]), comparable(&answers[1]), "{} {body}", route.operation);
            }
        }
        assert_eq!(api.record(&id).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_counts_and_numbers_know_nothing_of_others() {
    let api = Api::start().await;
    let stranger = api.with_key("other-key");
    for _ in 0..3 {
        api.execution_in("running").await;
    }
    for query in ["", "?status=running", "?flow_id=demo", "?trigger_type=test", "?status=running&flow_id=demo"] {
        let list = stranger.get(&format!("/flows/executions{query}")).await;
        assert_eq!(list.assert_status(200).body["total_count"], 0, "{query}");
        assert_eq!(list.body["executions"], json!([]), "{query}");
    }
    let made = stranger.post("/flows/execute", &json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    assert_eq!(made.assert_status(200).body["execution"]["execution_number"], 1);
    assert_eq!(made.body["execution"]["organization_id"], "other");
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 3);
    // Nor can a body say whose it is.
    let claimed = json!({ "flow_id": "demo", "trigger_type": "test", "organization_id": "acme" });
    let answer = stranger.post("/flows/execute", &claimed).await;
    assert_eq!(answer.problems(), ["body.organization_id: extra_forbidden"]);
}
