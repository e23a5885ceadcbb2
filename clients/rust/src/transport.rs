//! One call: its requests, one after the other, until one is answered, or attempts or time run out.

use std::time::Duration;

use ratchet_model::clock::{Clock, SystemClock};
use ratchet_model::error_code::ErrorCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::answer::{Answer, ETag};
use crate::error::{Error, Refusal, Unavailable};
use crate::retry::RetryPolicy;

/// The largest answer that is read, in bytes. The service's are 6 MB at most, as Lambda's are.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A call: what each of its requests sends.
#[derive(Debug)]
pub(crate) struct Call {
    /// The method.
    pub(crate) method: Method,
    /// The URL.
    pub(crate) url: String,
    /// The body.
    pub(crate) body: Option<String>,
    /// Headers besides those of every request.
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// How long the service may hold the request before it answers, on top of what a request may take.
    pub(crate) hold: Duration,
    /// Whether it writes: a request without an answer may have taken effect.
    pub(crate) writes: bool,
}

/// A success.
#[derive(Debug)]
pub(crate) struct Success {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    requests: u32,
}

impl Success {
    /// Reads the body.
    pub(crate) fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<Answer<T>, Error> {
        let record = serde_json::from_slice(&self.body).map_err(|error| {
            Error::NotUnderstood(format!(
                "an answer that is not of this service, or of another version ({error}): check the URL"
            ))
        })?;
        Ok(Answer {
            record,
            etag: header(&self.headers, "etag").map(ETag::from_text),
            replayed: header(&self.headers, "idempotency-replayed") == Some("true"),
            correlation_id: header(&self.headers, "x-correlation-id").map(str::to_owned),
            requests: self.requests,
        })
    }
}

/// What became of one request.
enum Outcome {
    /// It succeeded, or nothing has changed (304).
    Done(Box<Success>),
    /// It would be answered the same again.
    Final(Error),
    /// It may go better the next time.
    Again(Failure),
}

/// A request that failed and may be repeated.
struct Failure {
    what: String,
    status: Option<u16>,
    code: Option<ErrorCode>,
    retry_after: Option<Duration>,
    /// Whether it may have taken effect.
    in_doubt: bool,
    correlation_id: Option<String>,
}

/// Makes the requests of a call.
pub(crate) async fn send(http: &reqwest::Client, policy: &RetryPolicy, call: &Call) -> Result<Success, Error> {
    let begun = Instant::now();
    let mut in_doubt = false;
    let mut requests = 0;
    loop {
        requests += 1;
        // The last request must not outlast the call.
        let left = policy.total.saturating_add(call.hold).saturating_sub(begun.elapsed());
        let timeout = policy.request_timeout.saturating_add(call.hold).min(left);
        let failure = match once(http, call, timeout).await {
            Outcome::Done(mut success) => {
                success.requests = requests;
                return Ok(*success);
            }
            Outcome::Final(error) => return Err(error),
            Outcome::Again(failure) => failure,
        };
        in_doubt |= failure.in_doubt && call.writes;
        match policy.next_delay(requests, begun.elapsed(), failure.retry_after, random()) {
            Some(delay) => tokio::time::sleep(delay).await,
            None => {
                return Err(Error::Unavailable(Box::new(Unavailable {
                    requests,
                    last: failure.what,
                    status: failure.status,
                    code: failure.code,
                    in_doubt,
                    retry_after: failure.retry_after,
                    correlation_id: failure.correlation_id,
                })));
            }
        }
    }
}

/// A random number for the jitter. Without random numbers: the longest wait.
fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

/// Makes one request.
async fn once(http: &reqwest::Client, call: &Call, timeout: Duration) -> Outcome {
    let mut request = http.request(call.method.clone(), &call.url).timeout(timeout);
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &call.body {
        request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body.clone());
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_builder() => return Outcome::Final(Error::Unusable(chain(&error))),
        Err(error) => return Outcome::Again(no_answer(&error)),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let body = match body(response).await {
        Ok(body) => body,
        Err(failure) => return failure,
    };
    judge(status, headers, body)
}

/// Reads the body of an answer.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, Outcome> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(part)) if body.len() + part.len() <= MAX_ANSWER => body.extend_from_slice(&part),
            Ok(Some(_)) => {
                return Err(Outcome::Final(Error::NotUnderstood(format!(
                    "an answer of more than {MAX_ANSWER} bytes: check the URL"
                ))));
            }
            Ok(None) => return Ok(body),
            // What was done is not known: the answer is not whole.
            Err(error) => return Err(Outcome::Again(no_answer(&error))),
        }
    }
}

/// A request without a whole answer.
fn no_answer(error: &reqwest::Error) -> Failure {
    let what = if error.is_timeout() { "no answer in time".to_owned() } else { chain(error) };
    // Where there was no connection, nothing was sent.
    Failure { what, status: None, code: None, retry_after: None, in_doubt: !error.is_connect(), correlation_id: None }
}

/// What an answer means.
fn judge(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Outcome {
    let correlation_id = header(&headers, "x-correlation-id").map(str::to_owned);
    if status.is_success() && serde_json::from_slice::<&RawValue>(&body).is_err() {
        // What was done is not known: it is not the service's answer, or not whole.
        return Outcome::Again(Failure {
            what: "an answer that is not JSON: check the URL".to_owned(),
            status: Some(status.as_u16()),
            code: None,
            retry_after: None,
            in_doubt: true,
            correlation_id,
        });
    }
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Outcome::Done(Box::new(Success { status, headers, body, requests: 0 }));
    }
    if status.is_redirection() {
        let place = header(&headers, "location").unwrap_or("another place");
        // Followed, the key would be sent to whom nobody has named.
        return Outcome::Final(Error::Refused(Box::new(Refusal {
            status: status.as_u16(),
            code: None,
            detail: format!("a redirect to {place}, which is not followed: check the URL"),
            correlation_id,
            current_status: None,
            requested_status: None,
        })));
    }
    let refusal = Refusal::read(status.as_u16(), &body, correlation_id);
    match status {
        // API Gateway's own: the function did not answer. The service's own 500 is a bug, and would be one again.
        StatusCode::INTERNAL_SERVER_ERROR if refusal.code.is_some() => {
            Outcome::Final(Error::Refused(Box::new(refusal)))
        }
        StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            // Of these, two say that nothing was done: a throttled request, and a store that was not there.
            let nothing_done =
                status == StatusCode::TOO_MANY_REQUESTS || refusal.code == Some(ErrorCode::StoreUnavailable);
            Outcome::Again(Failure {
                what: format!("HTTP {}: {}", status.as_u16(), refusal.detail),
                status: Some(status.as_u16()),
                code: refusal.code,
                retry_after: header(&headers, "retry-after").and_then(|text| retry_after(text, &SystemClock)),
                in_doubt: !nothing_done,
                correlation_id: refusal.correlation_id,
            })
        }
        _ => Outcome::Final(Error::Refused(Box::new(refusal))),
    }
}

/// The text of a header.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// Reads a Retry-After: seconds, or a date.
fn retry_after(text: &str, clock: &dyn Clock) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(clock.now().millis().unsigned_abs());
    Some(date.saturating_sub(now))
}

/// The message of an error, followed by those of its causes that it does not end with already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use ratchet_model::clock::Timestamp;

    use super::*;

    #[derive(Debug)]
    struct At(&'static str);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::parse(self.0).unwrap()
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let clock = At("2026-11-30T12:00:00Z");
        for (text, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 30 ", Some(30)),
            ("Mon, 30 Nov 2026 12:00:05 GMT", Some(5)),
            ("Mon, 30 Nov 2026 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, &clock), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
