//! Typed samples for the OpenAPI document: one story, the same wherever a part of it is shown.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a wrong sample must fail the creation of the document"
)]

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::execution::{Execution, Priority, Transition, TriggerType};
use crate::id::{ExecutionId, KeyId, OrganizationId};
use crate::json::{self, JsonText};
use crate::key_name::KeyName;
use crate::limits::{DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT_SECONDS, UNASSIGNED};
use crate::scope::Scopes;
use crate::status::Status;
use crate::step::{Step, StepId};

/// A time.
#[must_use]
pub fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// A JSON value.
#[must_use]
pub fn json(text: &str) -> JsonText {
    JsonText::new_unchecked(json::parse(text).expect("JSON").text().to_owned())
}

/// The execution's id.
#[must_use]
pub fn id() -> ExecutionId {
    ExecutionId::parse("58394a9e-4e75-8134-b8e4-afd216db1d2d").expect("a UUID")
}

/// An execution as execute flow answers it: waiting.
#[must_use]
pub fn pending() -> Execution {
    Execution {
        id: id(),
        flow_id: "invoice-triage".to_owned(),
        agent_id: "agent-7".to_owned(),
        organization_id: OrganizationId::parse("acme").expect("an organization"),
        execution_number: 3,
        trigger_type: TriggerType::Webhook,
        trigger_data: json(r#"{ "source": "billing", "invoice": "INV-2041" }"#),
        variables: json(r#"{ "currency": "EUR", "threshold": 250.0 }"#),
        priority: Priority::High,
        status: Status::Pending,
        version: 1,
        attempt: 0,
        started_at: time("2026-11-21T18:11:19.079Z"),
        completed_at: None,
        duration_ms: None,
        timeout_seconds: 900,
        heartbeat_timeout_seconds: Some(120),
        start_timeout_seconds: None,
        cancel_requested_at: None,
        steps: Some(Vec::new()),
        final_output: None,
        error_message: None,
        error_details: None,
        retry_count: 0,
        max_retries: 2,
        parent_execution_id: None,
        tokens_used: None,
        tool_calls_count: 0,
        cost_estimate: None,
        performance_metrics: JsonText::empty_object(),
        metadata: json(r#"{ "team": "finance" }"#),
        created_at: time("2026-11-21T18:11:19.079Z"),
        updated_at: time("2026-11-21T18:11:19.079Z"),
        scheduled_at: None,
    }
}

/// The same, claimed by a worker.
#[must_use]
pub fn running() -> Execution {
    let now = time("2026-11-21T18:11:20.729Z");
    Execution { status: Status::Running, version: 2, attempt: 1, started_at: now, updated_at: now, ..pending() }
}

/// The same, at its end.
#[must_use]
pub fn completed() -> Execution {
    let now = time("2026-11-21T18:11:25.061Z");
    Execution {
        status: Status::Completed,
        completed_at: Some(now),
        duration_ms: Some(4332),
        final_output: Some(json(r#"{ "decision": "approve", "confidence": 1.0 }"#)),
        tokens_used: Some(1204),
        tool_calls_count: 3,
        cost_estimate: Some(json("0.0153")),
        updated_at: now,
        version: 3,
        ..running()
    }
}

/// A step that is under way: the first report of it.
#[must_use]
pub fn running_step() -> Step {
    Step {
        step_id: StepId::parse("01-lookup").expect("a step's id"),
        step_name: "Look the customer up".to_owned(),
        step_type: "tool".to_owned(),
        tool_name: Some("crm.search".to_owned()),
        status: Status::Running,
        input_data: Some(json(r#"{ "customer": "C-17" }"#)),
        output_data: None,
        error_message: None,
        started_at: Some(time("2026-11-21T18:11:21.304Z")),
        completed_at: None,
        duration_ms: None,
        retry_count: None,
        metadata: JsonText::empty_object(),
        version: 1,
    }
}

/// The same step, at its end.
#[must_use]
pub fn completed_step() -> Step {
    Step {
        status: Status::Completed,
        output_data: Some(json(r#"{ "open_invoices": 2, "limit": 250.0 }"#)),
        completed_at: Some(time("2026-11-21T18:11:22.116Z")),
        duration_ms: Some(812),
        version: 2,
        ..running_step()
    }
}

/// The id of the step after it.
#[must_use]
pub fn next_step() -> StepId {
    StepId::parse("02-decide").expect("a step's id")
}

/// [`completed`] with its step.
#[must_use]
pub fn completed_with_step() -> Execution {
    Execution { steps: Some(vec![completed_step()]), ..completed() }
}

/// Another execution, that an operator ended as failed.
#[must_use]
pub fn failed() -> Execution {
    let now = time("2026-11-21T18:11:27.246Z");
    Execution {
        id: ExecutionId::parse("625c278f-b3e5-4fca-ba71-1970ed99f099").expect("a UUID"),
        agent_id: UNASSIGNED.to_owned(),
        execution_number: 6,
        trigger_type: TriggerType::Event,
        trigger_data: JsonText::empty_object(),
        variables: JsonText::empty_object(),
        priority: Priority::default(),
        status: Status::Failed,
        started_at: time("2026-11-21T18:11:25.128Z"),
        completed_at: Some(now),
        duration_ms: Some(2118),
        timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
        heartbeat_timeout_seconds: None,
        error_message: Some("The worker's host was replaced".to_owned()),
        error_details: Some(json(r#"{ "message": "The worker's host was replaced", "host": "worker-12" }"#)),
        max_retries: DEFAULT_MAX_RETRIES,
        metadata: JsonText::empty_object(),
        created_at: time("2026-11-21T18:11:25.109Z"),
        updated_at: now,
        version: 3,
        attempt: 1,
        ..pending()
    }
}

/// Who claimed [`failed`].
#[must_use]
pub fn caller() -> Caller {
    Caller {
        organization: pending().organization_id,
        key_id: KeyId::parse("local-1").expect("a key's id"),
        key_name: Some(KeyName::parse("Nightly workers").expect("a key's name")),
        scopes: Scopes::parse("read,write").expect("scopes"),
        expires_at: Some(time("2027-02-19T09:00:00.000Z")),
    }
}

/// How [`failed`] was claimed.
#[must_use]
pub fn claimed() -> Transition {
    Transition {
        from: Status::Pending,
        to: Status::Running,
        at: failed().started_at,
        by: caller().key_id,
        by_name: caller().key_name,
        reason: None,
        attempt: 1,
        version: 2,
    }
}

/// How [`failed`] was ended.
#[must_use]
pub fn ended() -> Transition {
    let Execution { updated_at: at, error_message: reason, version, .. } = failed();
    Transition { from: Status::Running, to: Status::Failed, at, reason, version, ..claimed() }
}
