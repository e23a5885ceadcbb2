//! How the store calls DynamoDB: timeouts, retries, and which servers it trusts.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, rustls_provider::CryptoMode};

use crate::trust_roots::TrustRoots;

/// How long one attempt may take. Less than [`OPERATION_TIMEOUT`], so that a lost answer leaves time for another try.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_200);

/// How long all attempts at one request may take. Twice this (execute flow sends two requests) is less than the
/// functions' own timeout of 10 s, which is less than API Gateway's 30 s: the caller gets our answer, not theirs.
pub const OPERATION_TIMEOUT: Duration = Duration::from_millis(4_000);

/// How long one attempt at a batch of records may take: up to 10 MB, on a fraction of a CPU.
pub(crate) const BATCH_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long all attempts at a batch may take. It follows a round of queries, within the function's 10 s.
pub(crate) const BATCH_OPERATION_TIMEOUT: Duration = Duration::from_millis(5_500);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How often a request is tried.
pub const ATTEMPTS: u32 = 3;

/// How the store calls DynamoDB: every limit explicit, for the SDK has none for attempts.
#[must_use]
pub fn config(region: String, credentials: Credentials, endpoint: Option<String>, roots: &TrustRoots) -> Builder {
    // The SDK's own first pause is a second, by far longer than what DynamoDB needs to answer again.
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

/// An HTTP client for an endpoint: without one, or for `https`, with TLS by rustls and ring, and with servers that one of
/// `roots` vouches for.
///
/// # Panics
///
/// Never: the SDK's builder of a TLS context has no error to give. Going on without one would be to trust everybody that
/// the system trusts.
#[must_use]
#[expect(clippy::expect_used, reason = "the one other choice is to trust more than was asked for")]
pub fn http_client(endpoint: Option<&str>, roots: &TrustRoots) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        return builder.build_http();
    }
    let context = TlsContext::builder().with_trust_store(roots.trust_store()).build().expect("a TLS context");
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
}
