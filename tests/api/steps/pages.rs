//! List steps: its order, its pages and its cursors.

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::id::ExecutionId;
use ratchet_model::list::View;
use ratchet_model::scope::Scopes;
use ratchet_store::steps::StepQuery;
use serde_json::{Value, json};
use tests::{Api, text};

use super::{path, reported};

/// The ids on the pages of a walk with this query.
async fn walk(api: &Api, id: &str, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = api.get(&format!("{}?{query}{cursor}", path(id))).await;
        let steps = answer.assert_status(200).body["steps"].as_array().cloned().expect("steps");
        pages.push(steps.iter().map(|step| text(&step["step_id"])).collect());
        assert_eq!(answer.body["has_more"].as_bool(), Some(answer.body["next_cursor"].is_string()));
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
        assert!(pages.len() < 1_000, "the walk does not end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_listed_in_the_order_of_the_bytes_of_their_ids() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let mut ids: Vec<String> = (0..103).map(|n| format!("step {n:03}")).collect();
    // Bytes, not letters: capitals first, and what is not ASCII last.
    ids.extend(["Z", "a", "é", "~", "0", "😀", "\u{ffff}"].map(str::to_owned));
    for chunk in ids.chunks(22) {
        let steps: Value = chunk.iter().rev().map(|id| json!({ "step_id": id })).collect();
        assert_eq!(reported(&api, &id, steps).await, vec!["created"; chunk.len()]);
    }
    ids.sort_unstable();
    for (query, size) in
        [("", 100), ("page_size=100", 100), ("page_size=1", 1), ("page_size=7&view=summary", 7), ("page_size=55", 55)]
    {
        let pages = walk(&api, &id, query).await;
        assert_eq!(pages.concat(), ids, "{query}");
        let (last, whole) = pages.split_last().expect("a page");
        assert!(whole.iter().all(|page| page.len() == size), "{query}");
        assert!((1..=size).contains(&last.len()), "{query}: no empty page at the end");
    }
    // A page size and a view may change on the way, and what is reported behind the walk is not in it.
    let first = api.get(&format!("{}?page_size=10", path(&id))).await;
    let cursor = text(&first.body["next_cursor"]);
    reported(&api, &id, json!([{ "step_id": "!" }, { "step_id": "step 050a" }])).await;
    let rest = api.get(&format!("{}?page_size=100&view=summary&cursor={cursor}", path(&id))).await;
    let rest: Vec<String> =
        rest.body["steps"].as_array().expect("steps").iter().map(|step| text(&step["step_id"])).collect();
    assert!(!rest.contains(&"!".to_owned()) && rest.contains(&"step 050a".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_leaves_the_payloads_out() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let step = json!({
        "step_id": "01",
        "status": "failed",
        "input_data": { "large": "x" },
        "output_data": { "large": "x" },
        "error_message": "no answer",
        "metadata": { "model": "m" },
    });
    reported(&api, &id, json!([step, { "step_id": "02" }])).await;
    let full = api.get(&format!("{}?view=full", path(&id))).await;
    let summary = api.get(&format!("{}?view=summary", path(&id))).await;
    let mut expected = full.assert_status(200).body.clone();
    for step in expected["steps"].as_array_mut().expect("steps") {
        let step = step.as_object_mut().expect("a step");
        assert!(step.remove("input_data").is_some() && step.remove("output_data").is_some());
    }
    assert_eq!(summary.assert_status(200).body, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_one_of_its_execution_and_organization() {
    let api = Api::start().await;
    let (id, other) = (api.execution_in("running").await, api.execution_in("running").await);
    for id in [&id, &other] {
        reported(&api, id, json!([{ "step_id": "a" }, { "step_id": "b" }, { "step_id": "c" }])).await;
    }
    let page = api.get(&format!("{}?page_size=1", path(&id))).await;
    let cursor = text(&page.body["next_cursor"]);
    api.get(&format!("{}?cursor={cursor}", path(&id))).await.assert_status(200);
    let executions = api.get("/flows/executions?page_size=1").await;
    let foreign = text(&executions.body["next_cursor"]);
    let cut = &cursor[..cursor.len() - 1];
    for (of, cursor) in [(&other, cursor.as_str()), (&id, &foreign), (&id, cut), (&id, "x"), (&id, ""), (&id, "%00")] {
        let answer = api.get(&format!("{}?cursor={cursor}", path(of))).await;
        assert_eq!(answer.validation_errors(), ["query.cursor: value_error"], "{cursor}");
    }
    let answer = api.get(&format!("/flows/executions?cursor={cursor}")).await;
    assert_eq!(answer.validation_errors(), ["query.cursor: value_error"]);
    // Another organization's execution with the same id would be another partition; its key opens no cursor of this one.
    let stranger = api.with_key("other-key").get(&format!("{}?cursor={cursor}", path(&id))).await;
    assert_eq!(stranger.validation_errors(), ["query.cursor: value_error"]);
    // Another key of the same organization goes on with the walk.
    api.with_key("second-key").get(&format!("{}?cursor={cursor}", path(&id))).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_is_checked() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for (query, errors) in [
        ("page_size=0", &["page_size: greater_than_equal"][..]),
        ("page_size=101", &["page_size: less_than_equal"]),
        ("page_size=ten", &["page_size: int_parsing"]),
        ("page_size=", &["page_size: int_parsing"]),
        ("view=short", &["view: enum"]),
        ("cursor=x&cursor=y", &["cursor: multiple_argument_values"]),
        ("status=failed", &["status: extra_forbidden"]),
        ("page=2", &["page: extra_forbidden"]),
        (
            "page_size=0&view=x&cursor=x&limit=1",
            &["page_size: greater_than_equal", "view: enum", "limit: extra_forbidden", "cursor: value_error"],
        ),
    ] {
        let errors: Vec<String> = errors.iter().map(|error| format!("query.{error}")).collect();
        assert_eq!(api.get(&format!("{}?{query}", path(&id))).await.validation_errors(), errors, "{query}");
    }
}

/// Steps whose texts take seven times their bytes in the answer of a function. Past HTTP, by which the tests' own ways would
/// take longer with such an answer than a function may.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_an_answer_is_on_the_next_page_and_a_record_shows_fewer() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    // 64 KB each, of which an answer has 448 KB: JSON writes a NUL as six characters, and a function's answer as seven.
    let nuls = "\0".repeat(65_536);
    assert_eq!(reported(&api, &id, json!([{ "step_id": "00" }])).await, ["created"]);
    // As such reports would have left them.
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |digits: &str| AttributeValue::N(digits.to_owned());
    let step = |n: u32| {
        let attributes = [
            ("pk", text(&tests::item_key(&id))),
            ("sk", text(&format!("s#{n:02}"))),
            ("st", text("failed")),
            ("v", number("1")),
            ("bg", number("0")),
            ("em", text(&nuls)),
        ];
        attributes.map(|(name, value)| (name.to_owned(), value)).into()
    };
    api.put_all((0..15).map(step).collect()).await;

    let most = 6 * 1024 * 1024;
    let escaped = |text: &str| text.len() + text.matches(['"', '\\']).count();
    let caller = tests::caller(tests::ORGANIZATION, "reader", Scopes::ALL);
    let id = ExecutionId::parse(&id).expect("an id");
    let mut query = StepQuery { after: None, page_size: 100, view: View::Full };
    let first = api.store.steps(&caller, &id, &query).await.expect("a page");
    let size: usize = first.steps.iter().map(|step| escaped(step.get())).sum();
    assert!((10..15).contains(&first.steps.len()) && size < most, "{} steps of {size} bytes", first.steps.len());
    let last = first.next.expect("there are more");
    assert_eq!(last.as_str(), format!("{:02}", first.steps.len() - 1));
    query.after = Some(last);
    let rest = api.store.steps(&caller, &id, &query).await.expect("a page");
    assert_eq!((first.steps.len() + rest.steps.len(), rest.next), (15, None));

    let record = api.store.execution(&caller, &id).await.expect("a record");
    let shown = record.steps.as_deref().expect("steps");
    assert!((5..15).contains(&shown.len()), "{}", shown.len());
    assert_eq!(shown[0].error_message.as_ref(), Some(&nuls));
    assert!(escaped(&serde_json::to_string(&record).expect("JSON")) < most);
}
