"""What each function must do, through the deployed API: the checks of the end-to-end suite, by function.

A check raises AssertionError if the service does not behave as it must. test_checks.py runs all of them. The proof of
least privilege runs those of a function with one permission taken away, and expects that they fail.
"""

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
