"""What each function must do, through the deployed API: the checks of the end-to-end suite, by function.

A check raises AssertionError if the service does not behave as it must. test_checks.py runs all of them. The proof of
least privilege runs those of a function with one permission taken away, and expects that they fail.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from stack import AUTHORIZER_CACHE_SECONDS, Answer, Api, Stack

EXECUTIONS = "/flows/executions"
MISSING = "00000000-0000-4000-8000-000000000000"


@dataclass
class World:
    """A deployed stack, and its API with several keys."""

    stack: Stack
    admin: Api
    reader: Api
    writer: Api
    other: Api

    @classmethod
    def of(cls, stack: Stack) -> "World":
        keys = {
            "admin": ("acme", "admin"),
            "reader": ("acme", "read"),
            "writer": ("acme", "write"),
            "other": ("globex", "admin"),
        }
        return cls(stack, **{name: stack.api(stack.new_key(*key)) for name, key in keys.items()})

    def execution(self, status: str = "pending", flow: str | None = None) -> dict:
        """A new execution, moved to a status."""
        flow = flow or f"flow-{uuid4()}"
        created = ok(self.admin.post("/flows/execute", {"flow_id": flow, "trigger_type": "api"}))["execution"]
        way = {"pending": [], "running": ["running"], "completed": ["running", "completed"]}[status]
        for step in way:
            created = ok(self.admin.patch(f"{EXECUTIONS}/{created['id']}", {"status": step}))
        return created


CHECKS: dict[str, list[Callable[[World], None]]] = {}


def check(function: str):
    """Registers a check of a function, by the name of its binary."""

    def register(body: Callable[[World], None]):
        CHECKS.setdefault(function, []).append(body)
        return body

    return register


def ok(answer: Answer, status: int = 200):
    assert answer.status == status, f"expected {status}: {answer}"
    assert answer.headers.get("x-correlation-id"), "an answer without a correlation id"
    return answer.json() if answer.body else None


def refused(answer: Answer, status: int, code: str) -> str:
    """Asserts an error of the service with all of its members. Returns its detail."""
    assert answer.status == status, f"expected {status} {code}: {answer}"
    body = answer.json()
    statuses = {
        "INVALID_STATUS_TRANSITION": {"current_status", "requested_status"},
        "CANCEL_REQUESTED": {"current_status", "requested_status"},
        "EXECUTION_FINISHED": {"current_status"},
    }.get(code, set())
    assert set(body) == {"detail", "error_code", "correlation_id", "timestamp"} | statuses, body
    assert body["error_code"] == code, body
    assert body["correlation_id"] == answer.headers["x-correlation-id"]
    return body["detail"]


def invalid(answer: Answer, *places: str) -> None:
    """Asserts validation errors at exactly these places."""
    assert answer.status == 422, f"expected 422: {answer}"
    assert {".".join(map(str, error["loc"])) for error in answer.json()["detail"]} == set(places), str(answer)


def gateways(answer: Answer, status: int, message: str) -> None:
    """Asserts an answer of API Gateway itself."""
    assert (answer.status, answer.json()) == (status, {"message": message}), str(answer)


# ---------------------------------------------------------------- execute flow


@check("execute_flow")
def creates_an_execution(world: World) -> None:
    sent = {
        "flow_id": f"flow-{uuid4()}",
        "trigger_type": "webhook",
        "variables": {"exact": 1.0, "deep": {"": [None, "ü", "\U0001f980"]}},
        "priority": "high",
        "retry_config": {"max_retries": 1},
    }
    answer = world.writer.post("/flows/execute", sent, x_correlation_id="e2e-1")
    created = ok(answer)["execution"]
    assert answer.headers["x-correlation-id"] == "e2e-1"
    assert (created["status"], created["execution_number"], created["organization_id"]) == ("pending", 1, "acme")
    assert (created["priority"], created["max_retries"], created["variables"]) == ("high", 1, sent["variables"])
    assert '"exact":1.0' in answer.body.decode(), "numbers come back as they were written"
    assert ok(world.writer.post("/flows/execute", sent))["execution"]["execution_number"] == 2


@check("execute_flow")
def a_repeat_with_its_key_creates_one_execution(world: World) -> None:
    body, key = {"flow_id": f"flow-{uuid4()}", "trigger_type": "manual"}, str(uuid4())
    first = world.admin.post("/flows/execute", body, idempotency_key=key)
    again = world.admin.post("/flows/execute", body, idempotency_key=key)
    assert ok(first)["execution"] == ok(again)["execution"]
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    other = world.admin.post("/flows/execute", body | {"trigger_type": "test"}, idempotency_key=key)
    refused(other, 422, "IDEMPOTENCY_KEY_REUSED")
    # The same text as a key of another organization is another key.
    assert (
        ok(world.other.post("/flows/execute", body, idempotency_key=key))["execution"]["id"]
        != first.json()["execution"]["id"]
    )


# So large that they are in an item of their own.
LARGE_INPUTS = {"text": "x" * 5000, "exact": 1}


@check("execute_flow")
def a_repeat_with_large_inputs_creates_one_execution(world: World) -> None:
    body = {"flow_id": f"flow-{uuid4()}", "trigger_type": "manual", "variables": LARGE_INPUTS}
    key = str(uuid4())
    first = world.admin.post("/flows/execute", body, idempotency_key=key)
    again = world.admin.post("/flows/execute", body, idempotency_key=key)
    assert ok(first)["execution"] == ok(again)["execution"]
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json()["execution"]["variables"] == LARGE_INPUTS


def with_large_inputs(world: World) -> str:
    body = {"flow_id": f"flow-{uuid4()}", "trigger_type": "api", "variables": LARGE_INPUTS}
    return ok(world.admin.post("/flows/execute", body))["execution"]["id"]


@check("execute_flow")
def refuses_what_is_no_execution(world: World) -> None:
    invalid(
        world.admin.post("/flows/execute", {"trigger_typ": "manual"}),
        "body.flow_id",
        "body.trigger_type",
        "body.trigger_typ",
    )
    invalid(world.admin.post("/flows/execute", '{"flow_id":'), "body.11")
    deep = '{"a":' * 101 + "1" + "}" * 101
    invalid(
        world.admin.post("/flows/execute", f'{{"flow_id":"f","trigger_type":"api","variables":{deep}}}'),
        "body.variables",
    )
    invalid(
        world.admin.post("/flows/execute", {"flow_id": "f", "trigger_type": "api"}, idempotency_key="k" * 256),
        "header.idempotency-key",
    )
    refused(world.admin.post("/flows/execute", "flow_id=f", content_type="text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")
    refused(world.reader.post("/flows/execute", {"flow_id": "f", "trigger_type": "api"}), 403, "FORBIDDEN")


@check("execute_flow")
def refuses_what_is_too_large(world: World) -> None:
    body = {"flow_id": "f", "trigger_type": "api", "variables": {"text": "x" * (500 * 1024)}}
    detail = refused(world.admin.post("/flows/execute", body), 413, "PAYLOAD_TOO_LARGE")
    assert "409600" in detail.replace(",", ""), detail
    body["variables"]["text"] *= 3
    detail = refused(world.admin.post("/flows/execute", body), 413, "PAYLOAD_TOO_LARGE")
    assert "1048576" in detail.replace(",", ""), detail


# ---------------------------------------------------------------- get execution


@check("get_execution")
def returns_the_record_or_304(world: World) -> None:
    created = world.execution()
    answer = world.reader.get(f"{EXECUTIONS}/{created['id']}")
    assert ok(answer) == created
    unchanged = world.reader.get(f"{EXECUTIONS}/{created['id']}", if_none_match=answer.headers["etag"])
    assert (unchanged.status, unchanged.body) == (304, b""), str(unchanged)
    refused(world.writer.get(f"{EXECUTIONS}/{created['id']}"), 403, "FORBIDDEN")


@check("get_execution")
def returns_large_inputs(world: World) -> None:
    assert ok(world.reader.get(f"{EXECUTIONS}/{with_large_inputs(world)}"))["variables"] == LARGE_INPUTS


@check("get_execution")
def another_organizations_record_is_not_there(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.get(f"{EXECUTIONS}/{id}"))


def hidden_from_others(world: World, call: Callable[[Api, str], Answer]) -> None:
    """A call on another organization's execution is answered as on a missing one, byte for byte, and has no effect."""
    created = world.execution("running")
    before = world.admin.get(f"{EXECUTIONS}/{created['id']}").body

    def answer(id: str) -> str:
        answer = call(world.other, id)
        refused(answer, 404, "EXECUTION_NOT_FOUND")
        body = answer.json()
        return answer.body.decode().replace(body["correlation_id"], "").replace(body["timestamp"], "").replace(id, "")

    assert answer(created["id"]) == answer(MISSING)
    assert world.admin.get(f"{EXECUTIONS}/{created['id']}").body == before, "it was changed"


# ---------------------------------------------------------------- list executions


@check("list_executions")
def lists_by_organization_status_and_flow(world: World) -> None:
    flow = f"flow-{uuid4()}"
    created = [world.execution(status, flow)["id"] for status in ("pending", "running", "running")]
    page = ok(world.reader.get(f"{EXECUTIONS}?flow_id={flow}"))
    assert [execution["id"] for execution in page["executions"]] == created[::-1], "newest first"
    assert (page["total_count"], page["has_more"]) == (3, False)
    page = ok(world.reader.get(f"{EXECUTIONS}?flow_id={flow}&status=running"))
    assert [execution["id"] for execution in page["executions"]] == created[:0:-1]
    running = {
        execution["id"]
        for execution in ok(world.reader.get(f"{EXECUTIONS}?status=running&page_size=100"))["executions"]
    }
    assert set(created[1:]) <= running and created[0] not in running
    newest = ok(world.reader.get(f"{EXECUTIONS}?page_size=1"))["executions"]
    assert [execution["id"] for execution in newest] == created[-1:]


@check("list_executions")
def walks_by_cursor(world: World) -> None:
    flow = f"flow-{uuid4()}"
    created = {world.execution(flow=flow)["id"] for _ in range(5)}
    seen, query = [], f"?flow_id={flow}&page_size=2"
    page = ok(world.reader.get(EXECUTIONS + query))
    while True:
        seen += [execution["id"] for execution in page["executions"]]
        if not page["has_more"]:
            break
        page = ok(world.reader.get(f"{EXECUTIONS}{query}&cursor={page['next_cursor']}"))
    assert len(seen) == 5 and set(seen) == created
    cursor = ok(world.reader.get(EXECUTIONS + query))["next_cursor"]
    forged = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for path in (f"{query}&cursor={forged}", f"?page_size=2&cursor={cursor}"):
        invalid(world.reader.get(EXECUTIONS + path), "query.cursor")
    invalid(world.other.get(f"{EXECUTIONS}{query}&cursor={cursor}"), "query.cursor")


@check("list_executions")
def refuses_what_is_no_query(world: World) -> None:
    invalid(world.reader.get(f"{EXECUTIONS}?page_size=101&status=done"), "query.page_size", "query.status")
    refused(world.writer.get(EXECUTIONS), 403, "FORBIDDEN")


@check("list_executions")
def lists_nothing_of_another_organization(world: World) -> None:
    flow = f"flow-{uuid4()}"
    world.execution(flow=flow)
    page = ok(world.other.get(f"{EXECUTIONS}?flow_id={flow}"))
    assert (page["executions"], page["total_count"]) == ([], 0)
    everything = ok(world.other.get(f"{EXECUTIONS}?page_size=100"))["executions"]
    assert {execution["organization_id"] for execution in everything} <= {"globex"}


# ---------------------------------------------------------------- update execution


@check("update_execution")
def changes_status_and_fields(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution()['id']}"
    answer = world.writer.patch(path, {"status": "running", "metadata": {"worker": 7}})
    assert (ok(answer)["status"], answer.json()["metadata"]) == ("running", {"worker": 7})
    minimal = world.writer.patch(path, {"tokens_used": 12}, prefer="return=minimal")
    assert (minimal.status, minimal.body) == (204, b"") and minimal.headers["etag"] != answer.headers["etag"]
    refused(world.writer.patch(path, {"tokens_used": 13}, if_match=answer.headers["etag"]), 412, "PRECONDITION_FAILED")
    done = ok(
        world.writer.patch(path, {"status": "completed", "final_output": {"x": 1}}, if_match=minimal.headers["etag"])
    )
    assert done["status"] == "completed" and done["completed_at"] and done["duration_ms"] >= 0
    assert done["tokens_used"] == 12, "the refused write was not applied"


@check("update_execution")
def answers_with_large_inputs(world: World) -> None:
    path = f"{EXECUTIONS}/{with_large_inputs(world)}"
    assert ok(world.writer.patch(path, {"status": "running"}))["variables"] == LARGE_INPUTS


@check("update_execution")
def a_superseded_attempt_is_told_so(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution('running')['id']}"
    for status in ("interrupted", "running"):
        ok(world.writer.patch(path, {"status": status, "attempt": 1}))
    detail = refused(world.writer.patch(path, {"status": "failed", "attempt": 1}), 409, "ATTEMPT_SUPERSEDED")
    assert "attempt 2" in detail, detail
    assert ok(world.writer.patch(path, {"status": "completed", "attempt": 2}))["attempt"] == 2


@check("update_execution")
def the_end_is_the_end(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution('completed')['id']}"
    detail = refused(world.admin.patch(path, {"status": "cancelled"}), 400, "INVALID_STATUS_TRANSITION")
    assert "completed" in detail and "cancelled" in detail, detail
    refused(world.admin.patch(path, {"final_output": {"other": True}}), 400, "EXECUTION_FINISHED")
    assert ok(world.admin.patch(path, {"cost_estimate": 0.25}))["cost_estimate"] == 0.25


@check("update_execution")
def retries_are_counted_and_bounded(world: World) -> None:
    body = {"flow_id": f"flow-{uuid4()}", "trigger_type": "api", "retry_config": {"max_retries": 1}}
    path = f"{EXECUTIONS}/{ok(world.admin.post('/flows/execute', body))['execution']['id']}"
    for status in ("running", "retrying", "running"):
        record = ok(world.admin.patch(path, {"status": status}))
    assert record["retry_count"] == 1
    refused(world.admin.patch(path, {"status": "retrying"}), 400, "INVALID_STATUS_TRANSITION")
    refused(world.admin.patch(path, {"retry_count": 0}), 400, "INVALID_RETRY_COUNT")


@check("update_execution")
def a_late_repeat_does_not_overwrite(world: World) -> None:
    path, key = f"{EXECUTIONS}/{world.execution('running')['id']}", str(uuid4())
    ok(world.writer.patch(path, {"tokens_used": 1}, idempotency_key=key))
    ok(world.writer.patch(path, {"tokens_used": 2}))
    again = world.writer.patch(path, {"tokens_used": 1}, idempotency_key=key)
    assert ok(again)["tokens_used"] == 2 and again.headers["idempotency-replayed"] == "true"
    refused(world.writer.patch(path, {"tokens_used": 3}, idempotency_key=key), 422, "IDEMPOTENCY_KEY_REUSED")


@check("update_execution")
def of_concurrent_writers_one_wins(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution('running')['id']}"
    wanted = ["completed", "failed", "cancelled", "timeout"] * 2
    answers: list[Answer] = []
    ready = threading.Barrier(len(wanted))

    def write(status: str) -> None:
        ready.wait()
        answers.append(world.admin.patch(path, {"status": status}))

    threads = [threading.Thread(target=write, args=(status,)) for status in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [answer for answer in answers if answer.status == 200]
    assert len(answers) == len(wanted) and len(winners) == 1, [str(answer) for answer in answers]
    won = winners[0].json()["status"]
    for answer in answers:
        if answer is not winners[0]:
            assert won in refused(answer, 400, "INVALID_STATUS_TRANSITION"), str(answer)
    assert ok(world.admin.get(path))["status"] == won


@check("update_execution")
def refuses_what_is_no_update(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution()['id']}"
    invalid(
        world.admin.patch(path, {"status": "done", "retry_count": -1, "flow_id": "x"}),
        "body.status",
        "body.retry_count",
        "body.flow_id",
    )
    refused(
        world.admin.patch(path, "a=b", content_type="application/x-www-form-urlencoded"), 415, "UNSUPPORTED_MEDIA_TYPE"
    )
    refused(world.reader.patch(path, {"status": "running"}), 403, "FORBIDDEN")
    refused(world.admin.patch(path, {"metadata": {"text": "x" * (500 * 1024)}}), 413, "PAYLOAD_TOO_LARGE")
    refused(world.admin.patch(f"{EXECUTIONS}/no-uuid", {"status": "running"}), 404, "EXECUTION_NOT_FOUND")


@check("update_execution")
def another_organizations_record_is_not_there_to_update(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.patch(f"{EXECUTIONS}/{id}", {"status": "completed"}))


# ---------------------------------------------------------------- update execution status


@check("update_execution_status")
def ends_a_running_execution(world: World) -> None:
    created = world.execution("running")
    body, key = {"status": "failed", "error_info": {"message": "out of memory", "code": 137}}, str(uuid4())
    answer = world.admin.patch(f"/executions/{created['id']}", body, idempotency_key=key)
    ended = ok(answer)
    assert (ended["success"], ended["execution_id"]) == (True, created["id"])
    assert (ended["previous_status"], ended["current_status"]) == ("running", "failed")
    again = world.admin.patch(f"/executions/{created['id']}", body, idempotency_key=key)
    assert ok(again) == ended and again.headers["idempotency-replayed"] == "true"
    refused(
        world.admin.patch(f"/executions/{created['id']}", {"status": "completed"}), 400, "INVALID_STATUS_TRANSITION"
    )
    record = ok(world.admin.get(f"{EXECUTIONS}/{created['id']}"))
    assert (record["error_message"], record["error_details"]) == ("out of memory", body["error_info"])


@check("update_execution_status")
def a_writer_may_cancel_and_no_more(world: World) -> None:
    path = f"/executions/{world.execution('running')['id']}"
    refused(world.writer.patch(path, {"status": "completed"}), 403, "FORBIDDEN")
    refused(world.reader.patch(path, {"status": "cancelled"}), 403, "FORBIDDEN")
    assert ok(world.writer.patch(path, {"status": "cancelled"}))["current_status"] == "cancelled"


@check("update_execution_status")
def refuses_what_is_no_end(world: World) -> None:
    path = f"/executions/{world.execution('pending')['id']}"
    refused(world.admin.patch(path, {"status": "cancelled"}), 400, "INVALID_STATUS_TRANSITION")
    invalid(world.admin.patch(path, {"status": "timeout", "error_info": 1}), "body.status", "body.error_info")
    refused(world.admin.patch(path, {"status": "failed"}, if_match='"0"'), 412, "PRECONDITION_FAILED")


@check("update_execution_status")
def another_organizations_record_is_not_there_to_end(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.patch(f"/executions/{id}", {"status": "cancelled"}))


# ---------------------------------------------------------------- list transitions


@check("list_transitions")
def says_who_changed_what(world: World) -> None:
    created = world.execution("running")
    ok(world.admin.patch(f"{EXECUTIONS}/{created['id']}", {"status": "failed", "error_message": "no answer"}))
    answer = ok(world.reader.get(f"/executions/{created['id']}/transitions"))
    assert answer["execution_id"] == created["id"]
    steps = [(step["from"], step["to"], step["reason"]) for step in answer["transitions"]]
    assert steps == [("pending", "running", None), ("running", "failed", "no answer")]
    assert {step["by"] for step in answer["transitions"]} == {world.admin.key.split("_")[1]}, "the id of the key"
    assert {step["by_name"] for step in answer["transitions"]} == {None}, "the key has no name"
    refused(world.writer.get(f"/executions/{created['id']}/transitions"), 403, "FORBIDDEN")


@check("list_transitions")
def another_organizations_transitions_are_not_there(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.get(f"/executions/{id}/transitions"))


@check("list_transitions")
def says_by_which_name(world: World) -> None:
    created = world.execution()
    # Beyond ASCII, so that what carries the authorizer's answer to the function is tried with it.
    name = "Zo\u00eb \U0001f980, 100% \u30c7\u30d7\u30ed\u30a4"
    named = world.stack.api(world.stack.new_key("acme", "admin", name=name))
    ok(named.patch(f"{EXECUTIONS}/{created['id']}", {"status": "running"}))
    (running,) = ok(named.get(f"/executions/{created['id']}/transitions"))["transitions"]
    assert running["by_name"] == name, running


# ---------------------------------------------------------------- wait execution


@check("wait_execution")
def answers_as_soon_as_it_has_ended(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution('running')['id']}"

    def end() -> None:
        time.sleep(1)
        ok(world.admin.patch(path, {"status": "completed", "final_output": {"answer": 42}}))

    ending = threading.Thread(target=end)
    begun = time.monotonic()
    ending.start()
    # Longer than the time that a function has, if it is not this one.
    answer = ok(world.reader.get(f"{path}/wait?timeout=25"))
    took = time.monotonic() - begun
    ending.join()
    assert (answer["status"], answer["final_output"]) == ("completed", {"answer": 42}), answer
    # Where it cannot look in between, it learns of the end when the time is up.
    assert 1 <= took < 15, f"{took:.1f} s"
    assert ok(world.reader.get(f"{path}/wait"))["status"] == "completed"
    refused(world.writer.get(f"{path}/wait"), 403, "FORBIDDEN")


@check("wait_execution")
def says_when_nothing_has_changed(world: World) -> None:
    path = f"{EXECUTIONS}/{world.execution('running')['id']}"
    unchanged = world.reader.get(f"{path}/wait?timeout=1", if_none_match='"2"')
    assert (unchanged.status, unchanged.body, unchanged.headers.get("etag")) == (304, b"", '"2"'), str(unchanged)
    assert ok(world.reader.get(f"{path}/wait?timeout=1"))["status"] == "running"
    begun = time.monotonic()
    assert ok(world.reader.get(f"{path}/wait?timeout=25", if_none_match='"1"'))["version"] == 2
    assert time.monotonic() - begun < 15
    invalid(world.reader.get(f"{path}/wait?timeout=26"), "query.timeout")


@check("wait_execution")
def waits_for_large_inputs(world: World) -> None:
    id = with_large_inputs(world)
    ok(world.admin.patch(f"{EXECUTIONS}/{id}", {"status": "failed"}))
    assert ok(world.reader.get(f"{EXECUTIONS}/{id}/wait"))["variables"] == LARGE_INPUTS


@check("wait_execution")
def another_organizations_end_is_not_waited_for(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.get(f"{EXECUTIONS}/{id}/wait?timeout=25"))


# ---------------------------------------------------------------- get heartbeat


@check("get_heartbeat")
def says_when_a_worker_was_heard(world: World) -> None:
    waiting, running = world.execution(), world.execution("running")
    seen = ok(world.reader.get(f"/executions/{waiting['id']}/heartbeat"))
    assert (seen["status"], seen["attempt"], seen["last_heartbeat_at"]) == ("pending", 0, None), seen
    path = f"/executions/{running['id']}/heartbeat"
    claimed = ok(world.reader.get(path))
    ok(world.writer.post(path, {"attempt": 1}))
    heard = ok(world.reader.get(path))
    assert heard["last_heartbeat_at"] > claimed["last_heartbeat_at"] >= running["started_at"], (claimed, heard)
    assert ok(world.reader.get(path)) == heard, "asking is no heartbeat"
    refused(world.writer.get(path), 403, "FORBIDDEN")


@check("get_heartbeat")
def another_organizations_worker_is_not_shown(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.get(f"/executions/{id}/heartbeat"))


# ---------------------------------------------------------------- publish events


class Told:
    """A rule on the bus, the queue that it fills, and what came out of it."""

    def __init__(self, world: World) -> None:
        emulator = world.stack.emulator
        self.queues, name = emulator.client("sqs"), f"told-{uuid4()}"
        self.queue = self.queues.create_queue(QueueName=name)["QueueUrl"]
        arn = self.queues.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = emulator.client("events")
        rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": ["ratchet"]}))["RuleArn"]
        allowed = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
                }
            ],
        }
        self.queues.set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": json.dumps(allowed)})
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        # By execution, each event as EventBridge delivers it.
        self.events: dict[str, list[dict]] = {}

    def of(self, id: str, versions: set[int], seconds: float) -> list[dict]:
        """The events of an execution, when those of these versions have come, or the time is up."""
        end = time.monotonic() + seconds
        while True:
            told = self.events.get(id, [])
            if versions <= {version_of(event) for event in told} or time.monotonic() > end:
                return told
            answer = self.queues.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                event = json.loads(message["Body"])
                self.events.setdefault(event["detail"]["data"]["execution"]["id"], []).append(event)
                self.queues.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


def version_of(event: dict) -> int:
    return int(event["detail"]["id"].rsplit("_", 1)[1])


def told(world: World) -> Told:
    """The one rule and queue of a stack."""
    if not hasattr(world.stack, "told"):
        world.stack.told = Told(world)
    return world.stack.told


@check("publish_events")
def tells_of_the_creation_and_of_each_transition(world: World) -> None:
    # Before the first change, for a rule sees nothing of before.
    heard = told(world)
    execution = world.execution("completed")
    events = heard.of(execution["id"], {1, 2, 3}, 10)
    ids = {event["detail"]["id"] for event in events}
    assert ids == {f"evt_{execution['id']}_{version}" for version in (1, 2, 3)}, ids
    (ended,) = (event for event in events if version_of(event) == 3)
    assert (ended["source"], ended["detail-type"]) == ("ratchet", "execution.completed"), ended
    assert ended["resources"] == [execution["id"]] and ended["detail"]["type"] == "execution.completed", ended
    transition = ok(world.admin.get(f"/executions/{execution['id']}/transitions"))["transitions"][-1]
    assert ended["detail"]["data"]["transition"] == transition, ended
    shown = ended["detail"]["data"]["execution"]
    assert shown == {name: execution[name] for name in shown}, "the record as the API gives it"


# ---------------------------------------------------------------- record heartbeat


@check("record_heartbeat")
def tells_a_worker_what_to_do(world: World) -> None:
    waiting, running = world.execution(), world.execution("running")
    beat = f"/executions/{running['id']}/heartbeat"
    told = ok(world.writer.post(f"/executions/{waiting['id']}/heartbeat", None))
    assert (told["action"], told["status"], told["attempt"]) == ("claim", "pending", 0), told
    told = ok(world.writer.post(beat, {"attempt": 1}))
    assert (told["action"], told["heartbeat_in_seconds"], told["reason"]) == ("continue", 60, None), told
    assert ok(world.admin.get(f"{EXECUTIONS}/{running['id']}")) == running, "a heartbeat is in no record"
    told = ok(world.writer.post(beat, {"attempt": 2}))
    assert told["action"] == "stop" and "attempt 1" in told["reason"], told
    ok(world.admin.patch(f"{EXECUTIONS}/{running['id']}", {"status": "completed"}))
    assert ok(world.writer.post(beat, {"attempt": 1}))["action"] == "stop"


@check("record_heartbeat")
def revives_an_interrupted_execution(world: World) -> None:
    id = world.execution("running")["id"]
    ok(world.admin.patch(f"{EXECUTIONS}/{id}", {"status": "interrupted"}))
    assert ok(world.writer.post(f"/executions/{id}/heartbeat", {"attempt": 1}))["status"] == "running"
    last = ok(world.admin.get(f"/executions/{id}/transitions"))["transitions"][-1]
    assert (last["to"], last["reason"], last["attempt"]) == ("running", "heartbeat", 1), last


@check("record_heartbeat")
def refuses_what_is_no_heartbeat(world: World) -> None:
    path = f"/executions/{world.execution('running')['id']}/heartbeat"
    invalid(world.writer.post(path, {"attempt": -1, "status": "running"}), "body.attempt", "body.status")
    refused(world.reader.post(path, {}), 403, "FORBIDDEN")


@check("record_heartbeat")
def another_organizations_worker_is_not_heard(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.post(f"/executions/{id}/heartbeat", {"attempt": 1}))


# ---------------------------------------------------------------- cancel execution


@check("cancel_execution")
def ends_what_nobody_works_on_and_asks_a_worker(world: World) -> None:
    waiting, running = world.execution()["id"], world.execution("running")["id"]
    cancelled = ok(world.writer.post(f"/executions/{waiting}/cancel", None))
    assert (cancelled["outcome"], cancelled["previous_status"]) == ("cancelled", "pending"), cancelled
    body, key = {"reason": "not needed", "grace_seconds": 600}, str(uuid4())
    first = world.writer.post(f"/executions/{running}/cancel", body, idempotency_key=key)
    assert (ok(first)["outcome"], first.json()["current_status"]) == ("requested", "running")
    told = ok(world.writer.post(f"/executions/{running}/heartbeat", {"attempt": 1}))
    assert (told["action"], told["reason"], told["force_at"]) == ("cancel", "not needed", first.json()["force_at"])
    refused(world.writer.patch(f"{EXECUTIONS}/{running}", {"status": "retrying"}), 400, "CANCEL_REQUESTED")
    ok(world.writer.patch(f"{EXECUTIONS}/{running}", {"status": "completed"}))
    again = world.writer.post(f"/executions/{running}/cancel", body, idempotency_key=key)
    assert ok(again) == first.json() and again.headers["idempotency-replayed"] == "true"
    refused(world.writer.post(f"/executions/{running}/cancel", {}), 400, "INVALID_STATUS_TRANSITION")


@check("cancel_execution")
def refuses_what_is_no_cancel(world: World) -> None:
    path = f"/executions/{world.execution('running')['id']}/cancel"
    invalid(world.writer.post(path, {"grace_seconds": 3601, "why": "x"}), "body.grace_seconds", "body.why")
    refused(world.writer.post(path, {}, if_match='"9"'), 412, "PRECONDITION_FAILED")
    refused(world.reader.post(path, {}), 403, "FORBIDDEN")


@check("cancel_execution")
def another_organizations_execution_is_not_cancelled(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.post(f"/executions/{id}/cancel", {}))


# ---------------------------------------------------------------- report steps


@check("report_steps")
def keeps_what_a_worker_says_of_its_steps(world: World) -> None:
    made = world.execution("running")
    path = f"/executions/{made['id']}/steps"
    steps = [{"step_id": "01", "input_data": {"n": 1}}, {"step_id": "02", "status": "completed"}]
    body, key = {"attempt": 1, "steps": steps}, str(uuid4())
    first = world.writer.post(path, body, idempotency_key=key)
    told = ok(first)
    assert (told["status"], told["action"]) == ("running", "continue"), told
    assert [outcome["outcome"] for outcome in told["outcomes"]] == ["created", "created"], told
    again = world.writer.post(path, body, idempotency_key=key)
    assert ok(again) == told and again.headers["idempotency-replayed"] == "true"
    late = {"steps": [{"step_id": "01", "status": "failed"}, {"step_id": "02", "status": "failed"}]}
    outcomes = ok(world.writer.post(path, late))["outcomes"]
    assert [outcome["outcome"] for outcome in outcomes] == ["updated", "refused"], outcomes
    assert outcomes[1]["error_code"] == "EXECUTION_FINISHED", outcomes
    record = world.admin.get(f"{EXECUTIONS}/{made['id']}")
    assert [(step["step_id"], step["status"]) for step in ok(record)["steps"]] == [("01", "failed"), ("02", "completed")]
    assert record.json()["version"] == made["version"] and record.headers["etag"].startswith(f'"{made["version"]}.')
    changed = ok(world.writer.patch(f"{EXECUTIONS}/{made['id']}", {"tokens_used": 1}))
    assert changed["steps"] == record.json()["steps"], "an update shows them, too"


@check("report_steps")
def refuses_what_is_no_report(world: World) -> None:
    path = f"/executions/{world.execution('running')['id']}/steps"
    invalid(world.writer.post(path, {"steps": [], "why": "x"}), "body.steps", "body.why")
    refused(world.writer.post(path, {"attempt": 2, "steps": [{"step_id": "01"}]}), 409, "ATTEMPT_SUPERSEDED")
    refused(world.reader.post(path, {"steps": [{"step_id": "01"}]}), 403, "FORBIDDEN")


@check("report_steps")
def another_organizations_steps_are_not_reported(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.post(f"/executions/{id}/steps", {"steps": [{"step_id": "01"}]}))


# ---------------------------------------------------------------- list steps


@check("list_steps")
def lists_steps_by_pages(world: World) -> None:
    path = f"/executions/{world.execution('running')['id']}/steps"
    ok(world.writer.post(path, {"steps": [{"step_id": f"{n:02}", "output_data": {"n": n}} for n in range(5)]}))
    seen, cursor = [], ""
    while True:
        page = ok(world.reader.get(f"{path}?page_size=2&view=summary{cursor}"))
        seen += page["steps"]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [step["step_id"] for step in seen] == ["00", "01", "02", "03", "04"], seen
    assert all("output_data" not in step for step in seen), "a summary has no payloads"
    other = world.execution("running")["id"]
    assert ok(world.reader.get(f"/executions/{other}/steps"))["steps"] == []
    invalid(world.reader.get(f"/executions/{other}/steps?page_size=1{cursor}"), "query.cursor")
    refused(world.writer.get(path), 403, "FORBIDDEN")


@check("list_steps")
def another_organizations_steps_are_not_there(world: World) -> None:
    hidden_from_others(world, lambda api, id: api.get(f"/executions/{id}/steps"))


# ---------------------------------------------------------------- enforce deadlines


# The service allows for clocks that differ by two seconds, and so acts that much late.
CLOCK_TOLERANCE = 2


@check("enforce_deadlines")
def ends_what_is_overdue_and_forces_a_cancel_that_is_due(world: World) -> None:
    def started(**fields) -> str:
        body = {"flow_id": f"flow-{uuid4()}", "trigger_type": "api", **fields}
        id = ok(world.admin.post("/flows/execute", body))["execution"]["id"]
        ok(world.admin.patch(f"{EXECUTIONS}/{id}", {"status": "running"}))
        return id

    late, asked, free = started(timeout_seconds=1), started(), started()
    body = {"flow_id": f"flow-{uuid4()}", "trigger_type": "api", "start_timeout_seconds": 1}
    waiting = ok(world.admin.post("/flows/execute", body))["execution"]["id"]
    ok(world.admin.post(f"/executions/{asked}/cancel", {"reason": "not needed", "grace_seconds": 0}))
    time.sleep(1 + CLOCK_TOLERANCE + 0.5)
    supervise(world)
    for id, status, reason in [
        (late, "timeout", "No result within timeout_seconds (1)"),
        (waiting, "timeout", "Not started within start_timeout_seconds (1)"),
        (asked, "cancelled", "not needed"),
    ]:
        last = ok(world.admin.get(f"/executions/{id}/transitions"))["transitions"][-1]
        assert (last["to"], last["reason"], last["by"]) == (status, reason, "service"), last
    assert ok(world.admin.get(f"{EXECUTIONS}/{free}"))["status"] == "running"


def supervise(world: World) -> None:
    """A pass now: the schedule makes one in a minute, and may have made one just before."""
    client = world.stack.emulator.client("lambda")
    client.invoke(FunctionName=world.stack.physical("EnforceDeadlinesFunction"), Qualifier="live", Payload=b"{}")


# ---------------------------------------------------------------- get caller


@check("get_caller")
def says_who_the_key_speaks_for(world: World) -> None:
    for api, organization, scope in [
        (world.admin, "acme", "admin"),
        (world.reader, "acme", "read"),
        (world.writer, "acme", "write"),
        (world.other, "globex", "admin"),
    ]:
        assert ok(api.get("/me")) == {
            "organization_id": organization,
            "key_id": api.key.split("_")[1],
            "key_name": None,
            "scopes": [scope],
            "expires_at": None,
        }


@check("get_caller")
def says_the_name_and_the_end_of_a_key(world: World) -> None:
    name = "Zo\u00eb \U0001f980, 100%"
    caller = ok(world.stack.api(world.stack.new_key("acme", "write,read", name=name, expires_in="1d")).get("/me"))
    assert (caller["key_name"], caller["scopes"]) == (name, ["read", "write"]), caller
    assert caller["expires_at"].endswith("Z"), caller


@check("get_caller")
def takes_no_query_and_no_other_key(world: World) -> None:
    invalid(world.reader.get("/me?key_id=1&scope=admin"), "query.key_id", "query.scope")
    gateways(world.stack.api(None).get("/me"), 401, "Unauthorized")
    gateways(world.stack.api(world.reader.key[:-1]).get("/me"), 403, "Forbidden")


# ---------------------------------------------------------------- console


def protected(answer: Answer) -> None:
    """Asserts the headers that keep a page from doing anything but what it is for."""
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'", policy
    assert policy["frame-ancestors"] == "'none'" and policy["require-trusted-types-for"] == "'script'", policy
    assert policy["script-src"].startswith("'self' 'sha256-") and "unsafe" not in str(policy), policy
    assert answer.headers["x-content-type-options"] == "nosniff", answer.headers
    assert answer.headers["referrer-policy"] == "no-referrer", answer.headers
    assert answer.headers["cross-origin-opener-policy"] == "same-origin", answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin", answer.headers
    # A gateway or a cache in between must not hand compressed bytes to those who do not take them.
    assert answer.headers["vary"].lower() == "accept-encoding", answer.headers


@check("console")
def serves_its_page_and_its_files_to_anybody(world: World) -> None:
    nobody = world.stack.api(None)
    page = nobody.send("GET", "/console", base="", accept_encoding="gzip")
    assert page.status == 200 and page.headers["cache-control"] == "no-cache", page
    assert page.headers["content-type"] == "text/html; charset=utf-8", page.headers
    protected(page)
    # urllib3 has unpacked it: API Gateway decoded the base64 in between.
    paths = re.findall(r'"(/console/[0-9a-f]{16}/[^"]+)"', page.body.decode())
    assert len(set(paths)) == 6, paths
    for path in set(paths):
        file = nobody.send("GET", path, base="", accept_encoding="gzip")
        assert file.status == 200 and file.body, f"{path}: {file}"
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable", path
        assert file.headers["content-encoding"] == "gzip", path
        protected(file)
        plain = nobody.send("GET", path, base="", accept_encoding="identity")
        assert plain.body == file.body and "content-encoding" not in plain.headers, path
    (script,) = (path for path in set(paths) if path.endswith("/app.js"))
    assert b"useExecution" in nobody.send("GET", script, base="").body


@check("console")
def its_addresses_are_links_and_other_files_are_not_there(world: World) -> None:
    nobody = world.stack.api(None)
    for path in ["/console/flows", f"/console/x/{MISSING}"]:
        answer = nobody.send("GET", path, base="")
        assert answer.status == 200 and b'type="module"' in answer.body, f"{path}: {answer}"
        protected(answer)
    etag = nobody.send("GET", "/console", base="").headers["etag"]
    known = nobody.send("GET", "/console", base="", if_none_match=etag)
    assert known.status == 304 and not known.body, known
    for path in ["/console/0123456789abcdef/app.js", "/console/nothing", "/console/x/a/b"]:
        answer = nobody.send("GET", path, base="")
        assert answer.status == 404 and answer.headers["content-type"].startswith("text/plain"), f"{path}: {answer}"
        protected(answer)
    # The API beside it is as closed as ever.
    gateways(nobody.get("/me"), 401, "Unauthorized")


# ---------------------------------------------------------------- authorizer


@check("authorizer")
def accepts_a_valid_key(world: World) -> None:
    # A new key, so that no cached answer hides the authorizer's permissions.
    fresh = world.stack.api(world.stack.new_key("acme", "read"))
    ok(fresh.get(f"{EXECUTIONS}?page_size=1"))


@check("authorizer")
def refuses_every_other_key(world: World) -> None:
    gateways(world.stack.api(None).get(EXECUTIONS), 401, "Unauthorized")
    unknown = f"ratchet_{'0' * 16}_{'0' * 72}"
    for key in ("secret", unknown, world.admin.key[:-1], world.admin.key.upper()):
        gateways(world.stack.api(key).get(EXECUTIONS), 403, "Forbidden")


@check("authorizer")
def a_revoked_key_ends_within_the_cache_time(world: World) -> None:
    key = world.stack.new_key("acme", "read")
    ok(world.stack.api(key).get(f"{EXECUTIONS}?page_size=1"))
    revoked = world.stack.keys("revoke", key.split("_")[1])
    assert revoked.returncode == 0, revoked.stderr
    time.sleep(AUTHORIZER_CACHE_SECONDS)
    gateways(world.stack.api(key).get(EXECUTIONS), 403, "Forbidden")


@check("authorizer")
def a_rotated_key_gives_way_to_the_new_one(world: World) -> None:
    old = world.stack.new_key("acme", "read")
    rotated = world.stack.keys("rotate", old.split("_")[1], "--keep-old", "3s")
    assert rotated.returncode == 0, rotated.stderr
    for key in (old, rotated.stdout.strip()):
        ok(world.stack.api(key).get(f"{EXECUTIONS}?page_size=1"))
    time.sleep(3 + AUTHORIZER_CACHE_SECONDS)
    gateways(world.stack.api(old).get(EXECUTIONS), 403, "Forbidden")
    ok(world.stack.api(rotated.stdout.strip()).get(f"{EXECUTIONS}?page_size=1"))
