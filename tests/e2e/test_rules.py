"""The rules of docs/events.md, deployed as they stand there: what comes out of them when executions of the stack end."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from checks import EXECUTIONS, World, ok
from stack import ROOT

STACK = "rules-to-copy"


@dataclass
class Rules:
    """The deployed resources, by their names in the document."""

    world: World
    resources: dict[str, str]

    def client(self, service: str):
        return self.world.stack.emulator.client(service)

    def arn_of(self, queue: str) -> str:
        answer = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def received(self, queue: str, count: int, of: str = "") -> list[str]:
        """The messages of a queue with this text in them, when there are so many, or the time is up."""
        sqs, found, end = self.client("sqs"), [], time.monotonic() + 20
        while len(found) < count and time.monotonic() < end:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                found += [message["Body"]] * (of in message["Body"])
        return found

    def ended(self, flow: str, status: str) -> str:
        """A new execution that ran and has ended. Its id."""
        id = self.world.execution("running", flow)["id"]
        ok(self.world.admin.patch(f"{EXECUTIONS}/{id}", {"status": status}))
        return id


@pytest.fixture(scope="module")
def rules(world: World) -> Iterator[Rules]:
    document = (ROOT / "docs" / "events.md").read_text()
    section = document.split("\n## Rules to copy\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```yaml\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3, "the document has other rules"
    formation = world.stack.emulator.client("cloudformation")
    formation.create_stack(
        StackName=STACK, TemplateBody="Resources:\n" + "\n".join(blocks), Capabilities=["CAPABILITY_IAM"]
    )
    formation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    found = formation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    yield Rules(world, {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found})
    formation.delete_stack(StackName=STACK)
    formation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_all_bad_ends_are_in_the_mail(rules: Rules) -> None:
    # A queue in the place of the mail, which the test cannot read.
    topic, sqs = rules.resources["BadEndsTopic"], rules.client("sqs")
    mailbox = sqs.create_queue(QueueName=f"mailbox-{uuid4()}")["QueueUrl"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": rules.arn_of(mailbox),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=mailbox, Attributes={"Policy": policy})
    rules.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=rules.arn_of(mailbox))

    flow = f"flow-{uuid4()}"
    # Those that must not be in it come first.
    for status in ("completed", "cancelled"):
        rules.ended(flow, status)
    failed, late = rules.ended(flow, "failed"), rules.ended(flow, "timeout")
    # Whatever else ended badly in the stack is in it, too.
    texts = {json.loads(json.loads(body)["Message"]) for body in rules.received(mailbox, 2, of=flow)}
    assert texts == {f"{flow} failed: execution {failed}", f"{flow} timeout: execution {late}"}, texts


def test_the_ends_of_one_flow_are_in_its_queue(rules: Rules) -> None:
    rules.ended(f"nightly-report-{uuid4()}", "completed")
    statuses = ["completed", "failed", "cancelled", "timeout"]
    ended = {rules.ended("nightly-report", status): status for status in statuses}
    events = [json.loads(body) for body in rules.received(rules.resources["NightlyEndsQueue"], len(statuses))]
    assert {
        (event["detail"]["data"]["execution"]["id"], event["detail-type"], event["detail"]["type"]) for event in events
    } == {(id, f"execution.{status}", f"execution.{status}") for id, status in ended.items()}, events


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "timeout"])
def test_a_workflow_goes_on_when_its_run_has_ended(status: str, rules: Rules) -> None:
    workflows = rules.client("stepfunctions")
    waiting = workflows.start_execution(stateMachineArn=rules.resources["Nightly"])["executionArn"]
    # What the document's worker does: it posts what is in the queue.
    (body,) = rules.received(rules.resources["NightlyWork"], 1)
    execution = ok(rules.world.writer.post("/flows/execute", body))["execution"]
    path = f"{EXECUTIONS}/{execution['id']}"
    ok(rules.world.admin.patch(path, {"status": "running"}))
    assert workflows.describe_execution(executionArn=waiting)["status"] == "RUNNING", "it did not wait"
    record = ok(rules.world.admin.patch(path, {"status": status, "tokens_used": 7}))
    end = time.monotonic() + 20
    while (told := workflows.describe_execution(executionArn=waiting))["status"] == "RUNNING" and time.monotonic() < end:
        time.sleep(0.1)
    if status == "completed":
        assert told["status"] == "SUCCEEDED", told
        output = json.loads(told["output"])
        assert {name: output[name] for name in ("id", "status", "version", "tokens_used", "metadata")} == {
            name: record[name] for name in ("id", "status", "version", "tokens_used", "metadata")
        }, output
    else:
        assert (told["status"], told.get("error")) == ("FAILED", status), told
