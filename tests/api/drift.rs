//! What is said in several places stays the same: functions, routes, `template.yaml`, events and `openapi/openapi.json`.

mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use local::gateway::FUNCTION_TIMEOUT;
use local::routes::ROUTES;
use serde_json::Value;
use serde_norway::Value as Yaml;
use shared::auth::ApiKey;
use shared::bootstrap::{CURSOR_KEY, TABLE};
use shared::store::{Index, OPERATION_TIMEOUT, attributes};
use tests::{Api, text};

use self::schemas::{call, minimal, request_schema};
use crate::events::{events, function_of, functions, root};

/// The one function that is no operation.
const AUTHORIZER: &str = "authorizer";

/// The name of the functions' table, in `template.yaml`.
const TABLE_IN_USE: &str = "${AWS::StackName}-${Table}";

/// The command that writes `openapi/openapi.json`.
const GENERATE: &str = "cargo run -q -p local -- --print-openapi > openapi/openapi.json";

fn template() -> Yaml {
    let text = std::fs::read_to_string(root().join("template.yaml")).expect("template.yaml");
    serde_norway::from_str(&text).expect("YAML")
}

fn openapi_text() -> String {
    let path = root().join("openapi/openapi.json");
    std::fs::read_to_string(path).unwrap_or_else(|_| panic!("openapi/openapi.json is missing: {GENERATE}"))
}

fn openapi() -> Value {
    serde_json::from_str(&openapi_text()).expect("JSON")
}

/// The text of a YAML scalar, whatever intrinsic function it is the argument of.
#[track_caller]
fn scalar(value: &Yaml) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:?}")).to_owned()
}

/// The resources of a type, by their logical ids.
fn resources(template: &Yaml, kind: &str) -> BTreeMap<String, Yaml> {
    let all = template["Resources"].as_mapping().expect("resources");
    let of_kind = all.iter().filter(|(_, resource)| resource["Type"].as_str() == Some(kind));
    of_kind.map(|(id, resource)| (scalar(id), resource.clone())).collect()
}

/// The functions of the template, by the names of their binaries.
fn template_functions(template: &Yaml) -> BTreeMap<String, Yaml> {
    let functions = resources(template, "AWS::Serverless::Function");
    functions
        .into_iter()
        .map(|(id, function)| {
            let binary = scalar(&function["Metadata"]["BuildProperties"]["Binary"]);
            assert_eq!(id, format!("{}Function", pascal_case(&binary)), "the function that runs {binary}");
            assert_eq!(scalar(&function["Properties"]["CodeUri"]), format!("functions/{binary}"), "{id}");
            (binary, function)
        })
        .collect()
}

fn pascal_case(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
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

fn routes() -> BTreeMap<String, String> {
    ROUTES.iter().map(|route| (route.operation.to_owned(), route.to_string())).collect()
}

#[test]
fn every_place_names_the_same_operations() {
    let mut folders = functions();
    assert_eq!(folders, template_functions(&template()).into_keys().collect(), "functions/ and template.yaml");
    assert_eq!(folders, events().keys().map(|event| function_of(event).to_owned()).collect(), "functions/ and events/");
    assert!(folders.remove(AUTHORIZER), "functions/{AUTHORIZER}");
    assert_eq!(folders, routes().into_keys().collect(), "functions/ and local/src/routes.rs");
    let documented = openapi_operations(&openapi()).into_keys().collect();
    assert_eq!(folders, documented, "functions/ and openapi/openapi.json");
}

#[test]
fn every_place_gives_an_operation_the_same_route() {
    let routes = routes();
    for (operation, (route, _)) in openapi_operations(&openapi()) {
        assert_eq!(Some(&route), routes.get(&operation), "{operation} in openapi/openapi.json");
    }
    for (operation, function) in template_functions(&template()) {
        let events = &function["Properties"]["Events"];
        if operation == AUTHORIZER {
            assert!(events.is_null(), "the authorizer has no route");
            continue;
        }
        let found: Vec<String> = events
            .as_mapping()
            .expect("events")
            .values()
            .map(|event| {
                assert_eq!(scalar(&event["Type"]), "HttpApi", "{operation}");
                // An event that names no API makes SAM add another one, without the authorizer.
                assert_eq!(scalar(&event["Properties"]["ApiId"]), "Api", "{operation}");
                assert!(event["Properties"]["Auth"].is_null(), "{operation} goes past the authorizer");
                format!("{} {}", scalar(&event["Properties"]["Method"]), scalar(&event["Properties"]["Path"]))
            })
            .collect();
        assert_eq!(found, [routes[&operation].clone()], "{operation} in template.yaml");
    }
}

#[test]
fn the_openapi_document_is_the_one_that_the_types_make() {
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
    let expected = [attributes::PK, attributes::SK, attributes::ORDER].into_iter();
    let expected = expected.chain(Index::ALL.iter().map(|index| index.partition_key()));
    assert_eq!(defined, expected.map(|name| (name.to_owned(), "S".to_owned())).collect());

    let indexes = list(&table["GlobalSecondaryIndexes"]);
    let names: BTreeSet<String> = indexes.iter().map(|index| scalar(&index["IndexName"])).collect();
    assert_eq!(names, Index::ALL.iter().map(|index| index.name().to_owned()).collect());
    assert_eq!(indexes.len(), Index::ALL.len());
    for index in Index::ALL {
        let declared = indexes.iter().find(|declared| scalar(&declared["IndexName"]) == index.name());
        let declared = declared.expect("an index of that name");
        assert_eq!(keys(declared), schema(index.partition_key(), attributes::ORDER), "{index:?}");
        let projection = &declared["Projection"];
        assert_eq!(scalar(&projection["ProjectionType"]), "INCLUDE", "{index:?}");
        let projected: BTreeSet<String> = list(&projection["NonKeyAttributes"]).iter().map(scalar).collect();
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
    // A name that follows from the stack's, so that a stack made again does not start over with an empty table.
    assert_eq!(scalar(&properties["TableName"]), "${AWS::StackName}-executions");
}

#[test]
fn every_function_has_the_time_and_the_settings_that_it_needs() {
    let template = template();
    let globals = &template["Globals"]["Function"];
    let timeout = |function: &Yaml| {
        let own = function["Properties"]["Timeout"].as_u64();
        Duration::from_secs(own.or(globals["Timeout"].as_u64()).expect("a timeout"))
    };
    let functions = template_functions(&template);
    let authorizer = timeout(&functions[AUTHORIZER]);
    assert!(authorizer > OPERATION_TIMEOUT, "the authorizer sends one request and then answers");
    assert_eq!(scalar(&globals["Environment"]["Variables"][TABLE]), TABLE_IN_USE);
    for (operation, function) in functions {
        // Two requests one after the other, as execute flow sends them; and API Gateway waits 30 s for all of it.
        if operation != AUTHORIZER {
            assert!(timeout(&function) > 2 * OPERATION_TIMEOUT, "{operation}");
            assert_eq!(
                timeout(&function),
                FUNCTION_TIMEOUT,
                "{operation}: in template.yaml and in local/src/gateway.rs"
            );
            assert!(timeout(&function) + authorizer < Duration::from_secs(30), "{operation}");
        }
        let has_cursor_key = !function["Properties"]["Environment"]["Variables"][CURSOR_KEY].is_null();
        assert_eq!(has_cursor_key, operation == "list_executions", "{operation}");
    }
}

/// The elements of a list, or the one value that stands for a list of itself.
fn one_or_more(value: &Yaml) -> Vec<Yaml> {
    value.as_sequence().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn texts(value: &Yaml) -> Vec<String> {
    one_or_more(value).iter().map(scalar).collect()
}

/// What a function may do to the table, as DynamoDB's names of operations. Whatever else its role allows must be its own
/// log and traces.
fn allowed(template: &Yaml, function: &str) -> BTreeSet<String> {
    let name = pascal_case(function);
    let properties = &template["Resources"][format!("{name}Function")]["Properties"];
    assert!(properties["Policies"].is_null(), "{function}: SAM adds policies to its own role, and none to this one");
    assert_eq!(scalar(&properties["Role"]), format!("{name}Role.Arn"), "{function}");
    let role = &template["Resources"][format!("{name}Role")]["Properties"];
    assert_eq!(texts(&role["ManagedPolicyArns"]), ["TracesPolicy"], "{function}");

    let table = format!("arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/{TABLE_IN_USE}");
    let policies = one_or_more(&role["Policies"]);
    let statements = policies.iter().flat_map(|policy| one_or_more(&policy["PolicyDocument"]["Statement"]));
    let mut operations = BTreeSet::new();
    for statement in statements {
        assert_eq!(scalar(&statement["Effect"]), "Allow", "{function}");
        let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
        if actions == ["logs:CreateLogStream", "logs:PutLogEvents"] {
            assert_eq!(resources, [format!("{name}LogGroup.Arn")], "{function}");
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
    operations
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
    for (operation, function) in template_functions(&template) {
        let name = pascal_case(&operation);
        let properties = &function["Properties"];
        assert_eq!(scalar(&properties["LoggingConfig"]["LogGroup"]), format!("{name}LogGroup"), "{operation}");
        let log = &template["Resources"][format!("{name}LogGroup")]["Properties"];
        assert_eq!(scalar(&log["LogGroupName"]), format!("/aws/lambda/${{AWS::StackName}}/{operation}"));

        assert_eq!(properties["AutoPublishAliasAllProperties"].as_bool(), Some(true), "{operation}");
        // The parameters that a function's configuration depends on: SAM does not look at their values.
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
    let authorizer = &template["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]["ApiKey"];
    let function = scalar(&authorizer["FunctionArn"]);
    assert!(
        function.ends_with(":function:${AuthorizerFunction}:live"),
        "{function} is not the one that deployments shift"
    );
    let permissions = resources(&template, "AWS::Lambda::Permission");
    let permission = &permissions["AuthorizerPermission"]["Properties"];
    assert_eq!(scalar(&permission["FunctionName"]), "AuthorizerFunction.Alias", "whom API Gateway may invoke");
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
    // These are named and not referenced, so that nothing else finds a misspelt one.
    for name in texts(&template["Globals"]["Function"]["DeploymentPreference"]["Alarms"]) {
        assert!(names.contains(&name), "{name} ends deployments and is no alarm");
    }
}

#[test]
fn the_dashboard_is_json() {
    let template = template();
    let body = scalar(&template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]);
    let dashboard: Value = serde_json::from_str(&body).expect("JSON");
    assert_ne!(dashboard["widgets"].as_array().map_or(0, Vec::len), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_may_do_what_it_does_and_nothing_else() {
    let api = Api::start().await;
    let document = openapi();
    let template = template();
    for (operation, (_, documented)) in openapi_operations(&document) {
        let id = api.execution_in("running").await;
        let _ = api.watch.requests();
        let body = request_schema(&document, &documented).map(|schema| minimal(&document, schema));
        call(&api, &operation, &id, "", body.map(|body| body.to_string())).await.assert_status(200);
        let sent: BTreeSet<String> = api.watch.requests().into_iter().collect();
        assert_eq!(allowed(&template, &operation), sent, "{operation}");
    }
    let unknown = ApiKey::generate().expect("random numbers");
    api.with_key(unknown.reveal()).get("/flows/executions").await.assert_status(403);
    assert_eq!(allowed(&template, AUTHORIZER), api.watch.requests().into_iter().collect(), "{AUTHORIZER}");
}
