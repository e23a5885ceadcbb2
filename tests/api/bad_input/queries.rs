//! The query of list executions: its parameters, and cursors of other queries.

use ratchet_http::cursor::CursorKey;
use ratchet_model::clock::Timestamp;
use ratchet_model::id::ExecutionId;
use ratchet_model::list::{Filter, Position};
use serde_json::Value;
use tests::{Api, text};

const PATH: &str = "/flows/executions";

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_is_checked() {
    let api = Api::start().await;
    let (long, longest) = ("x".repeat(257), "%F0%9F%98%80".repeat(257));
    for (query, errors) in [
        ("page=0", &["page: greater_than_equal"][..]),
        ("page=-1", &["page: greater_than_equal"]),
        ("page=-99999999999999999999", &["page: greater_than_equal"]),
        ("page=9007199254740992", &["page: less_than_equal"]),
        ("page=99999999999999999999", &["page: less_than_equal"]),
        ("page=abc", &["page: int_parsing"]),
        ("page=", &["page: int_parsing"]),
        ("page", &["page: int_parsing"]),
        ("page=1.0", &["page: int_parsing"]),
        ("page=1e1", &["page: int_parsing"]),
        ("page=0x1", &["page: int_parsing"]),
        ("page=--1", &["page: int_parsing"]),
        ("page=1,2", &["page: int_parsing"]),
        ("page=%D9%A1", &["page: int_parsing"]),
        ("page=1%00", &["page: int_parsing"]),
        ("page_size=0", &["page_size: greater_than_equal"]),
        ("page_size=101", &["page_size: less_than_equal"]),
        ("page_size=-5", &["page_size: greater_than_equal"]),
        ("page_size=ten", &["page_size: int_parsing"]),
        ("status=Running", &["status: enum"]),
        ("status=", &["status: enum"]),
        ("status=,", &["status: enum", "status: enum"]),
        ("status=running,", &["status: enum"]),
        ("status=,running", &["status: enum"]),
        ("status=running,,failed", &["status: enum"]),
        ("status=running, failed", &["status: enum"]),
        ("status=running&status=", &["status: enum"]),
        ("status=running,done&status=failed&status=ok", &["status: enum", "status: enum"]),
        ("agent_id=", &["agent_id: string_too_short"]),
        (&format!("agent_id={long}"), &["agent_id: string_too_long"]),
        ("count_limit=-1", &["count_limit: greater_than_equal"]),
        ("count_limit=10001", &["count_limit: less_than_equal"]),
        ("count_limit=", &["count_limit: int_parsing"]),
        ("count_limit=x", &["count_limit: int_parsing"]),
        ("count_limit=1.5", &["count_limit: int_parsing"]),
        ("view=x", &["view: enum"]),
        ("view=", &["view: enum"]),
        ("view=Full", &["view: enum"]),
        ("status=%ff", &["status: enum"]),
        ("trigger_type=cron", &["trigger_type: enum"]),
        ("flow_id=", &["flow_id: string_too_short"]),
        ("flow_id", &["flow_id: string_too_short"]),
        (&format!("flow_id={long}"), &["flow_id: string_too_long"]),
        (&format!("flow_id={longest}"), &["flow_id: string_too_long"]),
        ("created_after=yesterday", &["created_after: datetime_parsing"]),
        ("created_after=", &["created_after: datetime_parsing"]),
        ("created_after=2026-01-02T03:04:05", &["created_after: timezone_aware"]),
        ("created_before=2026-01-02", &["created_before: datetime_parsing"]),
        // A plus that is not encoded means a space, and a space can mean more than a plus.
        ("created_before=2026-01-02+03:04", &["created_before: datetime_parsing"]),
        ("created_before=2026-01-02T03:04:05+", &["created_before: datetime_parsing"]),
        ("created_before=2026-01-02T03:04:05%2B9900", &["created_before: datetime_parsing"]),
        ("created_before=2026-01-02T03:04:05%2B02", &["created_before: datetime_parsing"]),
        ("created_before=99999-01-02T03:04:05Z", &["created_before: datetime_parsing"]),
        ("cursor=", &["cursor: value_error"]),
        ("cursor=x", &["cursor: value_error"]),
        ("flow=demo", &["flow: extra_forbidden"]),
        ("Status=running", &["Status: extra_forbidden"]),
        ("limit=5", &["limit: extra_forbidden"]),
        ("organization_id=other", &["organization_id: extra_forbidden"]),
        ("status%00=running", &["status\0: extra_forbidden"]),
        ("%C3%A9=1&%ff=2", &["é: extra_forbidden", "\u{fffd}: extra_forbidden"]),
        // Which of two values was meant cannot be known.
        ("page=x&page=1", &["page: multiple_argument_values"]),
        ("page=1&page=1", &["page: multiple_argument_values"]),
        ("flow_id=a&flow_id=b", &["flow_id: multiple_argument_values"]),
        ("trigger_type=api&trigger_type=test", &["trigger_type: multiple_argument_values"]),
        ("agent_id=a&agent_id=", &["agent_id: multiple_argument_values"]),
        ("created_after=x&created_after=y", &["created_after: multiple_argument_values"]),
        ("created_before=x&created_before=y", &["created_before: multiple_argument_values"]),
        ("page_size=1&page_size=2&page_size=3", &["page_size: multiple_argument_values"]),
        ("cursor=x&cursor=y", &["cursor: multiple_argument_values"]),
        ("count_limit=1&count_limit=2", &["count_limit: multiple_argument_values"]),
        ("view=full&view=full", &["view: multiple_argument_values"]),
        ("flow=a&flow=b", &["flow: extra_forbidden", "flow: extra_forbidden"]),
        (
            "page=0&page_size=101&status=x&flow_id=&trigger_type=x&created_after=x&created_before=x&extra=1",
            &[
                "flow_id: string_too_short",
                "status: enum",
                "trigger_type: enum",
                "created_after: datetime_parsing",
                "created_before: datetime_parsing",
                "page_size: less_than_equal",
                "page: greater_than_equal",
                "extra: extra_forbidden",
            ],
        ),
    ] {
        let errors: Vec<String> = errors.iter().map(|error| format!("query.{error}")).collect();
        assert_eq!(api.get(&format!("{PATH}?{query}")).await.validation_errors(), errors, "{query}");
    }
    let many: Vec<String> = (0..2_000).map(|number| format!("p{number}=")).collect();
    let answer = api.get(&format!("{PATH}?{}", many.join("&"))).await;
    assert!((200..=1_001).contains(&answer.validation_errors().len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_value_that_is_wrong_and_what_there_is() {
    let api = Api::start().await;
    let error = async |path: &str| api.get(path).await.assert_status(422).body["detail"][0].clone();
    let one_of_two = error(&format!("{PATH}?status=failed,done&status=running")).await;
    assert_eq!(one_of_two["input"], "done");
    let stray = error(&format!("{PATH}?status=failed,")).await;
    assert_eq!(stray["input"], "");
    let twice = error(&format!("{PATH}?page=1&page=\"2")).await;
    assert_eq!(twice["input"], serde_json::json!(["1", "\"2"]));
    let known = error(&format!("{PATH}?state=failed")).await;
    assert_eq!(
        known["msg"],
        "Extra inputs are not permitted: there are 'flow_id', 'status', 'trigger_type', 'agent_id', 'created_after', \
         'created_before', 'page_size', 'page', 'cursor', 'count_limit' and 'view'"
    );
    // An operation without parameters has none.
    let id = api.new_execution().await;
    for path in [format!("{PATH}/{id}"), format!("/executions/{id}/transitions")] {
        let extra = error(&format!("{path}?view=full")).await;
        assert_eq!(extra["loc"], serde_json::json!(["query", "view"]));
        assert_eq!(extra["msg"], "Extra inputs are not permitted: there are none here");
    }
    // All that is wrong is answered at once, the query with the body.
    let body = serde_json::json!({ "flow_id": "f", "trigger_type": "test", "priorty": "high" });
    let created = api.post("/flows/execute?dry_run=true", &body).await;
    assert_eq!(created.validation_errors(), ["query.dry_run: extra_forbidden", "body.priorty: extra_forbidden"]);
    assert!(created.body["detail"][1]["msg"].to_string().contains("'flow_id', 'trigger_type'"), "{}", created.text);
    for path in [format!("{PATH}/{id}"), format!("/executions/{id}")] {
        let changed = api.patch(&format!("{path}?force=1"), &serde_json::json!({ "status": "completed" })).await;
        assert_eq!(changed.validation_errors(), ["query.force: extra_forbidden"]);
    }
    assert_eq!(api.record(&id).await["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_may_say_is_answered() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    for (query, count) in [
        ("", 1),
        ("page=1&page_size=100", 1),
        ("page=01", 1),
        ("status=running,pending", 1),
        ("status=running&status=pending", 1),
        ("status=pending,failed&status=running&status=pending,pending", 1),
        ("status=running,failed", 0),
        ("status=pending,queued,running,retrying,interrupted,completed,failed,cancelled,timeout", 1),
        ("agent_id=unassigned", 1),
        ("agent_id=worker-1", 0),
        ("count_limit=1&view=full", 1),
        ("count_limit=10000&view=summary", 1),
        ("created_before=2999-01-01T00:00:00%2B0200", 1),
        ("created_before=2999-01-01T00:00:00-0930", 1),
        ("created_before=2999-01-01T00:00:00+02:00", 1),
        ("created_after=2999-01-01T00:00:00+0200", 0),
        ("flow_id=demo&status=pending&trigger_type=test", 1),
        ("flow_id=%F0%9F%98%80", 0),
        ("flow_id=demo%00", 0),
        ("flow_id=demo%23", 0),
        ("flow_id=%ff", 0),
        ("created_after=2000-01-01T00:00:00Z&created_before=2999-01-01T00:00:00%2B02:00", 1),
        ("created_after=2999-01-01T00:00:00Z", 0),
        ("created_after=2999-01-01T00:00:00Z&created_before=2000-01-01T00:00:00Z", 0),
        ("created_before=0001-01-01T00:00:00Z", 0),
        ("created_after=0001-01-01T00:00:00Z&created_before=9999-12-31T23:59:59.999Z", 1),
    ] {
        let answer = api.get(&format!("{PATH}?{query}")).await;
        assert_eq!(answer.assert_status(200).body["total_count"], count, "{query}");
        let ids: Vec<&Value> =
            answer.body["executions"].as_array().into_iter().flatten().map(|one| &one["id"]).collect();
        assert_eq!(ids, vec![id.as_str(); count], "{query}");
    }
    // A page past the end is empty, however far.
    for page in ["2", "101", "9007199254740991"] {
        let answer = api.get(&format!("{PATH}?page={page}&page_size=100")).await;
        assert_eq!(answer.assert_status(200).body["executions"], serde_json::json!([]), "{page}");
        assert_eq!(answer.body["has_more"], false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_for_its_own_walk_only() {
    let api = Api::start().await;
    for _ in 0..3 {
        api.new_execution().await;
        api.with_key("other-key")
            .post("/flows/execute", &serde_json::json!({ "flow_id": "demo", "trigger_type": "test" }))
            .await
            .assert_status(200);
    }
    let cursor_of = async |query: &str| text(&api.get(&format!("{PATH}?page_size=1{query}")).await.body["next_cursor"]);
    let queries = [
        "",
        "&flow_id=demo",
        "&status=pending",
        "&trigger_type=test",
        "&flow_id=demo&status=pending",
        "&status=pending,running",
        "&status=pending,queued",
        "&agent_id=unassigned",
        "&flow_id=demo&agent_id=unassigned",
        "&created_after=2000-01-01T00:00:00Z",
        "&created_before=2999-01-01T00:00:00Z",
    ];
    for query in queries {
        let cursor = cursor_of(query).await;
        for other in queries {
            let answer = api.get(&format!("{PATH}?page_size=1{other}&cursor={cursor}")).await;
            if query == other {
                assert_eq!(answer.assert_status(200).body["page"], 2);
            } else {
                assert_eq!(answer.validation_errors(), ["query.cursor: value_error"], "{query} -> {other}");
            }
        }
        // Another organization with the same query.
        let answer = api.with_key("other-key").get(&format!("{PATH}?page_size=1{query}&cursor={cursor}")).await;
        assert_eq!(answer.validation_errors(), ["query.cursor: value_error"], "{query}");
        // Another key of the same organization can go on.
        api.with_key("second-key").get(&format!("{PATH}?page_size=1{query}&cursor={cursor}")).await.assert_status(200);
        let both = api.get(&format!("{PATH}?page_size=1{query}&cursor={cursor}&page=2")).await;
        assert_eq!(both.validation_errors(), ["query.page: value_error"], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_forged_or_tampered_with_is_refused() {
    let api = Api::start().await;
    for _ in 0..3 {
        api.new_execution().await;
    }
    let first = api.get(&format!("{PATH}?page_size=1")).await;
    let cursor = text(&first.body["next_cursor"]);
    let mut forged = vec![
        String::new(),
        "null".to_owned(),
        "2".to_owned(),
        "A".repeat(cursor.len()),
        "_".repeat(cursor.len()),
        cursor[1..].to_owned(),
        cursor[..cursor.len() - 1].to_owned(),
        format!("{cursor}A"),
        format!("{cursor}%3D"),
        format!("{cursor}%00"),
        format!("%20{cursor}"),
        cursor.to_lowercase(),
        cursor.chars().rev().collect(),
        "%C3%A9".repeat(20),
        "x".repeat(10_000),
        text(&first.body["executions"][0]["id"]),
    ];
    // One character changed, at any place.
    for (at, character) in cursor.char_indices() {
        let other = if character == 'A' { 'B' } else { 'A' };
        forged.push(format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]));
    }
    // Of the format before this one.
    forged.push("AQAAAaH_TlE1Ylwnj7PlT8q6cRlw7ZnwmQAAAAAAAAACAAAABHBYRA6PJ18Dv_p1W1Y_tEA".to_owned());
    // Signed, but not by this service.
    let position = Position {
        created_at: Timestamp::from_millis(1_700_000_000_000).expect("a time"),
        id: ExecutionId::parse("6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9").expect("an id"),
        page: 2,
        total_count: Some(3),
    };
    forged.push(CursorKey::new(b"another secret").seal(&tests::organization("acme"), &Filter::default(), &position));
    forged.push(api.cursors.seal(&tests::organization("other"), &Filter::default(), &position));
    for cursor in &forged {
        let answer = api.get(&format!("{PATH}?page_size=1&cursor={cursor}")).await;
        assert_eq!(answer.validation_errors(), ["query.cursor: value_error"], "{cursor}");
    }
    assert_eq!(api.get(&format!("{PATH}?page_size=1&cursor={cursor}")).await.assert_status(200).body["page"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_cursor_is_answered_together_with_the_other_validation_errors() {
    let api = Api::start().await;
    let answer = api.get(&format!("{PATH}?cursor=x&page_size=0")).await;
    let mut errors = answer.validation_errors();
    errors.sort_unstable();
    assert_eq!(errors, ["query.cursor: value_error", "query.page_size: greater_than_equal"]);
}
