"""MiniStack, the AWS emulator of the end-to-end tests, with what the stack needs and it lacks, as AWS documents it.

1. The condition key `dynamodb:LeadingKeys`. The policies in template.yaml allow a function only items of its own kind,
   by the prefix of the partition key. Without the key, their Null condition would refuse every request. With it, the
   same policies as on AWS decide.
2. The `Body` of an `AWS::ApiGatewayV2::Api`: SAM writes authorizer, routes, integrations and CORS into it as OpenAPI.
3. Parameter values for the SAM transform, which puts some of them into its output. Without them it uses defaults.
4. A stack whose table exists already fails. MiniStack would take over the table and empty it.
5. Schedules are looked at each second. MiniStack looks each ten, so that a schedule of a minute comes that much late.
6. Mappings of a DynamoDB stream: the answer by which a function says from where on to repeat, halving a batch after an error, and
   the permissions of the function's role on the stream. MiniStack reads none of them, and loses the records that failed.
7. The condition keys of PutEvents, `events:source` and `events:detail-type`. Without them it refuses every request.
8. What it refuses of the template and nothing here looks at: saved queries, and an alarm over several metrics, of which it keeps
   the first.
9. The throttles of an HTTP API's routes: a bucket of tokens for each, of the route's own settings or else the stage's default
   ones. A request without a token is answered 429, before the authorizer and the function. AWS calls these limits targets and
   no ceilings; here they are exact.
10. The permissions that a rule's target needs, in the policy of the queue or topic, or in the role for a state machine; and
    those that a state machine's role needs to give task tokens back. MiniStack asks nobody.

Run as a program it is MiniStack: settings come from the environment (GATEWAY_PORT, BIND_HOST, AUTH, ...).
"""

import copy
import json
import math
import re
import threading
import time

import samtranslator.translator.transform
from ministack.app import main
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import _request_account_id, _request_region, get_region
from ministack.services import apigateway, dynamodb, eventbridge, iam, lambda_svc, scheduler, sns, sqs, stepfunctions
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
                # What SAM writes for a route without the API's default authorizer.
                if scheme == "NONE":
                    continue
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

# ---------------------------------------------------------------- schedules

scheduler._SCHEDULE_TICK_INTERVAL = 1

# ---------------------------------------------------------------- mappings of a DynamoDB stream

READ_STREAM = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")


def role_allows(role: str, action: str, resource: str) -> bool:
    """Whether the role's own policies allow an action, as for a request that it signed."""
    name, account = role.rsplit("/", 1)[-1], role.split(":")[4]
    context = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={},
        principal_keys={},
    )
    return iam_evaluator.evaluate(context, iam_evaluator._gather_role_policies(name, account)).decision == "Allow"


class StreamMapping:
    """One mapping, in a thread of its own: its records in order, one batch at a time."""

    def __init__(self, account: str, region: str, mapping: dict) -> None:
        self.scope, self.mapping = (account, region), mapping
        # After a failed batch: how many records of it are tried next.
        self.parts: list[int] = []
        self.tries, self.not_before = 0, 0.0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        _request_account_id.set(self.scope[0])
        _request_region.set(self.scope[1])
        while self.mapping["UUID"] in lambda_svc._esms:
            try:
                busy = self.step()
            except Exception as error:  # noqa: BLE001  a mapping must not end for whatever MiniStack raises
                lambda_svc.logger.error("stream mapping: %r", error)
                busy = False
            if not busy:
                time.sleep(0.02)

    def step(self) -> bool:
        """Hands the next batch to the function, if there is one. Whether there was."""
        mapping = self.mapping
        if not mapping.get("Enabled", True) or time.time() < self.not_before:
            return False
        stream = mapping["EventSourceArn"]
        table = stream.split("/stream/")[0].split("/")[-1]
        function, config = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
        if function is None or (dynamodb._tables.get(table) or {}).get("LatestStreamArn") != stream:
            return False
        position = max(
            lambda_svc._dynamodb_stream_positions.get(mapping["UUID"], 0), dynamodb.stream_start_position(table)
        )
        limit = self.parts[-1] if self.parts else int(mapping.get("BatchSize", 100))
        batch = copy.deepcopy(dynamodb.stream_records_since(table, position, limit))
        if not batch:
            return False
        missing = [action for action in READ_STREAM if not role_allows(config["Role"], action, stream)]
        if missing:
            mapping["LastProcessingResult"] = f"PROBLEM: the role may not {', '.join(missing)}"
            self.not_before = time.time() + 0.5
            return False
        matched = lambda_svc._apply_filter_criteria(batch, mapping)
        if not matched:
            return self.done(position + len(batch))
        for record in matched:
            created = record["dynamodb"]["ApproximateCreationDateTime"]
            record["dynamodb"]["ApproximateCreationDateTime"] = float(created)
        result = lambda_svc._execute_function(function, {"Records": matched})
        failed = 0 if result.get("error") else None
        if failed is None and "ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or []):
            body = result.get("body") or {}
            named = [each.get("itemIdentifier") for each in body.get("batchItemFailures") or []]
            numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
            if named:
                failed = min(numbers.index(number) if number in numbers else 0 for number in named)
        if failed is None:
            return self.done(position + len(batch))
        mapping["LastProcessingResult"] = "PROBLEM: Function call failed"
        # What came before the first failure is done.
        self.move(position + failed, failed)
        self.tries += 1
        if result.get("error") and mapping.get("BisectBatchOnFunctionError") and len(batch) > 1:
            self.parts.append(math.ceil(len(batch) / 2))
        self.not_before = time.time() + min(0.2 * 2**self.tries, 2)
        return True

    def move(self, position: int, count: int) -> None:
        lambda_svc._dynamodb_stream_positions[self.mapping["UUID"]] = position
        self.parts = [part - count for part in self.parts if part > count]

    def done(self, position: int) -> bool:
        self.move(position, position - lambda_svc._dynamodb_stream_positions.get(self.mapping["UUID"], 0))
        self.tries, self.not_before = 0, 0.0
        self.mapping["LastProcessingResult"] = "OK"
        return True


stream_mappings: dict[str, StreamMapping] = {}


def poll_streams() -> bool:
    """In place of MiniStack's own: starts a thread for each new mapping."""
    for account, region, mapping in lambda_svc._iter_all_esms():
        if ":dynamodb:" in mapping.get("EventSourceArn", "") and mapping["UUID"] not in stream_mappings:
            stream_mappings[mapping["UUID"]] = StreamMapping(account, region, mapping)
    return False


lambda_svc._poll_dynamodb_streams = poll_streams

# ---------------------------------------------------------------- the condition keys of PutEvents

tag_context = iam_actions.request_tag_context


def tag_context_with_events(service: str, action: str, body: bytes, parameters: dict) -> dict:
    context = tag_context(service, action, body, parameters)
    if action == "events:PutEvents":
        try:
            entries = json.loads(body or b"{}").get("Entries") or []
        except ValueError:
            entries = []
        for key, name in (("events:source", "Source"), ("events:detail-type", "DetailType")):
            values = sorted({str(entry.get(name)) for entry in entries})
            context[key] = values[0] if len(values) == 1 else values
    return context


iam_actions.request_tag_context = tag_context_with_events

# ---------------------------------------------------------------- saved queries, alarms over several metrics


def saved_query(logical_id: str, properties: dict, stack_name: str) -> tuple:
    return f"{stack_name}-{logical_id}", {}


provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
    "create": saved_query,
    "delete": lambda physical_id, properties: None,
}
alarm_record = provisioners._cw_metric_alarm_record


def alarm_record_of_one_metric(name: str, properties: dict) -> dict:
    metrics = [metric["MetricStat"] for metric in properties.get("Metrics") or [] if "MetricStat" in metric]
    if metrics:
        first = metrics[0]
        properties = {key: value for key, value in properties.items() if key != "Metrics"} | first["Metric"]
        properties |= {"Period": first["Period"], "ExtendedStatistic": first["Stat"]}
    return alarm_record(name, properties)


provisioners._cw_metric_alarm_record = alarm_record_of_one_metric

# ---------------------------------------------------------------- throttles of an HTTP API's routes

# By API, stage and route: the tokens that were left, and when that was.
buckets: dict[tuple[str, str, str], tuple[float, float]] = {}
handle_execute = apigateway._handle_execute_in_scope


def takes_token(api_id: str, stage: str, route_key: str) -> bool:
    """Takes a token out of a route's bucket. Whether there was one."""
    settings = apigateway._stages.get(api_id, {}).get(stage) or {}
    limits = (settings.get("defaultRouteSettings") or {}) | ((settings.get("routeSettings") or {}).get(route_key) or {})
    if "ThrottlingRateLimit" not in limits or "ThrottlingBurstLimit" not in limits:
        return True
    # A parameter of the template is a text here.
    rate, burst = float(limits["ThrottlingRateLimit"]), float(limits["ThrottlingBurstLimit"])
    now = time.monotonic()
    tokens, at = buckets.get((api_id, stage, route_key), (burst, now))
    tokens = min(burst, tokens + (now - at) * rate)
    buckets[api_id, stage, route_key] = (tokens - 1 if tokens >= 1 else tokens, now)
    return tokens >= 1


async def handle_execute_throttled(api_id: str, stage: str, path: str, method: str, *rest) -> tuple:
    # All requests are handled by one event loop: nothing comes between reading a bucket and writing it. A preflight is
    # answered before any route is looked for.
    route = apigateway._match_route(api_id, method, "/" + path.lstrip("/")) if method != "OPTIONS" else None
    if route and not takes_token(api_id, stage, route["routeKey"]):
        return 429, {"Content-Type": "application/json"}, b'{"message":"Too Many Requests"}'
    return await handle_execute(api_id, stage, path, method, *rest)


apigateway._handle_execute_in_scope = handle_execute_throttled

# ---------------------------------------------------------------- permissions of rules' targets and of callbacks

invoke_target, execute_task = eventbridge._invoke_target, stepfunctions._execute_task


def may_as(role: str, service: str, action: str, resource: str) -> bool:
    """Whether a service can assume a role, and the role allows an action."""
    trust = json.loads((iam._roles.get(role.rsplit("/", 1)[-1]) or {}).get("AssumeRolePolicyDocument") or "{}")
    trusts = any(
        iam_evaluator._service_principal_matches(statement["Principal"], service) for statement in trust.get("Statement", [])
    )
    return trusts and role_allows(role, action, resource)


def may_deliver(target: dict, rule: dict) -> bool:
    arn, service = target["Arn"], target["Arn"].split(":")[2]
    source = ("events.amazonaws.com", rule["Arn"], rule["Arn"].split(":")[4])
    if service == "sqs":
        return sqs.queue_policy_allows(arn, *source)
    if service == "sns":
        return sns.topic_policy_allows(arn, *source)
    if service == "states":
        return may_as(target.get("RoleArn", ""), source[0], "states:StartExecution", arn)
    return True


def invoke_permitted_target(target: dict, event: dict, rule: dict, view=None) -> None:
    if may_deliver(target, rule):
        invoke_target(target, event, rule, view)
    else:
        eventbridge.logger.error("the rule %s may not deliver to %s", rule["Name"], target["Arn"])


def execute_permitted_task(state: dict, given, execution: dict, context: dict) -> tuple:
    resource = state.get("Resource", "")
    if ":aws-sdk:sfn:send" in resource:
        name = resource.rsplit(":", 1)[-1]
        action = f"states:{name[0].upper()}{name[1:]}"
        role = stepfunctions._state_machines[execution["stateMachineArn"]]["roleArn"]
        # The token says for which workflow; a role names all of them.
        if not may_as(role, "states.amazonaws.com", action, "*"):
            raise stepfunctions._ExecutionError("Sfn.SfnException", f"{role} is not authorized to perform: {action}")
    return execute_task(state, given, execution, context)


eventbridge._invoke_target, stepfunctions._execute_task = invoke_permitted_target, execute_permitted_task

if __name__ == "__main__":
    main()
