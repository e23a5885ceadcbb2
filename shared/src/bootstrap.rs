//! How a function starts: settings from the environment, logs, one client, one open connection; then the runtime.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use aws_sdk_dynamodb::config::Credentials;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::SystemClock;
use crate::store::cursor::CursorKey;
use crate::store::roots::Roots;
use crate::store::{Store, config};

/// The environment variable with the table's name.
pub const TABLE: &str = "RATCHET_TABLE";

/// The environment variable with the secret that signs cursors; list executions alone has it.
pub const CURSOR_KEY: &str = "RATCHET_CURSOR_KEY";

/// The environment variable with a file of the roots to trust, in PEM, instead of those that are built in: the AWS CLI's and
/// most SDKs'.
pub const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

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

/// Reads a setting that must be there.
fn setting(name: &str) -> Result<String, SettingError> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
        let who = if name.starts_with("AWS_") { "Lambda" } else { "template.yaml" };
        SettingError(format!(
            "the environment variable {name} is not set: {who} sets it where the function is deployed"
        ))
    })
}

/// Whom to trust: the roots in the file `bundle`, if one is named, or those that the region or the endpoint calls for.
fn roots(bundle: Option<&str>, region: &str, endpoint: Option<&str>) -> Result<Roots, SettingError> {
    let Some(path) = bundle else { return Ok(Roots::of(region, endpoint)) };
    let read = std::fs::read(path).map_err(|error| error.to_string()).and_then(|pem| Roots::bundle(&pem));
    read.map_err(|error| {
        SettingError(format!(
            "the environment variable {CA_BUNDLE} names {path}, which cannot be used: {error}. Unset it to trust Amazon's \
             roots, or name a file of root certificates in PEM"
        ))
    })
}

/// The store that the environment describes, as Lambda sets it.
///
/// # Errors
///
/// Which setting is missing or wrong.
pub fn store() -> Result<Store, SettingError> {
    let credentials = Credentials::new(
        setting("AWS_ACCESS_KEY_ID")?,
        setting("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    // A variable that is there and empty is how `sam local` and shells say that it is not set.
    let maybe = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"].into_iter().find_map(maybe);
    let region = setting("AWS_REGION")?;
    let roots = roots(maybe(CA_BUNDLE).as_deref(), &region, endpoint.as_deref())?;
    let config = config(region, credentials, endpoint, &roots);
    Ok(Store::new(config, setting(TABLE)?, Arc::new(SystemClock)))
}

/// The key that signs cursors.
///
/// # Errors
///
/// That it is missing, or too short to be a secret.
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

/// Logs to standard output, at the level that the function is set to.
pub fn log() {
    // Lambda has one level more than we do.
    let level = match env::var("AWS_LAMBDA_LOG_LEVEL").as_deref() {
        Ok("FATAL") => LevelFilter::ERROR,
        Ok(level) => level.parse().unwrap_or(LevelFilter::INFO),
        Err(_) => LevelFilter::INFO,
    };
    // A second subscriber, in a test that starts several functions, changes nothing.
    let _ = subscriber(level, std::io::stdout).try_init();
}

/// One JSON line per event, with the names that Lambda's own JSON log format has. Libraries are heard from ERROR on only:
/// their debug lines may show what callers sent, and the SDK warns of every condition that does not hold, which is this
/// service's daily bread.
pub fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::ERROR))
        .with_targets([("shared", level), ("authorizer", level)]);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer)
        .with_filter(filter);
    tracing_subscriber::registry().with(lines)
}

/// Starts a function and serves until Lambda ends it. `connections` is how many requests an invocation sends at once;
/// `prepare` takes what the function needs besides the store from the environment; `handle` answers one event.
///
/// Where a setting is missing the function ends at once with one line that says so: Lambda reports a failed INIT, and no
/// caller meets a half-configured function.
pub async fn serve<S, P, H, E, R, X, Fut>(connections: usize, prepare: P, handle: H) -> ExitCode
where
    S: 'static,
    P: FnOnce() -> Result<S, SettingError>,
    H: Fn(&'static Store, &'static S, E) -> Fut,
    E: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    X: Into<lambda_runtime::Diagnostic> + std::fmt::Debug,
    Fut: Future<Output = Result<R, X>>,
{
    log();
    let (store, rest) = match store().and_then(|store| Ok((store, prepare()?))) {
        Ok(parts) => parts,
        Err(error) => {
            tracing::error!(error = %error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    store.prime(connections).await;
    // They live as long as the process: a reference is all that an invocation needs.
    let store: &'static Store = Box::leak(Box::new(store));
    let rest: &'static S = Box::leak(Box::new(rest));
    let service = service_fn(|event: LambdaEvent<E>| handle(store, rest, event.payload));
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the runtime ended");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_cannot_be_used_is_named_with_what_to_do() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (path, reason) in [("/nowhere/roots.pem", "No such file"), (manifest, "no certificate in PEM")] {
            let SettingError(text) = roots(Some(path), "us-east-1", None).unwrap_err();
            assert!(text.starts_with(&format!("the environment variable AWS_CA_BUNDLE names {path}, ")), "{text}");
            assert!(text.contains(reason) && text.contains("Unset it"), "{text}");
        }
    }

    #[test]
    fn a_bundle_counts_before_the_region() {
        let amazon = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/amazon_roots.pem");
        assert!(matches!(roots(Some(amazon), "us-east-1", None), Ok(Roots::These(_))));
        assert_eq!(roots(None, "us-east-1", None), Ok(Roots::Amazon));
        assert_eq!(roots(None, "us-east-1", Some("https://localhost:8000")), Ok(Roots::System));
    }
}
