//! The Lambda authorizer: from an API key to an organization, a key id and scopes.
//!
//! API Gateway caches the answer for all routes, and invokes the authorizer again when the cache time is over. So the
//! answer must depend on the key alone.

use std::collections::HashMap;

use lambda_runtime::LambdaEvent;
use ratchet_http::authorizer_event::AuthorizerEvent;
use ratchet_http::endpoint;
use ratchet_model::api_key::ApiKey;
use ratchet_model::caller::Caller;
use ratchet_store::Store;
use serde::Serialize;

/// The function's name, in logs.
pub const NAME: &str = "authorizer";

/// The answer, in API Gateway's simple form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// Whether the request may pass.
    pub is_authorized: bool,
    /// The caller, as the functions get it.
    pub context: HashMap<String, String>,
}

impl Authorization {
    /// The answer for a caller; without one, the request may not pass.
    #[must_use]
    pub fn of(caller: Option<&Caller>) -> Self {
        Self { is_authorized: caller.is_some(), context: caller.map(Caller::to_context).unwrap_or_default() }
    }
}

/// The store did not answer whether the key is known. API Gateway answers 500 and caches nothing.
#[derive(Debug)]
pub struct Unanswered;

impl From<Unanswered> for lambda_runtime::Diagnostic {
    fn from(_: Unanswered) -> Self {
        Self { error_type: "Unanswered".to_owned(), error_message: "the store did not answer".to_owned() }
    }
}

/// Answers one event. An unknown, revoked or malformed key is no error.
///
/// # Errors
///
/// [`Unanswered`] where the store is unavailable: neither answer would be known to be true, and either would be cached.
pub async fn handle(store: &Store, event: LambdaEvent<AuthorizerEvent>) -> Result<Authorization, Unanswered> {
    authorize(store, event.payload).await
}

/// Authorizes one request.
///
/// # Errors
///
/// Those of [`handle`].
pub async fn authorize(store: &Store, event: AuthorizerEvent) -> Result<Authorization, Unanswered> {
    let correlation_id = endpoint::correlation_id(event.header(endpoint::CORRELATION_ID), event.request_id());
    let Some(key) = event.api_key().and_then(ApiKey::parse) else {
        // The text is not logged: it may be a secret of something else.
        tracing::info!(operation = NAME, authorized = false, correlation_id);
        return Ok(Authorization::of(None));
    };
    let id = key.id();
    match store.api_key(&id).await {
        Ok(record) => {
            let caller = record.and_then(|record| record.admit(&key, store.clock().now()));
            tracing::info!(operation = NAME, authorized = caller.is_some(), key = id.as_str(), correlation_id);
            Ok(Authorization::of(caller.as_ref()))
        }
        Err(error) => {
            endpoint::log_error(&error, &correlation_id);
            Err(Unanswered)
        }
    }
}
