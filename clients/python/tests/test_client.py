"""The client's calls, where the conformance list says nothing: configuration, arguments, types."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from conftest import Proxy

import ratchet
from ratchet import AuthError, Client, ConfigurationError, Execution, Number, WaitTimeout
from ratchet._client import MAX_BODY, Request


def test_the_environment_says_where_and_who(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_URL", proxy.url)
    monkeypatch.setenv("RATCHET_API_KEY", "reader")
    with Client() as client:
        assert client.me()["scopes"] == ["read"]
    with Client(api_key="python-client-key") as client:
        assert "admin" in client.me()["scopes"]


@pytest.mark.parametrize(
    ("url", "key", "words"),
    [(None, "key", "RATCHET_URL"), ("", "key", "RATCHET_URL"), ("http://host", None, "RATCHET_API_KEY"), ("host:1", "key", "not a URL")],
)
def test_a_client_that_is_not_configured_says_so_when_it_is_used(
    url: str | None, key: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RATCHET_URL", raising=False)
    monkeypatch.delenv("RATCHET_API_KEY", raising=False)
    client = Client(url, key)
    with pytest.raises(ConfigurationError, match=words):
        client.me()
    with pytest.raises(ConfigurationError, match=words):
        with client.claim("x"):
            pass


def test_a_request_is_frozen_with_its_key() -> None:
    body = {"flow_id": "f", "variables": {"a": [1]}}
    request = Request("POST", "/flows/execute", body, keyed=True)
    sent = request.body
    body["variables"]["a"].append(2)  # type: ignore[index]
    assert request.body == sent == b'{"flow_id": "f", "variables": {"a": [1]}}'
    assert request.headers["idempotency-key"] != Request("POST", "/flows/execute", body, keyed=True).headers["idempotency-key"]


@pytest.mark.parametrize("value", ["", "a\r\nx-api-key: other", "ü", "x" * 256, "a\x7f"])
def test_a_header_is_visible_text(value: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Request("POST", "/x", {}, idempotency_key=value, keyed=True)
    with pytest.raises(ValueError, match="visible ASCII"):
        Request("PATCH", "/x", {}, if_match=value)


def test_a_body_that_is_too_large_is_not_sent(client: Client, proxy: Proxy) -> None:
    with pytest.raises(ValueError, match=str(MAX_BODY)):
        client.execute("f", variables={"text": "x" * MAX_BODY})
    assert proxy.seen == []


def test_a_value_that_is_no_json_is_not_sent(client: Client, proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="variables.when is of type set"):
        client.execute("f", variables={"when": {1}})
    assert proxy.seen == []


def test_an_empty_id_is_not_sent(client: Client, proxy: Proxy) -> None:
    for call in (client.get, client.transitions, client.heartbeat, client.cancel):
        with pytest.raises(ValueError, match="execution_id"):
            call("")
    assert proxy.seen == []


def test_all_that_execute_takes(client: Client, flow: str) -> None:
    at = datetime.now(timezone.utc) + timedelta(hours=1)
    parent = client.execute(flow)
    made = client.execute(
        flow, "scheduled", trigger_data={"tick": 1}, variables={"a": Decimal("1.10")}, priority="urgent", timeout_seconds=60,
        heartbeat_timeout_seconds=30, start_timeout_seconds=3600, max_retries=7, metadata={"m": None}, scheduled_at=at,
        agent_id="agent", parent_execution_id=parent.id,
    )  # fmt: skip
    assert (made.trigger_type, made.trigger_data, made.priority, made.timeout_seconds) == ("scheduled", {"tick": 1}, "urgent", 60)
    assert (made.heartbeat_timeout_seconds, made.start_timeout_seconds, made.max_retries) == (30, 3600, 7)
    assert (made.metadata, made.agent_id, made.parent_execution_id) == ({"m": None}, "agent", parent.id)
    assert made.scheduled_at is not None and abs(made.scheduled_at - at) < timedelta(seconds=1)
    assert isinstance(made.variables["a"], Number) and made.variables["a"].decimal == Decimal("1.10")


def test_all_that_update_takes(client: Client, flow: str) -> None:
    made = client.execute(flow)
    done = client.update(
        made.id, status="failed", final_output={"a": 1}, error_message="e", error_details={"d": 1}, duration_ms=5, retry_count=1,
        tokens_used=6, tool_calls_count=7, cost_estimate="0.0180", performance_metrics={"p": 1}, metadata={"m": 1},
        timeout_seconds=9000, completed_at=datetime(2026, 1, 1, tzinfo=timezone.utc), if_match=made.etag,
    )  # fmt: skip
    assert (done.status, done.final_output, done.error_message, done.error_details) == ("failed", {"a": 1}, "e", {"d": 1})
    assert (done.duration_ms, done.retry_count, done.tokens_used, done.tool_calls_count) == (5, 1, 6, 7)
    assert (done.performance_metrics, done.metadata, done.timeout_seconds) == ({"p": 1}, {"m": 1}, 9000)
    assert done.completed_at == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert done.cost_estimate == pytest.approx(0.018) and done.ended and done.version == 2


def test_a_cost_that_is_no_number_is_not_sent(client: Client, proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="cost_estimate"):
        client.update("x", cost_estimate="much")
    assert proxy.seen == []


def test_a_record_gives_what_there_is() -> None:
    empty = Execution({})
    assert (empty.id, empty.steps, empty.final_output, empty.started_at, empty.cost_estimate, empty.ended) == ("", None, None, None, None, False)
    odd = Execution({"id": 5, "tokens_used": True, "variables": [], "cost_estimate": Number("0.10"), "steps": [{"a": 1}, 7], "final_output": {}})
    assert (odd.id, odd.tokens_used, odd.variables, odd.final_output) == ("", None, {}, {})
    assert odd.cost_estimate == 0.1 and odd.steps == [{"a": 1}]


def test_errors_survive_a_process_border() -> None:
    error = WaitTimeout(Execution({"id": "x", "status": "running"}), 5)
    again = pickle.loads(pickle.dumps(error))
    assert again.execution.id == "x" and str(again) == "execution x is still running after 5 s"
    assert isinstance(again, TimeoutError)
    lost = pickle.loads(pickle.dumps(ratchet.NotOwner("x", "running", "ci", "no")))
    assert (lost.current_status, lost.by) == ("running", "ci")
    ended = pickle.loads(pickle.dumps(ratchet.AlreadyEnded("x", "failed", "no")))
    assert ended.current_status == "failed"


def test_a_cancel_is_no_exception_that_an_except_clause_catches() -> None:
    assert not issubclass(ratchet.ExecutionCancelled, Exception)


def test_lists_walk_with_filters(client: Client, flow: str) -> None:
    made = [client.execute(flow, agent_id=f"agent-{n % 2}") for n in range(5)]
    walked: list[Any] = [e.id for e in client.walk(flow_id=flow, agent_id="agent-0", status=["pending", "running"], page_size=2)]
    assert walked == [made[4].id, made[2].id, made[0].id]
    assert client.list(flow_id=flow, created_after=datetime.now(timezone.utc) + timedelta(hours=1)).executions == []


def test_a_key_that_may_only_read(proxy: Proxy) -> None:
    with Client(proxy.url, "reader") as reader, pytest.raises(AuthError, match="scope"):
        reader.execute("f")


def test_the_version_is_told(client: Client, proxy: Proxy) -> None:
    client.me()
    assert proxy.seen[0].headers["user-agent"] == f"ratchet-python/{ratchet.__version__}"


def test_all_attempts_have_one_correlation_id(client: Client, proxy: Proxy) -> None:
    from conftest import Fault

    proxy.add_fault(Fault("lose_answer"))
    client.me()
    first, second = (seen.headers["x-correlation-id"] for seen in proxy.seen)
    assert first == second
