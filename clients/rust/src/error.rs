//! Why a call failed.

use std::fmt;
use std::time::Duration;

use ratchet_model::error_code::ErrorCode;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Nothing was sent: the settings or the request cannot be used. Why.
    Unusable(String),
    /// The service answered, and the same request would be answered the same.
    Refused(Box<Refusal>),
    /// The service was not reached, or did not answer in time, however often it was tried.
    Unavailable(Box<Unavailable>),
    /// What answered is not the service, or speaks another version. What was wrong with the answer.
    NotUnderstood(String),
}

/// A request that the service refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP's status code.
    pub status: u16,
    /// The reason, for programs; `None` where API Gateway answered, or for a code that this client does not know.
    pub code: Option<ErrorCode>,
    /// The reason, for people.
    pub detail: String,
    /// The name of the request in the service's log.
    pub correlation_id: Option<String>,
    /// The status of the execution, where it decided.
    pub current_status: Option<Status>,
    /// The status that was asked for, where the execution's status decided.
    pub requested_status: Option<Status>,
}

impl Refusal {
    /// Whether the execution has ended: what was asked for came too late.
    #[must_use]
    pub fn is_too_late(&self) -> bool {
        self.current_status.is_some_and(Status::is_terminal)
    }

    /// Reads the body of a refusal.
    pub(crate) fn read(status: u16, body: &[u8], correlation_id: Option<String>) -> Self {
        let mut refusal = Self {
            status,
            code: None,
            detail: String::new(),
            correlation_id,
            current_status: None,
            requested_status: None,
        };
        let Ok(body) = serde_json::from_slice::<RefusalBody>(body) else {
            refusal.detail = format!("an answer that is not of this service: check the URL ({})", excerpt(body));
            return refusal;
        };
        refusal.code = body.error_code.as_deref().and_then(ErrorCode::parse);
        refusal.current_status = body.current_status.as_deref().and_then(Status::parse);
        refusal.requested_status = body.requested_status.as_deref().and_then(Status::parse);
        if let Some(id) = body.correlation_id {
            refusal.correlation_id = Some(id);
        }
        refusal.detail = match body.detail.as_deref().map(RawValue::get) {
            Some(detail) => serde_json::from_str::<String>(detail).unwrap_or_else(|_| validation_errors(detail)),
            // API Gateway's own words.
            None => body.message.unwrap_or_else(|| format!("HTTP {status}")),
        };
        refusal
    }
}

/// The beginning of a text that somebody in between answered with, in one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The body of a refusal, of the service or of API Gateway.
#[derive(Deserialize)]
struct RefusalBody {
    detail: Option<Box<RawValue>>,
    message: Option<String>,
    error_code: Option<String>,
    correlation_id: Option<String>,
    current_status: Option<String>,
    requested_status: Option<String>,
}

/// One value that is wrong with a request.
#[derive(Deserialize)]
struct ValidationError {
    loc: Vec<serde_json::Value>,
    msg: String,
}

/// All validation errors in one line: each place and what is wrong there.
fn validation_errors(detail: &str) -> String {
    let Ok(errors) = serde_json::from_str::<Vec<ValidationError>>(detail) else { return detail.to_owned() };
    let line = |error: &ValidationError| {
        let place: Vec<String> = error.loc.iter().map(|part| part.to_string().trim_matches('"').to_owned()).collect();
        format!("{}: {}", place.join("."), error.msg)
    };
    errors.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// A call that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// How many requests were made.
    pub requests: u32,
    /// What became of the last one.
    pub last: String,
    /// HTTP's status code of the last answer, if there was one.
    pub status: Option<u16>,
    /// Its reason, for programs.
    pub code: Option<ErrorCode>,
    /// Whether the write may have taken effect: only a repeat with the same Idempotency-Key, or reading, can tell.
    pub in_doubt: bool,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
    /// The name of the last request in the service's log.
    pub correlation_id: Option<String>,
}

impl Error {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unusable(_) | Self::Unavailable(_) | Self::NotUnderstood(_) => None,
        }
    }

    /// The code of the refusal, if it is one and has one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.refusal()?.code
    }

    /// Whether the same call may succeed later, without anybody changing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            // A bug, or a function that was ended: the next may be well.
            Self::Refused(refusal) => refusal.status >= 500,
            Self::Unusable(_) | Self::NotUnderstood(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(reason) | Self::NotUnderstood(reason) => formatter.write_str(reason),
            Self::Refused(refusal) => {
                write!(formatter, "{}", refusal.detail)?;
                match (refusal.code, refusal.status) {
                    (Some(code), _) => write!(formatter, " ({}", code.as_str())?,
                    (None, status) => write!(formatter, " (HTTP {status}")?,
                }
                if let Some(id) = &refusal.correlation_id {
                    write!(formatter, ", correlation id {id}")?;
                }
                formatter.write_str(")")
            }
            Self::Unavailable(unavailable) => {
                let Unavailable { requests, last, in_doubt, .. } = unavailable.as_ref();
                let times = if *requests == 1 { "once".to_owned() } else { format!("{requests} times") };
                write!(formatter, "the service is not available (tried {times}; {last})")?;
                if *in_doubt {
                    formatter.write_str("; the change may have taken effect")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_service_says_what_decided() {
        let body = br#"{"detail":"The status cannot change","error_code":"INVALID_STATUS_TRANSITION",
            "correlation_id":"c1","timestamp":"2026-11-21T18:27:30.791Z","current_status":"completed",
            "requested_status":"cancelled"}"#;
        let refusal = Refusal::read(400, body, Some("of the header".to_owned()));
        assert_eq!(refusal.code, Some(ErrorCode::InvalidStatusTransition));
        assert_eq!(refusal.current_status, Some(Status::Completed));
        assert_eq!(refusal.requested_status, Some(Status::Cancelled));
        assert!(refusal.is_too_late());
        let error = Error::Refused(Box::new(refusal));
        assert_eq!(error.to_string(), "The status cannot change (INVALID_STATUS_TRANSITION, correlation id c1)");
    }

    #[test]
    fn all_validation_errors_are_in_the_message() {
        let body = br#"{"detail":[{"loc":["body","flow_id"],"msg":"Field required","type":"missing","input":{}},
            {"loc":["body","steps",3,"step_id"],"msg":"too long","type":"string_too_long","input":""}]}"#;
        let refusal = Refusal::read(422, body, None);
        assert_eq!(refusal.detail, "body.flow_id: Field required; body.steps.3.step_id: too long");
        assert_eq!(refusal.code, None);
    }

    #[test]
    fn the_words_of_a_gateway_and_of_a_stranger_are_told_apart() {
        assert_eq!(Refusal::read(403, br#"{"message":"Forbidden"}"#, None).detail, "Forbidden");
        let stranger = Refusal::read(404, b"<html>not here</html>", None);
        assert_eq!(stranger.detail, "an answer that is not of this service: check the URL (<html>not here</html>)");
    }

    #[test]
    fn only_what_may_pass_is_worth_another_try() {
        let unavailable = Unavailable {
            requests: 4,
            last: "connection refused".to_owned(),
            status: None,
            code: None,
            in_doubt: true,
            retry_after: None,
            correlation_id: None,
        };
        let unavailable = Error::Unavailable(Box::new(unavailable));
        assert!(unavailable.may_pass());
        assert!(unavailable.to_string().ends_with("; the change may have taken effect"));
        for (status, passes) in [(400, false), (401, false), (422, false), (500, true)] {
            assert_eq!(Error::Refused(Box::new(Refusal::read(status, b"{}", None))).may_pass(), passes, "{status}");
        }
        assert!(!Error::NotUnderstood(String::new()).may_pass());
    }
}
