//! The Lambda function of `publish_events`.

use lambda_runtime::service_fn;
use publish_events::bus::PAUSES;
use publish_events::eventbridge::EventBridge;
use publish_events::{NAME, Publisher};
use ratchet_model::clock::SystemClock;
use ratchet_runtime::serve::{Error, run_events, start_without_store};
use ratchet_runtime::settings;

/// The service of the bus, in the names of settings.
const SERVICE: &str = "EVENTBRIDGE";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_without_store(NAME);
    let table = settings::table()?;
    // Also without a bus: a function that lacks a setting must not wait for the first event to say so.
    let account = settings::account(SERVICE)?;
    let bus = settings::event_bus().map(|name| EventBridge::new(account, settings::endpoint(SERVICE), name));
    if let Some(bus) = &bus {
        bus.prime().await;
    }
    let publisher = Publisher { bus: bus.as_ref(), clock: &SystemClock, table: &table, pauses: &PAUSES };
    run_events(service_fn(|event| publisher.handle(event, std::io::stdout()))).await
}
