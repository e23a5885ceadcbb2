//! What a function reads from the environment, as Lambda and template.yaml set it.

use std::env;
use std::sync::Arc;

use aws_sdk_dynamodb::config::Credentials;
use ratchet_http::cursor::CursorKey;
use ratchet_model::clock::SystemClock;
use ratchet_model::limits::{DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS};
use ratchet_store::Store;
use ratchet_store::client::config;
use ratchet_store::schema::TABLE_VARIABLE;
use ratchet_store::trust_roots::TrustRoots;

/// The environment variable with the secret that signs cursors; list executions alone has it.
pub const CURSOR_KEY: &str = "RATCHET_CURSOR_KEY";

/// The environment variable that names a file of trusted certificate authorities, in PEM, instead of those that are
/// built in. The AWS CLI and most SDKs use the same one.
pub const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The environment variable with the `timeout_seconds` of an execution whose caller names none; execute flow alone has it.
pub const DEFAULT_TIMEOUT: &str = "RATCHET_DEFAULT_TIMEOUT_SECONDS";

/// The environment variable with the name of the bus on which events are told; publish events alone has it.
pub const EVENT_BUS: &str = "RATCHET_EVENT_BUS";

/// The shortest secret that may sign cursors, in bytes.
const MIN_CURSOR_KEY: usize = 32;

/// A setting that is missing or wrong: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError(String);

impl std::fmt::Display for SettingError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads a required setting.
fn setting(name: &str) -> Result<String, SettingError> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
        let set_by = if name.starts_with("AWS_") { "Lambda" } else { "template.yaml" };
        SettingError(format!(
            "the environment variable {name} is not set: {set_by} sets it where the function is deployed"
        ))
    })
}

/// The trusted certificate authorities: those in the file `bundle`, if one is named, else those for the region or the
/// endpoint.
fn trust_roots(bundle: Option<&str>, region: &str, endpoint: Option<&str>) -> Result<TrustRoots, SettingError> {
    let Some(path) = bundle else { return Ok(TrustRoots::for_endpoint(region, endpoint)) };
    let read = std::fs::read(path).map_err(|error| error.to_string()).and_then(|pem| TrustRoots::bundle(&pem));
    read.map_err(|error| {
        SettingError(format!(
            "the environment variable {CA_BUNDLE} names {path}, which cannot be used: {error}. Unset it to trust \
             Amazon's roots, or name a file of root certificates in PEM"
        ))
    })
}

/// In whose name AWS is called, where, and whom to trust there.
#[derive(Debug, Clone)]
pub struct Account {
    /// The region.
    pub region: String,
    /// The credentials of the function's role.
    pub credentials: Credentials,
    /// The trusted certificate authorities.
    pub roots: TrustRoots,
}

/// A setting that may be left out. `sam local` and shells set a variable to the empty text where it has no value.
fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where a service of AWS is instead of in its region, as the SDKs read it: for this service, or for all.
#[must_use]
pub fn endpoint(service: &str) -> Option<String> {
    [format!("AWS_ENDPOINT_URL_{service}"), "AWS_ENDPOINT_URL".to_owned()].iter().find_map(|name| optional(name))
}

/// The account that the environment describes, as Lambda sets it, for calls of a service.
///
/// # Errors
///
/// The setting that is missing or wrong.
pub fn account(service: &str) -> Result<Account, SettingError> {
    let credentials = Credentials::new(
        setting("AWS_ACCESS_KEY_ID")?,
        setting("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    let region = setting("AWS_REGION")?;
    let roots = trust_roots(optional(CA_BUNDLE).as_deref(), &region, endpoint(service).as_deref())?;
    Ok(Account { region, credentials, roots })
}

/// The name of the table.
///
/// # Errors
///
/// Where it is missing.
pub fn table() -> Result<String, SettingError> {
    setting(TABLE_VARIABLE)
}

/// The bus on which events are told; `None`: they are told nowhere.
#[must_use]
pub fn event_bus() -> Option<String> {
    optional(EVENT_BUS)
}

/// The store that the environment describes, as Lambda sets it.
///
/// # Errors
///
/// The setting that is missing or wrong.
pub fn store() -> Result<Store, SettingError> {
    const SERVICE: &str = "DYNAMODB";
    let Account { region, credentials, roots } = account(SERVICE)?;
    let config = config(region, credentials, endpoint(SERVICE), &roots);
    Ok(Store::new(config, table()?, Arc::new(SystemClock)))
}

/// The key that signs cursors.
///
/// # Errors
///
/// Where it is missing, or too short to be a secret.
pub fn cursor_key() -> Result<CursorKey, SettingError> {
    let secret = setting(CURSOR_KEY)?;
    if secret.len() < MIN_CURSOR_KEY {
        return Err(SettingError(format!(
            "the environment variable {CURSOR_KEY} has {} bytes: a secret of at least {MIN_CURSOR_KEY} is needed",
            secret.len()
        )));
    }
    Ok(CursorKey::new(secret.as_bytes()))
}

/// The `timeout_seconds` of an execution whose caller names none: as set, else [`DEFAULT_TIMEOUT_SECONDS`].
///
/// # Errors
///
/// Where it is set to something that no caller could name.
pub fn default_timeout_seconds() -> Result<i64, SettingError> {
    let Some(text) = env::var(DEFAULT_TIMEOUT).ok().filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT_TIMEOUT_SECONDS);
    };
    text.parse().ok().filter(|seconds| (1..=MAX_TIMEOUT_SECONDS).contains(seconds)).ok_or_else(|| {
        SettingError(format!(
            "the environment variable {DEFAULT_TIMEOUT} is {text:?}: it must be a number of seconds from 1 to \
             {MAX_TIMEOUT_SECONDS}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_cannot_be_used_is_reported_with_what_to_do() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (path, reason) in [("/nowhere/roots.pem", "No such file"), (manifest, "no certificate in PEM")] {
            let SettingError(text) = trust_roots(Some(path), "us-east-1", None).unwrap_err();
            assert!(text.starts_with(&format!("the environment variable AWS_CA_BUNDLE names {path}, ")), "{text}");
            assert!(text.contains(reason) && text.contains("Unset it"), "{text}");
        }
    }

    #[test]
    fn a_bundle_takes_precedence_over_the_region() {
        let amazon = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/src/amazon_roots.pem");
        assert!(matches!(trust_roots(Some(amazon), "us-east-1", None), Ok(TrustRoots::Bundle(_))));
        assert_eq!(trust_roots(None, "us-east-1", None), Ok(TrustRoots::Amazon));
        assert_eq!(trust_roots(None, "us-east-1", Some("https://localhost:8000")), Ok(TrustRoots::System));
    }
}
