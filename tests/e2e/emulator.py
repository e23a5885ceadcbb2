"""MiniStack, the AWS emulator of the end-to-end tests, with what the stack needs and it lacks, as AWS documents it.

1. The condition key `dynamodb:LeadingKeys`. The policies in template.yaml allow a function only items of its own kind,
   by the prefix of the partition key. Without the key, their Null condition would refuse every request. With it, the
   same policies as on AWS decide.
2. The `Body` of an `AWS::ApiGatewayV2::Api`: SAM writes authorizer, routes, integrations and CORS into it as OpenAPI.
3. Parameter values for the SAM transform, which puts some of them into its output. Without them it uses defaults.
4. A stack whose table exists already fails. MiniStack would take over the table and empty it.

Run as a program it is MiniStack: settings come from the environment (GATEWAY_PORT, BIND_HOST, AUTH, ...).
"""

import json
import re

import samtranslator.translator.transform
from ministack.app import main
from ministack.core import iam_actions
from ministack.services import apigateway, dynamodb
from ministack.services.cloudformation import changesets, engine, provisioners
from ministack.services.cloudformation import handlers as formation_handlers

# ---------------------------------------------------------------- dynamodb:LeadingKeys

KEY_CONDITION = re.compile(r"(?P<name>[#\w]+)\s*=\s*(?P<value>:\w+)")


def leading_keys(request: dict) -> list[str]:
    """The partition keys that a request names, as DynamoDB gives them to IAM."""
    keys = []

    def add(item: dict) -> None:
        if "pk" in item:
            keys.append(item["pk"]["S"])

    for name in ("Key", "Item"):
        add(request.get(name) or {})
    for table in (request.get("RequestItems") or {}).values():
        # BatchGetItem has a map with Keys, BatchWriteItem a list of writes.
        for key in table["Keys"] if isinstance(table, dict) else []:
            add(key)
        for write in table if isinstance(table, list) else []:
            add((write.get("PutRequest") or {}).get("Item") or (write.get("DeleteRequest") or {}).get("Key") or {})
    # A transaction names one item in each of its parts; IAM checks each part by the action that it stands for.
    for part in request.get("TransactItems") or []:
        for write in part.values():
            add(write.get("Item") or write.get("Key") or {})
    condition = KEY_CONDITION.match((request.get("KeyConditionExpression") or "").strip("( "))
    if condition:
        keys.append(request["ExpressionAttributeValues"][condition["value"]]["S"])
    return keys


service_context = iam_actions.dynamodb_service_context


def service_context_with_leading_keys(body: bytes) -> dict:
    context = service_context(body)
    try:
        keys = leading_keys(json.loads(body or b"{}"))
    except (ValueError, KeyError, TypeError, AttributeError):
        # A malformed request names no keys: the policies refuse it.
        keys = []
    if keys:
        context["dynamodb:LeadingKeys"] = keys
    return context


iam_actions.dynamodb_service_context = service_context_with_leading_keys

# ---------------------------------------------------------------- the Body of an HTTP API

CORS_FIELDS = ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge", "allowCredentials")


def created(answer: tuple) -> dict:
    status, _, body = answer
    if status != 201:
        raise ValueError(f"API Gateway refused a part of the API's Body: {body!r}")
    return json.loads(body)


def import_body(api_id: str, document: dict) -> None:
    """Creates the resources that an API's OpenAPI document describes, in place of the old ones."""
    for store in (apigateway._authorizers, apigateway._integrations, apigateway._routes):
        store[api_id] = {}

    authorizers = {}
    for name, scheme in document.get("components", {}).get("securitySchemes", {}).items():
        extension = scheme["x-amazon-apigateway-authorizer"]
        authorizers[name] = created(
            apigateway._create_authorizer(
                api_id,
                {
                    "name": name,
                    "authorizerType": extension["type"].upper(),
                    "authorizerUri": extension["authorizerUri"],
                    "identitySource": extension["identitySource"],
                    "authorizerPayloadFormatVersion": extension["authorizerPayloadFormatVersion"],
                    "authorizerResultTtlInSeconds": int(extension["authorizerResultTtlInSeconds"]),
                    "enableSimpleResponses": extension["enableSimpleResponses"],
                },
            )
        )["authorizerId"]

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            extension = operation["x-amazon-apigateway-integration"]
            integration = created(
                apigateway._create_integration(
                    api_id,
                    {
                        "integrationType": extension["type"].upper(),
                        "integrationUri": extension["uri"],
                        "integrationMethod": extension["httpMethod"],
                        "payloadFormatVersion": extension["payloadFormatVersion"],
                    },
                )
            )
            route = {"routeKey": f"{method.upper()} {path}", "target": f"integrations/{integration['integrationId']}"}
            for requirement in operation.get("security", []):
                (scheme,) = requirement
                route |= {"authorizationType": "CUSTOM", "authorizerId": authorizers[scheme]}
            created(apigateway._create_route(api_id, route))

    cors = document.get("x-amazon-apigateway-cors") or {}
    if cors:
        apigateway._apis[api_id]["corsConfiguration"] = {name: cors[name] for name in CORS_FIELDS if name in cors}
    else:
        apigateway._apis[api_id].pop("corsConfiguration", None)


handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
create_api, update_api = handlers["create"], handlers["update"]


def create_api_with_body(logical_id: str, properties: dict, stack_name: str) -> tuple:
    api_id, attributes = create_api(logical_id, properties, stack_name)
    import_body(api_id, properties["Body"])
    return api_id, attributes


def update_api_with_body(physical_id: str, before: dict, after: dict, *rest: str) -> tuple:
    api_id, attributes = update_api(physical_id, before, after, *rest)
    import_body(api_id, after["Body"])
    return api_id, attributes


handlers["create"], handlers["update"] = create_api_with_body, update_api_with_body

# ---------------------------------------------------------------- parameter values for the SAM transform

transform_parameters: dict[str, str] = {}
apply_transforms, sam_transform = engine._apply_transforms, samtranslator.translator.transform.transform


def apply_transforms_with_parameters(template: dict, provided=None, previous=None) -> dict:
    transform_parameters.clear()
    transform_parameters.update(engine._transform_parameters(template, provided, previous))
    return apply_transforms(template, provided, previous)


def sam_transform_with_parameters(template: dict, _: dict, *rest) -> dict:
    return sam_transform(template, dict(transform_parameters), *rest)


for module in (engine, changesets, formation_handlers):
    module._apply_transforms = apply_transforms_with_parameters
samtranslator.translator.transform.transform = sam_transform_with_parameters

# ---------------------------------------------------------------- a table that exists already

table_handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
create_table = table_handlers["create"]


def create_new_table(logical_id: str, properties: dict, stack_name: str) -> tuple:
    name = properties.get("TableName")
    if name in dynamodb._tables:
        raise ValueError(
            f"Resource of type 'AWS::DynamoDB::Table' with identifier '{name}' already exists."
            " (HandlerErrorCode: AlreadyExists)"
        )
    return create_table(logical_id, properties, stack_name)


table_handlers["create"] = create_new_table

if __name__ == "__main__":
    main()
