//! Bodies that are not JSON, not an object, or have a key twice.

use reqwest::Method;
use tests::{Call, text};

use super::{Execute, OBJECTS, OPERATIONS, Update, UpdateStatus, World, call, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_missing_or_no_object_is_refused_as_such() {
    let world = World::start().await;
    for operation in OPERATIONS {
        for body in ["", " \t\r\n", "null", " null\n"] {
            if operation.needs_body() || body.contains("null") {
                world.assert_refused(operation, body, &["body: missing".to_owned()]).await;
            }
        }
        for body in ["[]", r#"[{"flow_id":"demo"}]"#, r#""text""#, r#""""#, "1", "-0.5e1", "true", "false"] {
            world.assert_refused(operation, body, &["body: model_attributes_type".to_owned()]).await;
        }
        if operation.needs_body() {
            assert_eq!(world.call(operation).send().await.validation_errors(), ["body: missing"]);
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_as_good_as_an_empty_object_where_nothing_must_be_said() {
    let world = World::start().await;
    for operation in OPERATIONS.into_iter().filter(|operation| !operation.needs_body()) {
        let mut answers = Vec::new();
        for (content_type, body) in [
            ("application/json", Some("{}")),
            ("application/json", Some("")),
            ("application/json", None),
            // What curl -d '' sends.
            ("application/x-www-form-urlencoded", Some("")),
            ("text/plain", Some(" \r\n")),
        ] {
            let id = running(&world.api).await;
            let send = call(&world.api, operation, &id).header("content-type", content_type);
            let send = body.into_iter().fold(send, Call::body);
            let answer = send.send().await;
            answer.assert_status(200);
            let mut told = answer.body.clone();
            for name in ["execution_id", "deadline_at", "cancel_requested_at", "force_at"] {
                told[name].take();
            }
            answers.push(told);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{operation:?}: {answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_refused_with_the_place() {
    let world = World::start().await;
    // The positions are those that Python's json module reports.
    for (body, place) in [
        ("{", 1),
        (r#"{"a"#, 3),
        (r#"{"a""#, 4),
        (r#"{"a":"#, 5),
        (r#"{"a":1"#, 6),
        (r#"{"a":"b"#, 7),
        (r#"{"a":[1,"#, 8),
        (r#"{"a":1,}"#, 7),
        (r#"{"a":[1,]}"#, 8),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":1 "b":2}"#, 7),
        ("{'a':1}", 1),
        ("{a:1}", 1),
        (r#"{"a":NaN}"#, 5),
        (r#"{"a":Infinity}"#, 5),
        ("NaN", 0),
        (r#"{"a":01}"#, 6),
        (r#"{"a":+1}"#, 5),
        (r#"{"a":.5}"#, 5),
        (r#"{"a":0x1}"#, 6),
        (r#"{"a":tru}"#, 5),
        (r#"{"a":True}"#, 5),
        (r#"{"a":1} x"#, 8),
        (r#"{"a":1}{"a":2}"#, 7),
        (r#"{/* why */"a":1}"#, 1),
        ("{\"a\":1}\u{a0}", 7),
        ("{\"a\":\"\n\"}", 6),
        ("{\"a\":\"\0\"}", 6),
        (r#"{"a":"\x41"}"#, 6),
        (r#"{"é":"\u00g0"}"#, 6),
        (r#"{"😀":?}"#, 5),
    ] {
        for operation in OPERATIONS {
            let answer = world.assert_refused(operation, body, &[format!("body.{place}: json_invalid")]).await;
            assert!(answer.body["detail"][0]["ctx"]["error"].is_string(), "{body}");
        }
    }
    for body in [r#"{"a":-Infinity}"#, r#"{"a":1.}"#, r#"{"a":1e}"#, r#"{"a":-}"#] {
        for operation in OPERATIONS {
            let answer = world.send(operation, body).await;
            assert!(answer.validation_errors().iter().all(|error| error.ends_with(": json_invalid")), "{body}");
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_utf_8_are_no_json() {
    let world = World::start().await;
    for operation in OPERATIONS {
        for bytes in
            [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\xa9\":\"\xc3\"}", b"\xff\xfe{\0}\0", b"{\"a\":\"\xed\xa0\x80\"}"]
        {
            let answer = world.send(operation, bytes).await;
            let errors = answer.validation_errors();
            assert!(errors.len() == 1 && errors[0].ends_with(": json_invalid"), "{bytes:?}: {errors:?}");
        }
        // The position in the error counts characters.
        assert_eq!(
            world.send(operation, &b"{\"\xc3\xa9\":\"\xc3\"}"[..]).await.validation_errors(),
            ["body.6: json_invalid"]
        );
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_surrogate_pair_is_no_character() {
    let world = World::start().await;
    for (operation, field, name) in OBJECTS {
        for escape in [r"\ud800", r"\udfff", r"\ud83d\ud83d", r"\ud83d\u0041", r"\ude00\ud83d", r"\ud83d\n", r"\uD83Dx"]
        {
            for object in [format!(r#"{{"a":"{escape}"}}"#), format!(r#"{{"b":[{{"{escape}":1}}]}}"#)] {
                let body = operation.body(&format!("\"{field}\":{object}"));
                let answer = world.send(operation, body.clone()).await;
                let errors = answer.validation_errors();
                assert!(errors.len() == 1 && errors[0].ends_with(": json_invalid"), "{body}: {errors:?}");
            }
        }
        let record = world.accepted(operation, &format!(r#""{field}":{{"a":"\ud83d\ude00"}}"#)).await;
        assert_eq!(record.body[name]["a"], "😀");
    }
    let text = world.send(Execute, r#"{"flow_id":"\ud800","trigger_type":"test"}"#).await.validation_errors();
    assert_eq!(text, ["body.12: json_invalid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_repeated_key_the_last_one_counts_in_a_request() {
    let world = World::start().await;
    // The first value would be refused, the last is accepted. Also with the key in another spelling.
    for (operation, field, name) in OBJECTS {
        let escaped = field.replacen('e', r"\u0065", 1).replacen('o', r"\u006f", 1);
        for second in [field, &escaped] {
            let record = world.accepted(operation, &format!(r#""{field}":1,"{second}":{{"last":true}}"#)).await;
            assert_eq!(record.body[name]["last"], true, "{second}");
            // And the reverse.
            let body = operation.body(&format!(r#""{second}":{{"last":true}},"{field}":1"#));
            let answer = world.send(operation, body).await;
            assert_eq!(answer.validation_errors(), [format!("body.{field}: dict_type")]);
        }
    }
    let record =
        world.accepted(Execute, r#""flow_id":7,"timeout_seconds":0,"flow_id":"last","timeout_seconds":9"#).await;
    assert_eq!((&record.body["flow_id"], &record.body["timeout_seconds"]), (&"last".into(), &9.into()));
    let record = world.accepted(Update, r#""tokens_used":-1,"tokens_used":1,"tokens_used":2"#).await;
    assert_eq!(record.body["tokens_used"], 2);
    let record = world.accepted(UpdateStatus, r#""status":"running","status":"cancelled""#).await;
    assert_eq!(record.body["status"], "cancelled");
    // A last null counts, too: the field is then treated as absent.
    let record = world.accepted(Update, r#""tokens_used":5,"tokens_used":null"#).await;
    assert_eq!(record.body["tokens_used"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_repeated_key_the_last_one_counts_in_what_is_stored() {
    let world = World::start().await;
    let deep = |inner: &str| format!("{}{inner}{}", r#"{"d":[{"e":"#.repeat(20), "}]}".repeat(20));
    let many: Vec<String> = (0..30).map(|number| format!("\"k{}\":{number},", number % 10)).collect();
    for (operation, field, name) in OBJECTS {
        for (sent, kept) in [
            (r#"{"a":1,"b":2,"a":3}"#.to_owned(), r#"{"b":2,"a":3}"#.to_owned()),
            (r#"{"a":1,"\u0061":{"c":1}}"#.to_owned(), r#"{"\u0061":{"c":1}}"#.to_owned()),
            (r#"{"\u0061":1,"a":[{"":1,"":2}]}"#.to_owned(), r#"{"a":[{"":2}]}"#.to_owned()),
            (deep(r#"{"x":{"y":1},"x":{"y":2}}"#), deep(r#"{"x":{"y":2}}"#)),
            // More members than the reader compares one by one.
            (
                format!(r#"{{{}"k3":"last"}}"#, many.concat()),
                r#"{"k0":20,"k1":21,"k2":22,"k4":24,"k5":25,"k6":26,"k7":27,"k8":28,"k9":29,"k3":"last"}"#.to_owned(),
            ),
        ] {
            let record = world.accepted(operation, &format!("\"{field}\":{sent}")).await;
            let expected = format!("\"{name}\":{kept},");
            assert!(record.text.contains(&expected), "{sent}: {} does not contain {expected}", record.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_character_nul_is_a_character() {
    let world = World::start().await;
    for (operation, field, name) in OBJECTS {
        let record = world.accepted(operation, &format!(r#""{field}":{{"a\u0000b":"\u0000","\u0000":[]}}"#)).await;
        assert_eq!(record.body[name], serde_json::json!({ "a\0b": "\0", "\0": [] }), "{field}");
    }
    let names = r#""flow_id":"a\u0000b","agent_id":"\u0000","parent_execution_id":"p\u0000""#;
    let record = world.accepted(Execute, names).await.body;
    assert_eq!([&record["flow_id"], &record["agent_id"], &record["parent_execution_id"]], ["a\0b", "\0", "p\0"]);
    // Found by that name, and not by the part before it.
    for (flow_id, count) in [("a%00b", 1), ("a", 0), ("a%00", 0), ("a%00c", 0)] {
        let list = world.api.get(&format!("/flows/executions?flow_id={flow_id}")).await;
        assert_eq!(list.assert_status(200).body["total_count"], count, "{flow_id}");
    }
    // Two flows, each with a number 1.
    let other = world.accepted(Execute, r#""flow_id":"a\u0000c""#).await;
    assert_eq!(other.body["execution_number"], 1);
    let record = world.accepted(Update, r#""status":"failed","error_message":"why\u0000not""#).await.body;
    assert_eq!(record["error_message"], "why\0not");
    let id = tests::text(&record["id"]);
    let transitions = world.api.get(&format!("/executions/{id}/transitions")).await;
    assert_eq!(transitions.body["transitions"][1]["reason"], "why\0not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_may_nest_100_levels_and_not_101() {
    let world = World::start().await;
    // Each is the given number of levels deep, the field's own object being the first.
    let objects = |levels: usize| format!("{}{{}}{}", r#"{"a":"#.repeat(levels - 1), "}".repeat(levels - 1));
    let arrays = |levels: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    for (operation, field, name) in OBJECTS {
        for nested in [&objects as &dyn Fn(usize) -> String, &arrays] {
            let record = world.accepted(operation, &format!("\"{field}\":{}", nested(100))).await;
            assert!(record.text.contains(&format!("\"{name}\":{},", nested(100))), "{field}");
            for levels in [101, 102, 5_000] {
                let body = operation.body(&format!("\"{field}\":{}", nested(levels)));
                world.assert_refused(operation, &body, &[format!("body.{field}: json_invalid")]).await;
            }
        }
    }
    // Not even a body that opens levels without an end overflows the stack.
    for operation in OPERATIONS {
        for open in ["[", r#"{"a":"#] {
            let answer = world.send(operation, open.repeat(100_000)).await;
            assert!(answer.validation_errors()[0].ends_with(": json_invalid"));
        }
    }
    world.assert_untouched().await;
    // A list shows them, too.
    let list = world.api.get("/flows/executions?page_size=100").await;
    assert!(list.assert_status(200).text.contains(&format!("\"variables\":{},", objects(100))));
}

/// What other languages write and JSON does not have is named with its field, and with what to send instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_json_does_not_have_is_named_with_its_field() {
    let world = World::start().await;
    for (value, shown) in [
        ("NaN", "NaN"),
        ("[1, Infinity]", "Infinity"),
        ("{\"deep\": [-Infinity]}", "-Infinity"),
        ("None", "None"),
        ("True", "True"),
        ("undefined", "undefined"),
        ("\"\\ud83d\"", "lone surrogate"),
    ] {
        let body = format!("{{\"metadata\": {value}}}");
        let answer = world.send(Update, body.clone()).await;
        answer.assert_status(422);
        let error = &answer.body["detail"][0];
        assert_eq!(error["type"], "json_invalid", "{body}");
        let message = text(&error["msg"]);
        assert!(message.contains("field \"metadata\"") && message.contains(shown), "{body}: {message}");
        assert!(message.contains("send "), "{body}: {message}");
    }
    world.assert_untouched().await;
}

/// Editors and shells on Windows write a byte order mark before a text.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_before_the_body_is_no_part_of_it() {
    let world = World::start().await;
    let id = running(&world.api).await;
    let path = format!("/flows/executions/{id}");
    let call = |body: &'static str| {
        world
            .api
            .request(Method::PATCH, &path)
            .header("content-type", "application/json")
            .body(body.as_bytes().to_vec())
    };
    let record = call("\u{feff}{\"tokens_used\":5}").send().await;
    assert_eq!(record.assert_status(200).body["tokens_used"], 5);
    assert_eq!(call("\u{feff}").send().await.validation_errors(), ["body: missing"]);
    assert_eq!(call("{\u{feff}}").send().await.validation_errors(), ["body.1: json_invalid"]);
}
