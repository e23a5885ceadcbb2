"""The driver by which the conformance list (clients/conformance) runs the Python client."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from ratchet import (
    AlreadyEnded,
    ApiError,
    Client,
    ConfigurationError,
    NotOwner,
    RetryPolicy,
    Run,
    Unavailable,
    WaitTimeout,
)
from ratchet._json import dumps, loads
from ratchet._records import Execution

Args = dict[str, Any]

ERRORS: dict[str, Callable[[str, int], BaseException]] = {
    "error": lambda message, code: ValueError(message),
    "interrupt": lambda message, code: KeyboardInterrupt(),
    "cancel": lambda message, code: asyncio.CancelledError(),
    "exit": lambda message, code: SystemExit(code),
}


def record(execution: Execution) -> Args:
    return {"record": execution.raw, "etag": execution.etag, "replayed": execution.replayed}


class Driver:
    """What the list calls."""

    def __init__(self) -> None:
        self.client = Client("http://127.0.0.1:1", "none")
        self.run: Run | None = None
        self.noticed: dict[str, Any] = {}
        self.notice_changed = threading.Condition()
        self.keeping = threading.Event()

    def connect(self, url: str, api_key: str, options: Args) -> Args:
        given = dict(options)
        scale = float(given.pop("poll_scale", 1.0))
        policy = {name: int(value) if name == "attempts" else float(value) for name, value in given.items()}
        self.client = Client(url, api_key, retry=RetryPolicy(**policy))  # type: ignore[arg-type]
        self.client.poll_scale = scale
        return {"client": "python", "groups": ["requests", "wait", "heartbeats", "runs"]}

    def execute(self, idempotency_key: str | None = None, **body: Any) -> Args:
        return record(self.client.execute_body(body, idempotency_key=idempotency_key))

    def get(self, execution_id: str, if_none_match: str | None = None) -> Args:
        found = self.client.get(execution_id, if_none_match=if_none_match)
        return {"not_modified": True} if found is None else record(found)

    def list(self, **query: Any) -> Args:
        return self.client.list(**query).raw

    def walk(self, **query: Any) -> Args:
        return {"ids": [execution.id for execution in self.client.walk(**query)]}

    def update(
        self, execution_id: str, if_match: str | None = None, idempotency_key: str | None = None, **body: Any
    ) -> Args:
        return record(self.client.update_body(execution_id, body, if_match=if_match, idempotency_key=idempotency_key))

    def update_status(self, execution_id: str, status: Any, **more: Any) -> Any:
        return self.client.update_status(execution_id, status, **more)

    def transitions(self, execution_id: str) -> Args:
        return {"execution_id": execution_id, "transitions": self.client.transitions(execution_id)}

    def heartbeat(self, execution_id: str, attempt: int | None = None) -> Any:
        return self.client.heartbeat(execution_id, attempt)

    def last_heartbeat(self, execution_id: str) -> Any:
        return self.client.last_heartbeat(execution_id)

    def cancel(self, execution_id: str, **more: Any) -> Any:
        return self.client.cancel(execution_id, **more)

    def report_steps(self, execution_id: str, **more: Any) -> Any:
        return self.client.report_steps(execution_id, **more)

    def list_steps(self, execution_id: str, **more: Any) -> Args:
        return {"steps": [*self.client.steps(execution_id, **more)]}

    def me(self) -> Any:
        return self.client.me()

    def wait(self, execution_id: str, timeout: float) -> Args:
        return record(self.client.wait(execution_id, float(timeout)))

    # --- heartbeats: by a run that claims nothing ---------------------------------------------------------------------

    def keep_alive(self, execution_id: str, attempt: int | None = None, every: float | None = None) -> Args:
        from ratchet._heartbeats import Pulse

        def told(action: str, reason: str | None, status: str | None) -> None:
            with self.notice_changed:
                if not self.noticed:
                    self.noticed.update(action=action, reason=reason, status=status)
                self.notice_changed.notify_all()

        self.keeping = threading.Event()
        pulse = Pulse(self.client, execution_id, attempt, None if every is None else float(every), told)
        threading.Thread(target=pulse.beat_until, args=(self.keeping,), daemon=True).start()
        return {}

    def notice(self, seconds: float) -> Args:
        with self.notice_changed:
            self.notice_changed.wait_for(lambda: bool(self.noticed), float(seconds))
            return self.noticed or {"action": None}

    def stop_keep_alive(self) -> Args:
        self.keeping.set()
        return {}

    # --- runs ---------------------------------------------------------------------------------------------------------

    def entered(self) -> Run:
        assert self.run is not None, "there is no run"
        return self.run

    def run_start(self, options: Args | None = None, **body: Any) -> Args:
        body = {"trigger_type": "api", **body}
        self.run = self.client.execution(**body, **_times(options))
        self.run.__enter__()
        return {}

    def run_claim(self, execution_id: str, options: Args | None = None) -> Args:
        run = self.client.claim(execution_id, **_times(options))
        run.__enter__()
        self.run = run
        assert run.execution is not None
        return {"record": run.execution.raw}

    def run_state(self, seconds: float = 0, until: str = "started") -> Args:
        run = self.entered()
        end = time.monotonic() + float(seconds)

        def is_so() -> bool:
            return run.cancelled if until == "cancelled" else run.attempt is not None

        while not is_so() and time.monotonic() < end:
            time.sleep(0.01)
        cancelled = is_so() if until == "cancelled" else run.cancel_reason is not None
        return {"execution_id": run.id, "attempt": run.attempt, "cancelled": cancelled, "reason": run.cancel_reason}

    def run_report(self, **fields: Any) -> Args:
        self.entered().report(**fields)
        return {}

    def run_output(self, output: Any) -> Args:
        self.entered().output(output)
        return {}

    def run_step(self, name: str, input_data: Any = None, output_data: Any = None, **more: Any) -> Args:
        try:
            with self.entered().step(name, input=input_data) as step:
                if output_data is not None:
                    step.output(output_data)
                if "raise" in more:
                    raise ValueError(more["raise"])
        except ValueError:
            pass
        return {}

    def run_flush(self, seconds: float) -> Args:
        return {"flushed": self.entered().flush(float(seconds))}

    def run_end(self, how: str, message: str = "", code: int = 1) -> Args:
        run = self.entered()
        begun = time.monotonic()
        raised: str | None = None
        try:
            if how == "return":
                run.__exit__(None, None, None)
            else:
                error = ERRORS[how](message, code)
                run.__exit__(type(error), error, None)
        except Exception as caught:
            raised = type(caught).__name__
        return {"seconds": time.monotonic() - begun, "raised": raised}


def _times(options: Args | None) -> Args:
    return {name: value if isinstance(value, bool) else float(value) for name, value in (options or {}).items()}


def failure(error: Exception) -> Args:
    if isinstance(error, WaitTimeout):
        return {"kind": "wait_timeout", "record": error.execution.raw}
    if isinstance(error, NotOwner):
        return {"kind": "not_owner", "current_status": error.current_status, "by": error.by}
    if isinstance(error, ApiError):
        return {
            "kind": "api",
            "status": error.status,
            "error_code": error.error_code,
            "detail": error.detail,
            "current_status": error.current_status,
            "requested_status": error.requested_status,
            "correlation_id": error.correlation_id,
        }
    if isinstance(error, Unavailable):
        return {
            "kind": "unavailable",
            "status": error.status,
            "error_code": error.error_code,
            "outcome_unknown": error.outcome_unknown,
        }
    if isinstance(error, (ValueError, ConfigurationError, AlreadyEnded)):
        return {"kind": "invalid", "detail": str(error)}
    raise error


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    driver = Driver()
    for line in sys.stdin:
        command = loads(line)
        try:
            answer = {"ok": getattr(driver, command["call"])(**command["args"])}
        except Exception as error:
            answer = {"error": failure(error)}
        sys.stdout.write(dumps(answer) + "\n")
        sys.stdout.flush()
    # A run that a case has left open must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
