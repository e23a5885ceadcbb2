//! The OpenAPI document, from the types that the functions use.

mod generators;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Components, Ref, RefOr};
use utoipa::{Modify, OpenApi, openapi};

use ratchet_http::error::ErrorResponse;
use ratchet_http::openapi as common;
use ratchet_model::error_code::ErrorCode;
use ratchet_model::list::View;

use self::generators::Generators;
use crate::operations::Paths;

/// The name of the security scheme in the document.
const API_KEY: &str = "ApiKey";

/// The name of the response header `x-correlation-id` in the document.
const CORRELATION_ID: &str = "CorrelationId";

/// The reusable answers that API Gateway gives by itself: they have no correlation id.
const GATEWAY_RESPONSES: [&str; 4] = ["Unauthorized", "UnknownKey", "TooManyRequests", "FunctionUnavailable"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ratchet",
        description = "Ratchet keeps one record per execution, that is one run of a flow by an agent, and lets any \
                       number of writers report on it at once. Its status is a ratchet: each change is one \
                       conditional write that the table of transitions allows or refuses, so that of concurrent \
                       writers exactly one wins at a time, the others learn which status beat them, and nothing ever \
                       leaves completed, failed, cancelled or timeout. A write that took effect is never reported as \
                       refused and, with an Idempotency-Key, never applied twice however often it is repeated.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The server that this document comes from.")),
    tags(
        (name = "Flows", description = "Run flows, and report on their executions."),
        (name = "Executions", description = "End an execution from outside, and see what happened to its status."),
        (name = "Keys", description = "See what an API key may do.")
    ),
    components(
        schemas(ErrorResponse, ErrorCode, View, common::GatewayMessage, common::ErrorOrGatewayMessage),
        responses(
            common::Unauthorized,
            common::UnknownKey,
            common::MayNotRead,
            common::MayNotWrite,
            common::ExecutionNotFound,
            common::PreconditionFailed,
            common::PayloadTooLarge,
            common::UnsupportedMediaType,
            common::TooManyRequests,
            common::InternalError,
            common::FunctionUnavailable,
            common::ReadUnavailable,
            common::WriteUnavailable
        )
    ),
    security(("ApiKey" = []))
)]
struct Document;

/// Adds the parts that every operation has: the security scheme and the response header `x-correlation-id`.
struct CommonParts;

impl Modify for CommonParts {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let key = ApiKeyValue::with_description("x-api-key", "The organization's key, as the operator issued it.");
        components.add_security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key)));
        let name = HeaderBuilder::new()
            .description(Some(
                "The request's name, as in errors and in every log line of it. Not in API Gateway's own answers.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        components.headers.insert(CORRELATION_ID.to_owned(), name.build().into());

        let operations = document
            .paths
            .paths
            .values_mut()
            .flat_map(|path| [&mut path.get, &mut path.post, &mut path.patch].into_iter().flatten())
            .flat_map(|operation| operation.responses.responses.values_mut());
        let reusable = components.responses.iter_mut();
        let reusable =
            reusable.filter(|(name, _)| !GATEWAY_RESPONSES.contains(&name.as_str())).map(|(_, response)| response);
        for response in operations.chain(reusable) {
            if let RefOr::T(response) = response {
                let name = Ref::new(format!("#/components/headers/{CORRELATION_ID}"));
                response.headers.insert("x-correlation-id".to_owned(), RefOr::Ref(name));
            }
        }
    }
}

/// The document, as `openapi/openapi.json` has it.
#[must_use]
pub fn document() -> String {
    // Serializing does not fail: names, texts and numbers are always JSON.
    let mut document = Document::openapi();
    document.merge(Paths::openapi());
    CommonParts.modify(&mut document);
    Generators.modify(&mut document);
    document.to_pretty_json().unwrap_or_default() + "\n"
}
