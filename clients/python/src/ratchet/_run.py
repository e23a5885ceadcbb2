"""A run: a job whose execution is reported while it runs, and never because of which it stops.

Everything that talks to the service happens in two threads of the run's own: the reporter and the pulse, which sends heartbeats.
The job's own thread waits for them at two places alone, entering and leaving, and there for a bounded time, whatever hangs (a
name server, too). A claim is the exception: whoever claims wants to know first.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._ending import End, end_of
from ._errors import ApiError, ExecutionCancelled, NotOwner, Unavailable
from ._heartbeats import Pulse
from ._json import as_list, as_object
from ._records import Execution, Object, text_or_none
from ._reporter import Reporter
from ._retry import call
from ._steps import Step

if TYPE_CHECKING:
    from ._client import Client

logger = logging.getLogger("ratchet")

_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("ratchet_current_run", default=None)


def current_run() -> Run | None:
    """The innermost run whose block this code is in; None outside of any."""
    return _current.get()


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves. Times are in seconds; `Client.execution` and `Client.claim` say what each means."""

    strict: bool = False
    required: bool = False
    start_timeout: float = 3.0
    report_timeout: float = 60.0
    heartbeat_seconds: float | None = None
    on_cancel: Callable[[Run], object] | None = None


class Run:
    """An execution while its job runs: made by `Client.execution` and `Client.claim`.

    All of its methods may be called from any thread, and none of them but `flush` waits for the network.
    """

    def __init__(self, client: Client, options: RunOptions) -> None:
        """For `monitored` and `claimed`."""
        self._client = client
        self._options = options
        self._reporter = Reporter(client, self._noticed)
        self._state = self._reporter.state
        self._claim: tuple[str, int | None] | None = None
        self._heartbeat_timeout: int | None = None
        self._entered = False
        self._cancel_seen = False
        self._steps = 0
        self._lock = threading.Lock()
        self._tokens = self._tool_calls = 0
        self._cost = Decimal(0)
        self._token: contextvars.Token[Run | None] | None = None

    @classmethod
    def monitored(cls, client: Client, body: Mapping[str, Any], options: RunOptions) -> Run:
        """A run that creates its execution. `body` is that of execute flow."""
        run = cls(client, options)
        run._reporter.create(body)
        timeout = body.get("heartbeat_timeout_seconds")
        run._heartbeat_timeout = timeout if isinstance(timeout, int) else None
        return run

    @classmethod
    def claimed(cls, client: Client, execution_id: str, after_attempt: int | None, options: RunOptions) -> Run:
        """A run of an execution that exists."""
        run = cls(client, options)
        run._claim = execution_id, after_attempt
        run._state.execution_id = execution_id
        return run

    # --- for the job -------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The execution's id; None while it could not be created."""
        return self._state.execution_id

    @property
    def execution(self) -> Execution | None:
        """The record as it was when it was created or claimed."""
        return self._state.execution

    @property
    def attempt(self) -> int | None:
        """The number of this attempt; None while `running` could not be reported."""
        return self._state.attempt

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop: somebody asked for it, or the execution is another's or over.

        A block that has seen this be true, and is left without an output, is reported as cancelled.
        """
        if self._state.cancelled:
            self._cancel_seen = True
            return True
        return False

    @property
    def cancel_reason(self) -> str | None:
        """Why it should stop."""
        return self._state.reason

    def raise_if_cancelled(self) -> None:
        """Raises ExecutionCancelled where the job should stop."""
        if self.cancelled:
            raise ExecutionCancelled(self._state.reason or "cancelled")

    def output(self, output: object) -> None:
        """What becomes `final_output`; a run that fails or is cancelled has it, too, as far as it came. The last one counts.

        An object as it is; anything else as the `result` of one. What JSON does not have is sent as text, with a warning.
        """
        if not self._reporter.foreign():
            plain = self._reporter.plain("the output", output)
            with self._reporter.lock:
                self._state.output = plain

    def report(
        self,
        *,
        tokens_used: int | None = None,
        tool_calls_count: int | None = None,
        cost_estimate: float | Decimal | str | None = None,
        performance_metrics: Object | None = None,
        metadata: Object | None = None,
    ) -> None:
        """Reports fields, soon and in the background. None leaves one as it is; objects replace, they do not merge."""
        fields: dict[str, Any] = {
            "tokens_used": tokens_used,
            "tool_calls_count": tool_calls_count,
            "cost_estimate": self._reporter.cost(cost_estimate),
            "performance_metrics": performance_metrics,
            "metadata": metadata,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        self._reporter.add_fields(self._reporter.plain("the report", given))

    def count(self, *, tokens: int = 0, tool_calls: int = 0, cost: float | Decimal | str = 0) -> None:
        """Adds to what the run has used so far, and reports the sums."""
        if self._reporter.foreign():
            return
        exact = self._reporter.cost(cost) or Decimal(0)
        with self._lock:
            self._tokens += tokens
            self._tool_calls += tool_calls
            self._cost += exact
            self.report(
                tokens_used=self._tokens if tokens else None,
                tool_calls_count=self._tool_calls if tool_calls else None,
                cost_estimate=self._cost if exact else None,
            )

    def step(
        self,
        name: str,
        *,
        type: str = "task",
        tool_name: str | None = None,
        input: object = None,
        metadata: Object | None = None,
    ) -> Step:
        """A step of the run: `with run.step("fetch") as step: ...`, or `async with`. It ends as its block does."""
        return Step(self._reporter, self._step_id, name, type, tool_name, input, metadata)

    def _step_id(self, name: str) -> str:
        """An id that sorts in the order of the work, within the attempt and after those of earlier ones."""
        if self._reporter.foreign():
            return name[:60]
        with self._lock:
            self._steps += 1
            number = self._steps
        slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in name[:60]).strip("-")
        return f"{self._state.attempt or 1:03d}-{number:06d}" + (f"-{slug}" if slug else "")

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until what was reported so far has arrived. False where it did not in time."""
        return not self._reporter.foreign() and self._reporter.flush(timeout)

    # --- from begin to end -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins the run, for code that has no block: `finish` must follow. `with` does both."""
        if self._entered:
            raise RuntimeError("a run can be entered once")
        self._entered = True
        reporter, options = self._reporter, self._options
        reporter.begun = time.monotonic()
        if self._claim is not None:
            self._own(*self._claim)
            self._start_threads()
            return
        try:
            self._start_threads()
            reporter.started.wait(options.start_timeout)
        except BaseException as error:
            # The block is not entered, so that it is not left either. The reporter says so, if it still can.
            reporter.close(end_of(error), 2.0)
            raise
        if options.required and self._state.attempt is None:
            failure = reporter.failure or Unavailable("the execution could not be reported in time")
            reporter.close(End("cancelled", "The job was not started, for the service did not answer in time"), 2.0)
            raise failure
        if self._state.attempt is None:
            reporter.late = True
        if not reporter.started.is_set() and options.start_timeout > 0:
            why = f" ({reporter.failure})" if reporter.failure else ""
            reporter.tell(f"the service does not answer{why}; the job runs, and it is told once it does")

    def finish(self, error: BaseException | None = None) -> None:
        """Ends the run as a block is that is left by `error`, or normally for None.

        Raises AlreadyEnded with strict=True, and nothing else: whatever goes wrong here is not the job's.
        """
        reporter, options = self._reporter, self._options
        if reporter.foreign() or not self._entered:
            return
        end = end_of(error)
        if error is None and self._state.cancelled and self._cancel_seen and self._state.output is None:
            end = End("cancelled", self._state.reason)
        reporter.close(end, options.report_timeout)
        # A second more, for what hangs where no timeout reaches: the name server.
        if not reporter.done.wait(options.report_timeout + 1.0):
            reporter.tell(f"the end ({end.status}) could not be reported within {options.report_timeout:g} s")
        if options.strict and error is None and reporter.not_counted is not None:
            raise reporter.not_counted

    def abandon(self, error: BaseException) -> None:
        """Ends, without waiting, a run whose block was not entered although it may have begun."""
        self._reporter.close(end_of(error), self._options.report_timeout)

    def __enter__(self) -> Run:
        self.start()
        self.enter_context()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave_context()
        self.finish(error)

    def enter_context(self) -> None:
        """Makes this the run that `current_run` gives."""
        self._token = _current.set(self)

    def leave_context(self) -> None:
        """Undoes `enter_context`."""
        token, self._token = self._token, None
        if token is not None:
            try:
                _current.reset(token)
            except ValueError:
                # A generator that is closed in another context than it was begun in.
                pass

    def _start_threads(self) -> None:
        reporter = self._reporter
        try:
            threading.Thread(target=reporter.run, name="ratchet-reporter", daemon=True).start()
            threading.Thread(target=self._beat, name="ratchet-pulse", daemon=True).start()
        except RuntimeError as error:
            # The machine has no thread left. The job may do without; what was claimed, the service takes back.
            reporter.off = str(error)
            reporter.started.set()
            reporter.done.set()
            reporter.tell(f"nothing is reported: {error}")

    def _beat(self) -> None:
        """The body of the pulse's thread."""
        reporter, state = self._reporter, self._state
        try:
            # Before it is running a heartbeat would say nothing.
            while state.attempt is None or state.execution_id is None:
                if reporter.done.wait(0.2):
                    return
            pulse = Pulse(self._client, state.execution_id, state.attempt, self._options.heartbeat_seconds, reporter.notice)
            pulse.expect(self._heartbeat_timeout)
            pulse.beat_until(reporter.done)
        except Exception:
            logger.exception("ratchet: heartbeats stopped")

    def _noticed(self) -> None:
        if self._options.on_cancel is not None:
            try:
                self._options.on_cancel(self)
            except Exception:
                logger.exception("ratchet: on_cancel failed")

    # --- claiming ----------------------------------------------------------------------------------------------------

    def _own(self, execution_id: str, after_attempt: int | None) -> None:
        """Claims the execution. Raises NotOwner, Unavailable, ApiError, ConfigurationError."""
        from ._client import as_execution, present, update_request

        request = update_request(execution_id, present(status="running", attempt=after_attempt))
        policy = replace(self._client.retry, attempts=1_000_000_000, deadline=self._options.start_timeout)
        try:
            execution = as_execution(call(self._client.attempter(request), policy))
        except ApiError as error:
            if error.error_code in ("INVALID_STATUS_TRANSITION", "CANCEL_REQUESTED", "ATTEMPT_SUPERSEDED"):
                raise self._not_owner(execution_id, error) from error
            raise
        with self._reporter.lock:
            self._state.execution = execution
            self._state.attempt = execution.attempt
        self._heartbeat_timeout = execution.heartbeat_timeout_seconds
        self._reporter.begun = time.monotonic()

    def _not_owner(self, execution_id: str, error: ApiError) -> NotOwner:
        """With who has it, where that can be read: the last one who changed its status."""
        from ._client import Request, execution_path

        by: str | None = None
        status = error.current_status
        try:
            path = execution_path("/executions", execution_id, "/transitions")
            answer = self._client.send_once(Request("GET", path), min(5.0, self._client.retry.timeout))
        except (Unavailable, ApiError):
            # Known or not, it is another's.
            pass
        else:
            for transition in map(as_object, as_list(as_object(answer.body).get("transitions"))[-1:]):
                by = text_or_none(transition, "by_name") or text_or_none(transition, "by")
                status = status or text_or_none(transition, "to")
        return NotOwner(execution_id, status, by, error.detail)
