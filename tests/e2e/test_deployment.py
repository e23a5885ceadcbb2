"""The deployed stack, and deployments that must be refused without leaving anything behind."""

import json
import time

import pytest
from botocore.exceptions import ClientError

import inventory
from checks import EXECUTIONS, World, ok
from stack import PARAMETERS, Emulator, Stack, sam_deploy


def test_the_table_is_protected(stack: Stack) -> None:
    client = stack.emulator.client("dynamodb")
    table = client.describe_table(TableName=stack.table)["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    # The emulator ignores encryption, point-in-time recovery and time to live: tests/api/drift.rs checks these in the
    # template.
    with pytest.raises(ClientError, match="deletion protection"):
        client.delete_table(TableName=stack.table)


def test_every_function_is_as_it_must_be(stack: Stack) -> None:
    functions = stack.of_type("AWS::Lambda::Function")
    # Their names: test_every_function_of_the_stack_has_checks.
    assert len(functions) == len(inventory.functions())
    client, logs = stack.emulator.client("lambda"), stack.emulator.client("logs")
    roles = set()
    for logical_id, name in functions.items():
        function = client.get_function_configuration(FunctionName=name)
        assert function["Architectures"] == [PARAMETERS["Architecture"]], logical_id
        assert function["Runtime"] == "provided.al2023", logical_id
        assert function["TracingConfig"]["Mode"] == "Active", logical_id
        assert function["LoggingConfig"]["LogFormat"] == "JSON", logical_id
        group = function["LoggingConfig"]["LogGroup"]
        groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert [found["retentionInDays"] for found in groups if found["logGroupName"] == group] == [30], logical_id
        roles.add(function["Role"])
        assert client.get_alias(FunctionName=name, Name="live")["FunctionVersion"] != "$LATEST", logical_id
    assert len(roles) == len(functions), "each function has a role of its own"


def test_alarms_and_dashboard_are_there(stack: Stack) -> None:
    client = stack.emulator.client("cloudwatch")
    alarms = client.describe_alarms(AlarmNamePrefix=stack.name, MaxRecords=100)["MetricAlarms"]
    assert len(alarms) == len(stack.of_type("AWS::CloudWatch::Alarm")) >= 10
    for alarm in alarms:
        assert alarm["AlarmActions"], f"{alarm['AlarmName']} has no action"
        assert "docs/operations.md" in alarm["AlarmDescription"], alarm["AlarmName"]
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.loads(client.get_dashboard(DashboardName=dashboard)["DashboardBody"])
    assert len(body["widgets"]) >= 4


def test_the_outputs_are_what_a_user_needs(stack: Stack) -> None:
    assert {"ApiUrl", "TableName"} <= set(stack.outputs)
    assert stack.api_id in stack.outputs["ApiUrl"] and stack.outputs["ApiUrl"].endswith("/api/v1")
    stack.emulator.client("dynamodb").describe_table(TableName=stack.outputs["TableName"])


def test_a_request_is_found_by_its_correlation_id_in_the_log(world: World) -> None:
    stack = world.stack
    answer = world.admin.post(
        "/flows/execute",
        {"flow_id": "logged", "trigger_type": "api", "metadata": {"canary": "payload-of-the-caller"}},
        x_correlation_id="find-me-1",
    )
    ok(answer)
    logs = stack.emulator.client("logs")
    group = f"/aws/lambda/{stack.name}/execute_flow"
    found = [
        event["message"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        for event in page["events"]
    ]
    lines = [json.loads(line) for line in found if "find-me-1" in line]
    assert len(lines) == 1, found[-5:]
    (line,) = lines
    assert (line["level"], line["status"], line["organization"]) == ("INFO", 200, "acme"), line
    assert line["operation"] == "execute_flow" and line["timestamp"], line
    everything = "\n".join(found)
    assert "payload-of-the-caller" not in everything and world.admin.key not in everything


def test_the_schedule_finds_a_silent_worker_and_its_heartbeat_revives_it(world: World) -> None:
    body = {"flow_id": "silent", "trigger_type": "api", "heartbeat_timeout_seconds": 15}
    id = ok(world.admin.post("/flows/execute", body))["execution"]["id"]
    path = f"{EXECUTIONS}/{id}"
    ok(world.admin.patch(path, {"status": "running"}))
    # Nobody invokes the function here. A pass each minute, two seconds of tolerance, and the time of one pass.
    for _ in range(15 + 2 + 60 + 10):
        if ok(world.admin.get(path))["status"] != "running":
            break
        time.sleep(1)
    last = ok(world.admin.get(f"/executions/{id}/transitions"))["transitions"][-1]
    assert (last["to"], last["reason"], last["by"]) == ("interrupted", "No heartbeat for 15 seconds", "service"), last
    told = ok(world.admin.post(f"/executions/{id}/heartbeat", {"attempt": 1}))
    assert (told["status"], told["action"], told["heartbeat_in_seconds"]) == ("running", "continue", 5), told

    # Each pass is one line, and one of metrics.
    logs = world.stack.emulator.client("logs")
    group = f"/aws/lambda/{world.stack.name}/enforce_deadlines"
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    lines = [event["message"] for page in pages for event in page["events"]]
    passes = [json.loads(line) for line in lines if '"operation":"enforce_deadlines"' in line]
    assert passes and all(len(json.dumps(each)) < 500 for each in passes), lines[-5:]
    metrics = [json.loads(line) for line in lines if '"_aws"' in line]
    assert any(line["Interrupted"] >= 1 and line["Table"] == world.stack.table for line in metrics), lines[-5:]


def stacks(emulator: Emulator) -> set[str]:
    found = emulator.client("cloudformation").describe_stacks()["Stacks"]
    # A change set that could not be carried out leaves a stack in review, without a resource.
    return {
        stack["StackName"] for stack in found if stack["StackStatus"] not in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
    }


def functions(emulator: Emulator) -> set[str]:
    pages = emulator.client("lambda").get_paginator("list_functions").paginate()
    return {function["FunctionName"] for page in pages for function in page["Functions"]}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({name: value for name, value in PARAMETERS.items() if name != "Stage"}, ["Stage"]),
        (PARAMETERS | {"Stage": "staging"}, ["Stage", "dev", "prod"]),
        (PARAMETERS | {"Architecture": "riscv"}, ["Architecture"]),
        (PARAMETERS | {"LogRetentionDays": "31"}, ["LogRetentionDays"]),
    ],
    ids=["stage missing", "stage unknown", "architecture unknown", "retention that CloudWatch does not know"],
)
def test_a_deployment_with_wrong_parameters_is_refused(stack: Stack, parameters: dict, words: list[str]) -> None:
    before = functions(stack.emulator)
    refused = sam_deploy(stack.emulator, "ratchet-refused", parameters)
    assert refused.returncode != 0, refused.stdout
    message = refused.stdout[refused.stdout.find("Error") :]
    assert all(word in message for word in words), refused.stdout
    assert functions(stack.emulator) == before and stacks(stack.emulator) == {stack.name, *sam_managed(stack.emulator)}


def sam_managed(emulator: Emulator) -> set[str]:
    return {name for name in stacks(emulator) if name.startswith("aws-sam-cli-managed")}


def test_a_deployment_over_an_existing_table_is_refused(stack: Stack) -> None:
    emulator, name = stack.emulator, "ratchet-again"
    table = f"{name}-executions"
    client = emulator.client("dynamodb")
    client.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName=table, Item={"pk": {"S": "somebody's"}})
    before = functions(emulator)
    refused = sam_deploy(emulator, name, PARAMETERS)
    assert refused.returncode != 0, refused.stdout
    # SAM prints the message in a column that is narrower than the message.
    reasons = "".join(line[72:].strip() for line in refused.stdout.splitlines())
    assert table in reasons and "alreadyexists" in reasons.replace(" ", ""), refused.stdout
    assert functions(emulator) == before, "half of the stack was left"
    assert client.get_item(TableName=table, Key={"pk": {"S": "somebody's"}})["Item"], "the table was touched"
    # As CloudFormation requires: a stack whose creation was rolled back is deleted before the next attempt.
    emulator.client("cloudformation").delete_stack(StackName=name)
    client.delete_table(TableName=table)


def test_deploying_the_same_again_changes_nothing(stack: Stack) -> None:
    again = sam_deploy(stack.emulator, stack.name, PARAMETERS)
    assert again.returncode == 0, again.stdout
    assert "No changes to deploy" in again.stdout or "up to date" in again.stdout, again.stdout


def test_a_changed_setting_is_deployed_and_the_api_goes_on(world: World) -> None:
    stack = world.stack
    created = world.execution()
    changed = sam_deploy(stack.emulator, stack.name, PARAMETERS | {"LogLevel": "WARN"})
    try:
        assert changed.returncode == 0, changed.stdout
        client, name = stack.emulator.client("lambda"), stack.physical("GetExecutionFunction")
        assert client.get_function_configuration(FunctionName=name)["LoggingConfig"]["ApplicationLogLevel"] == "WARN"
        assert ok(world.admin.get(f"/flows/executions/{created['id']}")) == created
    finally:
        back = sam_deploy(stack.emulator, stack.name, PARAMETERS)
    assert back.returncode == 0, back.stdout
    assert ok(world.admin.get(f"/flows/executions/{created['id']}")) == created
