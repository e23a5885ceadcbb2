//! The metrics of what ended: one line for each execution, with flow, agent and organization as properties, which searches
//! find and for which no metric is paid.

use std::io::Write;

use ratchet_model::caller::SERVICE;
use ratchet_model::execution::{Execution, Transition};
use ratchet_runtime::metrics::{self, Unit};
use serde_json::Value;

/// The longest name of an error, in characters.
const MAX_ERROR_NAME: usize = 64;

/// Writes the line of an execution that ended by `end`.
pub fn write(out: impl Write, execution: &Execution, end: &Transition) {
    let cost = execution.cost_estimate.as_ref().and_then(|cost| cost.as_str().parse::<f64>().ok());
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
    let optional = [
        ("DurationMs", Unit::Milliseconds, execution.duration_ms.map(|millis| millis as f64)),
        ("Tokens", Unit::Count, execution.tokens_used.map(|tokens| tokens as f64)),
        // CloudWatch takes numbers up to 2^360, and a sum of infinity would be none.
        ("CostUSD", Unit::None, cost.filter(|cost| cost.is_finite() && *cost < 1e100)),
        ("Retries", Unit::Count, Some(execution.retry_count as f64)),
    ];
    let known = optional.into_iter().filter_map(|(name, unit, value)| Some((name, unit, value?)));
    let values: Vec<_> = std::iter::once(("Ended", Unit::Count, 1.0)).chain(known).collect();
    let properties = [
        ("organization", Value::from(execution.organization_id.as_str())),
        ("flow", Value::from(execution.flow_id.as_str())),
        ("agent", Value::from(execution.agent_id.as_str())),
        ("execution", Value::from(execution.id.to_string())),
        ("error", execution.error_message.as_deref().map_or(Value::Null, |message| error_name(message).into())),
        ("ended_by", Value::from(if end.by.as_str() == SERVICE { "service" } else { "caller" })),
    ];
    metrics::write(out, end.at, &[("Status", end.to.as_str())], &values, &properties);
}

/// By what failures are counted: the name of an exception, as most languages begin its text (`TimeoutError: ...`), and nothing
/// else of the message, which may hold anything.
fn error_name(message: &str) -> &str {
    let name = message.split([':', '\n']).next().unwrap_or_default().trim();
    let is_name = (1..=MAX_ERROR_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$'))
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && message.len() > name.len();
    if is_name { name } else { "other" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_message_the_name_of_its_exception_is_shown_and_nothing_else() {
        for (message, name) in [
            ("TimeoutError: no answer from 10.0.0.7", "TimeoutError"),
            ("psycopg.errors.UniqueViolation: duplicate key\nDETAIL: ...", "psycopg.errors.UniqueViolation"),
            ("KeyError\n  at line 7", "KeyError"),
            ("No result within timeout_seconds (300)", "other"),
            ("password=hunter2: wrong", "other"),
            ("hunter2", "other"),
            ("7 is no number: x", "other"),
            (": ", "other"),
            ("", "other"),
        ] {
            assert_eq!(error_name(message), name, "{message}");
        }
        assert_eq!(error_name(&format!("{}: x", "E".repeat(65))), "other");
    }
}
