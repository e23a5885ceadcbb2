//! The item of a step.

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::json::JsonText;
use ratchet_model::step::{KnownStep, StepFields, StepId};

use super::attributes::{Attributes, Item};
use crate::expression::{number, text};
use crate::schema as a;
use crate::table_keys as k;

/// The attributes of the fields that are set.
pub fn step_values(fields: &StepFields) -> impl Iterator<Item = (&'static str, AttributeValue)> {
    let words = |value: &Option<String>| value.as_ref().map(text);
    let json = |value: &Option<JsonText>| value.as_ref().map(|value| text(value.as_str()));
    let time = |value: Option<Timestamp>| value.map(|time| number(time.millis()));
    [
        (a::STEP_NAME, words(&fields.step_name)),
        (a::STEP_TYPE, words(&fields.step_type)),
        (a::TOOL_NAME, words(&fields.tool_name)),
        (a::INPUT_DATA, json(&fields.input_data)),
        (a::OUTPUT_DATA, json(&fields.output_data)),
        (a::ERROR_MESSAGE, words(&fields.error_message)),
        (a::STARTED_AT, time(fields.started_at)),
        (a::COMPLETED_AT, time(fields.completed_at)),
        (a::DURATION, fields.duration_ms.map(number)),
        (a::RETRY_COUNT, fields.retry_count.map(number)),
        (a::METADATA, json(&fields.metadata)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// The attributes that [`read_step`] reads of a step whose summary alone is shown.
pub const STEP_SUMMARY_ATTRIBUTES: &[&str] = &[
    a::SK,
    a::STATUS,
    a::VERSION,
    a::BEGUN_AT,
    a::RAN_AT,
    a::STEP_NAME,
    a::STEP_TYPE,
    a::TOOL_NAME,
    a::ERROR_MESSAGE,
    a::STARTED_AT,
    a::COMPLETED_AT,
    a::DURATION,
    a::RETRY_COUNT,
    a::METADATA,
];

/// Reads a step.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_step(item: &Item) -> Result<(StepId, KnownStep), Error> {
    let attributes = Attributes(item);
    let id = k::parse_step_sk(attributes.text(a::SK)?).ok_or_else(|| Attributes::damaged(a::SK))?;
    let words = |name: &str| Ok::<_, Error>(attributes.maybe_text(name)?.map(str::to_owned));
    let begun = attributes.maybe_time(a::BEGUN_AT)?.filter(|begun| begun.millis() > 0);
    let known = KnownStep {
        status: attributes.named(a::STATUS)?,
        fields: StepFields {
            step_name: words(a::STEP_NAME)?,
            step_type: words(a::STEP_TYPE)?,
            tool_name: words(a::TOOL_NAME)?,
            input_data: attributes.maybe_json(a::INPUT_DATA)?,
            output_data: attributes.maybe_json(a::OUTPUT_DATA)?,
            error_message: words(a::ERROR_MESSAGE)?,
            started_at: attributes.maybe_time(a::STARTED_AT)?,
            completed_at: attributes.maybe_time(a::COMPLETED_AT)?,
            duration_ms: attributes.maybe_number(a::DURATION)?,
            retry_count: attributes.maybe_number(a::RETRY_COUNT)?,
            metadata: attributes.maybe_json(a::METADATA)?,
        },
        first_ran: begun.map_or_else(|| attributes.maybe_time(a::RAN_AT), |begun| Ok(Some(begun)))?,
        version: attributes.number(a::VERSION)?,
    };
    Ok((id, known))
}
