"""Events out of the deployed stack: what is told of, how soon, and what a bus that is away, or a bad record, makes of it."""

import json
import time
from uuid import uuid4

from checks import EXECUTIONS, World, ok, told, version_of
from test_unavailable import away, calling, throttling


def test_a_change_is_told_within_seconds(world: World) -> None:
    heard = told(world)
    latencies = []
    for _ in range(5):
        begun = time.monotonic()
        execution = world.execution("pending")
        assert heard.of(execution["id"], {1}, 10), "nothing was told"
        latencies.append(time.monotonic() - begun)
    print(f"ok from the request to the event in the queue: {sorted(latencies)[2] * 1000:.0f} ms (the middle of five)")
    assert sorted(latencies)[2] < 5, latencies


def test_a_bus_that_is_away_for_ten_seconds_loses_nothing(world: World) -> None:
    heard = told(world)
    executions = []
    for fault in (away, throttling):
        with fault() as endpoint, calling(world, "PublishEventsFunction", endpoint, "AWS_ENDPOINT_URL_EVENTBRIDGE"):
            executions.append(world.execution("completed"))
            time.sleep(10)
            assert heard.of(executions[-1]["id"], {1}, 0) == [], "a bus that is away took an event"
    for execution in executions:
        events = heard.of(execution["id"], {1, 2, 3}, 60)
        assert {version_of(event) for event in events} == {1, 2, 3}, events


def test_a_bad_record_does_not_stop_the_others(world: World) -> None:
    heard = told(world)
    table = world.stack.emulator.client("dynamodb")
    for attributes in ({}, {"st": {"S": "running"}, "v": {"N": "1"}}, {"tr": {"S": "no log"}}):
        key = {"pk": {"S": f"e#acme#{uuid4()}"}, "sk": {"S": "h"}}
        table.put_item(TableName=world.stack.table, Item=key | attributes)
    execution = world.execution("running")
    events = heard.of(execution["id"], {1, 2}, 20)
    assert {version_of(event) for event in events} == {1, 2}, events


def test_what_ended_is_a_line_of_metrics(world: World) -> None:
    execution = world.execution("running")
    end = {"status": "failed", "error_message": "TimeoutError: no answer", "tokens_used": 7, "cost_estimate": 0.5}
    ok(world.admin.patch(f"{EXECUTIONS}/{execution['id']}", end))
    told(world).of(execution["id"], {3}, 10)
    logs, group = world.stack.emulator.client("logs"), f"/aws/lambda/{world.stack.name}/publish_events"
    for _ in range(20):
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        lines = [event["message"] for page in pages for event in page["events"]]
        found = [json.loads(line) for line in lines if execution["id"] in line and '"Ended"' in line]
        if found:
            break
        time.sleep(0.5)
    (line,) = found
    assert (line["Status"], line["Tokens"], line["CostUSD"], line["error"]) == ("failed", 7, 0.5, "TimeoutError"), line
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Status"]], line
    assert "no answer" not in "\n".join(lines), "a message is in the log"


def test_the_mapping_is_as_it_must_be(world: World) -> None:
    functions = world.stack.emulator.client("lambda")
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    (mapping,) = (each for each in mappings if ":dynamodb:" in each["EventSourceArn"])
    assert mapping["FunctionArn"].endswith(":live"), "the alias, which deployments shift"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], mapping
    assert mapping["MaximumRecordAgeInSeconds"] == 79_200 and mapping["DestinationConfig"]["OnFailure"]["Destination"]
