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
use crate::store::{Store, config};

/// The environment variable with the table's name.
pub const TABLE: &str = "RATCHET_TABLE";

/// The environment variable with the secret that signs cursors; list executions alone has it.
pub const CURSOR_KEY: &str = "RATCHET_CURSOR_KEY";

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

/// The store that the environment describes, as Lambda sets it.
///
/// # Errors
///
/// Which setting is missing.
pub fn store() -> Result<Store, SettingError> {
    let credentials = Credentials::new(
        setting("AWS_ACCESS_KEY_ID")?,
        setting("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    // A variable that is there and empty is how `sam local` and shells say that it is not set.
    let endpoint = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|endpoint| !endpoint.is_empty()));
    let config = config(setting("AWS_REGION")?, credentials, endpoint);
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

/// Starts a function and serves until Lambda ends it. `prepare` takes what the function needs besides the store from
/// the environment; `handle` answers one event.
///
/// Where a setting is missing the function ends at once with one line that says so: Lambda reports a failed INIT, and no
/// caller meets a half-configured function.
pub async fn serve<S, P, H, E, R, X, Fut>(prepare: P, handle: H) -> ExitCode
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
    store.prime().await;
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
