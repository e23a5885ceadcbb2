//! Amazon EventBridge as the bus.

use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use ratchet_model::event::SOURCE;
use ratchet_runtime::settings::Account;
use ratchet_store::client::{http_client, root_cause};

use crate::bus::{Bus, Entry, Refusal};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How long one request may take.
pub const PUT_TIMEOUT: Duration = Duration::from_millis(3_000);

/// How long priming may take.
const PRIMING_TIMEOUT: Duration = Duration::from_millis(500);

/// The codes by which EventBridge says that an event itself is wrong. All others are about who asks, or about the bus: they
/// may end.
const NEVER: [&str; 4] = ["MalformedDetail", "InvalidArgument", "InvalidParameter", "RedactionFailure"];

/// The codes by which it refuses a whole request for what is in it.
const MALFORMED_REQUEST: [&str; 3] = ["ValidationException", "ValidationError", "PutEventsRequestEntrySizeExceeded"];

/// A bus of EventBridge.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// The bus of this name.
    #[must_use]
    pub fn new(account: Account, endpoint: Option<String>, bus: String) -> Self {
        let Account { region, credentials, roots } = account;
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(PUT_TIMEOUT);
        let config = Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region))
            .credentials_provider(credentials)
            .timeout_config(timeouts.build())
            // `publish` repeats what was not taken, and that alone.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(http_client(endpoint.as_deref(), &roots));
        let config = match endpoint {
            Some(endpoint) => config.endpoint_url(endpoint),
            None => config,
        };
        Self { client: Client::from_conf(config.build()), bus }
    }

    /// Opens the connection before the first event needs it, by a request without an event, which is refused.
    pub async fn prime(&self) {
        let nothing = self.client.put_events().set_entries(Some(Vec::new())).send();
        if tokio::time::timeout(PRIMING_TIMEOUT, nothing).await.is_err() {
            tracing::debug!("priming took too long");
        }
    }

    /// Sends one request. `None`: it was refused for what is in it.
    async fn send(&self, entries: &[Entry<'_>]) -> Option<Vec<Result<(), Refusal>>> {
        let requested = entries.iter().map(|entry| self.entry(entry)).collect();
        match self.client.put_events().set_entries(Some(requested)).send().await {
            Ok(output) => Some(output.entries.unwrap_or_default().iter().map(outcome).collect()),
            Err(error) if error.code().is_some_and(|code| MALFORMED_REQUEST.contains(&code)) => None,
            Err(error) => {
                // Not the message: it names the account.
                let reason = error.code().map_or_else(|| root_cause(&error), str::to_owned);
                Some(entries.iter().map(|_| Err(Refusal::Later(reason.clone()))).collect())
            }
        }
    }

    fn entry(&self, entry: &Entry<'_>) -> PutEventsRequestEntry {
        let Entry { event, body } = entry;
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(event.kind.as_str())
            .resources(event.execution_id.to_string())
            .time(DateTime::from_millis(event.at.millis()))
            .detail(*body)
            .build()
    }
}

impl Bus for EventBridge {
    async fn put(&self, entries: &[Entry<'_>]) -> Vec<Result<(), Refusal>> {
        if let Some(outcomes) = self.send(entries).await {
            return outcomes;
        }
        // One of them is wrong, and EventBridge does not say which.
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            let alone = self.send(std::slice::from_ref(entry)).await;
            let outcome = alone.and_then(|outcomes| outcomes.into_iter().next());
            outcomes.push(outcome.unwrap_or_else(|| Err(Refusal::Never("ValidationException".to_owned()))));
        }
        outcomes
    }
}

/// What became of one event of a request.
fn outcome(entry: &PutEventsResultEntry) -> Result<(), Refusal> {
    match entry.error_code() {
        None => Ok(()),
        Some(code) if NEVER.contains(&code) => Err(Refusal::Never(code.to_owned())),
        Some(code) => Err(Refusal::Later(code.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_with_an_event_is_never_put_again() {
        let outcome = |code: Option<&str>| {
            super::outcome(&PutEventsResultEntry::builder().set_error_code(code.map(str::to_owned)).build())
        };
        assert_eq!(outcome(None), Ok(()));
        for code in NEVER {
            assert_eq!(outcome(Some(code)), Err(Refusal::Never(code.to_owned())));
        }
        for code in ["ThrottlingException", "InternalFailure", "NotAuthorizedForSourceException", "AccessDenied", "New"]
        {
            assert_eq!(outcome(Some(code)), Err(Refusal::Later(code.to_owned())));
        }
    }
}
