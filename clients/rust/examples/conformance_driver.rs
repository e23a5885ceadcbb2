//! The driver of the conformance list (clients/conformance/README.md) around this client: reads commands, one JSON object a line,
//! and answers each by one.
//!
//!     python3 clients/conformance/run.py -- target/debug/examples/conformance_driver

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use ratchet_client::answer::{Answer, ETag};
use ratchet_client::client::Client;
use ratchet_client::error::Error;
use ratchet_client::heartbeats::{Heartbeats, Notice};
use ratchet_client::idempotency::IdempotencyKey;
use ratchet_client::model::clock::Timestamp;
use ratchet_client::model::error_code::ErrorCode;
use ratchet_client::model::execution::{Priority, TriggerType};
use ratchet_client::model::id::ExecutionId;
use ratchet_client::model::json::JsonText;
use ratchet_client::model::list::View;
use ratchet_client::model::status::Status;
use ratchet_client::model::wire_name::WireName;
use ratchet_client::record::Execution;
use ratchet_client::request::{Cancel, ListQuery, NewExecution, Override, StepReport, Steps, StepsQuery, Update};
use ratchet_client::retry::RetryPolicy;
use ratchet_client::wait::{Waited, wait_with};
use ratchet_client::walk::Walk;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a command is answered: the text of a JSON object, or an error.
type Answered = Result<String, Failed>;

/// Why there is no answer.
enum Failed {
    /// The client's error.
    Call(Error),
    /// Waited in vain; the record that was seen last.
    InVain(Option<String>),
    /// The command itself is wrong: the list, and not the client.
    Command(String),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

#[derive(Deserialize)]
struct Command<'a> {
    call: String,
    #[serde(borrow)]
    args: Option<Args<'a>>,
}

/// The arguments of a command, each as its text.
#[derive(Deserialize)]
#[serde(transparent)]
struct Args<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);

impl<'a> Args<'a> {
    /// An argument that is there and not null.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get()).filter(|text| *text != "null")
    }

    fn read<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Failed> {
        let Some(text) = self.text(name) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| Failed::Command(format!("{name}: {error}")))
    }

    fn string(&self, name: &str) -> Result<Option<String>, Failed> {
        self.read(name)
    }

    fn json(&self, name: &str) -> Option<JsonText> {
        self.text(name).map(|text| JsonText::new_unchecked(text.to_owned()))
    }

    fn named<T: WireName>(&self, name: &str) -> Result<Option<T>, Failed> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        T::parse(&text).map(Some).ok_or_else(|| Failed::Command(format!("{name}: {text}")))
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Failed> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        Timestamp::parse(&text).map(Some).map_err(|_| Failed::Command(format!("{name}: {text}")))
    }

    fn id(&self) -> Result<ExecutionId, Failed> {
        let text = required("execution_id", self.string("execution_id")?)?;
        ExecutionId::parse(&text).ok_or_else(|| Failed::Call(Error::Unusable(format!("not an id: {text}"))))
    }

    fn key(&self) -> Result<Option<IdempotencyKey>, Failed> {
        Ok(self.string("idempotency_key")?.map(|key| IdempotencyKey::parse(&key)).transpose()?)
    }

    fn if_match(&self) -> Result<Option<ETag>, Failed> {
        Ok(self.string("if_match")?.map(|text| ETag::from_text(&text)))
    }

    fn statuses(&self) -> Result<Vec<Status>, Failed> {
        let Some(text) = self.text("status") else { return Ok(Vec::new()) };
        let names = match serde_json::from_str::<String>(text) {
            Ok(names) => names.split(',').map(str::to_owned).collect(),
            Err(_) => self.read::<Vec<String>>("status")?.unwrap_or_default(),
        };
        let status = |name: &String| Status::parse(name).ok_or_else(|| Failed::Command(format!("status: {name}")));
        names.iter().map(status).collect()
    }
}

/// An argument that must be there.
fn required<T>(name: &str, value: Option<T>) -> Result<T, Failed> {
    value.ok_or_else(|| Failed::Command(format!("{name} is missing")))
}

/// The client, and what runs in the background.
struct Driver {
    client: Option<Client>,
    poll_scale: f64,
    heartbeats: Option<Heartbeats>,
}

impl Driver {
    fn connect(&mut self, args: &Args) -> Answered {
        let options: BTreeMap<String, f64> = args.read("options")?.unwrap_or_default();
        let seconds = |name: &str, otherwise: Duration| {
            options.get(name).map_or(otherwise, |seconds| Duration::from_secs_f64(*seconds))
        };
        let default = RetryPolicy::default();
        let retry = RetryPolicy {
            requests: options.get("attempts").map_or(default.requests, |attempts| {
                // Small whole numbers, as the list has them.
                format!("{attempts:.0}").parse().unwrap_or(default.requests)
            }),
            base: seconds("backoff_base", default.base),
            cap: seconds("backoff_cap", default.cap),
            longest_retry_after: seconds("retry_after_limit", default.longest_retry_after),
            request_timeout: seconds("timeout", default.request_timeout),
            total: seconds("deadline", default.total),
        };
        let url = required("url", args.string("url")?)?;
        let key = required("api_key", args.string("api_key")?)?;
        self.client = Some(Client::new(&url, &key)?.with_retry(retry));
        self.poll_scale = options.get("poll_scale").copied().unwrap_or(1.0);
        self.heartbeats = None;
        Ok(r#"{"client":"ratchet-client (Rust)","groups":["requests","wait","heartbeats"]}"#.to_owned())
    }

    async fn call(&mut self, command: &Command<'_>) -> Answered {
        let none = Args(BTreeMap::new());
        let args = command.args.as_ref().unwrap_or(&none);
        if command.call == "connect" {
            return self.connect(args);
        }
        let client = self.client.clone().ok_or_else(|| Failed::Command("connect first".to_owned()))?;
        match command.call.as_str() {
            "execute" => Ok(record(&client.execute(&new_execution(args)?).await?)),
            "get" => match args.string("if_none_match")? {
                Some(seen) => match client.get_if_changed(args.id()?, &ETag::from_text(&seen)).await? {
                    Some(answer) => Ok(record(&answer)),
                    None => Ok(r#"{"not_modified":true}"#.to_owned()),
                },
                None => Ok(record(&client.get(args.id()?).await?)),
            },
            "list" => Ok(client.list(&list_query(args)?).await?.json.as_str().to_owned()),
            "walk" => {
                let mut walk = Walk::new(&client, list_query(args)?);
                let mut ids = Vec::new();
                while let Some(page) = walk.next().await? {
                    ids.extend(page.iter().map(|execution| execution.id.to_string()));
                }
                Ok(serde_json::json!({ "ids": ids }).to_string())
            }
            "update" => Ok(record(&client.update(args.id()?, &update(args)?).await?)),
            "update_status" => {
                let change = Override {
                    status: required("status", args.named("status")?)?,
                    error_info: args.json("error_info"),
                    if_match: args.if_match()?,
                    idempotency_key: args.key()?,
                };
                let done = client.override_status(args.id()?, &change).await?;
                Ok(done.json.as_str().to_owned())
            }
            "transitions" => {
                let transitions = client.transitions(args.id()?).await?;
                let texts: Vec<&str> = transitions.iter().map(|transition| transition.json.as_str()).collect();
                Ok(format!("{{\"transitions\":[{}]}}", texts.join(",")))
            }
            "heartbeat" => Ok(client.heartbeat(args.id()?, args.read("attempt")?).await?.json.as_str().to_owned()),
            "last_heartbeat" => Ok(client.last_heartbeat(args.id()?).await?.json.as_str().to_owned()),
            "cancel" => {
                let cancel = Cancel {
                    reason: args.string("reason")?,
                    grace_seconds: args.read("grace_seconds")?,
                    if_match: args.if_match()?,
                    idempotency_key: args.key()?,
                };
                Ok(client.cancel(args.id()?, &cancel).await?.json.as_str().to_owned())
            }
            "report_steps" => {
                let reports: Vec<Args> = required("steps", args.read("steps")?)?;
                let steps = Steps {
                    attempt: args.read("attempt")?,
                    steps: reports.iter().map(step).collect::<Result<_, Failed>>()?,
                    idempotency_key: args.key()?,
                };
                Ok(client.report_steps(args.id()?, &steps).await?.json.as_str().to_owned())
            }
            "list_steps" => {
                let view = args.named::<View>("view")?.unwrap_or_default();
                let mut query = StepsQuery { page_size: args.read("page_size")?, view, cursor: None };
                let mut texts = Vec::new();
                loop {
                    let page = client.steps(args.id()?, &query).await?.record;
                    texts.extend(page.steps.iter().map(|step| step.json.as_str().to_owned()));
                    query.cursor = page.next_cursor;
                    if query.cursor.is_none() {
                        return Ok(format!("{{\"steps\":[{}]}}", texts.join(",")));
                    }
                }
            }
            "me" => Ok(client.caller().await?.json.as_str().to_owned()),
            "wait" => {
                let timeout = args.read::<f64>("timeout")?.map(Duration::from_secs_f64);
                match wait_with(&client, args.id()?, timeout, self.poll_scale).await? {
                    Waited::Ended(answer) => Ok(record(&answer)),
                    Waited::InVain(last) => Err(Failed::InVain(last.map(|last| last.json.as_str().to_owned()))),
                }
            }
            "keep_alive" => {
                let every = required("every", args.read::<f64>("every")?)?;
                let every = Duration::from_secs_f64(every);
                self.heartbeats = Some(Heartbeats::start_every(&client, args.id()?, args.read("attempt")?, every));
                Ok("{}".to_owned())
            }
            "notice" => {
                let seconds = required("seconds", args.read::<f64>("seconds")?)?;
                Ok(self.notice(Duration::from_secs_f64(seconds)).await)
            }
            "stop_keep_alive" => {
                self.heartbeats = None;
                Ok("{}".to_owned())
            }
            other => Err(Failed::Command(format!("there is no call {other}"))),
        }
    }

    async fn notice(&self, patience: Duration) -> String {
        let nothing = r#"{"action":null}"#.to_owned();
        let Some(heartbeats) = &self.heartbeats else { return nothing };
        let mut notice = heartbeats.notice();
        let told = tokio::time::timeout(patience, notice.wait_for(Notice::ends_the_work)).await;
        match told {
            Ok(Ok(notice)) => match &*notice {
                Notice::Continue => nothing,
                Notice::Cancel { reason, .. } => {
                    serde_json::json!({ "action": "cancel", "reason": reason, "status": "running" }).to_string()
                }
                Notice::Stop { status, reason } => {
                    serde_json::json!({ "action": "stop", "reason": reason, "status": status.as_str() }).to_string()
                }
            },
            _ => nothing,
        }
    }
}

/// A record as an answer.
fn record(answer: &Answer<Execution>) -> String {
    let etag = serde_json::json!(answer.etag.as_ref().map(ETag::as_str));
    format!("{{\"record\":{},\"etag\":{etag},\"replayed\":{}}}", answer.json.as_str(), answer.replayed)
}

fn new_execution(args: &Args) -> Result<NewExecution, Failed> {
    let retries: Option<BTreeMap<String, i64>> = args.read("retry_config")?;
    let trigger = args.named::<TriggerType>("trigger_type")?.unwrap_or(TriggerType::Api);
    Ok(NewExecution {
        trigger_data: args.json("trigger_data"),
        variables: args.json("variables"),
        priority: args.named::<Priority>("priority")?,
        timeout_seconds: args.read("timeout_seconds")?,
        heartbeat_timeout_seconds: args.read("heartbeat_timeout_seconds")?,
        start_timeout_seconds: args.read("start_timeout_seconds")?,
        max_retries: retries.and_then(|retries| retries.get("max_retries").copied()),
        metadata: args.json("metadata"),
        scheduled_at: args.time("scheduled_at")?,
        agent_id: args.string("agent_id")?,
        parent_execution_id: args.string("parent_execution_id")?,
        idempotency_key: args.key()?,
        ..NewExecution::new(args.string("flow_id")?.unwrap_or_default(), trigger)
    })
}

fn update(args: &Args) -> Result<Update, Failed> {
    Ok(Update {
        status: args.named("status")?,
        attempt: args.read("attempt")?,
        completed_at: args.time("completed_at")?,
        duration_ms: args.read("duration_ms")?,
        timeout_seconds: args.read("timeout_seconds")?,
        final_output: args.json("final_output"),
        error_message: args.string("error_message")?,
        error_details: args.json("error_details"),
        retry_count: args.read("retry_count")?,
        tokens_used: args.read("tokens_used")?,
        tool_calls_count: args.read("tool_calls_count")?,
        cost_estimate: args.json("cost_estimate"),
        performance_metrics: args.json("performance_metrics"),
        metadata: args.json("metadata"),
        if_match: args.if_match()?,
        idempotency_key: args.key()?,
    })
}

fn step(args: &Args) -> Result<StepReport, Failed> {
    Ok(StepReport {
        step_id: required("step_id", args.string("step_id")?)?,
        step_name: args.string("step_name")?,
        step_type: args.string("step_type")?,
        tool_name: args.string("tool_name")?,
        status: args.named("status")?,
        input_data: args.json("input_data"),
        output_data: args.json("output_data"),
        error_message: args.string("error_message")?,
        started_at: args.time("started_at")?,
        completed_at: args.time("completed_at")?,
        duration_ms: args.read("duration_ms")?,
        retry_count: args.read("retry_count")?,
        metadata: args.json("metadata"),
    })
}

fn list_query(args: &Args) -> Result<ListQuery, Failed> {
    Ok(ListQuery {
        flow_id: args.string("flow_id")?,
        status: args.statuses()?,
        trigger_type: args.named("trigger_type")?,
        agent_id: args.string("agent_id")?,
        created_after: args.time("created_after")?,
        created_before: args.time("created_before")?,
        page_size: args.read("page_size")?,
        count_limit: args.read("count_limit")?,
        view: args.named("view")?.unwrap_or_default(),
        cursor: args.string("cursor")?,
    })
}

/// An error as the list names it.
fn error(failed: &Failed) -> String {
    let code = |code: Option<ErrorCode>| code.map(WireName::as_str);
    match failed {
        Failed::InVain(last) => {
            format!(r#"{{"kind":"wait_timeout","record":{}}}"#, last.as_deref().unwrap_or("null"))
        }
        Failed::Command(why) => serde_json::json!({ "kind": "driver", "detail": why }).to_string(),
        Failed::Call(error) => match error {
            Error::Unusable(why) => serde_json::json!({ "kind": "invalid", "detail": why }).to_string(),
            Error::Refused(refusal) => serde_json::json!({
                "kind": "api",
                "status": refusal.status,
                "error_code": code(refusal.code),
                "detail": refusal.detail,
                "current_status": refusal.current_status.map(Status::as_str),
                "requested_status": refusal.requested_status.map(Status::as_str),
                "correlation_id": refusal.correlation_id,
            })
            .to_string(),
            Error::Unavailable(unavailable) => serde_json::json!({
                "kind": "unavailable",
                "status": unavailable.status,
                "error_code": code(unavailable.code),
                "outcome_unknown": unavailable.code == Some(ErrorCode::OutcomeUnknown),
                "detail": unavailable.last,
            })
            .to_string(),
            Error::NotUnderstood(why) => {
                serde_json::json!({ "kind": "unavailable", "status": null, "outcome_unknown": false, "detail": why })
                    .to_string()
            }
        },
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> std::io::Result<()> {
    let mut driver = Driver { client: None, poll_scale: 1.0, heartbeats: None };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answered = match serde_json::from_str::<Command>(&line) {
            Ok(command) => driver.call(&command).await,
            Err(error) => Err(Failed::Command(error.to_string())),
        };
        let answer = match &answered {
            Ok(answer) => format!("{{\"ok\":{answer}}}"),
            Err(failed) => format!("{{\"error\":{}}}", error(failed)),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
