"""Least privilege, proven: each function's checks pass with its own policy and fail with any part of it taken away, and
no role allows what belongs to another function.
"""

import copy
import itertools
import json

import pytest
from botocore.exceptions import ClientError

from checks import CHECKS, World
from inventory import covers, functions
from stack import logical_id

# Everything that each function's role allows on the table, by action, index and kind of item.
# e# executions, c# counters of flows, k# API keys; o#, s#, f#, d# in the indexes (shared/store/src/table_keys.rs).
ALLOWED = {
    "execute_flow": {("UpdateItem", None, "c#"), ("PutItem", None, "e#")},
    "list_executions": {
        ("BatchGetItem", None, "e#"),
        *itertools.product(["Query"], ["by_organization", "by_status", "by_flow"], ["o#", "s#", "f#"]),
    },
    "get_execution": {("Query", None, "e#")},
    "update_execution": {("UpdateItem", None, "e#"), ("Query", None, "e#")},
    "update_execution_status": {("UpdateItem", None, "e#")},
    "list_transitions": {("GetItem", None, "e#")},
    "wait_execution": {("Query", None, "e#"), ("GetItem", None, "e#")},
    "get_heartbeat": {("GetItem", None, "e#")},
    "record_heartbeat": {("UpdateItem", None, "e#")},
    "cancel_execution": {("UpdateItem", None, "e#")},
    "report_steps": {("GetItem", None, "e#"), ("UpdateItem", None, "e#")},
    "list_steps": {("GetItem", None, "e#"), ("Query", None, "e#")},
    "enforce_deadlines": {("Query", "by_deadline", "d#"), ("BatchGetItem", None, "e#"), ("UpdateItem", None, "e#")},
    # It reads no table: what it answers is in the request.
    "get_caller": set(),
    # Nor does it: its files are in it.
    "console": set(),
    "authorizer": {("GetItem", None, "k#")},
    # It reads no table, but the stream of one, and writes to a bus.
    "publish_events": {
        ("DescribeStream", None, None),
        ("GetRecords", None, None),
        ("GetShardIterator", None, None),
        ("ListStreams", None, None),
        ("PutEvents", None, None),
    },
}
# What none of `requests` is.
NOT_ON_A_TABLE = {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams", "PutEvents"}
# Lambda asks for it before it makes a mapping, and the emulator does not.
NOT_PROVEN = {"dynamodb:ListStreams"}
# The actions that Lambda uses on behalf of a function: it writes the log and the traces.
PLATFORM = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
KINDS = ["e#", "c#", "k#"]
INDEX_KINDS = {"by_organization": "go", "by_status": "gs", "by_flow": "gf", "by_deadline": "dp"}


def role_of(world: World, function: str) -> str:
    name = world.stack.physical(logical_id(function))
    configuration = world.stack.emulator.client("lambda").get_function_configuration(FunctionName=name)
    return configuration["Role"].split("/")[-1]


class Role:
    """A function's role and what its policies grant on the table."""

    def __init__(self, world: World, function: str) -> None:
        self.iam = world.stack.emulator.client("iam")
        self.name = role_of(world, function)
        self.policies = {
            name: self.iam.get_role_policy(RoleName=self.name, PolicyName=name)["PolicyDocument"]
            for name in self.iam.list_role_policies(RoleName=self.name)["PolicyNames"]
        }

    def grants(self):
        """Every (policy, statement, action, resource) on DynamoDB."""
        for policy, document in self.policies.items():
            for index, statement in enumerate(document["Statement"]):
                if statement["Effect"] == "Allow":
                    for action, resource in itertools.product(
                        listed(statement["Action"]), listed(statement["Resource"])
                    ):
                        if action.startswith(("dynamodb:", "events:")):
                            yield policy, index, action, resource

    def platform(self) -> set[str]:
        """All other actions: Lambda uses them for the function, and the emulator allows them without asking IAM."""
        documents = list(self.policies.values())
        for policy in self.iam.list_attached_role_policies(RoleName=self.name)["AttachedPolicies"]:
            version = self.iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
            found = self.iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)
            documents.append(found["PolicyVersion"]["Document"])
        actions = {
            action for document in documents for each in document["Statement"] for action in listed(each["Action"])
        }
        return {action for action in actions if not action.startswith(("dynamodb:", "events:"))}

    def without(self, policy: str, index: int, action: str, resource: str) -> None:
        """Takes one grant away: the statement keeps its other actions and resources."""
        document = copy.deepcopy(self.policies[policy])
        statement = document["Statement"].pop(index)
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        for kept_actions, kept_resources in [
            ([a for a in actions if a != action], resources),
            ([action], [r for r in resources if r != resource]),
        ]:
            if kept_actions and kept_resources:
                document["Statement"].append(statement | {"Action": kept_actions, "Resource": kept_resources})
        self.put(policy, document)

    def put(self, policy: str, document: dict) -> None:
        if document["Statement"]:
            self.iam.put_role_policy(RoleName=self.name, PolicyName=policy, PolicyDocument=json.dumps(document))
        else:
            self.iam.delete_role_policy(RoleName=self.name, PolicyName=policy)

    def restore(self) -> None:
        for policy, document in self.policies.items():
            self.put(policy, document)


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def failures(function: str, world: World) -> list[str]:
    """The function's own checks that do not hold."""
    failed = []
    for check in CHECKS[function]:
        try:
            check(world)
        except AssertionError:
            failed.append(check.__name__)
    return failed


def test_every_function_is_proven() -> None:
    covers("ALLOWED of test_least_privilege.py", ALLOWED, functions())
    covers("CHECKS of checks.py", CHECKS, functions())


@pytest.mark.parametrize("function", CHECKS)
def test_every_grant_is_needed(function: str, world: World, proven: list) -> None:
    role = Role(world, function)
    grants = list(role.grants())
    assert {(action.split(":")[1], index_of(resource)) for _, _, action, resource in grants} == {
        (action, index) for action, index, _ in ALLOWED[function]
    }
    # Where the records go that were never told, after 22 hours: no test waits for that.
    assert role.platform() == PLATFORM | ({"sqs:SendMessage"} if function == "publish_events" else set())
    assert failures(function, world) == [], "with its own policy"
    for policy, index, action, resource in grants:
        if action in NOT_PROVEN:
            continue
        role.without(policy, index, action, resource)
        try:
            failed = failures(function, world)
        finally:
            role.restore()
        assert failed, f"{function} does not need {action} on {resource}"
        proven.append((function, action, index_of(resource) or "table", f"{len(failed)} of {len(CHECKS[function])}"))
    assert failures(function, world) == [], "with its own policy again"


def index_of(resource: str) -> str | None:
    return resource.split("/index/")[1] if "/index/" in resource else None


def requests(table: str):
    """Every kind of request to the table: action, index, kind of item, operation of the client, arguments."""
    for kind in KINDS:
        key = {"pk": {"S": f"{kind}acme#nothing"}, "sk": {"S": "h"}}
        update = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "x"}}}
        value = {":k": key["pk"]}
        yield "GetItem", None, kind, "get_item", {"Key": key}
        yield "PutItem", None, kind, "put_item", {"Item": key}
        yield "UpdateItem", None, kind, "update_item", {"Key": key, **update}
        yield "DeleteItem", None, kind, "delete_item", {"Key": key}
        yield "BatchGetItem", None, kind, "batch_get_item", {"RequestItems": {table: {"Keys": [key]}}}
        yield (
            "BatchWriteItem",
            None,
            kind,
            "batch_write_item",
            {"RequestItems": {table: [{"PutRequest": {"Item": key}}]}},
        )
        yield "Query", None, kind, "query", {"KeyConditionExpression": "pk = :k", "ExpressionAttributeValues": value}
    for index, attribute in INDEX_KINDS.items():
        for kind in ("o#", "s#", "f#", "d#", "k#"):
            query = {
                "IndexName": index,
                "KeyConditionExpression": f"{attribute} = :k",
                "ExpressionAttributeValues": {":k": {"S": f"{kind}acme"}},
            }
            yield "Query", index, kind, "query", query
        yield "Scan", index, None, "scan", {"IndexName": index}
    yield "Scan", None, None, "scan", {}
    yield "DescribeTable", None, None, "describe_table", {}
    yield "UpdateTable", None, None, "update_table", {"DeletionProtectionEnabled": False}
    yield "DeleteTable", None, None, "delete_table", {}


@pytest.mark.parametrize("function", ALLOWED)
def test_a_role_may_do_its_own_and_nothing_of_anothers(function: str, world: World) -> None:
    emulator, table = world.stack.emulator, world.stack.table
    role = role_of(world, function)
    iam = emulator.client("iam")
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert [listed(statement["Principal"]["Service"]) for statement in trust["Statement"]] == [["lambda.amazonaws.com"]]
    # Only Lambda may assume the role. For this test the account may, too.
    account = emulator.client("sts").get_caller_identity()["Account"]
    owner = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(
        RoleName=role, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [*trust["Statement"], owner]})
    )
    try:
        taken = emulator.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="test"
        )
    finally:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    client = emulator.client(
        "dynamodb",
        aws_access_key_id=taken["Credentials"]["AccessKeyId"],
        aws_secret_access_key=taken["Credentials"]["SecretAccessKey"],
        aws_session_token=taken["Credentials"]["SessionToken"],
    )
    allowed = set()
    for action, index, kind, operation, arguments in requests(table):
        if "RequestItems" not in arguments:
            arguments = {"TableName": table, **arguments}
        try:
            getattr(client, operation)(**arguments)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDeniedException", f"{action} {kind}: {error}"
        else:
            allowed.add((action, index, kind))
    assert allowed == {grant for grant in ALLOWED[function] if grant[0] not in NOT_ON_A_TABLE}

    publishes = function == "publish_events"
    stream = emulator.client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    credentials = {
        "aws_access_key_id": taken["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": taken["Credentials"]["SecretAccessKey"],
        "aws_session_token": taken["Credentials"]["SessionToken"],
    }
    streams, events = emulator.client("dynamodbstreams", **credentials), emulator.client("events", **credentials)

    def may(call, **arguments) -> bool:
        try:
            call(**arguments)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDeniedException", error
            return False
        return True

    entry = {"Source": "ratchet", "DetailType": "test", "Detail": "{}", "EventBusName": "default"}
    # That publish_events may is shown by its events, which stop without it (test_every_grant_is_needed).
    assert publishes or not may(streams.describe_stream, StreamArn=stream)
    assert may(events.put_events, Entries=[entry]) == publishes
    # By no other name than the service's.
    assert not may(events.put_events, Entries=[entry | {"Source": "aws.s3"}])
    assert not may(events.put_events, Entries=[entry | {"EventBusName": "another"}])
