//! The OpenAPI document and the code agree: its schemas describe what the reader accepts and what the record contains.

use std::collections::{BTreeMap, BTreeSet};

use local::operations::Endpoint;
use reqwest::Method;
use serde_json::{Value, json};
use tests::coverage::OPTIONAL_BODY;
use tests::{Answer, Api, below_base, text};

use super::{openapi, openapi_operations};

/// Calls an operation by its route.
pub async fn call(api: &Api, operation: &str, id: &str, query: &str, body: Option<String>) -> Answer {
    let route = Endpoint::named(operation).unwrap_or_else(|| panic!("{operation} has no route")).operation;
    let method: Method = route.method.parse().expect("a method");
    let mut call = api.request(method, &format!("{}{query}", below_base(route).replace("{execution_id}", id)));
    if let Some(body) = body {
        call = call.header("content-type", "application/json").body(body);
    }
    call.send().await
}

/// The schema behind references, and whether it allows null, too.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("no {reference}"));
        return resolve(document, target);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let (nulls, others): (Vec<_>, Vec<_>) = choices.iter().partition(|choice| choice["type"] == "null");
        let [other] = others[..] else { panic!("one schema and perhaps null: {schema}") };
        return (resolve(document, other).0, !nulls.is_empty());
    }
    let nullable = schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
    (schema, nullable)
}

/// The schema of an operation's body, if it takes one.
pub fn request_schema<'a>(document: &'a Value, operation: &'a Value) -> Option<&'a Value> {
    let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
    Some(resolve(document, schema).0)
}

fn kind(schema: &Value) -> String {
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let kinds: Vec<String> = types.iter().map(text).filter(|kind| kind != "null").collect();
    let [kind] = &kinds[..] else { panic!("not one type: {schema}") };
    kind.clone()
}

fn properties(schema: &Value) -> BTreeMap<String, Value> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, schema)| (name.clone(), schema.clone())).collect()
}

fn required(schema: &Value) -> BTreeSet<String> {
    schema["required"].as_array().into_iter().flatten().map(text).collect()
}

/// A body with only the required properties.
pub fn minimal(document: &Value, schema: &Value) -> Value {
    let sample = |name: &String| {
        let property = &schema["properties"][name];
        let (accepted, _) = probes(document, property).into_iter().find(|(_, accepted)| *accepted).expect("a value");
        (name.clone(), accepted)
    };
    Value::Object(required(schema).iter().map(sample).collect())
}

/// Values at the bounds of a schema: the last ones that it allows and the first ones that it does not.
fn probes(document: &Value, schema: &Value) -> Vec<(Value, bool)> {
    let (schema, nullable) = resolve(document, schema);
    let mut probes = match kind(schema).as_str() {
        "integer" => {
            let bound = |name: &str| schema[name].as_i64().unwrap_or_else(|| panic!("no {name}: {schema}"));
            let (least, most) = (bound("minimum"), bound("maximum"));
            vec![
                (json!(least), true),
                (json!(most), true),
                (json!(least - 1), false),
                (json!(most + 1), false),
                (json!("x"), false),
            ]
        }
        "number" => {
            let least = schema["minimum"].as_f64().unwrap_or_else(|| panic!("no minimum: {schema}"));
            vec![(json!(least), true), (json!(1e308), true), (json!(least - 1e-9), false), (json!("x"), false)]
        }
        "string" if schema["enum"].is_array() => {
            let names = schema["enum"].as_array().into_iter().flatten();
            let mut probes: Vec<(Value, bool)> = names.map(|name| (name.clone(), true)).collect();
            probes.extend([(json!("no such name"), false), (json!(""), false)]);
            probes
        }
        "string" if schema["format"] == "date-time" => {
            let times = [("2026-01-02T03:04:05Z", true), ("2026-01-02T03:04:05", false), ("2026-01-02", false)];
            times.map(|(time, accepted)| (json!(time), accepted)).to_vec()
        }
        "string" => {
            let most = schema["maxLength"].as_u64().unwrap_or_else(|| panic!("no maxLength: {schema}"));
            let least = schema["minLength"].as_u64().unwrap_or(0);
            let long = |length: u64| json!("é".repeat(usize::try_from(length).expect("a length")));
            let mut probes = vec![(long(least), true), (long(most), true), (long(most + 1), false)];
            probes.extend(least.checked_sub(1).map(|length| (long(length), false)));
            probes
        }
        // A list of records, each of which is tried by itself: a mistake in one must be found whatever the others are.
        "array" if properties(resolve(document, &schema["items"]).0).len() > 1 => {
            let bound = |name: &str| schema[name].as_u64().unwrap_or_else(|| panic!("no {name}: {schema}"));
            let items = resolve(document, &schema["items"]).0;
            // What names a record differs in each.
            let many = |count: u64| -> Value {
                let name = required(items).into_iter().next().expect("what names a record");
                let record = |n: u64| {
                    let mut record = minimal(document, items);
                    record[&name] = json!(format!("{n}"));
                    record
                };
                (0..count).map(record).collect()
            };
            let one = self::probes(document, items).into_iter().map(|(value, accepted)| (json!([value]), accepted));
            let bounds = [bound("minItems"), bound("maxItems")];
            let within = bounds.map(|count| (many(count), true));
            let beyond = [(many(bounds[0] - 1), false), (many(bounds[1] + 1), false), (json!({}), false)];
            one.chain(within).chain(beyond).collect()
        }
        "array" => {
            let (good, bad): (Vec<_>, Vec<_>) =
                self::probes(document, &schema["items"]).into_iter().partition(|(_, accepted)| *accepted);
            let good: Vec<Value> = good.into_iter().map(|(value, _)| value).collect();
            let with_bad = bad.into_iter().map(|(value, _)| ([good.clone(), vec![value]].concat().into(), false));
            let may_be_empty = schema["minItems"].as_u64().unwrap_or(0) == 0;
            with_bad.chain([(json!(good), true), (json!([]), may_be_empty)]).collect()
        }
        "object" => {
            let smallest = minimal(document, schema);
            let with = |name: &str, value: Value| {
                let mut object = smallest.clone();
                object[name] = value;
                object
            };
            let may_be_empty = required(schema).is_empty();
            let mut probes = vec![(json!({}), may_be_empty), (smallest.clone(), true)];
            probes.extend([(json!([]), false), (json!("x"), false)]);
            let strict = schema["additionalProperties"] == false;
            probes.push((with("no such property", json!(1)), !strict));
            for (name, property) in properties(schema) {
                let inner = self::probes(document, &property).into_iter();
                probes.extend(inner.map(|(value, accepted)| (with(&name, value), accepted)));
            }
            probes
        }
        other => panic!("a schema of type {other}: teach this test what its edges are"),
    };
    probes.push((Value::Null, nullable));
    probes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_accepts_and_refuses_what_the_request_schemas_say() {
    let api = Api::start().await;
    let document = openapi();
    // Every name that a property has in any schema, to find a reader that accepts one which the schema does not have.
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let known: BTreeSet<String> = schemas.values().flat_map(properties).map(|(name, _)| name).collect();
    let retries = json!({ "flow_id": "demo", "trigger_type": "test", "retry_config": { "max_retries": 100 } });
    let running = async || {
        let id = text(&api.execute(&retries).await["id"]);
        api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
        id
    };
    let untouched = running().await;
    let mut tried = 0;
    for (operation, (route, documented)) in openapi_operations(&document) {
        let schema = request_schema(&document, &documented);
        assert_eq!(schema.is_some(), !route.starts_with("GET "), "{operation}");
        let Some(schema) = schema else { continue };
        let optional = OPTIONAL_BODY.contains(&&*operation);
        assert_eq!(documented["requestBody"]["required"] == true, !optional, "{operation}");
        assert_eq!(schema["additionalProperties"], false, "{operation}");
        let smallest = minimal(&document, schema);
        let with = |name: &str, value: &Value| {
            let mut body = smallest.clone();
            body[name] = value.clone();
            body.to_string()
        };
        call(&api, &operation, &running().await, "", Some(smallest.to_string())).await.assert_status(200);
        for name in required(schema) {
            let mut body = smallest.clone();
            body.as_object_mut().expect("an object").remove(&name);
            let answer = call(&api, &operation, &untouched, "", Some(body.to_string())).await;
            assert_eq!(answer.validation_errors(), [format!("body.{name}: missing")], "{operation}");
        }
        let properties = properties(schema);
        for (name, property) in &properties {
            for (value, accepted) in probes(&document, property) {
                let shown: String = format!("{operation} {name} {value}").chars().take(200).collect();
                if accepted {
                    let answer = call(&api, &operation, &running().await, "", Some(with(name, &value))).await;
                    // The state of the execution may not allow it. The reader accepted it.
                    let refusals = ["INVALID_STATUS_TRANSITION", "ATTEMPT_SUPERSEDED", "INVALID_TIMEOUT"];
                    let understood = answer.status == 200 || refusals.iter().any(|it| answer.body["error_code"] == *it);
                    assert!(understood, "{shown}: {}", answer.text);
                } else {
                    let answer = call(&api, &operation, &untouched, "", Some(with(name, &value))).await;
                    assert_eq!(answer.status, 422, "{shown}: {}", answer.text);
                    let errors = answer.validation_errors();
                    assert!(errors.len() == 1 && errors[0].starts_with(&format!("body.{name}")), "{shown}: {errors:?}");
                }
                tried += 1;
            }
        }
        for name in known.iter().filter(|name| !properties.contains_key(*name)) {
            let answer = call(&api, &operation, &untouched, "", Some(with(name, &Value::Null))).await;
            assert_eq!(answer.validation_errors(), [format!("body.{name}: extra_forbidden")], "{operation}");
        }
    }
    assert!(tried > 100, "only {tried} values were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_accepts_and_refuses_what_the_query_parameters_say() {
    let api = Api::start().await;
    let document = openapi();
    // One that has ended: there is nothing to wait for.
    let id = api.execution_in("completed").await;
    for (operation, (_, documented)) in openapi_operations(&document) {
        let parameters = documented["parameters"].as_array().cloned().unwrap_or_default();
        let parameters: Vec<&Value> = parameters.iter().filter(|parameter| parameter["in"] == "query").collect();
        for parameter in &parameters {
            let name = text(&parameter["name"]);
            assert!(!parameter["required"].as_bool().unwrap_or(false), "{operation} {name}");
            if name == "cursor" {
                // Opaque: the schema does not say which cursors are valid.
                continue;
            }
            let probes = probes(&document, &parameter["schema"]).into_iter().filter(|(value, _)| !value.is_null());
            for (value, accepted) in probes {
                let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                // A list as the style `form` without `explode` has it.
                let plain = match value.as_array() {
                    Some(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
                    None => plain(&value),
                };
                let encoded: Vec<String> = plain.bytes().map(|byte| format!("%{byte:02x}")).collect();
                let answer = call(&api, &operation, &id, &format!("?{name}={}", encoded.concat()), None).await;
                let expected = if accepted { 200 } else { 422 };
                assert_eq!(answer.status, expected, "{operation} {name}={plain}: {}", answer.text);
            }
        }
        if !parameters.is_empty() {
            let names: BTreeSet<String> = parameters.iter().map(|parameter| text(&parameter["name"])).collect();
            for other in ["id", "limit", "offset", "sort", "organization_id", "agent", "priority", "next_cursor"] {
                assert!(!names.contains(other));
                let answer = call(&api, &operation, &id, &format!("?{other}=1"), None).await;
                assert_eq!(answer.validation_errors(), [format!("query.{other}: extra_forbidden")]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_has_the_properties_that_its_schema_says() {
    let api = Api::start().await;
    let document = openapi();
    let (schema, _) = resolve(&document, &document["components"]["schemas"]["Execution"]);
    let names =
        |record: &Value| -> BTreeSet<String> { record.as_object().expect("a record").keys().cloned().collect() };
    let smallest = api.execute(&json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    assert_eq!(names(&smallest), required(schema));
    let scheduled = json!({ "flow_id": "demo", "trigger_type": "test", "scheduled_at": "2026-01-02T03:04:05Z" });
    assert_eq!(names(&api.execute(&scheduled).await), properties(schema).into_keys().collect());
    // null stands exactly where it is allowed.
    for (name, value) in smallest.as_object().into_iter().flatten() {
        let (_, nullable) = resolve(&document, &schema["properties"][name]);
        let service_sets = ["completed_at", "duration_ms", "final_output", "error_message", "error_details"];
        let caller_sets = [
            "heartbeat_timeout_seconds",
            "start_timeout_seconds",
            "cancel_requested_at",
            "parent_execution_id",
            "tokens_used",
            "cost_estimate",
        ];
        if name == "steps" {
            // Null in a list, where there are some.
            assert_eq!((value, nullable), (&json!([]), true));
            continue;
        }
        assert_eq!(value.is_null(), nullable, "{name}");
        assert_eq!(nullable, service_sets.contains(&name.as_str()) || caller_sets.contains(&name.as_str()), "{name}");
    }
}

/// The members of an object's schema, and of the objects in it.
fn members(document: &Value, schema: &Value) -> BTreeMap<String, Value> {
    let own = properties(schema);
    let inner: Vec<_> = own.values().flat_map(|property| members(document, resolve(document, property).0)).collect();
    own.into_iter().chain(inner).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_body_has_no_default_but_in_words_and_those_are_true() {
    let api = Api::start().await;
    let document = openapi();
    // What is taken where the caller says nothing.
    let taken = api.execute(&json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    for (operation, (_, documented)) in openapi_operations(&document) {
        let Some(schema) = request_schema(&document, &documented) else { continue };
        for (name, member) in members(&document, schema) {
            // Generators make a member with a default one that must be sent, or refuse an object as one.
            assert!(member["default"].is_null() && resolve(&document, &member).0["default"].is_null(), "{name}");
            let words = text(&member["description"]);
            let said = words.split_once("By default `").and_then(|(_, rest)| rest.split_once("`."));
            let said = said.map(|(said, _)| serde_json::from_str(said).unwrap_or_else(|_| json!(said)));
            let required = required(schema).contains(&name);
            let expected = (operation == "execute_flow" && !required).then(|| taken[&name].clone());
            assert_eq!(said, expected.filter(|value| !value.is_null()), "{operation} {name}: {words}");
        }
    }
}

/// Whether a value is what a schema describes, by types, lists of names, and members: a schema that names members has no
/// others.
fn conforms(document: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("no {reference}"));
        return conforms(document, target, value);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return choices.iter().any(|choice| conforms(document, choice, value));
    }
    let kinds: &[&str] = match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    };
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let fits = schema["type"].is_null() || kinds.iter().any(|kind| types.contains(&json!(kind)));
    let listed = schema["enum"].as_array().is_none_or(|names| names.contains(value));
    let elements = value.as_array().into_iter().flatten().all(|element| conforms(document, &schema["items"], element));
    let members = value.as_object().is_none_or(|value| {
        let properties = properties(schema);
        let known = |name: &String, value: &Value| match properties.get(name) {
            Some(property) => conforms(document, property, value),
            None => properties.is_empty(),
        };
        required(schema).iter().all(|name| value.contains_key(name))
            && value.iter().all(|(name, value)| known(name, value))
    });
    fits && listed && elements && members
}

#[test]
fn every_schema_has_examples_and_describes_them() {
    let document = openapi();
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        let examples = schema["examples"].as_array().cloned().unwrap_or_default();
        for example in &examples {
            assert!(conforms(&document, schema, example), "{name}: {example}");
        }
        let composed = schema["properties"].is_object() || schema["anyOf"].is_array();
        assert_eq!(composed, !examples.is_empty(), "{name}");
    }
}
