//! Metrics, as `CloudWatch` reads them from a function's log: one line in the embedded metric format.

use std::io::Write;

use ratchet_model::clock::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of the service's own metrics.
pub const NAMESPACE: &str = "Ratchet";

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Anything else, such as money.
    None,
}

impl Unit {
    /// Its name in `CloudWatch`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
            Self::None => "None",
        }
    }
}

/// One line: metrics of the namespace [`NAMESPACE`] with these dimensions, and properties that searches of the log find and
/// metrics do not have.
#[must_use]
pub fn line(
    at: Timestamp,
    dimensions: &[(&str, &str)],
    metrics: &[(&str, Unit, f64)],
    properties: &[(&str, Value)],
) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let declared: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit.as_str() })).collect();
    let about = json!({
        "Timestamp": at.millis(),
        "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": declared }],
    });
    let mut line = Map::from_iter([("_aws".to_owned(), about)]);
    line.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    line.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), Value::from(*value))));
    Value::Object(line).to_string()
}

/// Writes [`line`]. What cannot be written is lost: no event fails for a metric.
pub fn write(
    mut out: impl Write,
    at: Timestamp,
    dimensions: &[(&str, &str)],
    metrics: &[(&str, Unit, f64)],
    properties: &[(&str, Value)],
) {
    let _ = writeln!(out, "{}", line(at, dimensions, metrics, properties));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_cloudwatch_reads() {
        let at = Timestamp::from_millis(1_795_000_000_123).unwrap();
        let metrics = [("Looked", Unit::Count, 3.0), ("OverdueSeconds", Unit::Seconds, 61.5)];
        let line = line(at, &[("Table", "ratchet-executions")], &metrics, &[("flow_id", json!("nightly"))]);
        let expected = json!({
            "_aws": {
                "Timestamp": 1_795_000_000_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Ratchet",
                    "Dimensions": [["Table"]],
                    "Metrics": [
                        { "Name": "Looked", "Unit": "Count" },
                        { "Name": "OverdueSeconds", "Unit": "Seconds" }
                    ]
                }]
            },
            "Table": "ratchet-executions",
            "Looked": 3.0,
            "OverdueSeconds": 61.5,
            "flow_id": "nightly"
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
        assert!(!line.contains('\n'));
    }
}
