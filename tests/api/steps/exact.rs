//! What is reported of a step comes back as it was sent, in every answer that shows it.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::value::RawValue;
use tests::Api;

use super::{outcomes, path};

/// The text of each member of a step.
type Members = BTreeMap<String, Box<RawValue>>;

/// Objects that a reader with doubles, with sorted or with unique keys would change.
const OBJECTS: [&str; 7] = [
    "{}",
    r#"{"a":1.0,"b":1e300,"c":1e400,"d":-0.0,"e":1234567890123456789012345678901234567890}"#,
    r#"{"z":1,"a":{"z":[],"a":{}},"":"","__proto__":null}"#,
    r#"{"escapes":"\u0000\ud83d\ude00\/\"\\","plain":"é😀\u202e"}"#,
    r#"{"deep":[[[[[[[[[[1.50]]]]]]]]]]}"#,
    r##"{"S":"e#other","N":"1","#0":":0"}"##,
    r#"{"pk":"x","v":9,"k0":["a"],"st":"completed"}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_back_exactly_in_lists_records_and_answers() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for (n, object) in OBJECTS.iter().enumerate() {
        let step =
            format!(r#"{{ "step_id": "{n}", "input_data": {object}, "output_data" : {object}, "metadata":{object} }}"#);
        let call = api.request(Method::POST, &path(&id)).header("content-type", "application/json");
        let answer = call.body(format!(r#"{{"steps":[{step}]}}"#)).send().await;
        assert_eq!(outcomes(&answer), ["created"], "{object}");
    }
    let list = api.get(&path(&id)).await;
    let record = api.get(&format!("/flows/executions/{id}")).await;
    let patch =
        api.request(Method::PATCH, &format!("/flows/executions/{id}")).header("content-type", "application/json");
    let patched = patch.body("{}").send().await;
    for answer in [list, record, patched] {
        let whole: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&answer.text).expect("JSON");
        let steps: Vec<Members> = serde_json::from_str(whole["steps"].get()).expect("steps");
        assert_eq!(steps.len(), OBJECTS.len());
        for (step, object) in steps.iter().zip(OBJECTS) {
            for name in ["input_data", "output_data", "metadata"] {
                assert_eq!(step[name].get(), object, "{name}");
            }
        }
    }
}
