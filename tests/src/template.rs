//! `template.yaml`: its functions, and what invokes each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use serde_norway::Value as Yaml;

/// The functions that nothing in the template invokes, by their binaries. A function without an event that is not named
/// here is a mistake: it would be deployed, and never run.
pub const INVOKED_BY_HAND: [&str; 0] = [];

/// The kind of a function, by what invokes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The API, with a request to this route.
    Http {
        /// The method, in capitals.
        method: String,
        /// The path, with its parameters in braces.
        path: String,
    },
    /// The API, with a request to one of these routes, which need no key.
    Public {
        /// The routes, as API Gateway writes them, in order.
        routes: BTreeSet<String>,
    },
    /// The API, with a key, before it passes a request to its function.
    Authorizer,
    /// A schedule.
    Schedule,
    /// A change in a table.
    Stream,
    /// A person: see [`INVOKED_BY_HAND`].
    Hand,
}

/// A function of the template.
#[derive(Clone, Debug)]
pub struct Function {
    /// The logical id.
    pub id: String,
    /// What invokes it.
    pub kind: Kind,
    /// Its `Properties`.
    pub properties: Yaml,
}

/// `template.yaml`.
pub fn template() -> Yaml {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    serde_norway::from_str(&std::fs::read_to_string(path).expect("template.yaml")).expect("YAML")
}

/// The text of a YAML scalar, also where it is the argument of an intrinsic function.
#[track_caller]
pub fn scalar(value: &Yaml) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:?}")).to_owned()
}

/// The resources of a type, by their logical ids.
pub fn resources(template: &Yaml, kind: &str) -> BTreeMap<String, Yaml> {
    let all = template["Resources"].as_mapping().expect("resources");
    let of_kind = all.iter().filter(|(_, resource)| resource["Type"].as_str() == Some(kind));
    of_kind.map(|(id, resource)| (scalar(id), resource.clone())).collect()
}

/// The functions of the template, by the names of their binaries.
pub fn functions(template: &Yaml) -> BTreeMap<String, Function> {
    let functions = resources(template, "AWS::Serverless::Function");
    functions
        .into_iter()
        .map(|(id, function)| {
            let binary = scalar(&function["Metadata"]["BuildProperties"]["Binary"]);
            assert_eq!(id, format!("{}Function", pascal_case(&binary)), "the function that runs {binary}");
            assert_eq!(scalar(&function["Properties"]["CodeUri"]), format!("functions/{binary}"), "{id}");
            let by_hand = INVOKED_BY_HAND.contains(&&*binary);
            let kind = kind(template, &id, by_hand).unwrap_or_else(|wrong| panic!("{wrong}"));
            (binary, Function { id, kind, properties: function["Properties"].clone() })
        })
        .collect()
}

/// A function's name as its resources spell it.
pub fn pascal_case(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// The kind of a function.
///
/// # Errors
///
/// If the template names nothing that invokes it, more than one thing (but for routes that need no key), or an event of an
/// unknown type.
pub fn kind(template: &Yaml, id: &str, by_hand: bool) -> Result<Kind, String> {
    let events = &template["Resources"][id]["Properties"]["Events"];
    let events: Vec<&Yaml> = events.as_mapping().into_iter().flatten().map(|(_, event)| event).collect();
    match (&events[..], is_authorizer(template, id), by_hand) {
        ([], true, false) => Ok(Kind::Authorizer),
        ([], false, true) => Ok(Kind::Hand),
        ([], false, false) => Err(format!("{id}: no event, no authorizer, and not named as invoked by hand")),
        (events, false, false) if events.iter().all(|event| is_public(event)) => {
            let routes = events.iter().map(|event| route(event).map(|(method, path)| format!("{method} {path}")));
            let routes = routes.collect::<Result<_, _>>().map_err(|wrong| format!("{id}: {wrong}"))?;
            Ok(Kind::Public { routes })
        }
        ([event], false, false) => kind_of_event(event).map_err(|wrong| format!("{id}: {wrong}")),
        // The checks read one event. A second one would not be checked.
        _ => Err(format!("{id}: more than one thing invokes it")),
    }
}

/// Whether the API's authorizer is this function.
fn is_authorizer(template: &Yaml, id: &str) -> bool {
    let apis = resources(template, "AWS::Serverless::HttpApi");
    apis.values().any(|api| {
        let authorizers = api["Properties"]["Auth"]["Authorizers"].as_mapping();
        authorizers.into_iter().flatten().any(|(_, authorizer)| {
            let function = authorizer["FunctionArn"].as_str().unwrap_or_default();
            // !GetAtt X.Arn and !Ref X.Alias, or !Sub ...${X}...
            function.split('.').next() == Some(id)
                || function.contains(&format!("${{{id}}}"))
                || function.contains(&format!("${{{id}."))
        })
    })
}

/// Whether an event is a route of the API that needs no key.
fn is_public(event: &Yaml) -> bool {
    event["Type"].as_str() == Some("HttpApi") && event["Properties"]["Auth"]["Authorizer"].as_str() == Some("NONE")
}

/// The method and the path of an event of the API.
fn route(event: &Yaml) -> Result<(String, String), String> {
    let text = |name: &str| event["Properties"][name].as_str().map(str::to_owned);
    text("Method")
        .zip(text("Path"))
        .ok_or_else(|| "an HttpApi event without a method or a path takes every request that has no route".to_owned())
}

fn kind_of_event(event: &Yaml) -> Result<Kind, String> {
    match event["Type"].as_str() {
        Some("HttpApi") => route(event).map(|(method, path)| Kind::Http { method, path }),
        Some("Schedule" | "ScheduleV2") => Ok(Kind::Schedule),
        Some("DynamoDB") => Ok(Kind::Stream),
        other => Err(format!("tests/src/template.rs has no kind for events of type {other:?}")),
    }
}

impl Function {
    /// The event that invokes it; null for an authorizer.
    pub fn event(&self) -> &Yaml {
        let events = self.properties["Events"].as_mapping();
        events.and_then(|events| events.values().next()).unwrap_or(&Yaml::Null)
    }

    /// Whether the function's schedule or stream could send a sample event. `tests/api/events.rs` checks those of API Gateway.
    ///
    /// # Errors
    ///
    /// The first member that AWS would write in another way.
    pub fn could_send(&self, template: &Yaml, event: &Value) -> Result<(), String> {
        match self.kind {
            Kind::Schedule => self.schedule_could_send(event),
            Kind::Stream => stream_could_send(template, event),
            Kind::Http { .. } | Kind::Public { .. } | Kind::Authorizer | Kind::Hand => {
                Err(format!("{}: no schedule and no stream", self.id))
            }
        }
    }

    fn schedule_could_send(&self, event: &Value) -> Result<(), String> {
        let properties = &self.event()["Properties"];
        if let Some(input) = properties["Input"].as_str() {
            let input: Value =
                serde_json::from_str(input).map_err(|error| format!("{}: Input is no JSON: {error}", self.id))?;
            return check(*event == input, "the schedule sends its Input and nothing else");
        }
        // A schedule of EventBridge Scheduler writes the text of an object into `detail`, not an object.
        let scheduler = self.event()["Type"].as_str() == Some("ScheduleV2");
        let (source, detail) = if scheduler { ("aws.scheduler", json!("{}")) } else { ("aws.events", json!({})) };
        check(event["version"] == "0", "version")?;
        check(event["detail-type"] == "Scheduled Event", "detail-type")?;
        check(event["source"] == source, "source")?;
        check(event["detail"] == detail, "detail")?;
        for present in ["id", "account", "time", "region"] {
            check(event[present].is_string(), present)?;
        }
        let named = event["resources"].as_array().is_some_and(
            |resources| matches!(&resources[..], [arn] if arn.as_str().is_some_and(|arn| arn.starts_with("arn:"))),
        );
        check(named, "resources: the one ARN of the schedule")
    }
}

fn stream_could_send(template: &Yaml, event: &Value) -> Result<(), String> {
    let tables = resources(template, "AWS::DynamoDB::Table");
    let views: Vec<&str> = tables
        .values()
        .filter_map(|table| table["Properties"]["StreamSpecification"]["StreamViewType"].as_str())
        .collect();
    let records = event["Records"].as_array().filter(|records| !records.is_empty());
    for record in records.ok_or("Records")? {
        check(record["eventSource"] == "aws:dynamodb", "eventSource")?;
        check(record["eventVersion"] == "1.1", "eventVersion")?;
        let arn = record["eventSourceARN"].as_str().unwrap_or_default();
        check(arn.starts_with("arn:") && arn.contains(":table/") && arn.contains("/stream/"), "eventSourceARN")?;
        for present in ["eventID", "awsRegion"] {
            check(record[present].is_string(), present)?;
        }
        let change = &record["dynamodb"];
        let view = change["StreamViewType"].as_str().unwrap_or_default();
        check(views.contains(&view), "StreamViewType: another than the table's")?;
        check(change["SequenceNumber"].is_string(), "SequenceNumber")?;
        check(change["Keys"].as_object().is_some_and(|keys| !keys.is_empty()), "Keys")?;
        let (old, new) = match record["eventName"].as_str() {
            Some("INSERT") => (false, true),
            Some("MODIFY") => (true, true),
            Some("REMOVE") => (true, false),
            _ => return Err("eventName".to_owned()),
        };
        check(change["OldImage"].is_object() == (old && view.contains("OLD")), "OldImage")?;
        check(change["NewImage"].is_object() == (new && view.contains("NEW")), "NewImage")?;
    }
    Ok(())
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
