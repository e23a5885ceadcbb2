"""Runs: what happens to the job is what is reported, and what happens to the service is not the job's."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY, QUICK, Fault, Proxy, until

import ratchet
from ratchet import AlreadyEnded, Client, Execution, ExecutionCancelled, NotOwner, RetryPolicy, Run, Unavailable, current_run
from ratchet._ending import end_of
from ratchet._reporter import Reporter

Only = Callable[[], Execution]
SRC = Path(__file__).resolve().parent.parent / "src"


# --- how a block ends -------------------------------------------------------------------------------------------------


def test_a_block_that_is_left_normally_is_completed(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow, "scheduled", variables={"limit": 10}, metadata={"team": "x"}, agent_id="a", priority="high") as run:
        assert run.execution is not None and run.id == run.execution.id and run.attempt == 1
        assert only().status == "running"
        run.output({"rows": 1200})
    execution = only()
    assert (execution.status, execution.final_output, execution.error_message) == ("completed", {"rows": 1200}, None)
    assert (execution.trigger_type, execution.variables, execution.metadata) == ("scheduled", {"limit": 10}, {"team": "x"})
    assert (execution.timeout_seconds, execution.heartbeat_timeout_seconds) == (86_400, 120)


def test_an_exception_is_raised_again_and_reported_with_where(client: Client, flow: str, only: Only) -> None:
    def inner() -> None:
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table") as raised:
        with client.execution(flow):
            inner()
    assert "inner" in [entry.name for entry in raised.traceback]
    execution = only()
    assert execution.status == "failed" and execution.error_message == "LookupError: no such table"
    details = execution.error_details
    assert details is not None and details["type"] == "LookupError" and details["message"] == "no such table"
    assert "in inner" in details["traceback"] and details["traceback"].rstrip().endswith("LookupError: no such table")


class Custom(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (GeneratorExit(), "cancelled", "GeneratorExit"),
        (ExecutionCancelled("withdrawn"), "cancelled", "ExecutionCancelled: withdrawn"),
        (SystemExit(), "completed", None),
        (SystemExit(0), "completed", None),
        (SystemExit(False), "completed", None),
        (SystemExit(3), "failed", "exit code 3"),
        (SystemExit("no input"), "failed", "no input"),
        (Custom("odd"), "failed", "Custom: odd"),
        (MemoryError(), "failed", "MemoryError"),
    ],
)  # fmt: skip
def test_every_way_out_has_its_status_and_goes_on(
    client: Client, flow: str, only: Only, error: BaseException, status: str, message: str | None
) -> None:
    with pytest.raises(type(error)) as raised:
        with client.execution(flow):
            raise error
    assert raised.value is error
    assert (only().status, only().error_message) == (status, message)


def test_what_an_exception_says_is_bounded_and_any_text() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert end_of(Hostile()).error_message == "Hostile: <Hostile that cannot be shown>"
    long = end_of(ValueError("x" * 100_000))
    assert long.error_message is not None and len(long.error_message) == 65_536 and long.error_message.endswith("...")
    assert end_of(ValueError("\ud800")).error_message == "ValueError: ?"
    assert end_of(Custom()).error_details is not None

    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        else:
            raise ValueError("at the bottom")

    with pytest.raises(ValueError) as raised:
        deep(300)
    details = end_of(raised.value).error_details
    assert details is not None
    assert len(details["traceback"]) <= 8192 and "at the bottom" in details["traceback"]


def test_a_failed_run_has_the_output_as_far_as_it_came(client: Client, flow: str, only: Only) -> None:
    with pytest.raises(ValueError), client.execution(flow) as run:
        run.output({"rows": 3})
        raise ValueError("x")
    assert (only().status, only().final_output) == ("failed", {"rows": 3})


def test_an_output_that_is_no_object_is_the_result_of_one(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow) as run:
        run.output({"first": 1})
        run.output([1, Decimal("1.50")])
    assert only().raw["final_output"] == {"result": [1, 1.5]}


def test_an_output_that_json_does_not_have_fails_no_job(
    client: Client, flow: str, only: Only, caplog: pytest.LogCaptureFixture
) -> None:
    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no")

    with client.execution(flow) as run:
        run.output({"path": Path("/tmp/x"), "ratio": float("nan"), "set": {1}, "bad": "\ud800", 1: 2})
    assert only().final_output == {"path": "/tmp/x", "ratio": "nan", "set": "{1}", "bad": "\ufffd", "1": 2}
    assert "path is of type PosixPath" in caplog.text and "2 more" in caplog.text
    with client.execution(flow + "-hostile") as run:
        run.output(Hostile())
    assert "cannot be read" in caplog.text


def test_an_output_is_what_it_was_when_it_was_given(client: Client, flow: str, only: Only) -> None:
    rows: list[int] = [1]
    with client.execution(flow) as run:
        run.output({"rows": rows})
        rows.append(2)
    assert only().final_output == {"rows": [1]}


def test_an_output_beyond_a_megabyte_does_not_lose_the_end(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow) as run:
        run.output({"text": "x" * 3_000_000})
    assert only().status == "completed"
    assert "omitted" in (only().final_output or {})


def test_a_failure_beyond_measure_is_reported_without_its_data(client: Client, flow: str, only: Only) -> None:
    with pytest.raises(ValueError), client.execution(flow) as run:
        run.output({"text": "x" * 500_000})
        raise ValueError("y" * 60_000)
    execution = only()
    assert execution.status == "failed" and execution.error_message is not None and len(execution.error_message) == 2000
    assert "omitted" in (execution.error_details or {})


# --- while it runs ----------------------------------------------------------------------------------------------------


def test_fields_arrive_while_it_runs(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow) as run:
        run.report(tokens_used=5, cost_estimate="0.018", performance_metrics={"p": 1}, metadata={"m": 1}, tool_calls_count=2)
        assert run.flush()
        execution = only()
        assert (execution.tokens_used, execution.tool_calls_count, execution.performance_metrics, execution.metadata) == (5, 2, {"p": 1}, {"m": 1})
        assert execution.cost_estimate == 0.018


def test_sums_are_kept_over_threads_and_exact(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow) as run:

        def work() -> None:
            for _ in range(50):
                run.count(tokens=2, tool_calls=1, cost="0.1")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.count(cost=0.2)
    execution = only()
    assert (execution.tokens_used, execution.tool_calls_count) == (400, 200)
    assert str(execution.raw["cost_estimate"]) == "20.2"


def test_a_cost_that_is_none_is_told_and_left_out(client: Client, flow: str, only: Only, caplog: pytest.LogCaptureFixture) -> None:
    with client.execution(flow) as run:
        run.report(tokens_used=1, cost_estimate="much")
        run.report(cost_estimate=float("nan"))
        run.count(cost=-1)
    assert (only().status, only().tokens_used, only().cost_estimate) == ("completed", 1, None)
    assert caplog.text.count("is no cost") == 3


def test_fields_that_are_refused_do_not_end_anything(client: Client, flow: str, only: Only, caplog: pytest.LogCaptureFixture) -> None:
    with client.execution(flow) as run:
        run.report(tokens_used=-5)
        assert run.flush()
        run.report(tokens_used=7)
        run.output({"rows": 1})
        assert not run.cancelled
    assert (only().status, only().tokens_used, only().final_output) == ("completed", 7, {"rows": 1})
    assert "fields were refused" in caplog.text


def test_fields_that_are_refused_with_the_end_do_not_lose_it(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow) as run:
        run.report(tokens_used=1)
        run.flush()
        run.report(tokens_used=-5)
    assert only().status == "completed"


def test_a_loop_that_reports_in_each_round_makes_few_requests(client: Client, proxy: Proxy, flow: str, only: Only) -> None:
    begun = time.monotonic()
    with client.execution(flow) as run:
        for n in range(600):
            run.report(tokens_used=n)
            time.sleep(0.002)
    took = time.monotonic() - begun
    assert only().tokens_used == 599
    assert len([s for s in proxy.seen if s.method == "PATCH"]) <= 4 + took


def test_reporting_waits_for_nothing(client: Client, proxy: Proxy, flow: str) -> None:
    with client.execution(flow, report_timeout=0.2) as run:
        proxy.add_fault(Fault("hang", times=99))
        begun = time.monotonic()
        for n in range(200):
            run.report(tokens_used=n)
            run.output({"n": n})
            with run.step("x"):
                pass
        assert time.monotonic() - begun < 1.0


def test_steps_are_told_from_begin_to_end(client: Client, proxy: Proxy, flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    def spy(self: Reporter, step_id: str, fields: dict[str, Any]) -> None:
        told.append((step_id, dict(fields)))

    monkeypatch.setattr(Reporter, "add_step", spy)
    with client.execution(flow) as run:
        with run.step("fetch page", type="io", tool_name="http", input={"url": "u"}, metadata={"m": 1}) as step:
            step.output([1])
        with pytest.raises(ValueError), run.step("parse"):
            raise ValueError("bad")
        with pytest.raises(KeyboardInterrupt), run.step("x"):
            raise KeyboardInterrupt
    (a, first), (b, second), (_, _), (_, failed), (_, _), (_, interrupted) = told
    assert a == b == "001-000001-fetch-page"
    assert [step_id for step_id, _ in told][2::2] == ["001-000002-parse", "001-000003-x"]
    assert (first["step_name"], first["step_type"], first["tool_name"], first["status"]) == ("fetch page", "io", "http", "running")
    assert (first["input_data"], first["metadata"]) == ({"url": "u"}, {"m": 1})
    assert (second["status"], second["output_data"]) == ("completed", {"result": [1]}) and second["duration_ms"] >= 0
    assert first["started_at"] <= second["completed_at"]
    assert (failed["status"], failed["error_message"]) == ("failed", "ValueError: bad")
    assert interrupted["status"] == "cancelled"


def test_data_of_a_step_is_bounded(client: Client, flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    def spy(self: Reporter, step_id: str, fields: dict[str, Any]) -> None:
        told.append(dict(fields))

    monkeypatch.setattr(Reporter, "add_step", spy)
    with client.execution(flow) as run:
        with run.step("n" * 500, input={"x": "y" * 200_000}, metadata={"x": "y" * 30_000}) as step:
            step.output({"x": "y" * 200_000})
    assert "omitted" in told[0]["input_data"] and "omitted" in told[0]["metadata"] and "omitted" in told[1]["output_data"]
    assert len(told[0]["step_name"]) == 256 and len(step.id) <= 128


def steps_answer(proxy: Proxy, body: Any, status: int = 200, times: int = 1) -> None:
    proxy.add_fault(Fault("answer", method="POST", path="/steps$", status=status, body=body, headers={"content-type": "application/json"}, times=times))


def sent_steps(proxy: Proxy) -> list[list[dict[str, Any]]]:
    import json

    return [json.loads(s.body)["steps"] for s in proxy.seen if s.method == "POST" and s.path.endswith("/steps")]


def test_steps_that_come_fast_go_together(client: Client, proxy: Proxy, flow: str) -> None:
    steps_answer(proxy, {"execution_id": "x", "status": "running", "action": "continue", "outcomes": []}, times=99)
    with client.execution(flow) as run:
        for n in range(60):
            with run.step(f"s{n}"):
                pass
    batches = sent_steps(proxy)
    assert all(len(batch) <= 25 for batch in batches)
    assert 3 <= len(batches) <= 8
    final = {step["step_id"]: step for batch in batches for step in batch}
    assert len(final) == 60 and all(step["status"] == "completed" for step in final.values())


def test_steps_whose_outcome_is_unknown_are_told_again(client: Client, proxy: Proxy, flow: str) -> None:
    steps_answer(proxy, {"outcomes": [{"step_id": "001-000001-a", "outcome": "unknown"}]})
    steps_answer(proxy, {"outcomes": []}, times=99)
    with client.execution(flow) as run:
        with run.step("a"):
            pass
    assert [step["step_id"] for batch in sent_steps(proxy) for step in batch].count("001-000001-a") >= 2


def test_one_bad_step_does_not_lose_the_others(client: Client, proxy: Proxy, flow: str) -> None:
    proxy.add_fault(Fault("answer", method="POST", path="/steps$", status=503, body={}, times=1))
    steps_answer(proxy, {"detail": "too large", "error_code": "PAYLOAD_TOO_LARGE"}, 413)
    steps_answer(proxy, {"detail": "too large", "error_code": "PAYLOAD_TOO_LARGE"}, 413)
    steps_answer(proxy, {"outcomes": []}, times=99)
    with client.execution(flow) as run:
        proxy.down()
        for name in "abc":
            run.step(name).start()
        proxy.up()
    batches = sent_steps(proxy)
    assert [len(batch) for batch in batches][-3:] == [1, 1, 1]


def test_an_order_in_the_answer_to_steps_is_obeyed(client: Client, proxy: Proxy, flow: str) -> None:
    steps_answer(proxy, {"status": "running", "action": "cancel", "outcomes": []})
    with client.execution(flow) as run:
        with run.step("a"):
            pass
        until(lambda: run.cancelled)


def test_steps_beyond_all_measure_drop_the_oldest(client: Client, proxy: Proxy, flow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("ratchet._reporter.STEPS_KEPT", 10)
    proxy.down()
    with client.execution(flow, start_timeout=0.05, report_timeout=0.1) as run:
        for n in range(30):
            with run.step(f"s{n}"):
                pass
        assert len(run._state.steps) == 10
    assert caplog.text.count("the oldest are dropped") == 1


def test_flush_says_whether_it_arrived(client: Client, proxy: Proxy, flow: str) -> None:
    with client.execution(flow, report_timeout=2) as run:
        assert run.flush(3)
        proxy.down()
        run.report(tokens_used=1)
        assert not run.flush(0.3)
        proxy.up()
        assert run.flush(5)
    assert run.flush(0.1)


def test_the_current_run_is_the_innermost(client: Client, flow: str) -> None:
    assert current_run() is None
    with client.execution(flow) as outer:
        assert current_run() is outer
        with client.execution(flow) as inner:
            assert current_run() is inner
        assert current_run() is outer
    assert current_run() is None


# --- being told to stop -----------------------------------------------------------------------------------------------


def test_a_cancel_is_seen_and_the_block_that_leaves_for_it_is_cancelled(
    client: Client, direct: Client, flow: str, only: Only
) -> None:
    called: list[Run] = []
    with client.execution(flow, heartbeat_seconds=0.1, on_cancel=called.append) as run:
        direct.cancel(only().id, reason="withdrawn", grace_seconds=600)
        until(lambda: run.cancelled)
        assert run.cancel_reason == "withdrawn"
    assert called == [run]
    assert only().status == "cancelled"


def test_a_cancel_that_is_raised(client: Client, direct: Client, flow: str, only: Only) -> None:
    with pytest.raises(ExecutionCancelled, match="withdrawn"):
        with client.execution(flow, heartbeat_seconds=0.1) as run:
            run.raise_if_cancelled()
            direct.cancel(only().id, reason="withdrawn", grace_seconds=600)
            for _ in range(500):
                try:
                    run.raise_if_cancelled()
                except Exception:
                    pass
                time.sleep(0.01)
    assert only().status == "cancelled"


def test_a_run_that_did_not_look_is_completed(client: Client, direct: Client, flow: str, only: Only) -> None:
    with client.execution(flow, heartbeat_seconds=0.1) as run:
        direct.cancel(only().id, grace_seconds=600)
        until(lambda: run.cancel_reason)
    assert only().status == "completed"


def test_a_callback_that_fails_is_told(client: Client, direct: Client, flow: str, only: Only, caplog: pytest.LogCaptureFixture) -> None:
    def broken(run: Run) -> None:
        raise RuntimeError("a bug of the job's")

    with client.execution(flow, heartbeat_seconds=0.1, on_cancel=broken) as run:
        direct.cancel(only().id, grace_seconds=600)
        until(lambda: run.cancelled)
    assert "on_cancel failed" in caplog.text and only().status == "cancelled"


def test_a_run_that_another_ended_is_told_once_and_raises_nothing(
    client: Client, direct: Client, flow: str, only: Only, caplog: pytest.LogCaptureFixture
) -> None:
    with client.execution(flow, heartbeat_seconds=0.1) as run:
        direct.update_status(only().id, "failed", error_info={"message": "operator"})
        until(lambda: run.cancelled)
        assert run.cancel_reason is not None
    assert only().error_message == "operator"
    assert caplog.text.count("does not count") == 1


def test_a_strict_run_raises_what_was_lost_but_not_over_the_job_s_own_exception(client: Client, direct: Client, flow: str) -> None:
    run = client.execution(flow, strict=True)
    with pytest.raises(AlreadyEnded) as raised:
        with run:
            assert run.id
            direct.update_status(run.id, "failed")
    assert raised.value.current_status == "failed" and raised.value.execution_id == run.id
    with pytest.raises(ZeroDivisionError):
        with client.execution(flow, strict=True) as run:
            assert run.id
            direct.update_status(run.id, "failed")
            1 / 0  # noqa: B018  # pyright: ignore[reportUnusedExpression]


def test_the_answer_to_the_end_that_is_lost_is_no_stop(client: Client, proxy: Proxy, flow: str) -> None:
    with client.execution(flow, strict=True, heartbeat_seconds=0.02) as run:
        proxy.add_fault(Fault("lose_answer", method="PATCH", times=8))
    assert not run.cancelled


# --- the service is not there -----------------------------------------------------------------------------------------


def test_a_service_that_is_away_stops_no_job(proxy: Proxy, client: Client, flow: str, caplog: pytest.LogCaptureFixture) -> None:
    proxy.down()
    begun = time.monotonic()
    done = False
    with client.execution(flow, start_timeout=0.2, report_timeout=0.5) as run:
        assert time.monotonic() - begun < 1.0
        assert run.id is None and run.attempt is None and run.execution is None and not run.cancelled
        run.report(tokens_used=1)
        run.output({"a": 1})
        with run.step("x"):
            done = True
    assert done and time.monotonic() - begun < 3.0
    assert "the job runs" in caplog.text and "could not be" in caplog.text


def test_a_job_s_exception_is_its_own_whatever_the_service_does(proxy: Proxy, client: Client, flow: str) -> None:
    proxy.down()
    with pytest.raises(ValueError, match="mine"):
        with client.execution(flow, start_timeout=0.1, report_timeout=0.2):
            raise ValueError("mine")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500, 302])
def test_no_answer_stops_a_job(proxy: Proxy, client: Client, flow: str, status: int) -> None:
    proxy.add_fault(Fault("answer", status=status, body={"message": "no"}, times=999))
    done = False
    with client.execution(flow, start_timeout=0.3, report_timeout=0.3) as run:
        run.report(tokens_used=1)
        done = True
    assert done


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}", '{"execution": []}', '{"execution": {"id": 5}}', "null"])
def test_no_nonsense_stops_a_job(proxy: Proxy, client: Client, flow: str, text: str) -> None:
    proxy.add_fault(Fault("answer", status=200, text=text, times=999))
    done = False
    with client.execution(flow, start_timeout=0.3, report_timeout=0.3) as run:
        run.report(tokens_used=1)
        done = True
    assert done


@pytest.mark.parametrize("url", ["", "not a url", "http://127.0.0.1:1", "http://host.invalid", "ftp://x"])
def test_no_configuration_stops_a_job(url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("RATCHET_URL", raising=False)
    done = False
    with Client(url, "key", retry=QUICK).execution("f", start_timeout=0.3, report_timeout=0.3):
        done = True
    assert done and caplog.text


def test_values_that_are_no_json_stop_no_job(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow, variables={"a": {1, 2}, "b": float("nan")}, metadata={"path": Path("/x")}):
        pass
    assert only().variables == {"a": "{1, 2}", "b": "nan"} and only().metadata == {"path": "/x"}


def test_inputs_beyond_a_megabyte_stop_no_report(client: Client, flow: str, only: Only) -> None:
    with client.execution(flow, variables={"x": "y" * 2_000_000}):
        pass
    assert only().status == "completed" and only().variables == {} and "omitted" in only().metadata


def test_a_machine_without_threads_stops_no_job(client: Client, flow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    done = False
    with client.execution(flow) as run:
        run.report(tokens_used=1)
        done = True
    assert done and "can't start new thread" in caplog.text


def test_a_bug_in_the_reporter_stops_no_job(client: Client, flow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(self: Reporter) -> bool:
        raise KeyError("a bug")

    monkeypatch.setattr(Reporter, "_begin", broken)
    done, begun = False, time.monotonic()
    with client.execution(flow) as run:
        assert not run.flush(0.2)
        done = True
    assert done and "reporting stopped" in caplog.text
    # Nobody waits for reports that nobody makes any more: neither for the start nor for the end.
    assert time.monotonic() - begun < 2.5


def test_a_name_server_that_hangs_stops_no_job(flow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    released = threading.Event()

    def hang(*args: Any, **named: Any) -> Any:
        released.wait(10)
        raise OSError("no name")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    begun = time.monotonic()
    with Client("http://ratchet.example", "key", retry=QUICK).execution(flow, start_timeout=0.2, report_timeout=0.2):
        assert time.monotonic() - begun < 1.0
    assert time.monotonic() - begun < 3.0
    released.set()
    assert "could not be reported" in caplog.text


def test_a_key_that_is_mended_while_the_job_runs(client: Client, proxy: Proxy, flow: str, only: Only, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet._reporter.AUTH_PAUSE", 0.3)
    proxy.add_fault(Fault("answer", method="POST", status=403, body={"message": "Forbidden"}, times=2))
    with client.execution(flow) as run:
        assert run.attempt is None
        until(lambda: run.attempt == 1)
    assert only().status == "completed"


def test_who_asks_for_it_is_stopped(proxy: Proxy, client: Client, flow: str, direct: Client) -> None:
    proxy.down()
    with pytest.raises(Unavailable):
        with client.execution(flow, on_unavailable="raise", start_timeout=0.2):
            pytest.fail("the block was entered")
    proxy.up()
    with Client(proxy.url, "wrong", retry=QUICK) as other, pytest.raises(ratchet.AuthError):
        with other.execution(flow, on_unavailable="raise"):
            pytest.fail("the block was entered")
    with client.execution(flow + "-2", on_unavailable="raise"):
        pass
    assert direct.list(flow_id=flow + "-2").executions[0].status == "completed"
    time.sleep(0.3)
    assert all(e.status == "cancelled" for e in direct.list(flow_id=flow).executions)


def test_an_interrupt_while_entering_leaves_nothing_running(client: Client, proxy: Proxy, flow: str, direct: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.add_fault(Fault("delay", method="PATCH", seconds=0.3))

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    run = client.execution(flow)
    run._reporter.started = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        run.start()
    until(lambda: [e.status for e in direct.list(flow_id=flow).executions] == ["cancelled"])


def test_a_run_is_entered_once(client: Client, flow: str) -> None:
    run = client.execution(flow)
    run.finish()
    with run:
        pass
    with pytest.raises(RuntimeError, match="once"):
        run.start()


def test_what_came_late_is_reported_whole(client: Client, proxy: Proxy, flow: str, only: Only, caplog: pytest.LogCaptureFixture) -> None:
    proxy.down()
    with caplog.at_level(logging.WARNING), client.execution(flow, start_timeout=0.1) as run:
        run.report(tokens_used=3)
        run.output({"a": 1})
        time.sleep(0.3)
        proxy.up()
        until(lambda: run.attempt == 1)
    execution = only()
    assert (execution.status, execution.tokens_used, execution.final_output) == ("completed", 3, {"a": 1})
    assert execution.duration_ms is not None and 400 <= execution.duration_ms < 5000
    assert "knows of it now" in caplog.text


# --- claims -----------------------------------------------------------------------------------------------------------


def test_of_many_workers_one_works(client: Client, direct: Client, flow: str) -> None:
    execution = direct.execute(flow, heartbeat_timeout_seconds=15)
    worked: list[int] = []
    lost: list[NotOwner] = []
    barrier = threading.Barrier(6)

    def worker(n: int) -> None:
        barrier.wait()
        try:
            with client.claim(execution.id) as run:
                worked.append(n)
                time.sleep(0.2)
                run.output({"by": n})
        except NotOwner as error:
            lost.append(error)

    threads = [threading.Thread(target=worker, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worked) == 1 and len(lost) == 5
    assert all(error.by is not None and error.current_status in ("running", "completed") for error in lost)
    found = direct.get(execution.id)
    assert found is not None and found.final_output == {"by": worked[0]}


def test_a_claim_after_an_attempt(client: Client, direct: Client, flow: str) -> None:
    execution = direct.execute(flow)
    direct.update(execution.id, status="running")
    direct.update(execution.id, status="retrying")
    with pytest.raises(NotOwner):
        with client.claim(execution.id, after_attempt=7):
            pytest.fail("the block was entered")
    with client.claim(execution.id, after_attempt=1) as run:
        assert run.attempt == 2
        assert run.step("x")._next_id("x").startswith("002-")


def test_a_claim_of_what_is_not_there(client: Client) -> None:
    with pytest.raises(ratchet.NotFoundError):
        with client.claim("00000000-0000-4000-8000-000000000000"):
            pytest.fail("the block was entered")


def test_who_won_is_told_even_where_that_cannot_be_read(client: Client, direct: Client, proxy: Proxy, flow: str) -> None:
    execution = direct.execute(flow)
    direct.update(execution.id, status="running")
    proxy.add_fault(Fault("answer", path="/transitions", status=500, body={"error_code": "INTERNAL", "detail": "x"}))
    with pytest.raises(NotOwner) as raised:
        with client.claim(execution.id):
            pytest.fail("the block was entered")
    assert raised.value.by is None and raised.value.current_status == "running"


def test_heartbeats_are_as_often_as_the_service_asks(client: Client, direct: Client, proxy: Proxy, flow: str) -> None:
    execution = direct.execute(flow, heartbeat_timeout_seconds=15)
    with client.claim(execution.id) as run:
        pulse_thread = [t for t in threading.enumerate() if t.name == "ratchet-pulse"]
        assert pulse_thread
        proxy.add_fault(Fault("replace", path="/heartbeat$", status=200, headers={"content-type": "application/json"}, body={"action": "continue", "status": "running", "heartbeat_in_seconds": 1}))
        time.sleep(6.8)
        assert not run.cancelled
    beats = [s.at for s in proxy.seen if s.path.endswith("/heartbeat")]
    # The first after a third of fifteen seconds, the next one second later.
    assert len(beats) == 2 and 0.9 <= beats[1] - beats[0] <= 1.6


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_reports_nothing(client: Client, flow: str, only: Only, proxy: Proxy) -> None:
    with client.execution(flow) as run:
        # Held by threads that the child does not have.
        run._reporter.lock.acquire()
        run._lock.acquire()
        child = os.fork()
        if child == 0:
            # As multiprocessing does: the child leaves the block, too.
            try:
                run.report(tokens_used=1)
                run.count(tokens=1)
                run.output({"child": True})
                with run.step("x"):
                    pass
                run.flush(1)
                run.finish(ValueError("the child's"))
                os._exit(0)
            finally:
                os._exit(4)
        run._reporter.lock.release()
        run._lock.release()
        end = time.monotonic() + 10
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
            time.sleep(0.02)
        if done[0] == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert done == (child, 0)
        assert only().status == "running"
    assert (only().status, only().final_output) == ("completed", None)


def script(proxy: Proxy, code: str, *, url: str | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SRC), "RATCHET_URL": url or proxy.url, "RATCHET_API_KEY": KEY}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # As a terminal starts it: tests in the background of a script have inherited that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_script_that_is_interrupted_is_cancelled_and_ends_as_it_would(proxy: Proxy, flow: str, only: Only) -> None:
    process = script(
        proxy,
        f"""
        import time
        from ratchet import Client
        with Client().execution("{flow}"):
            print("running", flush=True)
            time.sleep(30)
        """,
    )
    assert process.stdout and process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert only().status == "cancelled"


def test_a_second_interrupt_ends_a_script_that_cannot_report(proxy: Proxy, flow: str) -> None:
    process = script(
        proxy,
        f"""
        import time
        from ratchet import Client
        with Client().execution("{flow}", report_timeout=60):
            print("running", flush=True)
            time.sleep(30)
        """,
    )
    assert process.stdout and process.stdout.readline() == "running\n"
    proxy.down()
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == -signal.SIGINT


def test_a_script_s_exit_code_is_its_own(proxy: Proxy, flow: str, only: Only) -> None:
    process = script(proxy, f'import sys\nfrom ratchet import Client\nwith Client().execution("{flow}"):\n    sys.exit(3)')
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 3 and errors == ""
    assert (only().status, only().error_message) == ("failed", "exit code 3")


def test_a_script_with_the_service_away_ends_well_and_says_why_on_standard_error(proxy: Proxy, flow: str) -> None:
    proxy.down()
    begun = time.monotonic()
    process = script(
        proxy, f'from ratchet import Client\nwith Client().execution("{flow}", report_timeout=0.5):\n    print("worked")', url=proxy.url
    )
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "worked\n")
    assert "the job runs" in errors and "Traceback" not in errors
    # Three seconds at most to enter, by default.
    assert time.monotonic() - begun < 8


def test_heartbeats_go_on_while_the_job_blocks_its_loop(client: Client, proxy: Proxy, flow: str) -> None:
    import asyncio

    def beats() -> int:
        return len([s for s in proxy.seen if s.path.endswith("/heartbeat")])

    async def main() -> None:
        async with client.aexecution(flow, heartbeat_seconds=0.1):
            # All of this without an await: a task of the loop would send none.
            end = time.monotonic() + 20
            while beats() < 3 and time.monotonic() < end:
                sum(range(1000))
            assert beats() >= 3

    asyncio.run(main())


def test_the_policy_of_the_client_is_that_of_the_run(proxy: Proxy, flow: str) -> None:
    client = Client(proxy.url, KEY, retry=RetryPolicy(timeout=0.3, backoff_base=0.05, backoff_cap=0.05))
    proxy.add_fault(Fault("hang", method="POST", path="/flows/execute", times=2))
    begun = time.monotonic()
    with client.execution(flow) as run:
        assert run.attempt == 1
    assert 0.6 <= time.monotonic() - begun < 2.5
    client.close()
