//! From the environment to a store: region and credentials as the AWS CLI finds them, or an endpoint.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, ProvideCredentials, Region};
use shared::bootstrap::TABLE;
use shared::clock::SystemClock;
use shared::store::roots::Roots;
use shared::store::{Store, config, http_client};

use crate::words::{Failure, chain};

/// The variables that name an endpoint, the first that is set counts.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"];

/// Whom to believe. Not Amazon alone, as the functions do: people sit behind proxies that look into TLS, whose root their
/// system trusts, and get their credentials from others than Amazon.
const ROOTS: Roots = Roots::System;

/// How long credentials may take: some are got from a program that asks a person.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(60);

/// More than the functions have: people are farther away from DynamoDB, and wait.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build()
}

/// Which table, and where.
#[derive(Debug, Clone)]
pub struct Place {
    /// The table.
    pub table: String,
    endpoint: Option<String>,
    region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(formatter, "DynamoDB at {endpoint}"),
            None => write!(formatter, "DynamoDB in {}", self.region),
        }
    }
}

/// A variable that is set to something.
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
/// What is missing for it, and what to do.
pub async fn connect(table: Option<String>) -> Result<(Store, Place), Failure> {
    let table = table.filter(|table| !table.is_empty()).or_else(|| variable(TABLE)).ok_or_else(|| {
        Failure::usage(format!("no table: give --table NAME, or set {TABLE} to the stack's output TableName"))
    })?;
    let endpoint = ENDPOINTS.into_iter().find_map(variable);
    let settings = settings(endpoint.is_some()).await;
    let endpoint = endpoint.or_else(|| settings.endpoint_url().filter(|url| !url.is_empty()).map(str::to_owned));
    if let Some(endpoint) = endpoint.as_deref().filter(|endpoint| !is_endpoint(endpoint)) {
        return Err(Failure::new(format!(
            "the endpoint {endpoint} is no URL: set {} to one such as http://127.0.0.1:8000, or unset it",
            ENDPOINTS.join(" or ")
        )));
    }
    let region = settings
        .region()
        .map(ToString::to_string)
        .ok_or_else(|| Failure::new("no AWS region: set AWS_REGION, or AWS_PROFILE to a profile that has one"))?;
    let credentials = credentials(&settings, endpoint.as_deref()).await?;
    let mut builder = config(region.clone(), credentials, endpoint.clone(), &ROOTS).timeout_config(timeouts());
    builder.set_use_fips(settings.use_fips()).set_use_dual_stack(settings.use_dual_stack());
    let store = Store::new(builder, table.clone(), Arc::new(SystemClock));
    Ok((store, Place { table, endpoint, region }))
}

/// What the environment and the profiles say. An endpoint of one's own needs no region; any will do then.
async fn settings(own_endpoint: bool) -> SdkConfig {
    let region = if own_endpoint {
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

/// The credentials, before the first request: getting them may take longer than a request may.
async fn credentials(settings: &SdkConfig, endpoint: Option<&str>) -> Result<Credentials, Failure> {
    let profile = variable("AWS_PROFILE").map_or_else(String::new, |profile| format!(" by AWS_PROFILE {profile}"));
    let none = || match endpoint {
        Some(endpoint) => Failure::new(format!(
            "no AWS credentials found{profile} for {endpoint}: an emulator takes any, so set AWS_ACCESS_KEY_ID=local and \
             AWS_SECRET_ACCESS_KEY=local"
        )),
        None => Failure::new(format!(
            "no AWS credentials found{profile}: log in, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
        )),
    };
    let provider = settings.credentials_provider().ok_or_else(none)?;
    match tokio::time::timeout(CREDENTIALS_TIMEOUT, provider.provide_credentials()).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => Err(none()),
        Ok(Err(error)) => Err(Failure::new(format!(
            "the AWS credentials cannot be had ({}): log in, or mend the profile",
            chain(&error)
        ))),
        Err(_) => Err(Failure::new("the AWS credentials took too long: log in, or mend the profile")),
    }
}
