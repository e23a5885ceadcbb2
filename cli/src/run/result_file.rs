//! `RATCHET_OUTPUT`: the file into which the command may write its result.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ratchet_client::idempotency::IdempotencyKey;
use ratchet_client::request::cost;
use ratchet_model::json::{self, JsonText};
use ratchet_model::limits::{MAX_INTEGER, MAX_RECORD};

/// A result, and the figures that were found in it.
#[derive(Debug)]
pub(super) struct ResultObject {
    /// The object, as it was written.
    pub(super) output: JsonText,
    /// Its member `tokens_used`.
    pub(super) tokens_used: Option<i64>,
    /// Its member `tool_calls_count`.
    pub(super) tool_calls_count: Option<i64>,
    /// Its member `cost_estimate`.
    pub(super) cost_estimate: Option<JsonText>,
}

/// The file. It is removed when this is dropped.
pub(super) struct ResultFile {
    path: PathBuf,
}

impl ResultFile {
    /// Creates it, empty, so that nobody but this user can read or write it.
    pub(super) fn create() -> io::Result<Self> {
        let name = IdempotencyKey::random().map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("ratchet-{name}.json"));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was written; `None`: nothing was.
    pub(super) fn read(self) -> Result<Option<ResultObject>, String> {
        let limit = u64::try_from(MAX_RECORD).unwrap_or(u64::MAX);
        // The command may have put anything there: what blocks is not opened, and no more is read than can be kept.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(&self.path)
            .map_err(|error| error.to_string())?;
        if !is_file(&file) {
            return Err("it is no file any more".to_owned());
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() > MAX_RECORD {
            return Err(format!("it has more than {MAX_RECORD} bytes, which is all that a record holds"));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        parse(&text).map(Some)
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        // The command may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn parse(text: &str) -> Result<ResultObject, String> {
    let parsed = json::parse(text.trim_start_matches('\u{feff}'))
        .map_err(|error| format!("it is not JSON: {} at character {}", error.reason, error.position))?;
    let members: Vec<(&str, &str)> = parsed.members().ok_or("it is not a JSON object")?.collect();
    let member = |name: &str| members.iter().find(|(found, _)| *found == name).map(|(_, text)| *text);
    let count = |name: &str| {
        member(name).and_then(|text| text.parse::<i64>().ok()).filter(|count| (0..=MAX_INTEGER).contains(count))
    };
    Ok(ResultObject {
        tokens_used: count("tokens_used"),
        tool_calls_count: count("tool_calls_count"),
        cost_estimate: member("cost_estimate").and_then(|text| cost(text).ok()),
        output: JsonText::new_unchecked(parsed.text().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_taken_where_they_are_figures() {
        let result =
            parse(r#"{"rows": 1.0, "tokens_used": 12, "cost_estimate": 0.0180, "tool_calls_count": "3"}"#).unwrap();
        assert_eq!(
            result.output.as_str(),
            r#"{"rows":1.0,"tokens_used":12,"cost_estimate":0.0180,"tool_calls_count":"3"}"#
        );
        assert_eq!((result.tokens_used, result.tool_calls_count), (Some(12), None));
        assert_eq!(result.cost_estimate.unwrap().as_str(), "0.0180");
        for text in [r#"{"tokens_used":-1}"#, r#"{"tokens_used":1.5}"#, r#"{"tokens_used":9007199254740992}"#] {
            assert_eq!(parse(text).unwrap().tokens_used, None, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_said() {
        assert_eq!(parse("[1]").unwrap_err(), "it is not a JSON object");
        assert_eq!(parse("{\"a\":").unwrap_err(), "it is not JSON: Expecting value at character 5");
    }
}
