//! Values on the command line.

use std::time::Duration;

use ratchet_client::request::json_object;
use ratchet_model::clock::{Clock, SystemClock, Timestamp, parse_duration};
use ratchet_model::id::ExecutionId;
use ratchet_model::json::{self, JsonText};
use ratchet_model::wire_name::WireName;

/// Reads a duration: a whole number and `s`, `m`, `h` or `d`.
///
/// # Errors
///
/// What a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration is a whole number and s, m, h or d, such as 90s or 2h".to_owned())
}

/// A duration in whole seconds, for a field of the API.
#[must_use]
pub fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Reads a moment: how long ago, or an RFC 3339 time.
///
/// # Errors
///
/// What a moment looks like.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = duration(text) {
        return Ok(SystemClock.now().minus(ago));
    }
    Timestamp::parse(text).map_err(|_| {
        "a moment is how long ago, such as 2h, or a time with its zone, such as 2026-11-30T12:00:00Z".to_owned()
    })
}

/// Reads the id of an execution.
///
/// # Errors
///
/// What an id looks like.
pub fn execution_id(text: &str) -> Result<ExecutionId, String> {
    ExecutionId::parse(text)
        .ok_or_else(|| "an id looks like 9590e06b-a39e-4436-805b-57b9b56d0dea: `ratchet start` prints it".to_owned())
}

/// Reads a name out of a list of names.
///
/// # Errors
///
/// The names.
pub fn named<T: WireName>(text: &str) -> Result<T, String> {
    T::parse(text).ok_or_else(|| {
        let names: Vec<&str> = T::ALL.iter().map(|value| value.as_str()).collect();
        format!("it is none of {}", names.join(", "))
    })
}

/// One member of an object that is put together on the command line.
#[derive(Debug, Clone)]
pub struct Pair {
    name: String,
    /// JSON.
    value: String,
}

/// Reads `NAME=VALUE`. A value that is JSON is sent as it is, any other as a string.
///
/// # Errors
///
/// What a pair looks like.
pub fn pair(text: &str) -> Result<Pair, String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| "it is not NAME=VALUE".to_owned())?;
    let value = match json::parse(value) {
        Ok(parsed) => parsed.text().to_owned(),
        Err(_) => serde_json::to_string(value).map_err(|error| error.to_string())?,
    };
    Ok(Pair { name: name.to_owned(), value })
}

/// Reads a JSON object: the text itself, or `@FILE`, or `@-` for standard input.
///
/// # Errors
///
/// Why it cannot be read, or is not an object.
pub fn object(text: &str) -> Result<JsonText, String> {
    let text = match text.strip_prefix('@') {
        Some("-") => std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"))?,
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
        None => text.to_owned(),
    };
    json_object(text.trim_start_matches('\u{feff}')).map_err(|error| error.to_string())
}

/// The object of these members; `None` for none.
///
/// # Errors
///
/// Members that are no object: nested too deep.
pub fn object_of(pairs: &[Pair]) -> Result<Option<JsonText>, String> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let members: Result<Vec<String>, _> = pairs
        .iter()
        .map(|Pair { name, value }| serde_json::to_string(name).map(|name| format!("{name}:{value}")))
        .collect();
    let members = members.map_err(|error| error.to_string())?;
    json_object(&format!("{{{}}}", members.join(","))).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        for (text, expected) in [("0s", 0), ("90s", 90), ("5m", 300), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(expected)), "{text}");
        }
        for text in ["", "s", "5", "1.5h", "-1s", "1w", "99999999999999999999d", "36501d", "é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_is_json_where_it_can_be_and_text_elsewhere() {
        let pairs = ["limit=1.0", "name=anna", "empty=", "list=[1, 2]", "text=\"1\"", "a=b=c", "quote=\""].map(pair);
        let pairs: Result<Vec<Pair>, String> = pairs.into_iter().collect();
        assert_eq!(
            object_of(&pairs.unwrap()).unwrap().unwrap().as_str(),
            r#"{"limit":1.0,"name":"anna","empty":"","list":[1,2],"text":"1","a":"b=c","quote":"\""}"#
        );
        for text in ["limit", "=1", ""] {
            assert!(pair(text).is_err(), "{text}");
        }
        assert_eq!(object_of(&[]).unwrap(), None);
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        assert_eq!(moment("2026-11-30T12:00:00Z").unwrap().to_string(), "2026-11-30T12:00:00.000Z");
        let hour_ago = SystemClock.now().minus(Duration::from_secs(3_600));
        assert!((moment("1h").unwrap().millis() - hour_ago.millis()).abs() < 5_000);
        assert!(moment("2026-11-30T12:00:00").is_err());
        assert!(moment("yesterday").is_err());
    }
}
