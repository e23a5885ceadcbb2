//! Calls of the embedded DynamoDB without a connection.
//!
//! A page of a list is nine reads. Over the loopback interface most of what they cost is HTTP: two state machines, two
//! queues and four system calls for each. A read is therefore handed to the database as it is, signed and serialized by the
//! SDK as for any other DynamoDB. Everything else, and what the database refuses, goes over HTTP, so that each answer but
//! that of a successful read is the server's own.

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::http::StatusCode;
use dynoxide::Database;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Hands reads to the database, and all else to an HTTP client.
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
        match read(&self.database, &request) {
            Some(answer) => HttpConnectorFuture::ready(Ok(answer)),
            None => self.http.call(request),
        }
    }
}

/// The answer to a read that succeeds.
fn read(database: &Database, request: &HttpRequest) -> Option<HttpResponse> {
    let body = request.body().bytes()?;
    let answer = match request.headers().get("x-amz-target")?.strip_prefix("DynamoDB_20120810.")? {
        "Query" => answer(body, |request| database.query(request)),
        "BatchGetItem" => answer(body, |request| database.batch_get_item(request)),
        "GetItem" => answer(body, |request| database.get_item(request)),
        _ => None,
    }?;
    Some(HttpResponse::new(StatusCode::try_from(200).ok()?, answer.into()))
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    call: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> Option<Vec<u8>> {
    serde_json::to_vec(&call(serde_json::from_slice(body).ok()?).ok()?).ok()
}
