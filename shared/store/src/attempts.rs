//! The outcome of the SDK's attempts at one request, and what it means for the answer.
//!
//! The SDK itself repeats attempts that were throttled or got no answer, and reports the last one alone. Whether an
//! *earlier* one may have been applied, or may still be under way, decides between "nothing was written", "rejected"
//! and "outcome unknown".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::result::ConnectorError;

use ratchet_model::error::Error;

use crate::client::root_cause;

/// Observes the attempts at one request. Clones share their observations.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    in_doubt: Arc<AtomicBool>,
}

impl Attempts {
    /// Whether an attempt is in doubt: as far as can be known it reached the store, and its answer did not arrive.
    pub fn any_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Err(error)) = context.output_or_error() else { return Ok(()) };
        let answered = context.response().is_some_and(|response| is_final(response.status().as_u16()));
        let never_sent = error.as_connector_error().is_some_and(never_sent);
        if !(answered && error.is_operation_error() || never_sent) {
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Whether an answer with this status says for certain that nothing was written. A 5xx does not.
const fn is_final(status: u16) -> bool {
    status < 500
}

/// Whether the attempt was never sent, because no connection could be opened.
fn never_sent(error: &ConnectorError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        source = error.source();
    }
    false
}

/// The error codes by which DynamoDB throttles.
///
/// Of the last two, one names another request's transaction, the other one an attempt at this very transaction that is
/// still under way: that attempt is in doubt.
pub const THROTTLED: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "ReplicatedWriteConflictException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Whether DynamoDB refused an item for its size.
pub fn is_too_large<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(|error| {
        error.code() == Some("ValidationException")
            && error.message().is_some_and(|message| message.to_ascii_lowercase().contains("item size"))
    })
}

/// What a failed write means: nothing was written, the outcome is unknown, or a bug.
pub fn failed_write<E>(error: &SdkError<E, HttpResponse>, attempts: &Attempts) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match failed_read(error) {
        Error::StoreUnavailable { reason } if attempts.any_in_doubt() || may_have_been_applied(error) => {
            Error::OutcomeUnknown { reason }
        }
        error => error,
    }
}

/// What a failed read means: the store is unavailable, or a bug.
pub fn failed_read<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let bug = match error {
        SdkError::ServiceError(service) => {
            let throttled = error.code().is_some_and(|code| THROTTLED.contains(&code));
            !throttled && is_final(service.raw().status().as_u16())
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    let reason = match error.code() {
        Some(code) => format!("DynamoDB: {code}{}", loggable_part(code, error.message().unwrap_or_default())),
        None => format!("DynamoDB: {}", root_cause(error)),
    };
    if bug { Error::Internal(reason) } else { Error::StoreUnavailable { reason } }
}

/// Whether the last attempt may have been applied. [`Attempts`] observes those before it, but not the last attempt of
/// an operation that ran out of time.
pub fn may_have_been_applied<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ServiceError(service) => !is_final(service.raw().status().as_u16()),
        SdkError::DispatchFailure(failure) => !failure.as_connector_error().is_some_and(never_sent),
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

/// The part of DynamoDB's message that may be logged. The message names tables and accounts, and may quote values. It
/// also says which action a policy lacks, and what is wrong with an expression of this crate.
fn loggable_part(code: &str, message: &str) -> String {
    match code {
        "AccessDeniedException" => denied_action(message).map(|action| format!(": {action}")).unwrap_or_default(),
        "ValidationException" => {
            // Every second part is between quotes, or after a quote that is not closed.
            let parts = message.split(['\'', '"']).enumerate();
            let shown: Vec<&str> = parts.map(|(at, part)| if at % 2 == 0 { part } else { "..." }).collect();
            format!(": {}", shown.join("'"))
        }
        _ => String::new(),
    }
}

/// The action in "... is not authorized to perform: dynamodb:Query on resource: ...".
pub fn denied_action(message: &str) -> Option<&str> {
    let action = message.split("to perform: ").nth(1)?.split_whitespace().next()?;
    let is_action = action.contains(':') && action.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':');
    is_action.then_some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_action_is_read_from_dynamodbs_message() {
        let message = "User: arn:aws:iam::1:user/me is not authorized to perform: dynamodb:Query on resource: \
                       arn:aws:dynamodb:eu-west-1:1:table/t/index/by_organization because no identity-based policy \
                       allows the dynamodb:Query action";
        assert_eq!(denied_action(message), Some("dynamodb:Query"));
        assert_eq!(denied_action("no"), None);
        assert_eq!(denied_action("not authorized to perform: <b> on"), None);
    }

    #[test]
    fn the_loggable_part_has_no_name_and_no_value() {
        for (code, message, shown) in [
            (
                "AccessDeniedException",
                "x is not authorized to perform: dynamodb:Query on resource: y",
                ": dynamodb:Query",
            ),
            ("AccessDeniedException", "no", ""),
            ("ResourceNotFoundException", "Requested resource not found: Table: t not found", ""),
            ("ValidationException", "Value 'v' at 'tableName' failed", ": Value '...' at '...' failed"),
            ("ValidationException", "Syntax error; token: \"v", ": Syntax error; token: '..."),
            ("ValidationException", "Two document paths overlap", ": Two document paths overlap"),
        ] {
            assert_eq!(loggable_part(code, message), shown, "{message}");
        }
    }
}
