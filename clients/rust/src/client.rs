//! The client: one method per operation.

use std::sync::Arc;
use std::time::Duration;

use ratchet_model::id::ExecutionId;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use url::{Host, Url};

use crate::answer::{Answer, ETag};
use crate::error::Error;
use crate::idempotency::IdempotencyKey;
use crate::record::{
    Beat, Caller, Cancelled, Executed, Execution, History, LastBeat, Overridden, Page, StepPage, StepsReported,
    Transition,
};
use crate::request::{Cancel, ListQuery, NewExecution, Override, Steps, StepsQuery, Update};
use crate::retry::RetryPolicy;
use crate::transport::{self, Call, Success};

/// The path below which the API is.
const BASE_PATH: &str = "/api/v1";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one service with one API key. Cheap to clone: clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    retry: RetryPolicy,
}

impl Client {
    /// A client of the service at this URL: the stack's output `ApiUrl`, or what the development server prints; with or without
    /// `/api/v1` at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] for a URL that is not one of HTTP, for a key that no header can carry, and where this machine has
    /// no certificate authorities and the URL needs one.
    pub fn new(url: &str, api_key: &str) -> Result<Self, Error> {
        let (base, parsed) = base(url)?;
        let mut key = HeaderValue::from_str(api_key.trim())
            .ok()
            .filter(|key| !key.is_empty())
            // Without the key in the message: it may be all but right.
            .ok_or_else(|| {
                Error::Unusable("the API key is empty, or has characters that a key cannot have".to_owned())
            })?;
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), key)]);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("ratchet-client/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            // Below the idle time after which load balancers close a connection in silence.
            .pool_idle_timeout(Duration::from_secs(20))
            .use_preconfigured_tls(tls(&parsed)?);
        if is_loopback(&parsed) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Error::Unusable(error.to_string()))?;
        Ok(Self { http, base: base.into(), retry: RetryPolicy::default() })
    }

    /// The same client with another policy of retries.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self { retry, ..self.clone() }
    }

    /// The URL below which the operations are.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The policy of retries.
    #[must_use]
    pub const fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Creates an execution.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn execute(&self, new: &NewExecution) -> Result<Answer<Execution>, Error> {
        let call = self.write(Method::POST, "/flows/execute", new, new.idempotency_key.as_ref(), None)?;
        let answer = self.send(&call).await?.read::<Executed>()?;
        Ok(answer.map(|executed| executed.execution))
    }

    /// Reads an execution, with its first steps.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn get(&self, id: ExecutionId) -> Result<Answer<Execution>, Error> {
        self.send(&self.read(&format!("/flows/executions/{id}"), "")).await?.read()
    }

    /// Reads an execution if it is not as it was then; `None`: it is.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn get_if_changed(&self, id: ExecutionId, seen: &ETag) -> Result<Option<Answer<Execution>>, Error> {
        let mut call = self.read(&format!("/flows/executions/{id}"), "");
        call.headers.push((IF_NONE_MATCH, seen.as_str().to_owned()));
        changed(&self.send(&call).await?)
    }

    /// Lists executions: one page. [`crate::walk::Walk`] goes through all.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn list(&self, query: &ListQuery) -> Result<Answer<Page>, Error> {
        self.send(&self.read("/flows/executions", &query.text())).await?.read()
    }

    /// Changes an execution: its status, its fields, or both.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn update(&self, id: ExecutionId, update: &Update) -> Result<Answer<Execution>, Error> {
        let path = format!("/flows/executions/{id}");
        let call =
            self.write(Method::PATCH, &path, update, update.idempotency_key.as_ref(), update.if_match.as_ref())?;
        self.send(&call).await?.read()
    }

    /// Ends an execution that got stuck, from outside.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn override_status(&self, id: ExecutionId, change: &Override) -> Result<Answer<Overridden>, Error> {
        let path = format!("/executions/{id}");
        let call =
            self.write(Method::PATCH, &path, change, change.idempotency_key.as_ref(), change.if_match.as_ref())?;
        self.send(&call).await?.read()
    }

    /// Lists the transitions of an execution, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn transitions(&self, id: ExecutionId) -> Result<Vec<Transition>, Error> {
        let call = self.read(&format!("/executions/{id}/transitions"), "");
        Ok(self.send(&call).await?.read::<History>()?.record.transitions)
    }

    /// Says that the worker is alive, and hears what it is to do. `attempt`: that of the worker's claim.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn heartbeat(&self, id: ExecutionId, attempt: Option<i64>) -> Result<Answer<Beat>, Error> {
        // Without an Idempotency-Key: repeating is harmless.
        let body = attempt.map_or_else(|| "{}".to_owned(), |attempt| format!("{{\"attempt\":{attempt}}}"));
        let call = Call {
            method: Method::POST,
            url: format!("{}/executions/{id}/heartbeat", self.base),
            body: Some(body),
            headers: Vec::new(),
            hold: Duration::ZERO,
            writes: false,
        };
        self.send(&call).await?.read()
    }

    /// Says when the worker was last heard, and until when the service waits for it. For people and monitors: a worker sends
    /// heartbeats.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn last_heartbeat(&self, id: ExecutionId) -> Result<Answer<LastBeat>, Error> {
        self.send(&self.read(&format!("/executions/{id}/heartbeat"), "")).await?.read()
    }

    /// Cancels an execution that nobody works on, and asks the worker of a running one to stop.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn cancel(&self, id: ExecutionId, cancel: &Cancel) -> Result<Answer<Cancelled>, Error> {
        let path = format!("/executions/{id}/cancel");
        let call =
            self.write(Method::POST, &path, cancel, cancel.idempotency_key.as_ref(), cancel.if_match.as_ref())?;
        self.send(&call).await?.read()
    }

    /// Reports steps of an execution. Look at the outcome of each.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn report_steps(&self, id: ExecutionId, steps: &Steps) -> Result<Answer<StepsReported>, Error> {
        let path = format!("/executions/{id}/steps");
        let call = self.write(Method::POST, &path, steps, steps.idempotency_key.as_ref(), None)?;
        self.send(&call).await?.read()
    }

    /// Lists the steps of an execution: one page.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn steps(&self, id: ExecutionId, query: &StepsQuery) -> Result<Answer<StepPage>, Error> {
        self.send(&self.read(&format!("/executions/{id}/steps"), &query.text())).await?.read()
    }

    /// Says whose the API key is.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn caller(&self) -> Result<Answer<Caller>, Error> {
        self.send(&self.read("/me", "")).await?.read()
    }

    /// Lets the service hold the request until the execution has ended, or for this long. [`crate::wait::wait`] goes on after
    /// that.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn hold(&self, id: ExecutionId, seconds: u64) -> Result<Answer<Execution>, Error> {
        let mut call = self.read(&format!("/flows/executions/{id}/wait"), &format!("timeout={seconds}"));
        call.hold = Duration::from_secs(seconds);
        self.send(&call).await?.read()
    }

    /// A call that reads.
    fn read(&self, path: &str, query: &str) -> Call {
        let mut url = format!("{}{path}", self.base);
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        Call { method: Method::GET, url, body: None, headers: Vec::new(), hold: Duration::ZERO, writes: false }
    }

    /// A call that writes. Its body and its Idempotency-Key are made here, once: each of its requests has the same.
    fn write<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &T,
        key: Option<&IdempotencyKey>,
        if_match: Option<&ETag>,
    ) -> Result<Call, Error> {
        let body = serde_json::to_string(body).map_err(|error| Error::Unusable(error.to_string()))?;
        let key = key.cloned().map_or_else(IdempotencyKey::random, Ok)?;
        let mut headers = vec![(IDEMPOTENCY_KEY, key.to_string())];
        if let Some(etag) = if_match {
            headers.push((IF_MATCH, etag.to_string()));
        }
        let url = format!("{}{path}", self.base);
        Ok(Call { method, url, body: Some(body), headers, hold: Duration::ZERO, writes: true })
    }

    async fn send(&self, call: &Call) -> Result<Success, Error> {
        transport::send(&self.http, &self.retry, call).await
    }
}

/// The record, unless it is as it was.
fn changed(success: &Success) -> Result<Option<Answer<Execution>>, Error> {
    if success.status == StatusCode::NOT_MODIFIED { Ok(None) } else { success.read().map(Some) }
}

/// The URL below which the operations are, and the URL as it was read.
fn base(text: &str) -> Result<(String, Url), Error> {
    let wrong = |why: &str| Error::Unusable(format!("{text:?} is not the URL of a service: {why}"));
    let url = Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it begins neither with http:// nor with https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Unusable("the URL of a service has no user name: give the API key".to_owned()));
    }
    let base = url.as_str().trim_end_matches('/');
    let base = base.strip_suffix(BASE_PATH).unwrap_or(base);
    Ok((format!("{base}{BASE_PATH}"), url))
}

/// Whether the service is on this machine, where no proxy leads.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The settings of TLS: the certificate authorities that this machine trusts, or those of `SSL_CERT_FILE`. They are not read
/// where the URL needs none: that takes longer than a call.
fn tls(url: &Url) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    if url.scheme() == "https" {
        let found = rustls_native_certs::load_native_certs();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            let why = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
            return Err(Error::Unusable(format!("this machine trusts no certificate authority ({why})")));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Unusable(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_end_with_the_base_path_or_not() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/api/v1"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/api/v1"),
            (
                "https://x.execute-api.eu-west-1.amazonaws.com/api/v1",
                "https://x.execute-api.eu-west-1.amazonaws.com/api/v1",
            ),
            ("https://x.example/api/v1/ ", "https://x.example/api/v1"),
            ("https://x.example/dev", "https://x.example/dev/api/v1"),
        ] {
            assert_eq!(Client::new(text, "key").unwrap().base(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_before_anything_is_sent() {
        for text in ["", "127.0.0.1:3000", "ftp://x", "http://", "http://a?b", "http://user:secret@x"] {
            let error = Client::new(text, "key").unwrap_err();
            assert!(matches!(error, Error::Unusable(_)), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for key in ["", " ", "a\nb", "schlüssel\u{7}"] {
            let error = Client::new("http://x", key).unwrap_err();
            assert!(key.trim().is_empty() || !error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn a_key_is_in_no_debugging_text() {
        let client = Client::new("http://x", "rk_of_somebody").unwrap();
        assert!(!format!("{client:?}").contains("rk_of_somebody"));
    }

    #[test]
    fn only_this_machine_is_reached_without_a_proxy() {
        for (text, expected) in [
            ("http://localhost:1", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:3000", true),
            ("http://example.org", false),
            ("http://localhost.example.org", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        }
    }
}
