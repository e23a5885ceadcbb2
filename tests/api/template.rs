//! How `tests::template` classifies the functions of a template, tried on templates that this service does not have yet.

use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use tests::template::{Function, INVOKED_BY_HAND, Kind, functions, kind, template};

use crate::events::{events, function_of};

/// A template with one function with these lines in its properties, and an API with this authorizer.
fn with(properties: &str, authorizer: &str) -> Yaml {
    let properties = properties.trim().replace('\n', "\n      ");
    let text = format!(
        "\
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      StreamSpecification: {{ StreamViewType: NEW_AND_OLD_IMAGES }}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          ApiKey:
            FunctionArn: {authorizer}
  WorkFunction:
    Type: AWS::Serverless::Function
    Metadata:
      BuildProperties: {{ Binary: work }}
    Properties:
      CodeUri: functions/work
      {properties}
"
    );
    serde_norway::from_str(&text).expect("YAML")
}

/// The authorizer is another function.
const OTHER: &str = "!GetAtt OtherFunction.Arn";
const ROUTE: &str = "
Events:
  Route:
    Type: HttpApi
    Properties: { ApiId: !Ref Api, Method: GET, Path: '/api/v1/things/{id}' }
";
const RATE: &str = "
Events:
  EveryMinute:
    Type: Schedule
    Properties: { Schedule: rate(1 minute) }
";
const SCHEDULER: &str = "
Events:
  EveryMinute:
    Type: ScheduleV2
    Properties: { ScheduleExpression: rate(1 minute) }
";
const CHANGES: &str = "
Events:
  Changes:
    Type: DynamoDB
    Properties: { Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST }
";

const PUBLIC: &str = "
Events:
  Page:
    Type: HttpApi
    Properties: { ApiId: !Ref Api, Method: GET, Path: /page, Auth: { Authorizer: NONE } }
  Files:
    Type: HttpApi
    Properties: { ApiId: !Ref Api, Method: GET, Path: '/page/{file+}', Auth: { Authorizer: NONE } }
";

fn kind_with(properties: &str, authorizer: &str) -> Result<Kind, String> {
    kind(&with(properties, authorizer), "WorkFunction", false)
}

fn function(properties: &str) -> Function {
    functions(&with(properties, OTHER)).remove("work").expect("the function")
}

#[test]
fn an_event_says_what_invokes_a_function() {
    let route = Kind::Http { method: "GET".to_owned(), path: "/api/v1/things/{id}".to_owned() };
    assert_eq!(kind_with(ROUTE, OTHER), Ok(route));
    assert_eq!(kind_with(RATE, OTHER), Ok(Kind::Schedule));
    assert_eq!(kind_with(SCHEDULER, OTHER), Ok(Kind::Schedule));
    assert_eq!(kind_with(CHANGES, OTHER), Ok(Kind::Stream));
    let routes = ["GET /page", "GET /page/{file+}"].map(str::to_owned).into();
    assert_eq!(kind_with(PUBLIC, OTHER), Ok(Kind::Public { routes }));
}

#[test]
fn the_authorizer_is_the_function_that_the_api_names() {
    for arn in [
        "!Sub arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${WorkFunction}:live",
        "!Sub ${WorkFunction.Arn}",
        "!GetAtt WorkFunction.Arn",
        "!Ref WorkFunction.Alias",
    ] {
        assert_eq!(kind_with("Timeout: 5", arn), Ok(Kind::Authorizer), "{arn}");
    }
    for arn in ["!Sub ${WorkFunctionRole.Arn}", "!Sub ${MyWorkFunction}", "!Ref WorkFunctions.Alias"] {
        assert!(kind_with("Timeout: 5", arn).is_err(), "{arn}");
    }
}

#[test]
fn a_function_that_nothing_invokes_is_a_mistake_unless_it_is_named() {
    for properties in ["Timeout: 5", "Events: {}"] {
        let template = with(properties, OTHER);
        assert!(kind(&template, "WorkFunction", false).is_err(), "{properties}");
        assert_eq!(kind(&template, "WorkFunction", true), Ok(Kind::Hand), "{properties}");
    }
    // A name that is no longer needed must be removed.
    assert!(kind(&with(RATE, OTHER), "WorkFunction", true).is_err());
    assert!(kind(&with("Timeout: 5", "!Ref WorkFunction.Alias"), "WorkFunction", true).is_err());
    let functions = functions(&template());
    assert!(INVOKED_BY_HAND.iter().all(|name: &&str| functions.contains_key(*name)), "{INVOKED_BY_HAND:?}");
}

#[test]
fn what_the_checks_would_not_see_is_refused() {
    let two = format!("{RATE}  Changes:\n    Type: DynamoDB\n    Properties: {{ Stream: !GetAtt Table.StreamArn }}\n");
    let queue = "Events: { Work: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn } } }";
    let everything = "Events: { Route: { Type: HttpApi, Properties: { ApiId: !Ref Api } } }";
    // One route that needs no key beside one that does.
    let half = PUBLIC.replacen(", Auth: { Authorizer: NONE }", "", 1);
    for (properties, authorizer) in [
        (&*two, OTHER),
        (queue, OTHER),
        (everything, OTHER),
        (&*half, OTHER),
        (ROUTE, "!Ref WorkFunction.Alias"),
        (PUBLIC, "!Ref WorkFunction.Alias"),
    ] {
        assert!(kind_with(properties, authorizer).is_err(), "{properties}");
    }
}

/// Asserts that the function takes the event, and not one with any of these members set to the value beside it.
#[track_caller]
fn assert_exact(function: &Function, event: &Value, broken: &[(&str, Value)]) {
    let template = with(CHANGES, OTHER);
    assert_eq!(function.could_send(&template, event), Ok(()));
    for (pointer, value) in broken {
        let mut event = event.clone();
        *event.pointer_mut(pointer).expect(pointer) = value.clone();
        assert!(function.could_send(&template, &event).is_err(), "{pointer}: {value}");
    }
}

#[test]
fn a_schedule_sends_what_aws_documents() {
    let mut event = json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-01-01T03:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/every-minute"],
        "detail": {},
    });
    let broken = [
        ("/version", json!("2.0")),
        ("/id", json!(1)),
        ("/detail-type", json!("Execution Changed")),
        ("/source", json!("aws.s3")),
        ("/time", Value::Null),
        ("/resources", json!([])),
    ];
    assert_exact(&function(RATE), &event, &broken);
    assert_exact(&function(RATE), &event, &[("/source", json!("aws.scheduler")), ("/detail", json!("{}"))]);
    event["source"] = json!("aws.scheduler");
    event["detail"] = json!("{}");
    assert_exact(&function(SCHEDULER), &event, &broken);
    assert_exact(&function(SCHEDULER), &event, &[("/source", json!("aws.events")), ("/detail", json!({}))]);

    let own = function(&format!("{}\n", RATE.replace("rate(1 minute)", "rate(1 minute), Input: '{\"limit\": 5}'")));
    assert_exact(&own, &json!({ "limit": 5 }), &[("/limit", json!(6))]);
    assert!(own.could_send(&with(RATE, OTHER), &event).is_err(), "its Input, and nothing else");
}

#[test]
fn a_stream_sends_what_aws_documents() {
    let record = |name: &str, images: &[&str]| {
        let mut change = json!({
            "ApproximateCreationDateTime": 1_767_225_600,
            "Keys": { "pk": { "S": "e#acme#1" }, "sk": { "S": "h" } },
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 59,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        for image in images {
            change[*image] = json!({ "pk": { "S": "e#acme#1" }, "sk": { "S": "h" }, "st": { "S": "running" } });
        }
        json!({
            "eventID": "c4ca4238a0b923820dcc509a6f75849b",
            "eventName": name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-central-1",
            "dynamodb": change,
            "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/t/stream/2026-01-01T00:00:00.000",
        })
    };
    let event = json!({
        "Records": [
            record("INSERT", &["NewImage"]),
            record("MODIFY", &["OldImage", "NewImage"]),
            record("REMOVE", &["OldImage"]),
        ],
    });
    let broken = [
        ("/Records", json!([])),
        ("/Records", json!([record("INSERT", &["NewImage", "OldImage"])])),
        ("/Records", json!([record("REMOVE", &["NewImage"])])),
        ("/Records/1/eventName", json!("UPDATE")),
        ("/Records/1/eventSource", json!("aws:sqs")),
        ("/Records/1/eventVersion", json!("1.0")),
        ("/Records/1/eventID", Value::Null),
        ("/Records/2/eventSourceARN", json!("arn:aws:dynamodb:eu-central-1:123456789012:table/t")),
        ("/Records/2/dynamodb/StreamViewType", json!("KEYS_ONLY")),
        ("/Records/2/dynamodb/Keys", json!({})),
        ("/Records/2/dynamodb/SequenceNumber", json!(1)),
        ("/Records/1/dynamodb/NewImage", Value::Null),
    ];
    assert_exact(&function(CHANGES), &event, &broken);
    assert!(function(ROUTE).could_send(&with(CHANGES, OTHER), &event).is_err(), "a route is not a stream");
}

#[test]
fn every_event_of_a_schedule_or_a_stream_is_one_that_it_could_send() {
    let template = template();
    let functions = functions(&template);
    for (name, event) in events() {
        let function = &functions[function_of(&name)];
        if matches!(function.kind, Kind::Schedule | Kind::Stream) {
            let event = serde_json::from_str(&event).expect("JSON");
            function.could_send(&template, &event).unwrap_or_else(|wrong| panic!("events/{name}.json: {wrong}"));
        }
    }
}
