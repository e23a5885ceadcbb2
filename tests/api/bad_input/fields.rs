//! Fields of the wrong type, out of bounds, or with an unknown name.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Cancel, Execute, Heartbeat, OPERATIONS, Operation, Steps, Update, UpdateStatus, World, member};

/// The type of a field.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Name,
    Integer,
    /// An integer that does not begin at 0 or 1.
    FromFifteen,
    Amount,
    Object,
    Part,
    Time,
    /// A list of at least one object.
    List,
}

/// Every field of every body.
const FIELDS: [(Operation, &[(&str, Kind)]); 6] = [
    (
        Execute,
        &[
            ("flow_id", Kind::Text),
            ("trigger_type", Kind::Name),
            ("trigger_data", Kind::Object),
            ("variables", Kind::Object),
            ("priority", Kind::Name),
            ("timeout_seconds", Kind::Integer),
            ("heartbeat_timeout_seconds", Kind::FromFifteen),
            ("start_timeout_seconds", Kind::Integer),
            ("retry_config", Kind::Part),
            ("metadata", Kind::Object),
            ("scheduled_at", Kind::Time),
            ("agent_id", Kind::Text),
            ("parent_execution_id", Kind::Text),
        ],
    ),
    (
        Update,
        &[
            ("status", Kind::Name),
            ("completed_at", Kind::Time),
            ("duration_ms", Kind::Integer),
            ("final_output", Kind::Object),
            ("error_message", Kind::Text),
            ("error_details", Kind::Object),
            ("retry_count", Kind::Integer),
            ("tokens_used", Kind::Integer),
            ("tool_calls_count", Kind::Integer),
            ("cost_estimate", Kind::Amount),
            ("performance_metrics", Kind::Object),
            ("metadata", Kind::Object),
        ],
    ),
    (UpdateStatus, &[("status", Kind::Name), ("error_info", Kind::Object)]),
    (Heartbeat, &[("attempt", Kind::Integer)]),
    (Cancel, &[("reason", Kind::Text), ("grace_seconds", Kind::Integer)]),
    // Those of one step: `steps/bad_input.rs`.
    (Steps, &[("attempt", Kind::Integer), ("steps", Kind::List)]),
];

/// The values that are tried on every field.
const VALUES: [&str; 6] = ["true", "1.5", "1", r#""x""#, "[]", "{}"];

/// The validation error of each of [`VALUES`], written by hand; empty if the value is valid.
#[rustfmt::skip]
const fn expected_errors(kind: Kind) -> [&'static str; 6] {
    match kind {
        //                 true                     1.5                      1                        "x"                      []                       {}
        Kind::Text    => ["string_type",           "string_type",           "string_type",           "",                      "string_type",           "string_type"],
        Kind::Name    => ["enum",                  "enum",                  "enum",                  "enum",                  "enum",                  "enum"],
        Kind::Integer => ["int_type",              "int_from_float",        "",                      "int_type",              "int_type",              "int_type"],
        Kind::FromFifteen => ["int_type",          "int_from_float",        "greater_than_equal",    "int_type",              "int_type",              "int_type"],
        Kind::Amount  => ["float_type",            "",                      "",                      "float_type",            "float_type",            "float_type"],
        Kind::Object  => ["dict_type",             "dict_type",             "dict_type",             "dict_type",             "dict_type",             ""],
        Kind::Part    => ["model_attributes_type", "model_attributes_type", "model_attributes_type", "model_attributes_type", "model_attributes_type", ""],
        Kind::Time    => ["datetime_type",         "datetime_type",         "datetime_type",         "datetime_parsing",      "datetime_type",         "datetime_type"],
        Kind::List    => ["list_type",             "list_type",             "list_type",             "list_type",             "too_short",             "list_type"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_the_wrong_type_is_named_at_once() {
    let world = World::start().await;
    for (operation, fields) in FIELDS {
        for (column, value) in VALUES.iter().enumerate() {
            let members: Vec<String> = fields.iter().map(|(name, _)| member(name, value)).collect();
            let errors: Vec<String> = fields
                .iter()
                .map(|(name, kind)| (name, expected_errors(*kind)[column]))
                .filter(|(_, error)| !error.is_empty())
                .map(|(name, error)| format!("body.{name}: {error}"))
                .collect();
            if errors.is_empty() {
                continue;
            }
            let body = format!("{{{}}}", members.join(","));
            let answer = world.assert_refused(operation, &body, &errors).await;
            let sent: Value = serde_json::from_str(value).expect("JSON");
            for error in answer.body["detail"].as_array().into_iter().flatten() {
                assert_eq!(error["input"], sent);
            }
        }
    }
    let part = r#"{"flow_id":"demo","trigger_type":"test","retry_config":{"max_retries":"3","retries":1}}"#;
    let errors = ["body.retry_config.max_retries: int_type", "body.retry_config.retries: extra_forbidden"];
    world.assert_refused(Execute, part, &errors.map(str::to_owned)).await;
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_wrong_where_a_value_is_required_and_absent_elsewhere() {
    let world = World::start().await;
    let nulls = |fields: &[(&str, Kind)]| {
        let members: Vec<String> = fields.iter().map(|(name, _)| member(name, "null")).collect();
        format!("{{{}}}", members.join(","))
    };
    for (operation, fields) in FIELDS {
        let errors: &[&str] = match operation {
            Execute => &["body.flow_id: string_type", "body.trigger_type: enum"],
            Update | Heartbeat => &[],
            // Nothing but nulls is a request without a reason, and would be done.
            Cancel => continue,
            UpdateStatus => &["body.status: enum"],
            Steps => &["body.steps: list_type"],
        };
        let errors: Vec<String> = errors.iter().map(|error| (*error).to_owned()).collect();
        if errors.is_empty() {
            world.send(operation, nulls(fields)).await.assert_status(200);
        } else {
            world.assert_refused(operation, &nulls(fields), &errors).await;
        }
    }
    world.assert_refused(Execute, "{}", &["flow_id", "trigger_type"].map(|name| format!("body.{name}: missing"))).await;
    world.assert_refused(UpdateStatus, "{}", &["body.status: missing".to_owned()]).await;
    world.send(Update, "{}").await.assert_status(200);
    world.assert_untouched().await;

    // A null is never stored as a value: the record is that of the smallest request.
    let optional: Vec<String> = FIELDS[0].1.iter().skip(2).map(|(name, _)| member(name, "null")).collect();
    let record = world.accepted(Execute, &optional.join(",")).await.body;
    assert_eq!([&record["metadata"], &record["trigger_data"], &record["variables"]], [&json!({}); 3]);
    assert_eq!((&record["priority"], &record["timeout_seconds"]), (&json!("normal"), &json!(300)));
    assert_eq!((&record["agent_id"], &record["max_retries"]), (&json!("unassigned"), &json!(3)));
    assert_eq!(record.get("scheduled_at"), None);
    let record = world.accepted(Execute, r#""retry_config":{"max_retries":null}"#).await.body;
    assert_eq!(record["max_retries"], 3);
    let record = world.accepted(UpdateStatus, r#""error_info":null"#).await.body;
    assert_eq!([&record["error_details"], &record["error_message"]], [&Value::Null; 2]);
}

/// Every integer field: its name in the record, its bounds.
const INTEGERS: [(Operation, &str, &str, i64, i64); 6] = [
    (Execute, "timeout_seconds", "timeout_seconds", 1, 604_800),
    (Execute, "retry_config.max_retries", "max_retries", 0, 100),
    (Update, "duration_ms", "duration_ms", 0, 9_007_199_254_740_991),
    (Update, "retry_count", "retry_count", 0, 100),
    (Update, "tokens_used", "tokens_used", 0, 9_007_199_254_740_991),
    (Update, "tool_calls_count", "tool_calls_count", 0, 9_007_199_254_740_991),
];

#[tokio::test(flavor = "multi_thread")]
async fn integers_are_held_to_their_bounds_in_every_notation() {
    let world = World::start().await;
    let digits = "9".repeat(40);
    for (operation, field, name, least, most) in INTEGERS {
        for value in [least.to_string().as_str(), most.to_string().as_str(), "1.0", "1e1", "1.00E+2", "100e-2"] {
            let record = world.accepted(operation, &member(field, value)).await;
            let exact: i64 = match value {
                "1.0" | "100e-2" => 1,
                "1e1" => 10,
                "1.00E+2" => 100,
                digits => digits.parse().expect("an integer"),
            };
            assert_eq!(record.body[name], exact, "{field} {value}");
            // Not 1.0 and not 1e1: a typed client expects an integer.
            assert!(record.text.contains(&format!("\"{name}\":{exact},")), "{field} {value}");
        }
        let refused = async |value: &str, kind: &str, context: Value| {
            let body = operation.body(&member(field, value));
            let answer = world.assert_refused(operation, &body, &[format!("body.{field}: {kind}")]).await;
            assert_eq!(answer.body["detail"][0]["ctx"], context, "{field} {value}");
        };
        let below = (least - 1).to_string();
        let minus_digits = format!("-{digits}");
        for value in [
            below.as_str(),
            "-1",
            "-9007199254740992",
            "-9223372036854775808",
            "-1e300",
            "-1E+400",
            minus_digits.as_str(),
        ] {
            refused(value, "greater_than_equal", json!({ "ge": least })).await;
        }
        let above = (most + 1).to_string();
        for value in [above.as_str(), "9007199254740992", "9223372036854775808", "1e300", "1E+400", digits.as_str()] {
            refused(value, "less_than_equal", json!({ "le": most })).await;
        }
        for value in ["1.5", "1e-1", "0.1", "1e-400", "1.00000000000000000000000001", "-0.5"] {
            refused(value, "int_from_float", Value::Null).await;
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_is_a_finite_number_from_0_up_and_keeps_its_digits() {
    let world = World::start().await;
    for (value, kind) in [
        ("1e400", "finite_number"),
        ("1.8e308", "finite_number"),
        ("-1e400", "finite_number"),
        (format!("1{}", "0".repeat(400)).as_str(), "finite_number"),
        ("-1", "greater_than_equal"),
        ("-0.0000001", "greater_than_equal"),
        ("-1e300", "greater_than_equal"),
        (r#""1""#, "float_type"),
        (r#""NaN""#, "float_type"),
    ] {
        let body = Update.body(&member("cost_estimate", value));
        world.assert_refused(Update, &body, &[format!("body.cost_estimate: {kind}")]).await;
    }
    world.assert_untouched().await;
    for value in ["0", "-0", "0.10", "1E+2", "1.7e308", "1e-400", "1234567890123456789012345678901234567890.5"] {
        let record = world.accepted(Update, &member("cost_estimate", value)).await;
        assert!(record.text.contains(&format!("\"cost_estimate\":{value},")), "{value}: {}", record.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_below_0_is_refused_however_small_it_is() {
    let world = World::start().await;
    // A double rounds it to -0, which is not below 0. The text, which is what is stored, is below 0.
    let body = Update.body(&member("cost_estimate", "-1e-400"));
    world.assert_refused(Update, &body, &["body.cost_estimate: greater_than_equal".to_owned()]).await;
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_held_to_their_lengths_in_characters() {
    let world = World::start().await;
    for (operation, field, least, most) in [
        (Execute, "flow_id", 1, 256),
        (Execute, "agent_id", 1, 256),
        (Execute, "parent_execution_id", 1, 256),
        (Update, "error_message", 0, 65_536),
    ] {
        for character in ["x", "é", "😀", r"\u00e9", r"\ud83d\ude00", "\\\""] {
            let record = world.accepted(operation, &member(field, &format!("\"{}\"", character.repeat(most)))).await;
            assert_eq!(record.body[field].as_str().map(|text| text.chars().count()), Some(most), "{field} {character}");
            let body = operation.body(&member(field, &format!("\"{}\"", character.repeat(most + 1))));
            let answer = world.assert_refused(operation, &body, &[format!("body.{field}: string_too_long")]).await;
            assert_eq!(answer.body["detail"][0]["ctx"], json!({ "max_length": most }));
        }
        let empty = member(field, r#""""#);
        if least == 0 {
            assert_eq!(world.accepted(operation, &empty).await.body[field], "");
        } else {
            let errors = [format!("body.{field}: string_too_short")];
            let answer = world.assert_refused(operation, &operation.body(&empty), &errors).await;
            assert_eq!(answer.body["detail"][0]["ctx"], json!({ "min_length": 1 }));
        }
    }
    // The text that becomes the error_message is cut to the same bound.
    let info = |length: usize| format!(r#""error_info":{{"message":"{}"}}"#, "é".repeat(length));
    for (sent, kept) in [(65_536, 65_536), (65_537, 65_536), (100_000, 65_536)] {
        let record = world.accepted(UpdateStatus, &info(sent)).await;
        assert_eq!(record.body["error_message"].as_str().map(str::len), Some(2 * kept), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_has_a_zone_and_is_one() {
    let world = World::start().await;
    for (operation, field) in [(Execute, "scheduled_at"), (Update, "completed_at")] {
        for (time, kind) in [
            ("2026-01-02T03:04:05", "timezone_aware"),
            ("2026-01-02T03:04:05.678", "timezone_aware"),
            ("", "datetime_parsing"),
            ("yesterday", "datetime_parsing"),
            ("2026-01-02", "datetime_parsing"),
            ("1767322865", "datetime_parsing"),
            ("2026-13-01T00:00:00Z", "datetime_parsing"),
            ("2026-02-30T00:00:00Z", "datetime_parsing"),
            ("2026-01-02T25:00:00Z", "datetime_parsing"),
            ("2026-01-02T03:04:05+25:00", "datetime_parsing"),
            ("2026-1-2T3:4:5Z", "datetime_parsing"),
            ("2026-01-02T03:04:05Z ", "datetime_parsing"),
            ("10000-01-01T00:00:00Z", "datetime_parsing"),
            ("-0001-01-01T00:00:00Z", "datetime_parsing"),
            ("9999-12-31T23:59:59-23:00", "datetime_parsing"),
            ("0000-01-01T00:00:00+23:00", "datetime_parsing"),
            ("\\u0662026-01-02T03:04:05Z", "datetime_parsing"),
            ("２０２６-01-02T03:04:05Z", "datetime_parsing"),
            ("2026-01-02T03:04:05Z\\u0000", "datetime_parsing"),
        ] {
            let body = operation.body(&member(field, &format!("\"{time}\"")));
            world.assert_refused(operation, &body, &[format!("body.{field}: {kind}")]).await;
        }
        for (time, written) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
            ("2026-01-02T03:04:05.6789999+05:30", "2026-01-01T21:34:05.678Z"),
            ("2024-02-29T23:59:59.1-12:00", "2024-03-01T11:59:59.100Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            let record = world.accepted(operation, &member(field, &format!("\"{time}\""))).await;
            assert_eq!(record.body[field], written, "{field} {time}");
        }
    }
    // The duration is at least 0, however far away the end is.
    for time in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"] {
        let record = world.accepted(Update, &format!(r#""status":"failed","completed_at":"{time}""#)).await;
        assert!(record.body["duration_ms"].is_u64(), "{}", record.text);
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_exact() {
    let world = World::start().await;
    for (operation, field, names) in [
        (Execute, "trigger_type", "'manual', 'event', 'scheduled', 'api', 'webhook' or 'test'"),
        (Execute, "priority", "'low', 'normal', 'high' or 'urgent'"),
        (
            Update,
            "status",
            "'pending', 'queued', 'running', 'retrying', 'interrupted', 'completed', 'failed', 'cancelled' or 'timeout'",
        ),
        (UpdateStatus, "status", "'cancelled', 'failed' or 'completed'"),
    ] {
        for value in [r#""""#, r#""Failed""#, r#""failed ""#, r#"" ""#, r#""HIGH""#, r#""test\u0000""#, r#""canceled""#]
        {
            let body = operation.body(&member(field, value));
            let answer = world.assert_refused(operation, &body, &[format!("body.{field}: enum")]).await;
            assert_eq!(answer.body["detail"][0]["ctx"], json!({ "expected": names }));
            assert_eq!(answer.body["detail"][0]["msg"], format!("Input should be {names}"));
        }
    }
    for status in ["pending", "queued", "running", "retrying", "interrupted", "timeout"] {
        let body = format!(r#"{{"status":"{status}"}}"#);
        world.assert_refused(UpdateStatus, &body, &["body.status: enum".to_owned()]).await;
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unknown_field_is_named_and_many_do_not_break_the_answer() {
    let world = World::start().await;
    let unknown = |count: usize| {
        let members: Vec<String> = (0..count).map(|number| format!("\"unknown_{number}\":{number}")).collect();
        members.join(",")
    };
    for operation in OPERATIONS {
        for name in
            ["Status", "statuss", "", " ", "id", "organization_id", "execution_number", "created_at", "steps", "é"]
        {
            if (operation, name) == (Steps, "steps") {
                continue;
            }
            let body = operation.body(&format!("\"{name}\":1"));
            world.assert_refused(operation, &body, &[format!("body.{name}: extra_forbidden")]).await;
        }
        // A field of another operation is unknown here.
        let foreign = if operation == Execute { "tokens_used" } else { "flow_id" };
        let body = operation.body(&member(foreign, "1"));
        world.assert_refused(operation, &body, &[format!("body.{foreign}: extra_forbidden")]).await;

        let all: Vec<String> = (0..200).map(|number| format!("body.unknown_{number}: extra_forbidden")).collect();
        world.assert_refused(operation, &operation.body(&unknown(200)), &all).await;

        let answer = world.send(operation, operation.body(&unknown(2_000))).await;
        let errors = answer.validation_errors();
        assert!((200..=1_001).contains(&errors.len()), "{}", errors.len());
        assert_eq!(errors.iter().collect::<BTreeSet<_>>().len(), errors.len());
        assert!(answer.text.len() < 256 * 1024, "{} bytes", answer.text.len());
        let listed = errors.len() - 1;
        let rest = answer.body["detail"][listed]["msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(rest, format!("{} more problems are not listed", 2_000 - listed));
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_echoed_of_a_huge_mistake_stays_far_below_what_lambda_can_return() {
    let world = World::start().await;
    let name = "\\u0001".repeat(170_000);
    let quotes = format!("[{}\"\"]", "\"\",".repeat(300));
    let many: Vec<String> = (0..1_100).map(|number| format!("\"{number}\":{quotes}")).collect();
    for (body, most) in [
        // A long value is shown in part, a name in full.
        (format!(r#"{{"flow_id":[{}""]}}"#, r#""\"\\\"","#.repeat(100_000)), 16 * 1024),
        (format!("[{}0]", "0,".repeat(500_000)), 16 * 1024),
        (format!("{{{}}}", many.join(",")), 2 * 1024 * 1024),
        (format!(r#"{{"{name}":1}}"#), 2 * 1024 * 1024),
    ] {
        assert!(body.len() <= 1024 * 1024, "{}", body.len());
        for operation in OPERATIONS {
            let answer = world.send(operation, body.clone()).await;
            assert!(!answer.validation_errors().is_empty());
            assert!(answer.text.len() < most, "{} bytes", answer.text.len());
        }
    }
    world.assert_untouched().await;
}
