//! How the store calls DynamoDB: timeouts, retries, and trusted certificate authorities.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, rustls_provider::CryptoMode};

use crate::trust_roots::TrustRoots;

/// How long one attempt may take. Less than [`OPERATION_TIMEOUT`], so that an attempt in doubt leaves time for another
/// one.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_200);

/// How long all attempts at one request may take. Twice this (execute flow sends two requests) is less than the
/// functions' own timeout of 10 s, which is less than API Gateway's 30 s: the caller gets the service's own answer, and
/// not Lambda's or API Gateway's.
pub const OPERATION_TIMEOUT: Duration = Duration::from_millis(4_000);

/// How long one attempt at a batch of records may take: up to 10 MB, on a fraction of a CPU.
pub(crate) const BATCH_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long all attempts at a batch may take. It follows a round of queries, within the function's 10 s.
pub(crate) const BATCH_OPERATION_TIMEOUT: Duration = Duration::from_millis(5_500);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How many attempts a request may take.
pub const ATTEMPTS: u32 = 3;

/// The configuration of the store's client. Every limit is explicit, because the SDK has none for attempts.
#[must_use]
pub fn config(region: String, credentials: Credentials, endpoint: Option<String>, roots: &TrustRoots) -> Builder {
    // The SDK's default for the first backoff is a second, far longer than DynamoDB needs to answer again.
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(25));
    let builder = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(credentials)
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
        .retry_config(retries)
        // The attempts' own timeout already bounds a stream that stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http_client(endpoint.as_deref(), roots));
    match endpoint {
        Some(endpoint) => builder.endpoint_url(endpoint),
        None => builder,
    }
}

pub(crate) fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// An HTTP client for an endpoint. Without an endpoint, or for `https`, it uses TLS by rustls and ring, and accepts
/// servers whose certificate chain ends at one of `roots`.
///
/// # Panics
///
/// Never: the SDK's builder of a TLS context has no error to return. To continue without a context would be to trust
/// every certificate authority that the system trusts.
#[must_use]
#[expect(clippy::expect_used, reason = "the alternative is to trust more authorities than were configured")]
pub fn http_client(endpoint: Option<&str>, roots: &TrustRoots) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        return builder.build_http();
    }
    let context = TlsContext::builder().with_trust_store(roots.trust_store()).build().expect("a TLS context");
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
}

/// The root cause of a missing answer. The errors above it are left out: some of them show the whole request.
#[must_use]
pub fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
