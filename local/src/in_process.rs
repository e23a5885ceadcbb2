//! Calls of the embedded DynamoDB without a connection.
//!
//! Over the loopback interface most of what a request costs is HTTP: two state machines, two queues and four system calls. A
//! request is therefore handed to the database as it is, serialized by the SDK as for any other DynamoDB. What the database
//! refuses goes over HTTP all the same, so that each answer but that of a success is the server's own. A refused write had no
//! effect, and so it may be sent once more.
//!
//! It is not signed: the embedded database does not check signatures, but over HTTP it requires that there is one.

use aws_sdk_dynamodb::config::auth::{Params, ResolveAuthScheme};
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{ConfigBag, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionsFuture;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::http::StatusCode;
use dynoxide::Database;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Hands requests to the database, and those that it refuses to an HTTP client.
#[derive(Clone)]
pub struct InProcess {
    database: Database,
    http: SharedHttpClient,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("InProcess")
    }
}

impl InProcess {
    /// In front of `http`, which calls the same database.
    #[must_use]
    pub const fn new(database: Database, http: SharedHttpClient) -> Self {
        Self { database, http }
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let http = self.http.http_connector(settings, components);
        SharedHttpConnector::new(Connector { database: self.database.clone(), http })
    }
}

struct Connector {
    database: Database,
    http: SharedHttpConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match answer(&self.database, &request) {
            Some(answer) => HttpConnectorFuture::ready(Ok(answer)),
            None => self.http.call(signed(request)),
        }
    }
}

/// Has the SDK sign nothing: to `allow_no_auth` it adds no other way.
#[derive(Debug)]
pub struct Unsigned;

impl ResolveAuthScheme for Unsigned {
    fn resolve_auth_scheme<'a>(
        &'a self,
        _params: &'a Params,
        _config: &'a ConfigBag,
        _components: &'a RuntimeComponents,
    ) -> AuthSchemeOptionsFuture<'a> {
        AuthSchemeOptionsFuture::ready(Ok(Vec::new()))
    }
}

/// What the server takes for a signature.
fn signed(mut request: HttpRequest) -> HttpRequest {
    let headers = request.headers_mut();
    headers.insert("x-amz-date", "20260101T000000Z");
    headers.insert(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=local/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=none",
    );
    request
}

/// The answer to a request that succeeds.
fn answer(database: &Database, request: &HttpRequest) -> Option<HttpResponse> {
    let body = request.body().bytes()?;
    let answer = match request.headers().get("x-amz-target")?.strip_prefix("DynamoDB_20120810.")? {
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
        "Query" => call(body, |request| database.query(request)),
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        _ => None,
    }?;
    Some(HttpResponse::new(StatusCode::try_from(200).ok()?, answer.into()))
}

fn call<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    action: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> Option<Vec<u8>> {
    serde_json::to_vec(&action(serde_json::from_slice(body).ok()?).ok()?).ok()
}
