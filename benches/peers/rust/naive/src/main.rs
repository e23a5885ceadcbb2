//! A typical first version of the same change of status: the SDK's and the runtime's defaults, one conditional UpdateItem, no code
//! shared with the functions.

use std::env;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use lambda_http::request::RequestContext;
use lambda_http::{Error, Request, RequestExt, RequestPayloadExt, Response, run, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Update {
    status: String,
    error_info: Option<serde_json::Map<String, Value>>,
}

#[derive(Serialize)]
struct Updated {
    success: bool,
    execution_id: String,
    previous_status: String,
    current_status: String,
    message: String,
}

fn answer(status: u16, body: &impl Serialize) -> Result<Response<String>, Error> {
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(serde_json::to_string(body)?)?)
}

async fn update(client: &Client, table: &str, request: Request) -> Result<Response<String>, Error> {
    let RequestContext::ApiGatewayV2(context) = request.request_context() else {
        return answer(500, &json!({ "detail": "not an HTTP API" }));
    };
    let caller = context.authorizer.map(|authorizer| authorizer.fields).unwrap_or_default();
    let scopes = caller.get("scopes").and_then(Value::as_str).unwrap_or_default();
    let Some(organization) = caller.get("organization_id").and_then(Value::as_str) else {
        return answer(403, &json!({ "detail": "no organization" }));
    };
    let Ok(Some(update)) = request.json::<Update>() else {
        return answer(422, &json!({ "detail": "the body is no update" }));
    };
    let allowed = match update.status.as_str() {
        "cancelled" => scopes.contains("write") || scopes.contains("admin"),
        "completed" | "failed" => scopes.contains("admin"),
        _ => return answer(422, &json!({ "detail": "no such status" })),
    };
    if !allowed {
        return answer(403, &json!({ "detail": "the key's scope" }));
    }
    let parameters = request.path_parameters();
    let Some(id) = parameters.first("execution_id") else {
        return answer(404, &json!({ "detail": "no execution" }));
    };
    let details = update.error_info.unwrap_or_default();
    let message = details.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let outcome = client
        .update_item()
        .table_name(table)
        .key("pk", AttributeValue::S(format!("e#{organization}#{id}")))
        .key("sk", AttributeValue::S("h".to_owned()))
        .update_expression("SET #st = :to, #em = :em, #ed = :ed, #v = #v + :one")
        .condition_expression("attribute_exists(pk) AND #st = :running")
        .expression_attribute_names("#st", "st")
        .expression_attribute_names("#em", "em")
        .expression_attribute_names("#ed", "ed")
        .expression_attribute_names("#v", "v")
        .expression_attribute_values(":to", AttributeValue::S(update.status))
        .expression_attribute_values(":em", AttributeValue::S(message))
        .expression_attribute_values(":ed", AttributeValue::S(serde_json::to_string(&details)?))
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .expression_attribute_values(":running", AttributeValue::S("running".to_owned()))
        .return_values(ReturnValue::AllNew)
        .send()
        .await;
    match outcome {
        Ok(output) => {
            let item = output.attributes.unwrap_or_default();
            let status = item.get("st").and_then(|status| status.as_s().ok()).cloned().unwrap_or_default();
            let message = format!("Status changed from running to {status}");
            answer(
                200,
                &Updated {
                    success: true,
                    execution_id: id.to_owned(),
                    previous_status: "running".to_owned(),
                    current_status: status,
                    message,
                },
            )
        }
        Err(error) if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) => {
            answer(400, &json!({ "detail": "the execution is not running" }))
        }
        Err(error) => Err(error.into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = &Client::new(&config);
    let table = &env::var("RATCHET_TABLE")?;
    run(service_fn(move |request: Request| async move { update(client, table, request).await })).await
}
