//! Reports that are refused whole: ids, counts, types, sizes. Nothing of them is written.

use serde_json::{Value, json};
use tests::{Api, text};

use super::{listed, outcomes, path, report, reported};

/// Sends a body and ends the test unless it is refused with exactly these validation errors.
async fn assert_refused(api: &Api, id: &str, body: &Value, errors: &[&str]) {
    let answer = api.post(&path(id), body).await;
    assert_eq!(answer.validation_errors(), errors, "{}", body.to_string().chars().take(200).collect::<String>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_has_1_to_128_characters() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for (step_id, kind) in [
        (json!(""), "string_too_short"),
        (json!("a".repeat(129)), "string_too_long"),
        (json!("\u{10ffff}".repeat(129)), "string_too_long"),
        (json!(7), "string_type"),
        (json!(null), "string_type"),
        (json!(["a"]), "string_type"),
    ] {
        let error = format!("body.steps.0.step_id: {kind}");
        assert_refused(&api, &id, &json!({ "steps": [{ "step_id": step_id }] }), &[&error]).await;
    }
    assert_refused(&api, &id, &json!({ "steps": [{}] }), &["body.steps.0.step_id: missing"]).await;
    assert!(listed(&api, &id).await.is_empty());
}

/// Texts that could reach another item, if they were part of a key in another way than they are.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_any_characters_names_one_step_of_its_execution_and_nothing_else() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let other = api.execution_in("running").await;
    let before = api.record(&other).await;
    let ids: Vec<String> = [
        "h",
        "i",
        "#",
        "##",
        "s#",
        "s#a",
        "a#b",
        "a",
        "\0",
        "a\0",
        "a\0b",
        "\u{1}\n\r\t",
        "\u{7f}",
        " ",
        " a",
        "a ",
        "é",
        "e\u{301}",
        "\u{202e}abc",
        "\u{feff}",
        "%00",
        "../h",
        "\"",
        "\\",
        "'",
        "{}",
        "null",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("e#acme#{other}"), format!("{other}#h"), "\u{10ffff}".repeat(128), "x".repeat(128)])
    .collect();
    for chunk in ids.chunks(25) {
        let steps: Value = chunk.iter().map(|id| json!({ "step_id": id, "metadata": { "of": id } })).collect();
        assert_eq!(reported(&api, &id, steps).await, vec!["created"; chunk.len()]);
    }
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    let steps = listed(&api, &id).await;
    assert_eq!(
        steps.iter().map(|step| text(&step["step_id"])).collect::<Vec<_>>(),
        sorted,
        "in the order of their bytes"
    );
    for step in &steps {
        assert_eq!((&step["metadata"]["of"], &step["step_name"]), (&step["step_id"], &step["step_id"]));
    }
    assert_eq!(api.record(&id).await["steps"], json!(steps));
    assert_eq!(api.record(&other).await, before);
    assert!(listed(&api, &other).await.is_empty());
    // Each is found again by itself.
    for chunk in ids.chunks(25) {
        let steps: Value = chunk.iter().map(|id| json!({ "step_id": id, "metadata": { "of": id } })).collect();
        assert_eq!(reported(&api, &id, steps).await, vec!["unchanged"; chunk.len()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_1_to_25_steps_each_of_them_once() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let steps = |count: usize| -> Value { (0..count).map(|n| json!({ "step_id": n.to_string() })).collect() };
    for (count, kind) in [(0, "too_short"), (26, "too_long"), (1_000, "too_long")] {
        let answer = api.post(&path(&id), &json!({ "steps": steps(count) })).await;
        assert_eq!(answer.validation_errors(), [format!("body.steps: {kind}")]);
        assert_eq!(answer.body["detail"][0]["ctx"]["actual_length"], count);
    }
    let twice = json!({ "steps": [{ "step_id": "a" }, { "step_id": "b" }, { "step_id": "a", "status": "failed" }] });
    assert_refused(&api, &id, &twice, &["body.steps.2.step_id: value_error"]).await;
    for (body, error) in [
        (json!({}), "body.steps: missing"),
        (json!({ "steps": null }), "body.steps: list_type"),
        (json!({ "steps": {} }), "body.steps: list_type"),
        (json!({ "steps": "01" }), "body.steps: list_type"),
        (json!({ "steps": [[]] }), "body.steps.0: model_attributes_type"),
        (json!({ "steps": ["01"] }), "body.steps.0: model_attributes_type"),
        (json!({ "steps": [null] }), "body.steps.0: model_attributes_type"),
    ] {
        assert_refused(&api, &id, &body, &[error]).await;
    }
    assert!(listed(&api, &id).await.is_empty());
    assert_eq!(reported(&api, &id, steps(25)).await, ["created"; 25]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_every_step_is_named_at_once_and_nothing_is_written() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let mut steps: Vec<Value> = (0..25).map(|n| json!({ "step_id": format!("{n:02}") })).collect();
    steps[7] = json!({
        "step_id": "07",
        "step_name": "",
        "step_type": "x".repeat(257),
        "tool_name": 7,
        "status": "done",
        "input_data": [],
        "output_data": "x",
        "error_message": "x".repeat(65_537),
        "started_at": "yesterday",
        "completed_at": "2026-01-02T03:04:05",
        "duration_ms": -1,
        "retry_count": 1.5,
        "metadata": 1,
        "attempt": 1,
        "Status": "failed",
    });
    let mut body = json!({ "steps": steps, "execution_id": id });
    body["attempt"] = json!("1");
    let expected = [
        "body.attempt: int_type",
        "body.steps.7.status: enum",
        "body.steps.7.step_name: string_too_short",
        "body.steps.7.step_type: string_too_long",
        "body.steps.7.tool_name: string_type",
        "body.steps.7.input_data: dict_type",
        "body.steps.7.output_data: dict_type",
        "body.steps.7.error_message: string_too_long",
        "body.steps.7.started_at: datetime_parsing",
        "body.steps.7.completed_at: timezone_aware",
        "body.steps.7.duration_ms: greater_than_equal",
        "body.steps.7.retry_count: int_from_float",
        "body.steps.7.metadata: dict_type",
        "body.steps.7.Status: extra_forbidden",
        "body.steps.7.attempt: extra_forbidden",
        "body.execution_id: extra_forbidden",
    ];
    let answer = api.post(&path(&id), &body).await;
    let (mut found, mut expected) = (answer.validation_errors(), expected.map(str::to_owned));
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(listed(&api, &id).await.is_empty());
    assert!(!api.head(&id).await.contains_key("ws"), "not even the head says that there are steps");
    // A text that is too long is told where a longer one goes.
    let long = json!({ "steps": [{ "step_id": "a", "error_message": "x".repeat(65_537) }] });
    let told = text(&api.post(&path(&id), &long).await.body["detail"][0]["msg"]);
    assert!(told.contains("output_data"), "{told}");
}

/// The size of a report of one step with an object of so many bytes.
fn step_of(bytes: usize) -> Value {
    // The names of the attribute and of the step, and the frame of the object.
    let frame = "op".len() + "01".len() + r#"{"a":""}"#.len();
    json!({ "step_id": "01", "output_data": { "a": "x".repeat(bytes - frame) } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_350_kb_is_kept_and_of_a_byte_more_refused_with_both_sizes() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let limit = 350 * 1024;
    for (bytes, index) in [(limit + 1, 0), (351 * 1024, 1), (1_000_000, 2)] {
        let mut steps: Vec<Value> = (0..index).map(|n| json!({ "step_id": format!("small {n}") })).collect();
        steps.push(step_of(bytes));
        let answer = report(&api, &id, &json!(steps), None).send().await;
        let detail = text(&answer.assert_error(413, "PAYLOAD_TOO_LARGE").body["detail"]);
        let expected = format!("steps[{index}] would have {bytes} bytes; at most {limit} can be reported");
        assert!(detail.starts_with(&expected), "{detail}");
        assert!(listed(&api, &id).await.is_empty(), "the others were not written either");
    }
    assert_eq!(reported(&api, &id, json!([step_of(limit)])).await, ["created"]);
    let kept = listed(&api, &id).await;
    assert_eq!(kept[0]["output_data"], step_of(limit)["output_data"]);
    // Two of them are one request that is too large.
    let two = json!({ "steps": [step_of(limit), { "step_id": "02", "output_data": { "a": "x".repeat(700 * 1024) } }] });
    api.post(&path(&id), &two).await.assert_error(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_would_pass_400_kb_refuses_the_report_and_the_others_are_written() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    assert_eq!(reported(&api, &id, json!([step_of(350 * 1024)])).await, ["created"]);
    let before = listed(&api, &id).await;
    let more = json!([
        { "step_id": "01", "tool_name": "t", "input_data": { "a": "x".repeat(60 * 1024) } },
        { "step_id": "02" },
    ]);
    for key in [None, Some("k")] {
        let answer = report(&api, &id, &more, key).send().await;
        let other = if key.is_none() { "created" } else { "unchanged" };
        assert_eq!(outcomes(&answer), ["refused", other]);
        let refused = &answer.body["outcomes"][0];
        assert_eq!(refused["error_code"], "PAYLOAD_TOO_LARGE");
        let detail = text(&refused["detail"]);
        assert!(detail.contains("614") && detail.contains("409600"), "{detail}");
        assert_eq!(listed(&api, &id).await[0], before[0]);
    }
    // What replaces the large object makes room.
    let replaced = json!([{ "step_id": "01", "output_data": {}, "input_data": { "a": "x".repeat(60 * 1024) } }]);
    assert_eq!(reported(&api, &id, replaced).await, ["updated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_nests_100_levels_and_not_101() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let nested = |levels: usize| format!("{}{{}}{}", r#"{"a":"#.repeat(levels - 1), "}".repeat(levels - 1));
    for (n, field) in ["input_data", "output_data", "metadata"].into_iter().enumerate() {
        let body = |levels: usize| format!(r#"{{"steps":[{{"step_id":"{n}","{field}":{}}}]}}"#, nested(levels));
        let send = |levels: usize| {
            let call = api.request(reqwest::Method::POST, &path(&id)).header("content-type", "application/json");
            call.body(body(levels)).send()
        };
        assert_eq!(outcomes(&send(100).await), ["created"], "{field}");
        assert!(api.get(&path(&id)).await.text.contains(&format!("\"{field}\":{}", nested(100))), "{field}");
        assert!(api.get(&format!("/flows/executions/{id}")).await.text.contains(&nested(100)), "{field}");
        for levels in [101, 102, 5_000] {
            assert_eq!(send(levels).await.validation_errors(), ["body.steps: json_invalid"], "{field}");
        }
    }
}
