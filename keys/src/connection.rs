//! From the environment to a store: region and credentials as the AWS CLI finds them, or an endpoint.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, ProvideCredentials, Region};
use ratchet_model::clock::SystemClock;
use ratchet_store::Store;
use ratchet_store::client::{config, http_client};
use ratchet_store::schema::TABLE_VARIABLE;
use ratchet_store::trust_roots::TrustRoots;

use crate::errors::{CliError, chain};
use crate::target::Target;

/// The trusted certificate authorities. Not Amazon's alone, as in the functions: an operator's machine may be behind a
/// proxy that inspects TLS, with a root that the system trusts, and credentials may come from servers that are not
/// Amazon's.
const ROOTS: TrustRoots = TrustRoots::System;

/// How long getting the credentials may take: a profile's program may ask the operator for a code.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeouts: longer than those of the functions, for an operator's machine is farther away from DynamoDB.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build()
}

/// The value of an environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a text can be the endpoint of a DynamoDB.
fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The store of the table that the command line or the environment names.
///
/// # Errors
///
/// What is missing or wrong in the environment, and what to do.
pub async fn connect(table: Option<String>) -> Result<(Store, Target), CliError> {
    let table = table.filter(|table| !table.is_empty()).or_else(|| variable(TABLE_VARIABLE)).ok_or_else(|| {
        CliError::usage(format!("no table: give --table NAME, or set {TABLE_VARIABLE} to the stack's output TableName"))
    })?;
    let Access { region, credentials, endpoint, use_fips, use_dual_stack } = access("DYNAMODB").await?;
    let mut builder = config(region.clone(), credentials, endpoint.clone(), &ROOTS).timeout_config(timeouts());
    builder.set_use_fips(use_fips).set_use_dual_stack(use_dual_stack);
    let store = Store::new(builder, table.clone(), Arc::new(SystemClock));
    Ok((store, Target { table, endpoint, region }))
}

/// Where a service of AWS is called, and in whose name.
#[derive(Debug, Clone)]
pub struct Access {
    /// The region.
    pub region: String,
    /// The credentials.
    pub credentials: Credentials,
    /// The URL of a custom endpoint, if one is set.
    pub endpoint: Option<String>,
    /// Whether the endpoints of FIPS are asked for.
    pub use_fips: Option<bool>,
    /// Whether the endpoints with IPv6 are asked for.
    pub use_dual_stack: Option<bool>,
}

/// The access to a service, by its name in the environment variables of endpoints: as the AWS CLI finds it.
///
/// # Errors
///
/// What is missing or wrong in the environment, and what to do.
pub async fn access(service: &str) -> Result<Access, CliError> {
    // The first that is set counts.
    let endpoints = [format!("AWS_ENDPOINT_URL_{service}"), "AWS_ENDPOINT_URL".to_owned()];
    let endpoint = endpoints.iter().find_map(|name| variable(name));
    let settings = settings(endpoint.is_some()).await;
    let endpoint = endpoint.or_else(|| settings.endpoint_url().filter(|url| !url.is_empty()).map(str::to_owned));
    if let Some(endpoint) = endpoint.as_deref().filter(|endpoint| !is_endpoint(endpoint)) {
        return Err(CliError::new(format!(
            "the endpoint {endpoint} is no URL: set {} to one such as http://127.0.0.1:8000, or unset it",
            endpoints.join(" or ")
        )));
    }
    let region = settings
        .region()
        .map(ToString::to_string)
        .ok_or_else(|| CliError::new("no AWS region: set AWS_REGION, or AWS_PROFILE to a profile that has one"))?;
    let credentials = credentials(&settings, endpoint.as_deref()).await?;
    let (use_fips, use_dual_stack) = (settings.use_fips(), settings.use_dual_stack());
    Ok(Access { region, credentials, endpoint, use_fips, use_dual_stack })
}

/// The settings in the environment and the profiles. A custom endpoint needs no region: a missing one gets a default.
async fn settings(custom_endpoint: bool) -> SdkConfig {
    let region = if custom_endpoint {
        RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new("us-east-1"))
            .region()
            .await
    } else {
        None
    };
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http_client(None, &ROOTS));
    match region {
        Some(region) => loader.region(region),
        None => loader,
    }
    .load()
    .await
}

/// The credentials. They are got before the first request, for it may take longer than a request may.
async fn credentials(settings: &SdkConfig, endpoint: Option<&str>) -> Result<Credentials, CliError> {
    let profile = variable("AWS_PROFILE").map_or_else(String::new, |profile| format!(" by AWS_PROFILE {profile}"));
    let none = || match endpoint {
        Some(endpoint) => CliError::new(format!(
            "no AWS credentials found{profile} for {endpoint}: an emulator takes any, so set AWS_ACCESS_KEY_ID=local \
             and AWS_SECRET_ACCESS_KEY=local"
        )),
        None => CliError::new(format!(
            "no AWS credentials found{profile}: log in, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
        )),
    };
    let provider = settings.credentials_provider().ok_or_else(none)?;
    match tokio::time::timeout(CREDENTIALS_TIMEOUT, provider.provide_credentials()).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => Err(none()),
        Ok(Err(error)) => Err(CliError::new(format!(
            "the AWS credentials cannot be had ({}): log in, or correct the profile",
            chain(&error)
        ))),
        Err(_) => Err(CliError::new("the AWS credentials took too long: log in, or correct the profile")),
    }
}
