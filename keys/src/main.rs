//! `cargo run -p keys`: the API keys of a table.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use keys::arguments::{self, Arguments, Command, key_id, key_name};
use keys::connection::connect;
use keys::errors::{Action, CliError, describe};
use keys::listing;
use keys::target::Target;
use ratchet_model::api_key::ApiKey;
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;
use ratchet_store::Store;
use ratchet_store::api_keys::StoredApiKey;

/// The notice that a key may work a little longer than its end.
const CACHE_NOTICE: &str = "API Gateway keeps the authorizer's answers: a key may work longer than its end by the \
                            stack's AuthorizerCacheSeconds, 60 s by default.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match arguments::read() {
        Ok(arguments) => run(arguments).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint_line(&format!("error: {error}"));
            if error.is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), CliError> {
    // A malformed key id or name is reported before the environment is read.
    match arguments.command {
        Command::Create { org, name, scopes, expires_in } => {
            let name = name.as_deref().map(key_name).transpose()?;
            let (store, target) = connect(arguments.table).await?;
            create(&store, &target, &org, name.as_ref(), scopes, expires_in).await
        }
        Command::List { org, json } => {
            let (store, target) = connect(arguments.table).await?;
            list(&store, &target, org.as_ref(), json).await
        }
        Command::Revoke { key } => {
            let id = key_id(&key)?;
            let (store, target) = connect(arguments.table).await?;
            revoke(&store, &target, &id).await
        }
        Command::Rotate { key, keep_old, expires_in } => {
            let old = key_id(&key)?;
            let (store, target) = connect(arguments.table).await?;
            rotate(&store, &target, &old, keep_old, expires_in).await
        }
    }
}

async fn create(
    store: &Store,
    target: &Target,
    organization: &OrganizationId,
    name: Option<&KeyName>,
    scopes: Scopes,
    lifetime: Option<Duration>,
) -> Result<(), CliError> {
    let key = new_key()?;
    let stored = store
        .create_key(&key, organization, name, scopes, lifetime)
        .await
        .map_err(|error| describe(&error, Action::Create(&key.id()), target))?;
    print_key(&key)?;
    eprint_line(&summary(&stored));
    eprint_line("It is shown this once: the table keeps only its SHA-256.");
    Ok(())
}

async fn list(
    store: &Store,
    target: &Target,
    organization: Option<&OrganizationId>,
    json: bool,
) -> Result<(), CliError> {
    let keys = store.keys(organization).await.map_err(|error| describe(&error, Action::List, target))?;
    let now = store.clock().now();
    if json {
        let text = listing::json(&keys, now).map_err(|error| CliError::new(error.to_string()))?;
        return print_line(&text);
    }
    if keys.is_empty() {
        eprint_line("No keys.");
        return Ok(());
    }
    print_line(&listing::table(&keys, now))
}

async fn revoke(store: &Store, target: &Target, id: &KeyId) -> Result<(), CliError> {
    let revocation = store.revoke_key(id).await.map_err(|error| describe(&error, Action::Revoke(id), target))?;
    let (organization, since) = (&revocation.organization, revocation.since);
    let name = in_brackets(revocation.name.as_ref());
    if revocation.before {
        return print_line(&format!(
            "Key {id}{name} of organization {organization} was revoked before, since {since}: nothing was changed."
        ));
    }
    print_line(&format!("Key {id}{name} of organization {organization} is revoked since {since}.\n{CACHE_NOTICE}"))
}

async fn rotate(
    store: &Store,
    target: &Target,
    old: &KeyId,
    keep: Duration,
    lifetime: Option<Duration>,
) -> Result<(), CliError> {
    let key = new_key()?;
    let rotation = store
        .rotate_key(old, keep, &key, lifetime)
        .await
        .map_err(|error| describe(&error, Action::Rotate { old, new: &key.id() }, target))?;
    print_key(&key)?;
    eprint_line(&summary(&rotation.new));
    eprint_line("It is shown this once: the table keeps only its SHA-256.");
    eprint_line(&format!("It replaces key {old}, which is valid until {}. {CACHE_NOTICE}", rotation.old_until));
    Ok(())
}

/// Generates a key.
fn new_key() -> Result<ApiKey, CliError> {
    ApiKey::generate().map_err(|error| CliError::new(format!("this machine has no random numbers: {error}")))
}

/// What the table says of a new key.
fn summary(key: &StoredApiKey) -> String {
    let end = key.record.valid_until.map_or_else(|| "it is revoked".to_owned(), |until| until.to_string());
    format!(
        "Key {}{} of organization {} with scopes {}, valid until {end}.",
        key.id,
        in_brackets(key.record.name.as_ref()),
        key.record.organization,
        key.record.scopes
    )
}

/// The name of a key in brackets, for a message that has its id before it.
fn in_brackets(name: Option<&KeyName>) -> String {
    name.map_or_else(String::new, |name| format!(" ({name})"))
}

/// Prints a new key to standard output, with nothing beside it, so that a script can read it.
fn print_key(key: &ApiKey) -> Result<(), CliError> {
    // The key is stored all the same: its id is in the message, so that it can be revoked.
    print_line(key.reveal()).map_err(|error| {
        let id = key.id();
        CliError::new(format!("key {id} is stored but was not shown, {error}: `keys revoke {id}`, then create another"))
    })
}

/// Prints to standard output.
fn print_line(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| CliError::new(format!("standard output cannot be written ({error})")))
}

/// Prints to standard error, apart from what a script reads.
fn eprint_line(text: &str) {
    // A closed standard error does not make the command fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}
