//! What several places state is the same in all of them: functions, routes, `template.yaml`, events and
//! `openapi/openapi.json`.

mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lambda_http::{Context, LambdaEvent};
use local::cors;
use local::events::{BATCH_SIZE, Printer};
use local::gateway::{FUNCTION_TIMEOUT, function_timeout};
use local::operations::OPERATIONS;
use publish_events::Publisher;
use publish_events::bus::PAUSES;
use ratchet_model::api_key::ApiKey;
use ratchet_model::event::SOURCE;
use ratchet_model::limits::MAX_WAIT_SECONDS;
use ratchet_runtime::settings::{CURSOR_KEY, DEFAULT_TIMEOUT, EVENT_BUS};
use ratchet_store::client::OPERATION_TIMEOUT;
use ratchet_store::schema as attributes;
use ratchet_store::schema::Index;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use tests::coverage::{WITHOUT_STORE, least_query};
use tests::template::{self, Function, Kind, pascal_case, resources, scalar, template};
use tests::{Api, text};

use self::schemas::{call, minimal, request_schema};
use crate::events::{events, function_of, functions, root};

/// The name of the functions' table, in `template.yaml`.
const TABLE_IN_USE: &str = "${AWS::StackName}-${Table}";

/// The stream of the stack's table, in `template.yaml`.
const TABLE_STREAM: &str = "ExecutionsTable.StreamArn";

/// The actions that Lambda uses on behalf of a function to read a stream. It checks for them before it begins.
const READ_STREAM: [&str; 4] =
    ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"];

/// The command that writes `openapi/openapi.json`.
const GENERATE: &str = "cargo run -q -p local -- --print-openapi > openapi/openapi.json";

fn openapi_text() -> String {
    let path = root().join("openapi/openapi.json");
    std::fs::read_to_string(path).unwrap_or_else(|_| panic!("openapi/openapi.json is missing: {GENERATE}"))
}

fn openapi() -> Value {
    serde_json::from_str(&openapi_text()).expect("JSON")
}

/// The operations of the OpenAPI document: id, method and path, and the whole.
fn openapi_operations(document: &Value) -> BTreeMap<String, (String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().expect("methods").iter().map(move |(method, operation)| {
            let route = format!("{} {path}", method.to_uppercase());
            (text(&operation["operationId"]), (route, operation.clone()))
        })
    });
    operations.collect()
}

/// The name of the one function that is the API's authorizer.
fn authorizer(functions: &BTreeMap<String, Function>) -> String {
    let authorizers: Vec<_> = functions.iter().filter(|(_, function)| function.kind == Kind::Authorizer).collect();
    let [(name, _)] = authorizers[..] else { panic!("not one authorizer: {authorizers:?}") };
    name.clone()
}

fn routes() -> BTreeMap<String, String> {
    let operations = OPERATIONS.iter().map(|endpoint| endpoint.operation);
    operations.map(|operation| (operation.name.to_owned(), operation.to_string())).collect()
}

#[test]
fn every_place_names_the_same_operations() {
    let folders = functions();
    let functions = template::functions(&template());
    assert_eq!(folders, functions.keys().cloned().collect(), "functions/ and template.yaml");
    assert_eq!(folders, events().keys().map(|event| function_of(event).to_owned()).collect(), "functions/ and events/");
    assert!(folders.contains(&authorizer(&functions)), "one authorizer");
    let operations = functions.into_iter().filter(|(_, function)| matches!(function.kind, Kind::Http { .. }));
    let operations: BTreeSet<String> = operations.map(|(name, _)| name).collect();
    assert_eq!(operations, routes().into_keys().collect(), "template.yaml and local/src/operations.rs");
    let documented = openapi_operations(&openapi()).into_keys().collect();
    assert_eq!(operations, documented, "template.yaml and openapi/openapi.json");
}

#[test]
fn the_document_names_the_scope_that_an_operation_needs() {
    let document = openapi_operations(&openapi());
    for operation in OPERATIONS.iter().map(|endpoint| endpoint.operation) {
        let (_, documented) = &document[operation.name];
        let description = text(&documented["description"]);
        let scope = operation.scope.map_or_else(|| "any scope".to_owned(), |scope| format!("`{}`", scope.as_str()));
        let last = description.rsplit("\n\n").next().unwrap_or_default();
        assert!(last.contains("scope") && last.contains(&scope), "{}: {last} and not {scope}", operation.name);
    }
}

#[test]
fn every_place_gives_an_operation_the_same_route() {
    let routes = routes();
    for (operation, (route, _)) in openapi_operations(&openapi()) {
        assert_eq!(Some(&route), routes.get(&operation), "{operation} in openapi/openapi.json");
    }
    for (name, function) in template::functions(&template()) {
        let Kind::Http { method, path } = &function.kind else { continue };
        assert_eq!(Some(&format!("{method} {path}")), routes.get(&name), "{name} in template.yaml");
        let properties = &function.event()["Properties"];
        // For an event that names no API, SAM adds another API, without the authorizer.
        assert_eq!(scalar(&properties["ApiId"]), "Api", "{name}");
        assert!(properties["Auth"].is_null(), "{name} goes past the authorizer");
    }
}

#[test]
fn the_console_alone_needs_no_key() {
    let functions = template::functions(&template()).into_iter();
    let public: BTreeMap<String, Function> =
        functions.filter(|(_, function)| matches!(function.kind, Kind::Public { .. })).collect();
    assert_eq!(public.keys().collect::<Vec<_>>(), [console::NAME], "who else may be called by anybody?");
    let Function { kind, properties, .. } = &public[console::NAME];
    assert_eq!(*kind, Kind::Public { routes: console::ROUTES.map(str::to_owned).into() }, "in its crate");
    for event in properties["Events"].as_mapping().expect("events").values() {
        assert_eq!(scalar(&event["Properties"]["ApiId"]), "Api");
    }
    // What anybody may call has a limit of its own, below that of those who have a key.
    let api = &template()["Resources"]["Api"]["Properties"];
    for route in console::ROUTES {
        let settings = &api["RouteSettings"][route];
        assert!(settings["ThrottlingRateLimit"].as_u64().is_some_and(|limit| limit <= 100), "{route}");
        assert!(settings["ThrottlingBurstLimit"].as_u64().is_some_and(|limit| limit <= 200), "{route}");
    }
    // Two versions side by side would mix their files.
    assert_eq!(properties["DeploymentPreference"]["Enabled"].as_bool(), Some(false));
}

#[test]
fn a_stream_function_reads_the_changes_of_the_table() {
    for (name, function) in template::functions(&template()) {
        if function.kind == Kind::Stream {
            let mapping = &function.event()["Properties"];
            assert_eq!(scalar(&mapping["Stream"]), TABLE_STREAM, "{name}");
            // What is written while the mapping is made is read, too.
            assert_eq!(scalar(&mapping["StartingPosition"]), "TRIM_HORIZON", "{name}");
            // Without these one bad record, or one outage, would take a day of others with it.
            assert_eq!(texts(&mapping["FunctionResponseTypes"]), ["ReportBatchItemFailures"], "{name}");
            assert_eq!(mapping["BisectBatchOnFunctionError"].as_bool(), Some(true), "{name}");
            assert_eq!(mapping["BatchSize"].as_u64(), Some(BATCH_SIZE as u64), "in template.yaml and in local");
            // The stream forgets after 24 hours: what is left then must have gone to the queue.
            let age = mapping["MaximumRecordAgeInSeconds"].as_u64().expect("an age");
            assert!((3_600..=79_200).contains(&age), "{name}");
            assert_eq!(scalar(&mapping["DestinationConfig"]["OnFailure"]["Destination"]), "UntoldEventsQueue.Arn");
            let filters = one_or_more(&mapping["FilterCriteria"]["Filters"]);
            let [filter] = &filters[..] else { panic!("{name}: not one filter") };
            let filter: Value = serde_json::from_str(&scalar(&filter["Pattern"])).expect("JSON");
            let expected = json!({
                "eventName": ["INSERT", "MODIFY"],
                "dynamodb": { "Keys": { attributes::SK: { "S": [attributes::HEAD_SK] } } },
            });
            assert_eq!(filter, expected, "{name}");
        }
    }
}

#[test]
fn the_openapi_document_is_the_one_that_the_types_generate() {
    let committed = openapi_text();
    // Not assert_eq: it would print both.
    assert!(committed.trim_end() == local::openapi::document().trim_end(), "openapi/openapi.json is old: {GENERATE}");
    assert_eq!(openapi()["openapi"].as_str().map(|version| version.starts_with("3.1.")), Some(true));
}

#[test]
fn the_table_of_the_template_is_the_table_of_the_store() {
    let template = template();
    let tables = resources(&template, "AWS::DynamoDB::Table");
    let [table] = &tables.values().collect::<Vec<_>>()[..] else { panic!("not one table: {:?}", tables.keys()) };
    let table = &table["Properties"];
    let own = scalar(&template["Parameters"]["Table"]["Default"]);
    assert_eq!(scalar(&table["TableName"]), TABLE_IN_USE.replace("${Table}", &own), "the functions' table by default");
    let list = |value: &Yaml| value.as_sequence().expect("a list").clone();
    let keys = |owner: &Yaml| -> Vec<(String, String)> {
        list(&owner["KeySchema"]).iter().map(|key| (scalar(&key["KeyType"]), scalar(&key["AttributeName"]))).collect()
    };
    let schema =
        |hash: &str, range: &str| vec![("HASH".to_owned(), hash.to_owned()), ("RANGE".to_owned(), range.to_owned())];
    assert_eq!(keys(table), schema(attributes::PK, attributes::SK));

    let defined: BTreeMap<String, String> = list(&table["AttributeDefinitions"])
        .iter()
        .map(|attribute| (scalar(&attribute["AttributeName"]), scalar(&attribute["AttributeType"])))
        .collect();
    let texts = [attributes::PK, attributes::SK, attributes::ORDER].into_iter();
    let texts = texts.chain(Index::ALL.iter().map(|index| index.partition_key())).map(|name| (name, "S"));
    let expected = texts.chain([(attributes::BOUND, "N")]);
    assert_eq!(defined, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect());

    let indexes = list(&table["GlobalSecondaryIndexes"]);
    let names: BTreeSet<String> = indexes.iter().map(|index| scalar(&index["IndexName"])).collect();
    assert_eq!(names, Index::ALL.iter().map(|index| index.name().to_owned()).collect());
    assert_eq!(indexes.len(), Index::ALL.len());
    for index in Index::ALL {
        let declared = indexes.iter().find(|declared| scalar(&declared["IndexName"]) == index.name());
        let declared = declared.expect("an index of that name");
        assert_eq!(keys(declared), schema(index.partition_key(), index.sort_key()), "{index:?}");
        let projection = &declared["Projection"];
        let kind = if index.projected().is_empty() { "KEYS_ONLY" } else { "INCLUDE" };
        assert_eq!(scalar(&projection["ProjectionType"]), kind, "{index:?}");
        let projected = projection["NonKeyAttributes"].as_sequence().cloned().unwrap_or_default();
        let projected: BTreeSet<String> = projected.iter().map(scalar).collect();
        assert_eq!(projected, index.projected().iter().map(|name| (*name).to_owned()).collect(), "{index:?}");
    }
    assert_eq!(scalar(&table["TimeToLiveSpecification"]["AttributeName"]), attributes::TTL);
    assert_eq!(table["TimeToLiveSpecification"]["Enabled"].as_bool(), Some(true));
}

#[test]
fn the_table_survives_mistakes() {
    let template = template();
    let table = &template["Resources"]["ExecutionsTable"];
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(scalar(&table[policy]), "Retain");
    }
    let properties = &table["Properties"];
    for on in [
        &properties["DeletionProtectionEnabled"],
        &properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        &properties["SSESpecification"]["SSEEnabled"],
    ] {
        assert_eq!(on.as_bool(), Some(true), "{properties:?}");
    }
    assert_eq!(scalar(&properties["StreamSpecification"]["StreamViewType"]), "NEW_AND_OLD_IMAGES");
    // The name follows from the stack's name, so that a stack that is created again finds its table and does not begin with an
    // empty one.
    assert_eq!(scalar(&properties["TableName"]), "${AWS::StackName}-executions");
}

#[test]
fn every_function_has_the_time_and_the_settings_that_it_needs() {
    let template = template();
    let globals = &template["Globals"]["Function"];
    let timeout = |function: &Function| {
        let own = function.properties["Timeout"].as_u64();
        Duration::from_secs(own.or(globals["Timeout"].as_u64()).expect("a timeout"))
    };
    let functions = template::functions(&template);
    let authorizer = timeout(&functions[&authorizer(&functions)]);
    assert_eq!(scalar(&globals["Environment"]["Variables"][attributes::TABLE_VARIABLE]), TABLE_IN_USE);
    for (name, function) in functions {
        let timeout = timeout(&function);
        assert!(timeout > OPERATION_TIMEOUT, "{name} must see the end of a request to DynamoDB");
        if matches!(function.kind, Kind::Http { .. }) {
            // Execute flow sends two requests one after the other. API Gateway waits 30 s for the whole invocation.
            assert!(timeout > 2 * OPERATION_TIMEOUT, "{name}");
            assert_eq!(timeout, function_timeout(&name), "{name}: in template.yaml and in local/src/gateway.rs");
            // Its 30 s are for each of the two. Together they are shorter all the same, but for the one that waits.
            assert!(timeout < Duration::from_secs(30), "{name}");
            assert!(timeout != FUNCTION_TIMEOUT || timeout + authorizer < Duration::from_secs(30), "{name}");
            assert_eq!(timeout != FUNCTION_TIMEOUT, name == "wait_execution", "{name}");
        }
        let has_cursor_key = !function.properties["Environment"]["Variables"][CURSOR_KEY].is_null();
        assert_eq!(has_cursor_key, ["list_executions", "list_steps"].contains(&name.as_str()), "{name}");
        let has_default = !function.properties["Environment"]["Variables"][DEFAULT_TIMEOUT].is_null();
        assert_eq!(has_default, name == "execute_flow", "{name}");
        let has_bus = !function.properties["Environment"]["Variables"][EVENT_BUS].is_null();
        assert_eq!(has_bus, name == "publish_events", "{name}");
    }
}

/// The elements of a list, or a single value as a list.
fn one_or_more(value: &Yaml) -> Vec<Yaml> {
    value.as_sequence().map_or_else(|| vec![value.clone()], |values| values.iter().map(where_it_is).collect())
}

/// A value of a list, which a condition may leave out (`!If [CONDITION, VALUE, !Ref AWS::NoValue]`), where it does not.
fn where_it_is(value: &Yaml) -> Yaml {
    match value.as_sequence().map(Vec::as_slice) {
        Some([_, value, nothing]) if nothing.as_str() == Some("AWS::NoValue") => value.clone(),
        _ => value.clone(),
    }
}

fn texts(value: &Yaml) -> Vec<String> {
    one_or_more(value).iter().map(scalar).collect()
}

/// The DynamoDB operations on the table that a function's role allows. The role must not allow anything else but the
/// function's own log and traces, and for a stream function reading the table's stream.
fn allowed(template: &Yaml, function: &str) -> BTreeSet<String> {
    let name = pascal_case(function);
    let functions = template::functions(template);
    let declared = functions.get(function).unwrap_or_else(|| panic!("{function} is not in template.yaml"));
    let Function { kind, properties, .. } = declared;
    assert!(properties["Policies"].is_null(), "{function}: SAM adds policies to its own role, and none to this one");
    assert_eq!(scalar(&properties["Role"]), format!("{name}Role.Arn"), "{function}");
    let role = &template["Resources"][format!("{name}Role")]["Properties"];
    assert_eq!(texts(&role["ManagedPolicyArns"]), ["TracesPolicy"], "{function}");

    let table = format!("arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/{TABLE_IN_USE}");
    let policies = one_or_more(&role["Policies"]);
    let statements = policies.iter().flat_map(|policy| one_or_more(&policy["PolicyDocument"]["Statement"]));
    let mut operations = BTreeSet::new();
    let mut on_stream = BTreeSet::new();
    let mut beside = BTreeSet::new();
    for statement in statements {
        assert_eq!(scalar(&statement["Effect"]), "Allow", "{function}");
        let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
        if actions == ["logs:CreateLogStream", "logs:PutLogEvents"] {
            assert_eq!(resources, [format!("{name}LogGroup.Arn")], "{function}");
            continue;
        }
        // The names of streams are no secret, and IAM has no resource for listing them.
        if *kind == Kind::Stream && (resources == [TABLE_STREAM] || actions == ["dynamodb:ListStreams"]) {
            on_stream.extend(actions);
            continue;
        }
        // What is told goes to the one bus, by no other name than the service's, and what is not to the one queue.
        if function == "publish_events" && actions == ["events:PutEvents"] {
            let bus = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}";
            assert_eq!(resources, [bus], "{function}");
            assert_eq!(scalar(&statement["Condition"]["StringEquals"]["events:source"]), SOURCE, "{function}");
            beside.insert("PutEvents");
            continue;
        }
        if function == "publish_events" && actions == ["sqs:SendMessage"] {
            assert_eq!(resources, ["UntoldEventsQueue.Arn"], "{function}");
            beside.insert("SendMessage");
            continue;
        }
        for action in actions {
            let operation = action.strip_prefix("dynamodb:");
            operations.insert(operation.unwrap_or_else(|| panic!("{function} may do {action}")).to_owned());
        }
        for resource in resources {
            let index = resource.strip_prefix(&table).unwrap_or_else(|| panic!("{function} may reach {resource}"));
            let names = Index::ALL.map(|index| format!("/index/{}", index.name()));
            assert!(index.is_empty() || names.iter().any(|name| name == index), "{function} may reach {resource}");
        }
        let condition = &statement["Condition"];
        let keys = texts(&condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
        assert!(keys.iter().all(|key| key.len() == 3 && key.ends_with("#*")), "{function}: one kind of item: {keys:?}");
        assert_eq!(scalar(&condition["Null"]["dynamodb:LeadingKeys"]), "false", "{function}");
    }
    let needed = if *kind == Kind::Stream { &READ_STREAM[..] } else { &[] };
    let told: &[&str] = if function == "publish_events" { &["PutEvents", "SendMessage"] } else { &[] };
    assert_eq!(beside.into_iter().collect::<Vec<_>>(), told, "{function}");
    assert_eq!(on_stream, needed.iter().map(|action| (*action).to_owned()).collect(), "{function}: the table's stream");
    operations
}

#[test]
fn a_page_may_do_in_every_place_what_the_api_offers() {
    let configured = &template()["Resources"]["Api"]["Properties"]["CorsConfiguration"];
    // !If [HasCors, this, nothing]
    let [condition, configured, otherwise] = &one_or_more(configured)[..] else { panic!("no !If: {configured:?}") };
    assert_eq!((scalar(condition), scalar(otherwise)), ("HasCors".to_owned(), "AWS::NoValue".to_owned()));
    // No AllowCredentials: a key is in a header, and a browser would send it nowhere by itself.
    let fields: BTreeSet<String> = configured.as_mapping().expect("fields").keys().map(scalar).collect();
    let known = ["AllowHeaders", "AllowMethods", "AllowOrigins", "ExposeHeaders", "MaxAge"];
    assert_eq!(fields, known.map(str::to_owned).into(), "what local/src/cors.rs knows");
    let list = |name: &str| texts(&configured[name]).join(",");
    assert_eq!(list("AllowMethods"), cors::ALLOW_METHODS, "in template.yaml and in local/src/cors.rs");
    assert_eq!(list("AllowHeaders"), cors::ALLOW_HEADERS, "in template.yaml and in local/src/cors.rs");
    assert_eq!(list("ExposeHeaders"), cors::EXPOSE_HEADERS, "in template.yaml and in local/src/cors.rs");
    assert_eq!(configured["MaxAge"].as_u64().map(|age| age.to_string()).as_deref(), Some(cors::MAX_AGE));

    let document = openapi();
    // The key, and what every body is, are not among an operation's parameters.
    let mut sent = BTreeSet::from(["content-type".to_owned(), "x-api-key".to_owned()]);
    let mut read = BTreeSet::new();
    for (_, operation) in openapi_operations(&document).into_values() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        sent.extend(parameters.filter(|one| one["in"] == "header").map(|one| text(&one["name"]).to_lowercase()));
        for response in operation["responses"].as_object().expect("responses").values() {
            let reusable = response["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
            let response = reusable.map_or(response, |name| &document["components"]["responses"][name]);
            read.extend(response["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()));
        }
    }
    let listed = |list: &str| list.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    let methods = OPERATIONS.iter().map(|endpoint| endpoint.operation.method.to_owned()).collect();
    assert_eq!(listed(cors::ALLOW_METHODS), methods, "the methods of the operations");
    assert_eq!(listed(cors::ALLOW_HEADERS), sent, "the request headers of openapi/openapi.json");
    assert_eq!(listed(cors::EXPOSE_HEADERS), read, "the response headers of openapi/openapi.json");
}

#[test]
fn what_all_functions_may_do_is_to_send_traces() {
    let template = template();
    let policies = resources(&template, "AWS::IAM::ManagedPolicy");
    assert_eq!(policies.keys().collect::<Vec<_>>(), ["TracesPolicy"]);
    let statements = one_or_more(&policies["TracesPolicy"]["Properties"]["PolicyDocument"]["Statement"]);
    let actions: Vec<String> = statements.iter().flat_map(|statement| texts(&statement["Action"])).collect();
    assert_eq!(actions, ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]);
}

#[test]
fn every_function_has_its_log_its_alias_and_its_alarm() {
    let template = template();
    let globals = &template["Globals"]["Function"];
    let alias = scalar(&globals["AutoPublishAlias"]);
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let functions = template::functions(&template);
    for (operation, Function { properties, .. }) in &functions {
        let name = pascal_case(operation);
        assert_eq!(scalar(&properties["LoggingConfig"]["LogGroup"]), format!("{name}LogGroup"), "{operation}");
        let log = &template["Resources"][format!("{name}LogGroup")]["Properties"];
        assert_eq!(scalar(&log["LogGroupName"]), format!("/aws/lambda/${{AWS::StackName}}/{operation}"));

        assert_eq!(properties["AutoPublishAliasAllProperties"].as_bool(), Some(true), "{operation}");
        // The parameters that a function's configuration depends on. SAM does not compare their values.
        let version = scalar(&properties["VersionDescription"]);
        for parameter in ["Architecture", "DynamoDbEndpoint", "LogLevel", "Table"] {
            assert!(version.contains(&format!("${{{parameter}}}")), "{operation}: no new version for {parameter}");
        }

        let alarm = &alarms.get(&format!("{name}ErrorsAlarm")).expect("an alarm")["Properties"];
        assert_eq!(scalar(&alarm["AlarmName"]), format!("${{AWS::StackName}}-{operation}-errors"));
        assert_eq!(scalar(&alarm["MetricName"]), "Errors", "{operation}");
        let dimensions: BTreeMap<String, String> = one_or_more(&alarm["Dimensions"])
            .iter()
            .map(|dimension| (scalar(&dimension["Name"]), scalar(&dimension["Value"])))
            .collect();
        assert_eq!(dimensions["FunctionName"], format!("{name}Function"), "{operation}");
        assert_eq!(dimensions["Resource"], format!("${{{name}Function}}:{alias}"), "{operation}");
        let ends_a_deployment = texts(&properties["DeploymentPreference"]["Alarms"]);
        assert_eq!(ends_a_deployment, [format!("{name}ErrorsAlarm")], "{operation}");
    }
    let called = scalar(&template["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]["ApiKey"]["FunctionArn"]);
    let Function { id, .. } = &functions[&authorizer(&functions)];
    assert!(
        called.ends_with(&format!(":function:${{{id}}}:{alias}")),
        "{called} is not the one that deployments shift"
    );
    let permissions = resources(&template, "AWS::Lambda::Permission");
    let permission = &permissions["AuthorizerPermission"]["Properties"];
    assert_eq!(scalar(&permission["FunctionName"]), format!("{id}.Alias"), "the alias that API Gateway may invoke");
}

/// The routes whose latency is not watched: a wait takes long on purpose, and an alarm takes ten metrics, so that those have no
/// place in it on which no worker and no list depends.
const NOT_WATCHED: [&str; 3] = ["wait_execution", "get_caller", "get_heartbeat"];

#[test]
fn the_latency_of_the_routes_is_watched() {
    let template = template();
    let metrics = one_or_more(&template["Resources"]["LatencyAlarm"]["Properties"]["Metrics"]);
    let stats: Vec<&Yaml> = metrics.iter().filter(|metric| !metric["MetricStat"].is_null()).collect();
    assert!(stats.len() <= 10 && stats.len() + 1 == metrics.len(), "one expression over ten metrics at most");
    let mut watched = BTreeSet::new();
    for stat in stats {
        assert_eq!(stat["ReturnData"].as_bool(), Some(false));
        let stat = &stat["MetricStat"];
        assert_eq!((scalar(&stat["Stat"]), stat["Period"].as_u64()), ("p99".to_owned(), Some(60)));
        let dimensions: BTreeMap<String, String> = one_or_more(&stat["Metric"]["Dimensions"])
            .iter()
            .map(|dimension| (scalar(&dimension["Name"]), scalar(&dimension["Value"])))
            .collect();
        assert_eq!((&*dimensions["ApiId"], &*dimensions["Stage"], dimensions.len()), ("Api", "$default", 4));
        watched.insert(format!("{} {}", dimensions["Method"], dimensions["Resource"]));
    }
    let routes = routes().into_iter().filter(|(name, _)| !NOT_WATCHED.contains(&name.as_str()));
    assert_eq!(watched, routes.map(|(_, route)| route).collect());
}

/// Each waiter holds a function for as long as it waits: how many come is bounded before it begins.
#[test]
fn the_route_that_waits_has_a_limit_of_its_own_and_can_be_left_out() {
    let template = template();
    let function = &template["Resources"]["WaitExecutionFunction"];
    assert_eq!(scalar(&function["Condition"]), "Waits");
    assert_eq!(function["Properties"]["MemorySize"].as_u64(), Some(128));
    let route = routes()["wait_execution"].clone();
    let api = &template["Resources"]["Api"]["Properties"];
    // !If [Waits, this, nothing]
    let [condition, settings, otherwise] = &one_or_more(&api["RouteSettings"][route.as_str()])[..] else {
        panic!("no !If for {route}")
    };
    assert_eq!((scalar(condition), scalar(otherwise)), ("Waits".to_owned(), "AWS::NoValue".to_owned()));
    for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
        assert_eq!(scalar(&settings[limit]), "WaitRateLimit");
    }
    let parameter = &template["Parameters"]["WaitRateLimit"];
    let (rate, longest) = (parameter["Default"].as_i64().expect("a number"), MAX_WAIT_SECONDS);
    assert!(rate * longest + rate < 250, "a quarter of an account's concurrency, by default");
    // Those of waiters are by design: an alarm about them would say nothing.
    let filter = scalar(&template["Resources"]["ThrottledRequestsFilter"]["Properties"]["FilterPattern"]);
    assert!(filter.contains(&format!("($.route != \"{route}\")")), "{filter}");
}

#[test]
fn every_alarm_is_sent_and_says_where_to_read_on() {
    let template = template();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let names: BTreeSet<String> = alarms.values().map(|alarm| scalar(&alarm["Properties"]["AlarmName"])).collect();
    assert_eq!(names.len(), alarms.len(), "two alarms of one name");
    for (id, alarm) in &alarms {
        assert_eq!(texts(&alarm["Properties"]["AlarmActions"]), ["AlarmTopic"], "{id}");
        assert!(scalar(&alarm["Properties"]["AlarmDescription"]).contains("docs/operations.md#"), "{id}");
    }
    // These are named and not referenced, so that no other check finds a misspelt one.
    for name in texts(&template["Globals"]["Function"]["DeploymentPreference"]["Alarms"]) {
        assert!(names.contains(&name), "{name} ends deployments and is no alarm");
    }
}

/// The metrics of a widget, without their options: "." repeats the value above it, and "..." all values before.
fn metrics(widget: &Value) -> Vec<Vec<String>> {
    let mut metrics: Vec<Vec<String>> = Vec::new();
    for row in widget["properties"]["metrics"].as_array().expect("metrics") {
        let row: Vec<&str> = row.as_array().expect("a metric").iter().filter_map(Value::as_str).collect();
        let above: Vec<&str> = metrics.last().into_iter().flatten().map(String::as_str).collect();
        let whole: Vec<&str> = match &row[..] {
            ["...", own @ ..] => [&above[..above.len() - own.len()], own].concat(),
            row => row.iter().enumerate().map(|(at, part)| if *part == "." { above[at] } else { part }).collect(),
        };
        let whole = whole.into_iter().map(str::to_owned).collect();
        metrics.push(whole);
    }
    metrics
}

#[test]
fn every_function_is_in_every_graph_of_the_functions() {
    let template = template();
    // !Sub [text, what it has besides]
    let body = &one_or_more(&template["Resources"]["Dashboard"]["Properties"]["DashboardBody"])[0];
    let body = scalar(body);
    let dashboard: Value = serde_json::from_str(&body).expect("JSON");
    let mut compared = BTreeSet::new();
    for widget in dashboard["widgets"].as_array().expect("widgets") {
        let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for metric in metrics(widget) {
            if let [namespace, name, dimension, function] = &metric[..]
                && (&**namespace, &**dimension) == ("AWS/Lambda", "FunctionName")
            {
                shown.entry(name.clone()).or_default().insert(function.clone());
            }
        }
        // The authorizer has a graph of its own besides.
        for (metric, functions) in shown.into_iter().filter(|(_, functions)| functions.len() > 1) {
            let all = template::functions(&template).into_values().map(|function| format!("${{{}}}", function.id));
            assert_eq!(functions, all.collect(), "{metric} on the dashboard");
            compared.insert(metric);
        }
    }
    let expected = ["ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"];
    assert_eq!(compared, expected.map(str::to_owned).into(), "the graphs with a line for each function");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_may_do_what_it_does_and_nothing_else() {
    let api = Api::start().await;
    let document = openapi();
    let template = template();
    let functions = template::functions(&template);
    let mut tried = BTreeSet::new();
    // With inputs in an item of their own, which some requests read besides.
    let large = json!({ "flow_id": "demo", "trigger_type": "test", "variables": { "text": "x".repeat(2_000) } });
    for (operation, (_, documented)) in openapi_operations(&document) {
        let id = text(&api.execute(&large).await["id"]);
        api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
        // With steps, which some requests read besides, and of which the first one says so on the head.
        let step = json!({ "steps": [{ "step_id": "01" }] });
        if operation != "report_steps" {
            api.post(&format!("/executions/{id}/steps"), &step).await.assert_status(200);
        }
        let _ = api.watch.requests();
        let body = request_schema(&document, &documented).map(|schema| minimal(&document, schema));
        let body = body.map(|body| body.to_string());
        call(&api, &operation, &id, least_query(&operation), body).await.assert_status(200);
        let sent: BTreeSet<String> = api.watch.requests().into_iter().collect();
        assert_eq!(allowed(&template, &operation), sent, "{operation}");
        assert_eq!(WITHOUT_STORE.contains(&&*operation), sent.is_empty(), "{operation} and WITHOUT_STORE");
        tried.insert(operation);
    }
    let unknown = ApiKey::generate().expect("random numbers");
    api.with_key(unknown.reveal()).get("/flows/executions").await.assert_status(403);
    let authorizer = authorizer(&functions);
    assert_eq!(allowed(&template, &authorizer), api.watch.requests().into_iter().collect(), "{authorizer}");
    tried.insert(authorizer);
    let _ = api.watch.requests();
    reqwest::get(format!("{}/console", api.url)).await.expect("an answer").error_for_status().expect("the page");
    assert_eq!(allowed(&template, console::NAME), api.watch.requests().into_iter().collect(), "the console");
    tried.insert(console::NAME.to_owned());
    // A function of another kind is invoked here, too: no other test compares its role with its requests.
    let overdue = api.execution_in("running").await;
    api.clock.advance(Duration::from_secs(600));
    let _ = api.watch.requests();
    let report = enforce_deadlines::pass(&api.proxied, Duration::from_secs(30)).await;
    assert!(report.ended.contains_key("timeout"), "{report:?}");
    assert_eq!(
        allowed(&template, "enforce_deadlines"),
        api.watch.requests().into_iter().collect(),
        "enforce_deadlines"
    );
    assert_eq!(api.record(&overdue).await["status"], "timeout");
    tried.insert("enforce_deadlines".to_owned());
    let told = std::fs::read_to_string(root().join("events/publish_events.done.json")).expect("an event");
    let told = LambdaEvent::new(serde_json::from_str(&told).expect("JSON"), Context::default());
    let _ = api.watch.requests();
    let printer = Printer::new(Vec::new());
    let publisher = Publisher { bus: Some(&printer), clock: api.store.clock(), table: api.table(), pauses: &PAUSES };
    let answer = publisher.handle(told, std::io::sink()).await.unwrap_or_else(|never| match never {});
    assert_eq!(answer.failures, []);
    assert_eq!(
        allowed(&template, publish_events::NAME),
        api.watch.requests().into_iter().collect(),
        "it reads no table"
    );
    tried.insert(publish_events::NAME.to_owned());
    assert_eq!(tried, functions.into_keys().collect(), "the functions that were tried");
}
