//! `cargo run -p keys`: the API keys of a table.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use keys::arguments::{self, Arguments, Command, Organization, key_id};
use keys::connection::{Place, connect};
use keys::listing;
use keys::words::{Doing, Failure, explain};
use shared::auth::{ApiKey, KeyId, Scopes};
use shared::store::Store;
use shared::store::keys::StoredKey;

/// How long a key works after its end.
const CACHE: &str = "API Gateway keeps the authorizer's answers: a key may work longer than its end by the stack's \
                     AuthorizerCacheSeconds, 60 s by default.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match arguments::read() {
        Ok(arguments) => run(arguments).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("error: {failure}"));
            if failure.is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    // What is wrong with an id is said before anything is looked for in the environment.
    match arguments.command {
        Command::Create { org, scopes, expires_in } => {
            let (store, place) = connect(arguments.table).await?;
            create(&store, &place, &org, scopes, expires_in).await
        }
        Command::List { org, json } => {
            let (store, place) = connect(arguments.table).await?;
            list(&store, &place, org.as_ref(), json).await
        }
        Command::Revoke { key } => {
            let id = key_id(&key)?;
            let (store, place) = connect(arguments.table).await?;
            revoke(&store, &place, &id).await
        }
        Command::Rotate { key, keep_old, expires_in } => {
            let old = key_id(&key)?;
            let (store, place) = connect(arguments.table).await?;
            rotate(&store, &place, &old, keep_old, expires_in).await
        }
    }
}

async fn create(
    store: &Store,
    place: &Place,
    organization: &Organization,
    scopes: Scopes,
    lifetime: Option<Duration>,
) -> Result<(), Failure> {
    let key = new_key()?;
    let stored = store
        .create_key(&key, organization.as_str(), scopes, lifetime)
        .await
        .map_err(|error| explain(&error, Doing::Create(&KeyId::of(&key)), place))?;
    show(&key)?;
    tell(&description(&stored));
    tell("It is shown this once: the table keeps only its SHA-256.");
    Ok(())
}

async fn list(store: &Store, place: &Place, organization: Option<&Organization>, json: bool) -> Result<(), Failure> {
    let keys = store
        .keys(organization.map(Organization::as_str))
        .await
        .map_err(|error| explain(&error, Doing::List, place))?;
    let now = store.clock().now();
    if json {
        let text = listing::json(&keys, now).map_err(|error| Failure::new(error.to_string()))?;
        return print(&text);
    }
    if keys.is_empty() {
        tell("No keys.");
        return Ok(());
    }
    print(&listing::table(&keys, now))
}

async fn revoke(store: &Store, place: &Place, id: &KeyId) -> Result<(), Failure> {
    let revocation = store.revoke_key(id).await.map_err(|error| explain(&error, Doing::Revoke(id), place))?;
    let (organization, since) = (&revocation.organization, revocation.since);
    if revocation.before {
        return print(&format!(
            "Key {id} of organization {organization} was revoked before, since {since}: nothing was changed."
        ));
    }
    print(&format!("Key {id} of organization {organization} is revoked since {since}.\n{CACHE}"))
}

async fn rotate(
    store: &Store,
    place: &Place,
    old: &KeyId,
    keep: Duration,
    lifetime: Option<Duration>,
) -> Result<(), Failure> {
    let key = new_key()?;
    let rotation = store
        .rotate_key(old, keep, &key, lifetime)
        .await
        .map_err(|error| explain(&error, Doing::Rotate { old, new: &KeyId::of(&key) }, place))?;
    show(&key)?;
    tell(&description(&rotation.new));
    tell("It is shown this once: the table keeps only its SHA-256.");
    tell(&format!("It replaces key {old}, which is valid until {}. {CACHE}", rotation.old_until));
    Ok(())
}

fn new_key() -> Result<ApiKey, Failure> {
    ApiKey::generate().map_err(|error| Failure::new(format!("this machine has no random numbers: {error}")))
}

fn description(key: &StoredKey) -> String {
    let end = key.record.valid_until.map_or_else(|| "it is revoked".to_owned(), |until| until.to_string());
    format!(
        "Key {} of organization {} with scopes {}, valid until {end}.",
        key.id, key.record.organization, key.record.scopes
    )
}

/// Prints a new key: alone, so that a script can take it.
fn show(key: &ApiKey) -> Result<(), Failure> {
    // Stored and never seen: nobody could use it, and nobody would know that it is there.
    print(key.reveal()).map_err(|failure| {
        let id = key.id();
        Failure::new(format!("key {id} is stored but was not shown, {failure}: `keys revoke {id}`, then make another"))
    })
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(format!("standard output cannot be written ({error})")))
}

/// Says something to the person, beside what a script takes.
fn tell(text: &str) {
    // Where nobody can read it, that is nothing to fail for.
    let _ = writeln!(std::io::stderr(), "{text}");
}
