"""The reporter: a thread that tells the service of a run, in order, and keeps trying for as long as the job runs."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._ending import End, cut
from ._errors import AlreadyEnded, ApiError, AuthError, ConfigurationError, Unavailable
from ._heartbeats import Order, obey
from ._json import as_list, as_object, dumps, is_object, made_plain
from ._records import TERMINAL, Execution, int_or_none, text_of
from ._retry import Result, call
from ._transport import Answer

if TYPE_CHECKING:
    from ._client import Client, Request

logger = logging.getLogger("ratchet")

STEP_BATCH = 25
"""Steps that the service takes in one request."""
STEP_BATCH_BYTES = 900_000
STEPS_KEPT = 10_000
"""Steps that wait for a service that is away. Beyond them the oldest are dropped."""
STEPS_PAUSE = 0.2
FIELDS_PAUSE = 1.0
"""Seconds between two reports of one kind, so that a loop that reports in each round makes no request in each."""
AUTH_PAUSE = 30.0
"""Seconds between tries with a key that is refused: it may be mended while the job runs."""


class Closed(Exception):
    """The time for reports is up."""


@dataclass
class State:
    """What the threads of a run share, under its lock."""

    execution: Execution | None = None
    execution_id: str | None = None
    attempt: int | None = None
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    """What is to be reported, the newest of each field."""
    steps: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict[str, "dict[str, Any]"])
    """The same for steps."""
    sending: bool = False
    """Something is on its way that is in neither of the two."""
    flushing: int = 0
    output: dict[str, Any] | None = None
    cancelled: bool = False
    reason: str | None = None
    lost: str | None = None
    """Why the execution is not this run's any more."""
    end: End | None = None
    close_by: float | None = None
    """When the time for reports is up; None while the job runs."""


class Reporter:
    """What is said of one run. `run` is the body of its thread; all else may be called from any other."""

    def __init__(self, client: Client, on_notice: Callable[[], object]) -> None:
        """`on_notice` is called once, when the job should stop."""
        self.client = client
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.state = State()
        self.started = threading.Event()
        """`running` is reported, or it is settled that it will not be soon."""
        self.done = threading.Event()
        """Nothing will be reported any more."""
        self.off: str | None = None
        """Why nothing is reported."""
        self.failure: Exception | None = None
        """Why the service could not be told, the last time that it could not."""
        self.not_counted: AlreadyEnded | None = None
        """The end was refused, for another writer had ended the execution."""
        self.late = False
        """The job began before the service knew of it."""
        self.begun = time.monotonic()
        self._on_notice = on_notice
        self._body: Mapping[str, Any] = {}
        self._create: Request | None = None
        self._running: Request | None = None
        self._without_inputs = False
        self._ending = False
        self._told: set[str] = set()
        self._pid = os.getpid()

    def foreign(self) -> bool:
        """Whether this is the child of a fork: the run is its parent's, as the threads are."""
        return os.getpid() != self._pid

    @property
    def closing(self) -> bool:
        """Whether the job is over."""
        return self.state.end is not None

    def close(self, end: End, seconds: float) -> None:
        """The job is over, and its end may be reported for so many seconds. The first call counts."""
        with self.changed:
            if self.state.end is None:
                self.state.end = end
                self.state.close_by = time.monotonic() + seconds
            self.changed.notify_all()

    # --- telling people ----------------------------------------------------------------------------------------------

    def tell(self, words: str) -> None:
        """A warning; standard error has it where the program has not set up logging."""
        logger.warning("ratchet: %s%s", f"execution {self.state.execution_id}: " if self.state.execution_id else "", words)

    def tell_once(self, what: str, words: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.tell(words)

    def plain(self, what: str, value: object) -> dict[str, Any]:
        """A value as it stands now, as a JSON object. Whatever it is: the job goes on."""
        try:
            plain, changes = made_plain(value)
        except Exception as error:
            self.tell(f"{what} cannot be read, and is not reported: {type(error).__name__}")
            return {}
        if changes:
            more = f" (and {len(changes) - 3} more)" if len(changes) > 3 else ""
            self.tell(f"{what}: {'; '.join(changes[:3])}{more}: sent as text")
        return as_object(plain) if is_object(plain) else {"result": plain}

    def cost(self, cost: float | Decimal | str | None) -> Decimal | None:
        """A cost, exactly. What is none is not reported, with a warning."""
        try:
            exact = None if cost is None else Decimal(str(cost))
        except ArithmeticError:
            exact = Decimal(-1)
        if exact is None or (exact.is_finite() and exact >= 0):
            return exact
        self.tell(f"{cost!r} is no cost, and is not reported")
        return None

    # --- collecting --------------------------------------------------------------------------------------------------

    def create(self, body: Mapping[str, Any]) -> None:
        """The execution is still to be created."""
        from ._client import execute_request

        self._body = self.plain("the execution", body)
        try:
            self._create = execute_request(self._body)
        except ValueError as error:
            self._drop_inputs(str(error))

    def _drop_inputs(self, why: str) -> None:
        """The inputs are too large: the execution matters more."""
        from ._client import execute_request

        self._without_inputs = True
        self.tell(f"its inputs are not reported: {cut(why, 500)}")
        body = {name: value for name, value in self._body.items() if name not in ("variables", "trigger_data", "metadata")}
        self._create = execute_request({**body, "metadata": {"omitted": cut(why, 500)}})

    def add_fields(self, fields: Mapping[str, Any]) -> None:
        """Reports fields soon: a newer value takes the place of one that waits."""
        if self.foreign() or not fields:
            return
        with self.changed:
            # Where something waits already, the thread knows when to look again.
            waiting = bool(self.state.fields)
            self.state.fields.update(fields)
            if not waiting:
                self.changed.notify_all()

    def add_step(self, step_id: str, fields: Mapping[str, Any]) -> None:
        """Reports a step soon: merged into what waits to be said of it."""
        if self.foreign():
            return
        with self.changed:
            steps = self.state.steps
            waiting = bool(steps)
            if step_id in steps:
                steps[step_id].update(fields)
            else:
                steps[step_id] = {"step_id": step_id, **fields}
            full = len(steps) > STEPS_KEPT
            if full:
                steps.popitem(last=False)
            if not waiting:
                self.changed.notify_all()
        if full:
            self.tell_once("many steps", f"more than {STEPS_KEPT} steps wait for the service: the oldest are dropped")

    def flush(self, timeout: float) -> bool:
        """Waits until what was reported so far has arrived. False where it did not in time."""
        state, until = self.state, time.monotonic() + timeout
        with self.changed:
            state.flushing += 1
            self.changed.notify_all()
            try:
                while state.fields or state.steps or state.sending or state.execution is None:
                    left = until - time.monotonic()
                    if left <= 0 or self.done.is_set() or self.off is not None:
                        return False
                    # Not for longer: what else ends the run does not always say so.
                    self.changed.wait(min(left, 0.2))
            finally:
                state.flushing -= 1
        return self.off is None

    def notice(self, order: Order, reason: str | None, status: str | None) -> None:
        """The job should stop: the service said so."""
        with self.lock:
            if self._ending:
                # That it is over is this run's own doing, or is about to be refused.
                return
            first = not self.state.cancelled
            self.state.cancelled = True
            self.state.reason = self.state.reason or reason
            if order == "stop" and self.state.lost is None:
                self.state.lost = reason or f"The execution is {status}"
        if first and not self.closing:
            self._on_notice()

    # --- the thread --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Reports all of the run. Returns once its end is, or cannot be."""
        try:
            if self._begin():
                self._go_on()
                self._report_end()
        except Closed:
            why = f" ({self.failure})" if self.failure else ""
            follows = (
                "there is no execution" if self.state.execution_id is None else "the service ends the execution by its own deadlines"
            )
            self.tell(f"what remained to be said could not be, in time{why}: {follows}")
        except Exception:
            # A bug of this module must not be the job's.
            logger.exception("ratchet: reporting stopped")
            self.off = self.off or "a bug"
        finally:
            self.started.set()
            self.done.set()
            with self.changed:
                self.changed.notify_all()

    def _pause(self, seconds: float) -> None:
        """Waits, until the job is over at most; after that, the time for reports bounds it. Raises Closed."""
        until = time.monotonic() + seconds
        with self.changed:
            was_closing = self.closing
            while was_closing or not self.closing:
                close_by = self.state.close_by
                if close_by is not None and until >= close_by:
                    raise Closed
                left = until - time.monotonic()
                if left <= 0:
                    return
                self.changed.wait(left)

    def _send(self, request: Request) -> Result:
        """Sends until there is an answer. Raises ApiError for a refusal, Closed when the time is up."""
        attempt = self.client.attempter(request)

        def bounded(timeout: float) -> Answer:
            close_by = self.state.close_by
            if close_by is not None:
                timeout = min(timeout, close_by - time.monotonic())
                if timeout <= 0:
                    raise Closed
            return attempt(timeout)

        # For as long as the job runs, and after it until its time for reports is up: _pause ends it.
        policy = replace(self.client.retry, attempts=1_000_000_000, deadline=float("inf"), retry_after_limit=float("inf"))
        result = call(bounded, policy, sleep=self._pause, note=self._note)
        self.failure = None
        return result

    def _note(self, failure: Unavailable) -> None:
        self.failure = failure

    # --- the begin ---------------------------------------------------------------------------------------------------

    def _begin(self) -> bool:
        """Creates the execution and reports `running`. False where there is nothing to report on."""
        from ._client import as_execution

        while self._create is not None:
            try:
                if self.state.execution is None:
                    execution = as_execution(self._send(self._create), "execution")
                    with self.lock:
                        self.state.execution, self.state.execution_id = execution, execution.id
                self._report_running()
                break
            except AuthError as error:
                self.failure = error
                self.tell_once("auth", f"the service refuses the API key: {error}; the job runs, and this is tried again")
                self.started.set()
                if not self.closing:
                    self._pause(AUTH_PAUSE)
                if self.closing:
                    self.off = str(error)
                    return False
            except (ApiError, ConfigurationError) as error:
                if isinstance(error, ApiError) and error.status == 413 and not self._without_inputs:
                    self._drop_inputs(error.detail)
                    continue
                self.failure = error
                self.off = str(error)
                self.tell(f"nothing is reported: {error}")
                return False
        if self.late and not self.closing:
            self.tell("the service knows of it now")
        self.started.set()
        return True

    def _report_running(self) -> None:
        from ._client import update_request

        execution = self.state.execution
        if execution is None or self.closing:
            # Too late for `running`: the end says it all.
            return
        self._running = self._running or update_request(execution.id, {"status": "running"})
        try:
            claimed = self._send(self._running)
        except ApiError as error:
            if error.current_status is None and error.status != 409:
                raise
            # Somebody was faster: it was cancelled before it ran.
            self.notice("stop", error.detail, error.current_status)
            return
        with self.lock:
            self.state.attempt = int_or_none(as_object(claimed.body), "attempt")

    # --- while the job runs ------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Reports fields and steps as they come, until the job is over. Those that come fast go together."""
        state = self.state
        fields_from = steps_from = 0.0
        while True:
            with self.changed:
                while True:
                    if self.closing:
                        return
                    here = time.monotonic() if not state.flushing else float("inf")
                    with_steps = bool(state.steps) and steps_from <= here
                    with_fields = bool(state.fields) and fields_from <= here
                    if with_steps or with_fields:
                        break
                    due = [when for what, when in ((state.fields, fields_from), (state.steps, steps_from)) if what]
                    self.changed.wait(min(due) - here if due else None)
            if with_steps:
                self._report_steps()
                steps_from = time.monotonic() + STEPS_PAUSE
            if with_fields:
                self._report_fields(self._attempt())
                fields_from = time.monotonic() + FIELDS_PAUSE

    def _attempt(self) -> dict[str, Any]:
        return {} if self.state.attempt is None else {"attempt": self.state.attempt}

    def _sent(self) -> None:
        with self.changed:
            self.state.sending = False
            self.changed.notify_all()

    def _report_fields(self, attempt: Mapping[str, Any]) -> None:
        from ._client import update_request

        with self.lock:
            fields, self.state.fields = self.state.fields, {}
            if not fields or self.state.execution_id is None:
                return
            self.state.sending = True
        try:
            self._send(update_request(self.state.execution_id, {**fields, **attempt}))
        except ApiError as error:
            self._refused(error, "fields")
        except ValueError as error:
            self.tell_once("large fields", f"fields are not reported: {error}")
        finally:
            self._sent()

    def _refused(self, error: ApiError, what: str) -> None:
        """A report before the end was refused. That by itself ends nothing; what it shows may."""
        if error.error_code == "ATTEMPT_SUPERSEDED" or error.current_status in TERMINAL:
            self.notice("stop", error.detail, error.current_status)
        self.tell_once(what, f"{what} were refused: {error}")

    def _report_steps(self) -> None:
        """Reports all steps that wait, as many at once as the service takes."""
        while True:
            batch: list[dict[str, Any]] = []
            with self.lock:
                size = 0
                for step_id, step in list(self.state.steps.items()):
                    size += len(dumps(step).encode())
                    if batch and (len(batch) >= STEP_BATCH or size > STEP_BATCH_BYTES):
                        break
                    batch.append(self.state.steps.pop(step_id))
                if not batch:
                    return
                self.state.sending = True
            try:
                self._send_steps(batch)
            finally:
                self._sent()

    def _send_steps(self, batch: list[dict[str, Any]]) -> None:
        from ._client import steps_request

        if self.state.execution_id is None:
            return
        try:
            answer = self._send(steps_request(self.state.execution_id, batch, self.state.attempt))
        except ApiError as error:
            if error.status in (413, 422) and len(batch) > 1:
                # One of them is the reason: the others count.
                for step in batch:
                    self._send_steps([step])
                return
            self._refused(error, "steps")
            return
        body = as_object(answer.body)
        obey(body, self.notice)
        again: set[str] = set()
        for outcome in map(as_object, as_list(body.get("outcomes"))):
            if outcome.get("outcome") == "unknown":
                again.add(text_of(outcome, "step_id"))
            elif outcome.get("outcome") == "refused":
                self.tell_once("a step", f"step {outcome.get('step_id')} was refused: {outcome.get('detail')}")
        if not again:
            return
        with self.lock:
            for step in batch:
                step_id = step["step_id"]
                if step_id in again:
                    # What came meanwhile is newer.
                    self.state.steps[step_id] = {**step, **self.state.steps.get(step_id, {})}
        self._pause(self.client.retry.backoff(1))

    # --- the end -----------------------------------------------------------------------------------------------------

    def _report_end(self) -> None:
        state, end = self.state, self.state.end
        if end is None:
            return
        self._report_steps()
        with self.lock:
            # From here on, what a heartbeat says of the end is this run's own doing.
            self._ending = True
        if state.lost is not None:
            # It is another's, or over: what this run made is not its result. What it used still counts.
            self._report_fields({})
            self._does_not_count(end, None, state.lost)
            return
        with self.lock:
            fields, state.fields = state.fields, {}
        body: dict[str, Any] = {"status": end.status, **self._attempt(), **fields}
        for name, value in (
            ("final_output", state.output),
            ("error_message", end.error_message),
            ("error_details", end.error_details),
        ):
            if value is not None:
                body[name] = value
        if self.late or state.attempt is None:
            # The service learned of the begin too late to know how long it took.
            body["duration_ms"] = end.duration_ms(self.begun)
        try:
            self._send_end(body)
        except ValueError as error:
            self._report_bare_end(body, str(error))
        except ApiError as error:
            if error.status == 413 or (error.status == 422 and error.error_code is None):
                self._report_bare_end(body, error.detail)
                return
            if error.current_status in TERMINAL:
                with self.lock:
                    state.fields = {**fields, **state.fields}
                self._report_fields({})
            self._does_not_count(end, error.current_status, str(error))

    def _send_end(self, body: Mapping[str, Any]) -> None:
        from ._client import update_request

        if self.state.execution_id is not None:
            self._send(update_request(self.state.execution_id, body))

    def _report_bare_end(self, body: Mapping[str, Any], why: str) -> None:
        """What belongs to the end is too large, or malformed: the end matters more."""
        self.tell(f"the end is reported without its data: {cut(why, 500)}")
        bare: dict[str, Any] = {name: body[name] for name in ("status", "attempt", "duration_ms") if name in body}
        if "error_message" in body:
            bare["error_message"] = cut(body["error_message"], 2_000)
        bare["error_details" if bare["status"] == "failed" else "final_output"] = {"omitted": cut(why, 500)}
        try:
            self._send_end(bare)
        except ApiError as error:
            self._does_not_count(End(bare["status"]), error.current_status, str(error))

    def _does_not_count(self, end: End, current_status: str | None, detail: str) -> None:
        self.not_counted = AlreadyEnded(self.state.execution_id or "", current_status, detail)
        self.tell(f"the end ({end.status}) does not count: {detail}")
