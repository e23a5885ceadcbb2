//! The caller of a request (contract, "Keys and scopes").

use std::collections::HashMap;

use crate::error::Error;
use crate::id::{KeyId, OrganizationId};
use crate::scope::Scopes;

/// The caller of a request, as its API key identifies it. Created by the authorizer alone: nothing in a request can set
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The organization of the key.
    pub organization: OrganizationId,
    /// The id of the key: the `by` of a transition.
    pub key_id: KeyId,
    /// What the key may do.
    pub scopes: Scopes,
}

/// The names in the authorizer's context.
const ORGANIZATION_ID: &str = "organization_id";
const KEY_ID: &str = "key_id";
const SCOPES: &str = "scopes";

impl Caller {
    /// Reads the caller from the authorizer's context in an event. `context` returns a field by its name.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`]: without a context the route was deployed without its authorizer, and no request is served.
    pub fn from_context<'a>(context: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Error> {
        let field = |name: &str| context(name).ok_or_else(|| Error::internal("no authorizer context in the event"));
        Ok(Self {
            organization: OrganizationId::parse(field(ORGANIZATION_ID)?)
                .ok_or_else(|| Error::internal("the authorizer context names no organization"))?,
            key_id: KeyId::parse(field(KEY_ID)?)
                .ok_or_else(|| Error::internal("the authorizer context names no API key"))?,
            scopes: Scopes::parse(field(SCOPES)?)
                .map_err(|_| Error::internal("the authorizer context has no scopes"))?,
        })
    }

    /// The context by which API Gateway passes this caller to the functions.
    #[must_use]
    pub fn to_context(&self) -> HashMap<String, String> {
        HashMap::from([
            (ORGANIZATION_ID.to_owned(), self.organization.to_string()),
            (KEY_ID.to_owned(), self.key_id.to_string()),
            (SCOPES.to_owned(), self.scopes.to_string()),
        ])
    }
}
