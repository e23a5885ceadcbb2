//! `GET /me`: who the caller's API key speaks for.
//!
//! The authorizer has said it already, in the context of the request: the function reads no table, and answers while
//! DynamoDB does not.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::caller::Caller;
use ratchet_model::clock::{Clock, Timestamp};
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scope;
use serde::Serialize;

/// The operation. Every key may call it: a key that may not learn what it may do cannot be told from a wrong one.
pub const OPERATION: Operation = Operation { name: "get_caller", method: "GET", path: "/api/v1/me", scope: None };

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "Who the API key of the request speaks for."))]
pub struct CallerDetails {
    /// The organization of the key: its executions are those that the key can see.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 64))]
    pub organization_id: OrganizationId,
    /// The id of the key: the `by` of its transitions.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 64))]
    pub key_id: KeyId,
    /// The name of the key: the `by_name` of its transitions; null where it has none.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<String>, min_length = 1, max_length = 64))]
    pub key_name: Option<KeyName>,
    /// The scopes that the key was given, in the order `read`, `write`, `admin`; at least one. `admin` allows what the
    /// others do.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub scopes: Vec<Scope>,
    /// From when on the key is refused; null where it has no end. It is known as of the last time that the key was
    /// looked up, which API Gateway remembers for a minute by default.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
}

impl From<Caller> for CallerDetails {
    fn from(caller: Caller) -> Self {
        // Whole, so that a new field of the caller is not forgotten here.
        let Caller { organization, key_id, key_name, scopes, expires_at } = caller;
        Self { organization_id: organization, key_id, key_name, scopes: scopes.held().collect(), expires_at }
    }
}

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(clock: &dyn Clock, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, clock, request, async |request| {
        request.without_query().finish()?;
        Response::ok(&CallerDetails::from(request.caller)).map_err(Into::into)
    })
    .await)
}
