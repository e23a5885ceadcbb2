//! What is sent. A field that is `None` is not sent, and the service leaves it as it is.

use ratchet_model::clock::Timestamp;
use ratchet_model::execution::{Priority, TriggerType};
use ratchet_model::json::{self, JsonText};
use ratchet_model::list::View;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde::Serialize;

use crate::answer::ETag;
use crate::error::Error;
use crate::idempotency::IdempotencyKey;
use crate::wire;

/// Reads a JSON object, which is then sent as it is.
///
/// # Errors
///
/// [`Error::Unusable`] for a text that is not one.
pub fn json_object(text: &str) -> Result<JsonText, Error> {
    match json::parse(text) {
        Ok(parsed) if parsed.members().is_some() => Ok(JsonText::new_unchecked(parsed.text().to_owned())),
        Ok(_) => Err(Error::Unusable("JSON, but not an object".to_owned())),
        Err(error) => Err(Error::Unusable(format!("not JSON: {} at character {}", error.reason, error.position))),
    }
}

/// A value as a JSON object.
///
/// # Errors
///
/// [`Error::Unusable`] for a value that is not one.
pub fn to_json_object<T: Serialize>(value: &T) -> Result<JsonText, Error> {
    json_object(&serde_json::to_string(value).map_err(|error| Error::Unusable(error.to_string()))?)
}

/// Reads a number that is not negative, which is then sent with the digits that it has.
///
/// # Errors
///
/// [`Error::Unusable`] for a text that is not one.
pub fn cost(text: &str) -> Result<JsonText, Error> {
    let parsed = json::parse(text).ok();
    match parsed.as_ref().map(json::ParsedJson::text) {
        Some(number) if number.starts_with(|first: char| first.is_ascii_digit()) => {
            Ok(JsonText::new_unchecked(number.to_owned()))
        }
        _ => Err(Error::Unusable(format!("not a cost: {text:?}"))),
    }
}

/// An execution to create.
#[derive(Debug, Clone, Serialize)]
pub struct NewExecution {
    /// The flow that runs.
    pub flow_id: String,
    /// What set it off.
    #[serde(serialize_with = "wire::write_named")]
    pub trigger_type: TriggerType,
    /// What came with the trigger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_data: Option<JsonText>,
    /// The inputs of the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<JsonText>,
    /// How urgent it is.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "wire::write_maybe_named")]
    pub priority: Option<Priority>,
    /// How long it may take from its first `running` on, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// How long its worker may be silent, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout_seconds: Option<i64>,
    /// How long it may take to start, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout_seconds: Option<i64>,
    /// How often it may be retried.
    #[serde(skip_serializing_if = "Option::is_none", rename = "retry_config", serialize_with = "max_retries")]
    pub max_retries: Option<i64>,
    /// The caller's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText>,
    /// When it is meant to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// The agent that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The execution that it retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_execution_id: Option<String>,
    /// The key of this call, where the caller means to repeat it; else it has a new one.
    #[serde(skip)]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// `{"max_retries": n}`.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn max_retries<S: serde::Serializer>(value: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map([("max_retries", value)])
}

impl NewExecution {
    /// One of a flow, with the service's defaults.
    #[must_use]
    pub fn new(flow_id: impl Into<String>, trigger_type: TriggerType) -> Self {
        Self {
            flow_id: flow_id.into(),
            trigger_type,
            trigger_data: None,
            variables: None,
            priority: None,
            timeout_seconds: None,
            heartbeat_timeout_seconds: None,
            start_timeout_seconds: None,
            max_retries: None,
            metadata: None,
            scheduled_at: None,
            agent_id: None,
            parent_execution_id: None,
            idempotency_key: None,
        }
    }
}

/// A change of an execution: a status to enter, fields to write.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Update {
    /// The status to enter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The attempt for which the worker speaks: that of the answer to its claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How long it may take, in seconds. It may only rise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// The result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_output: Option<JsonText>,
    /// What went wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// What went wrong, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_details: Option<JsonText>,
    /// How often it was retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i64>,
    /// Tokens that models used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<i64>,
    /// Calls of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls_count: Option<i64>,
    /// What it cost, in USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_estimate: Option<JsonText>,
    /// Measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_metrics: Option<JsonText>,
    /// The caller's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText>,
    /// Only if the record is as it was then.
    #[serde(skip)]
    pub if_match: Option<ETag>,
    /// The key of this call, where the caller means to repeat it; else it has a new one.
    #[serde(skip)]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl Update {
    /// One to this status.
    #[must_use]
    pub fn to(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

/// An override: a change from outside of an execution that got stuck. `failed` and `completed` need the scope admin.
#[derive(Debug, Clone, Serialize)]
pub struct Override {
    /// `cancelled`, `failed` or `completed`.
    #[serde(serialize_with = "wire::write_named")]
    pub status: Status,
    /// What is known of it; a string `message` in it becomes the `error_message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_info: Option<JsonText>,
    /// Only if the record is as it was then.
    #[serde(skip)]
    pub if_match: Option<ETag>,
    /// The key of this call, where the caller means to repeat it; else it has a new one.
    #[serde(skip)]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A cancel.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cancel {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long a worker has to stop and report, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<i64>,
    /// Only if the record is as it was then.
    #[serde(skip)]
    pub if_match: Option<ETag>,
    /// The key of this call, where the caller means to repeat it; else it has a new one.
    #[serde(skip)]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What is reported of a step.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StepReport {
    /// Its id, of the worker's choice: best one that sorts in the order of the work.
    pub step_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_name: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_type: Option<String>,
    /// The tool that it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What went into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_data: Option<JsonText>,
    /// What came out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_data: Option<JsonText>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How often it was retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i64>,
    /// The worker's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText>,
}

/// A report of 1 to 25 steps.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Steps {
    /// The attempt for which the worker speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The steps.
    pub steps: Vec<StepReport>,
    /// The key of this call, where the caller means to repeat it; else it has a new one.
    #[serde(skip)]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Which executions to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Of this flow.
    pub flow_id: Option<String>,
    /// In one of these statuses; empty: in any.
    pub status: Vec<Status>,
    /// Set off by this.
    pub trigger_type: Option<TriggerType>,
    /// Of this agent.
    pub agent_id: Option<String>,
    /// Created then or later.
    pub created_after: Option<Timestamp>,
    /// Created earlier.
    pub created_before: Option<Timestamp>,
    /// How many a page has.
    pub page_size: Option<u64>,
    /// Up to how many are counted.
    pub count_limit: Option<u64>,
    /// How much of each is shown.
    pub view: View,
    /// Where the walk goes on.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// The query of the URL.
    pub(crate) fn text(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let statuses: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let statuses = (!statuses.is_empty()).then(|| statuses.join(","));
        let view = (self.view != View::default()).then(|| self.view.as_str().to_owned());
        for (name, value) in [
            ("flow_id", self.flow_id.clone()),
            ("status", statuses),
            ("trigger_type", self.trigger_type.map(|trigger| trigger.as_str().to_owned())),
            ("agent_id", self.agent_id.clone()),
            ("created_after", self.created_after.map(|time| time.to_string())),
            ("created_before", self.created_before.map(|time| time.to_string())),
            ("page_size", self.page_size.map(|size| size.to_string())),
            ("count_limit", self.count_limit.map(|limit| limit.to_string())),
            ("view", view),
            ("cursor", self.cursor.clone()),
        ] {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        query.finish()
    }
}

/// Which steps of an execution to list.
#[derive(Debug, Clone, Default)]
pub struct StepsQuery {
    /// How many a page has.
    pub page_size: Option<u64>,
    /// How much of each is shown.
    pub view: View,
    /// Where the walk goes on.
    pub cursor: Option<String>,
}

impl StepsQuery {
    /// The query of the URL.
    pub(crate) fn text(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(size) = self.page_size {
            query.append_pair("page_size", &size.to_string());
        }
        if self.view != View::default() {
            query.append_pair("view", self.view.as_str());
        }
        if let Some(cursor) = &self.cursor {
            query.append_pair("cursor", cursor);
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_sent() {
        let new = NewExecution {
            variables: Some(json_object(r#"{ "limit": 1.0 }"#).unwrap()),
            max_retries: Some(2),
            ..NewExecution::new("nightly", TriggerType::Scheduled)
        };
        assert_eq!(
            serde_json::to_string(&new).unwrap(),
            r#"{"flow_id":"nightly","trigger_type":"scheduled","variables":{"limit":1.0},"retry_config":{"max_retries":2}}"#
        );
        let update = Update {
            idempotency_key: Some(IdempotencyKey::parse("k").unwrap()),
            if_match: Some(ETag::of_version(1)),
            cost_estimate: Some(cost("0.0180").unwrap()),
            ..Update::to(Status::Completed)
        };
        assert_eq!(serde_json::to_string(&update).unwrap(), r#"{"status":"completed","cost_estimate":0.0180}"#);
        assert_eq!(serde_json::to_string(&Cancel::default()).unwrap(), "{}");
    }

    #[test]
    fn a_query_is_encoded() {
        let query = ListQuery {
            flow_id: Some("a&b =ü".to_owned()),
            status: vec![Status::Failed, Status::Timeout],
            view: View::Summary,
            created_after: Timestamp::from_millis(0),
            ..ListQuery::default()
        };
        assert_eq!(
            query.text(),
            "flow_id=a%26b+%3D%C3%BC&status=failed%2Ctimeout&created_after=1970-01-01T00%3A00%3A00.000Z&view=summary"
        );
        assert_eq!(ListQuery::default().text(), "");
    }

    #[test]
    fn only_an_object_is_an_object_and_only_a_number_a_cost() {
        for text in ["[]", "1", "{", "{'a':1}", "NaN", "null"] {
            assert!(json_object(text).is_err(), "{text}");
        }
        for text in ["0", "0.0180", "1e-9", "12345678901234567890.5"] {
            assert_eq!(cost(text).unwrap().as_str(), text);
        }
        for text in ["-1", "\"1\"", "1 2", "", "NaN", ".5"] {
            assert!(cost(text).is_err(), "{text}");
        }
    }
}
