//! The head item of an execution.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::caller::Caller;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::execution::{Execution, Priority, TriggerType};
use ratchet_model::heartbeat::CancelRequested;
use ratchet_model::id::ExecutionId;
use ratchet_model::json::JsonText;
use ratchet_model::limits::UNASSIGNED;
use ratchet_model::list::View;
use ratchet_model::new_execution::NewExecution;
use ratchet_model::status::Status;
use ratchet_model::supervision::{Watch, watch_interval};
use ratchet_model::wire_name::WireName;

use super::attributes::{Attributes, Item};
use super::size::size as item_size;
use crate::dedup::{self, WriteToken};
use crate::expression::{empty_map, number, text};
use crate::schema as a;
use crate::table_keys::{self as k, ListShards};

/// How large a head may be with its inputs, in bytes: one write unit. A larger one leaves them in an item of their own, for
/// every change of status is billed by the size of the head, and inputs never change.
const HEAD_WITH_INPUTS: usize = 1024;

/// The items of a new execution.
#[derive(Debug)]
pub struct NewItems {
    /// The head: everything that conditions, indexes and writers touch.
    pub head: Item,
    /// The inputs, if they are not in the head.
    pub inputs: Option<Item>,
}

/// The attributes of the inputs; those that equal their default are left out.
pub fn inputs_of(new: &NewExecution) -> impl Iterator<Item = (String, AttributeValue)> {
    [(a::TRIGGER_DATA, &new.trigger_data), (a::VARIABLES, &new.variables)]
        .into_iter()
        .filter(|(_, object)| **object != JsonText::empty_object())
        .map(|(name, object)| (name.to_owned(), text(object.as_str())))
}

/// The items of a new execution. A value that equals its default is left out: an item is billed by its size.
#[must_use]
pub fn new_execution_items(
    caller: &Caller,
    new: &NewExecution,
    id: &ExecutionId,
    execution_number: i64,
    now: Timestamp,
    token: &WriteToken,
    list_shards: ListShards,
) -> NewItems {
    let mut head = new_head(caller, new, id, execution_number, now, token, list_shards);
    let inputs: Item = inputs_of(new).collect();
    if inputs.is_empty() || item_size(&head) + item_size(&inputs) <= HEAD_WITH_INPUTS {
        head.extend(inputs);
        return NewItems { head, inputs: None };
    }
    head.insert(a::INPUTS_APART.to_owned(), number(1));
    let keys = [(a::PK, k::execution_pk(&caller.organization, id)), (a::SK, a::INPUTS_SK.to_owned())];
    let keys = keys.into_iter().map(|(name, key)| (name.to_owned(), text(key)));
    NewItems { head, inputs: Some(inputs.into_iter().chain(keys).collect()) }
}

fn new_head(
    caller: &Caller,
    new: &NewExecution,
    id: &ExecutionId,
    execution_number: i64,
    now: Timestamp,
    token: &WriteToken,
    list_shards: ListShards,
) -> Item {
    let organization = &caller.organization;
    let shard = list_shards.of(id);
    let mut item: Item = [
        (a::PK, text(k::execution_pk(organization, id))),
        (a::SK, text(a::HEAD_SK)),
        (a::ORDER, text(k::order(now, id))),
        (a::BY_ORGANIZATION, text(k::organization_partition(organization, shard))),
        (a::BY_STATUS, text(k::status_partition(organization, shard, Status::Pending))),
        (a::BY_FLOW, text(k::flow_partition(organization, shard, &new.flow_id))),
        (a::STATUS, text(Status::Pending.as_str())),
        (a::VERSION, number(1)),
        (a::CREATED_AT, number(now.millis())),
        (a::UPDATED_AT, number(now.millis())),
        (a::FLOW_ID, text(&new.flow_id)),
        (a::NUMBER, number(execution_number)),
        (a::TRIGGER_TYPE, text(new.trigger_type.as_str())),
        (a::TIMEOUT, number(new.timeout_seconds)),
        (a::WATCH_INTERVAL, number(millis(watch_interval(new.timeout_seconds, new.heartbeat_timeout_seconds)))),
        (a::RETRY_COUNT, number(0)),
        (a::MAX_RETRIES, number(new.max_retries)),
        (a::CREATED_BY, token.content()),
    ]
    .into_iter()
    .chain(dedup::map_attributes().map(|map| (map, empty_map())))
    .map(|(name, value)| (name.to_owned(), value))
    .collect();

    let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    if new.metadata != JsonText::empty_object() {
        put(a::METADATA, text(new.metadata.as_str()));
    }
    if new.priority != Priority::default() {
        put(a::PRIORITY, text(new.priority.as_str()));
    }
    if new.agent_id != UNASSIGNED {
        put(a::AGENT_ID, text(&new.agent_id));
    }
    if let Some(parent) = &new.parent_execution_id {
        put(a::PARENT, text(parent));
    }
    if let Some(time) = new.scheduled_at {
        put(a::SCHEDULED_AT, number(time.millis()));
    }
    if let Some(seconds) = new.heartbeat_timeout_seconds {
        put(a::HEARTBEAT_TIMEOUT, number(seconds));
    }
    if let Some(seconds) = new.start_timeout_seconds {
        put(a::START_TIMEOUT, number(seconds));
        let watch = Watch {
            status: Status::Pending,
            created_at: now,
            scheduled_at: new.scheduled_at,
            started_at: None,
            timeout_seconds: new.timeout_seconds,
            heartbeat_timeout_seconds: new.heartbeat_timeout_seconds,
            start_timeout_seconds: Some(seconds),
            last_heartbeat: None,
            force_at: None,
            interruptions: 0,
        };
        if let Some(due) = watch.due() {
            put(a::BY_DEADLINE, text(k::deadline_partition(k::deadline_shard(id))));
            put(a::BOUND, number(due.at.millis()));
        }
    }
    item
}

/// A duration in milliseconds.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The attributes that decide about a write.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// The status.
    pub status: Status,
    /// How often the record was written.
    pub version: i64,
    /// How often `running` was entered.
    pub attempt: i64,
    /// How often it was retried.
    pub retry_count: i64,
    /// How often it may be retried.
    pub max_retries: i64,
    /// How long it may take.
    pub timeout_seconds: i64,
    /// When its worker was last heard.
    pub last_heartbeat: Option<Timestamp>,
    /// From when on a requested cancel is forced; `None`: none is requested.
    pub force_at: Option<Timestamp>,
}

/// Reads the attributes that decide about a write.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_state(item: &Item) -> Result<State, Error> {
    let attributes = Attributes(item);
    Ok(State {
        status: attributes.named(a::STATUS)?,
        version: attributes.number(a::VERSION)?,
        attempt: attributes.maybe_number(a::ATTEMPT)?.unwrap_or(0),
        retry_count: attributes.number(a::RETRY_COUNT)?,
        max_retries: attributes.number(a::MAX_RETRIES)?,
        timeout_seconds: attributes.number(a::TIMEOUT)?,
        last_heartbeat: attributes.maybe_time(a::LAST_HEARTBEAT)?,
        force_at: attributes.maybe_time(a::FORCE_AT)?,
    })
}

/// Reads the status of a record.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_status(head: &Item) -> Result<Status, Error> {
    Attributes(head).named(a::STATUS)
}

/// Reads how often a record was written.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_version(head: &Item) -> Result<i64, Error> {
    Attributes(head).number(a::VERSION)
}

/// What a waiter sees of an execution between two reads of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// Its status.
    pub status: Status,
    /// How often its record was written.
    pub version: i64,
    /// Whether it has steps, which change without a write of the record.
    pub has_steps: bool,
}

/// The attributes that [`read_glance`] reads.
pub const GLANCE_ATTRIBUTES: &[&str] = &[a::STATUS, a::VERSION, a::WITH_STEPS];

/// Reads what a waiter sees.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_glance(head: &Item) -> Result<Glance, Error> {
    let attributes = Attributes(head);
    let has_steps = has_steps(head);
    Ok(Glance { status: attributes.named(a::STATUS)?, version: attributes.number(a::VERSION)?, has_steps })
}

/// The attributes that supervision reads of a head.
pub const WATCH_ATTRIBUTES: &[&str] = &[
    a::PK,
    a::STATUS,
    a::VERSION,
    a::CREATED_AT,
    a::SCHEDULED_AT,
    a::STARTED_AT,
    a::TIMEOUT,
    a::HEARTBEAT_TIMEOUT,
    a::START_TIMEOUT,
    a::LAST_HEARTBEAT,
    a::CANCEL_REQUESTED_AT,
    a::FORCE_AT,
    a::CANCEL_REASON,
    a::INTERRUPTIONS,
];

/// The attributes of a head by which a report of steps is answered: what a heartbeat is answered by, and whether there are
/// steps.
#[must_use]
pub fn report_attributes() -> Vec<&'static str> {
    [WATCH_ATTRIBUTES, &[a::ATTEMPT, a::RETRY_COUNT, a::MAX_RETRIES, a::WITH_STEPS]].concat()
}

/// Reads what says when an execution is overdue.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_watch(head: &Item) -> Result<Watch, Error> {
    let attributes = Attributes(head);
    Ok(Watch {
        status: attributes.named(a::STATUS)?,
        created_at: attributes.time(a::CREATED_AT)?,
        scheduled_at: attributes.maybe_time(a::SCHEDULED_AT)?,
        started_at: attributes.maybe_time(a::STARTED_AT)?,
        timeout_seconds: attributes.number(a::TIMEOUT)?,
        heartbeat_timeout_seconds: attributes.maybe_number(a::HEARTBEAT_TIMEOUT)?,
        start_timeout_seconds: attributes.maybe_number(a::START_TIMEOUT)?,
        last_heartbeat: attributes.maybe_time(a::LAST_HEARTBEAT)?,
        force_at: attributes.maybe_time(a::FORCE_AT)?,
        interruptions: attributes.maybe_number(a::INTERRUPTIONS)?.unwrap_or(0),
    })
}

/// How long after its first `running` an execution can be overdue at the earliest; `None`: it was created before there were
/// intervals.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that has another type.
pub fn watch_interval_of(head: &Item) -> Result<Option<Duration>, Error> {
    let millis = Attributes(head).maybe_number(a::WATCH_INTERVAL)?;
    Ok(millis.map(|millis| Duration::from_millis(millis.unsigned_abs())))
}

/// Reads the cancel that was requested while the execution ran.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_cancel(head: &Item) -> Result<Option<CancelRequested>, Error> {
    let attributes = Attributes(head);
    let Some(requested_at) = attributes.maybe_time(a::CANCEL_REQUESTED_AT)? else { return Ok(None) };
    let (force_at, reason) = (attributes.time(a::FORCE_AT)?, attributes.text(a::CANCEL_REASON)?.to_owned());
    Ok(Some(CancelRequested { requested_at, force_at, reason }))
}

/// The attributes of a head that a list reads: those of which [`read_execution`] makes the record, or its summary, and the order of
/// its index entry. Not the transition log and the tokens of past writes, which are the larger part of a head that has a history.
pub fn listed_attributes(view: View) -> impl Iterator<Item = &'static str> {
    let further = match view {
        View::Full => BEYOND_SUMMARY,
        View::Summary => &[],
    };
    SUMMARY_ATTRIBUTES.iter().chain(further).copied()
}

const BEYOND_SUMMARY: &[&str] =
    &[a::TRIGGER_DATA, a::VARIABLES, a::INPUTS_APART, a::FINAL_OUTPUT, a::ERROR_DETAILS, a::METRICS];

const SUMMARY_ATTRIBUTES: &[&str] = &[
    a::PK,
    a::ORDER,
    a::STATUS,
    a::VERSION,
    a::ATTEMPT,
    a::CREATED_AT,
    a::UPDATED_AT,
    a::FLOW_ID,
    a::AGENT_ID,
    a::NUMBER,
    a::TRIGGER_TYPE,
    a::PRIORITY,
    a::STARTED_AT,
    a::COMPLETED_AT,
    a::DURATION,
    a::TIMEOUT,
    a::HEARTBEAT_TIMEOUT,
    a::START_TIMEOUT,
    a::CANCEL_REQUESTED_AT,
    a::ERROR_MESSAGE,
    a::RETRY_COUNT,
    a::MAX_RETRIES,
    a::PARENT,
    a::TOKENS,
    a::TOOL_CALLS,
    a::COST,
    a::METADATA,
    a::SCHEDULED_AT,
    a::WITH_STEPS,
];

/// Where the inputs of a record are read from.
#[derive(Debug, Clone, Copy)]
pub enum Inputs<'a> {
    /// From the head or, where the head says that they are apart, from this item.
    Read(Option<&'a Item>),
    /// Nowhere: whoever shows the record leaves them out.
    LeftOut,
}

/// Whether an execution's inputs are in an item of their own.
#[must_use]
pub fn has_inputs_apart(head: &Item) -> bool {
    head.contains_key(a::INPUTS_APART)
}

/// Whether an execution has steps.
#[must_use]
pub fn has_steps(head: &Item) -> bool {
    head.contains_key(a::WITH_STEPS)
}

/// Reads a record from its head and its inputs. Steps are not read: where there are some, it has none to show.
///
/// # Errors
///
/// [`Error::StoreUnavailable`] where the inputs are not there yet: head and inputs become visible one after the other.
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_execution(head: &Item, inputs: Inputs) -> Result<Execution, Error> {
    let attributes = Attributes(head);
    let (trigger_data, variables) = match inputs {
        Inputs::LeftOut => (JsonText::empty_object(), JsonText::empty_object()),
        Inputs::Read(apart) => {
            let item = if has_inputs_apart(head) {
                let reason = || Error::StoreUnavailable { reason: "an execution's inputs are missing".to_owned() };
                Attributes(apart.ok_or_else(reason)?)
            } else {
                Attributes(head)
            };
            (item.object(a::TRIGGER_DATA)?, item.object(a::VARIABLES)?)
        }
    };
    let key = k::parse_execution_pk(attributes.text(a::PK)?);
    let (organization_id, id) = key.ok_or_else(|| Attributes::damaged(a::PK))?;
    let created_at = attributes.time(a::CREATED_AT)?;
    let priority = match attributes.maybe_text(a::PRIORITY)? {
        Some(_) => attributes.named(a::PRIORITY)?,
        None => Priority::default(),
    };
    let status: Status = attributes.named(a::STATUS)?;
    let (started_at, completed_at) = (attributes.maybe_time(a::STARTED_AT)?, attributes.maybe_time(a::COMPLETED_AT)?);
    let derived = || Some(completed_at?.millis() - started_at?.millis()).filter(|_| status.is_terminal());
    // A completed_at before the start, or a clock that lags, must not show a duration below 0.
    let duration_ms = attributes.maybe_number(a::DURATION)?.or_else(derived).map(|millis| millis.max(0));
    Ok(Execution {
        id,
        flow_id: attributes.text(a::FLOW_ID)?.to_owned(),
        agent_id: attributes.maybe_text(a::AGENT_ID)?.unwrap_or(UNASSIGNED).to_owned(),
        organization_id,
        execution_number: attributes.number(a::NUMBER)?,
        trigger_type: attributes.named::<TriggerType>(a::TRIGGER_TYPE)?,
        trigger_data,
        variables,
        priority,
        status,
        version: attributes.number(a::VERSION)?,
        attempt: attributes.maybe_number(a::ATTEMPT)?.unwrap_or(0),
        started_at: started_at.unwrap_or(created_at),
        completed_at,
        duration_ms,
        timeout_seconds: attributes.number(a::TIMEOUT)?,
        heartbeat_timeout_seconds: attributes.maybe_number(a::HEARTBEAT_TIMEOUT)?,
        start_timeout_seconds: attributes.maybe_number(a::START_TIMEOUT)?,
        cancel_requested_at: attributes.maybe_time(a::CANCEL_REQUESTED_AT)?,
        steps: (!has_steps(head)).then(Vec::new),
        final_output: attributes.maybe_json(a::FINAL_OUTPUT)?,
        error_message: attributes.maybe_text(a::ERROR_MESSAGE)?.map(str::to_owned),
        error_details: attributes.maybe_json(a::ERROR_DETAILS)?,
        retry_count: attributes.number(a::RETRY_COUNT)?,
        max_retries: attributes.number(a::MAX_RETRIES)?,
        parent_execution_id: attributes.maybe_text(a::PARENT)?.map(str::to_owned),
        tokens_used: attributes.maybe_number(a::TOKENS)?,
        tool_calls_count: attributes.maybe_number(a::TOOL_CALLS)?.unwrap_or(0),
        cost_estimate: attributes.maybe_json(a::COST)?,
        performance_metrics: attributes.object(a::METRICS)?,
        metadata: attributes.object(a::METADATA)?,
        created_at,
        updated_at: attributes.time(a::UPDATED_AT)?,
        scheduled_at: attributes.maybe_time(a::SCHEDULED_AT)?,
    })
}
