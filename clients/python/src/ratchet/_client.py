"""The client: one method for each operation of the service, and the ways into a run."""

from __future__ import annotations

import functools
import os
import ssl
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, cast
from urllib.parse import quote, urlencode

from . import _wait
from ._errors import ApiError, ConfigurationError
from ._json import as_object, dumps, is_object, write_time
from ._records import (
    Beat,
    Caller,
    Cancelled,
    Execution,
    LastBeat,
    Object,
    Page,
    Priority,
    Status,
    StatusChange,
    StepReport,
    StepsReported,
    Transition,
    TriggerType,
    list_of,
    text_or_none,
)
from ._retry import Result, RetryPolicy, call
from ._transport import Answer, Transport

if TYPE_CHECKING:
    from ._aio import AsyncClient, AsyncRun
    from ._run import Run

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")

MAX_BODY = 1024 * 1024
"""Bytes of a request that the service takes."""
DAY = 24 * 60 * 60
HEARTBEAT_TIMEOUT = 120


class Request:
    """A request that is frozen: whatever the number of attempts, these are its bytes and its Idempotency-Key."""

    def __init__(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        keyed: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        text = None if body is None else dumps(body)
        self.body = None if text is None else text.encode("utf-8")
        if self.body is not None and len(self.body) > MAX_BODY:
            # The service would say so, but perhaps not before the connection breaks under the rest of it.
            raise ValueError(f"the request has {len(self.body)} bytes, and the service takes {MAX_BODY}")
        # One name for all attempts: the service's log then shows them together.
        self.headers = {"x-correlation-id": uuid.uuid4().hex}
        if text is not None:
            self.headers["content-type"] = "application/json"
        if keyed:
            self.headers["idempotency-key"] = _header(idempotency_key, "idempotency_key") or str(uuid.uuid4())
        if if_match is not None:
            self.headers["if-match"] = _header(if_match, "if_match") or ""
        if if_none_match is not None:
            self.headers["if-none-match"] = _header(if_none_match, "if_none_match") or ""


def _header(value: str | None, name: str) -> str | None:
    if value is None:
        return None
    if not value or not value.isascii() or not value.isprintable() or len(value) > 255:
        raise ValueError(f"{name} has to be 1 to 255 visible ASCII characters")
    return value


def execution_path(prefix: str, execution_id: str, suffix: str = "") -> str:
    if not execution_id:
        raise ValueError("execution_id is empty")
    return f"{prefix}/{quote(execution_id, safe='')}{suffix}"


def present(**fields: Any) -> dict[str, Any]:
    """The fields that are not None, times as the service writes them."""
    return {
        name: write_time(value) if isinstance(value, datetime) else value for name, value in fields.items() if value is not None
    }


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_transports):
        transport.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _for_async(method: Callable[Concatenate[Client, P], Run]) -> Callable[Concatenate[Client, P], AsyncRun]:
    """The same run for `async with`, with the same arguments."""

    @functools.wraps(method)
    def twin(self: Client, *args: P.args, **named: P.kwargs) -> AsyncRun:
        from ._aio import AsyncRun

        return AsyncRun(method(self, *args, **named))

    return twin


class Client:
    """A client of one service, for one API key. May be used by several threads at once.

    `url` and `api_key` default to RATCHET_URL and RATCHET_API_KEY. To make a client never fails: where they are missing or
    wrong, its calls raise ConfigurationError, `claim` does, and `execution` warns and lets the job run.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.retry = retry or RetryPolicy()
        """How calls are repeated."""
        self.poll_scale = 1.0
        """What the pauses are multiplied with when `wait` has to poll."""
        self._transport: Transport | None = None
        self._wrong: ConfigurationError | None = None
        url = os.environ.get("RATCHET_URL") if url is None else url
        api_key = os.environ.get("RATCHET_API_KEY") if api_key is None else api_key
        self.url = url or ""
        try:
            if not url:
                raise ConfigurationError("there is no URL: give Client one, or set RATCHET_URL")
            if not api_key:
                raise ConfigurationError("there is no API key: give Client one, or set RATCHET_API_KEY")
            self._transport = Transport(url, api_key, ssl_context)
            _transports.add(self._transport)
        except ConfigurationError as error:
            self._wrong = error

    def __repr__(self) -> str:
        # Without the key.
        return f"Client({self.url!r})"

    def close(self) -> None:
        """Closes the idle connections. The client can be used on."""
        if self._transport:
            self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- sending -----------------------------------------------------------------------------------------------------

    def transport(self) -> Transport:
        """Raises ConfigurationError where the client has no URL or key that can be right."""
        if self._transport is None:
            raise self._wrong or ConfigurationError("the client is not configured")
        return self._transport

    def attempter(self, request: Request) -> Callable[[float], Answer]:
        """What sends one attempt of the request, within the seconds that it is given."""
        transport = self.transport()
        return lambda timeout: transport.attempt(request.method, request.path, request.headers, request.body, timeout)

    def send(self, request: Request, policy: RetryPolicy | None = None) -> Result:
        return call(self.attempter(request), policy or self.retry)

    def send_once(self, request: Request, timeout: float) -> Result:
        return call(self.attempter(request), replace(self.retry, attempts=1, timeout=timeout, deadline=timeout))

    def _record(self, request: Request) -> Execution:
        return as_execution(self.send(request))

    # --- operations --------------------------------------------------------------------------------------------------

    def execute(
        self,
        flow_id: str,
        trigger_type: TriggerType = "api",
        *,
        trigger_data: Object | None = None,
        variables: Object | None = None,
        priority: Priority | None = None,
        timeout_seconds: int | None = None,
        heartbeat_timeout_seconds: int | None = None,
        start_timeout_seconds: int | None = None,
        max_retries: int | None = None,
        metadata: Object | None = None,
        scheduled_at: datetime | str | None = None,
        agent_id: str | None = None,
        parent_execution_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Creates an execution, which is then pending."""
        body = present(
            flow_id=flow_id,
            trigger_type=trigger_type,
            trigger_data=trigger_data,
            variables=variables,
            priority=priority,
            timeout_seconds=timeout_seconds,
            heartbeat_timeout_seconds=heartbeat_timeout_seconds,
            start_timeout_seconds=start_timeout_seconds,
            retry_config=None if max_retries is None else {"max_retries": max_retries},
            metadata=metadata,
            scheduled_at=scheduled_at,
            agent_id=agent_id,
            parent_execution_id=parent_execution_id,
        )
        return self.execute_body(body, idempotency_key=idempotency_key)

    def execute_body(self, body: Object, *, idempotency_key: str | None = None) -> Execution:
        """`execute` with the request's body as the API has it."""
        return as_execution(self.send(execute_request(body, idempotency_key)), "execution")

    def get(self, execution_id: str, *, if_none_match: str | None = None) -> Execution | None:
        """The execution with its first 100 steps; None where `if_none_match` is still its ETag."""
        result = self.send(Request("GET", execution_path("/flows/executions", execution_id), if_none_match=if_none_match))
        return None if result.status == 304 else as_execution(result)

    def list(
        self,
        *,
        status: Status | Iterable[Status] | None = None,
        flow_id: str | None = None,
        agent_id: str | None = None,
        trigger_type: TriggerType | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        count_limit: int | None = None,
        view: Literal["full", "summary"] | None = None,
    ) -> Page:
        """A page of executions, newest first. `walk` gives all of them."""
        query = present(
            flow_id=flow_id,
            agent_id=agent_id,
            trigger_type=trigger_type,
            created_after=created_after,
            created_before=created_before,
            page=page,
            page_size=page_size,
            cursor=cursor,
            count_limit=count_limit,
            view=view,
        )
        if status is not None:
            query["status"] = status if isinstance(status, str) else ",".join(status)
        suffix = f"?{urlencode(query)}" if query else ""
        return Page(_object(self.send(Request("GET", f"/flows/executions{suffix}"))))

    def walk(
        self,
        *,
        status: Status | Iterable[Status] | None = None,
        flow_id: str | None = None,
        agent_id: str | None = None,
        trigger_type: TriggerType | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        page_size: int = 100,
        view: Literal["full", "summary"] | None = None,
    ) -> Iterator[Execution]:
        """All executions that match, newest first: each that was there at the start of the walk appears once."""
        statuses = status if status is None or isinstance(status, str) else tuple(status)
        cursor: str | None = None
        while True:
            page = self.list(
                status=statuses,
                flow_id=flow_id,
                agent_id=agent_id,
                trigger_type=trigger_type,
                created_after=created_after,
                created_before=created_before,
                page_size=page_size,
                cursor=cursor,
                count_limit=0,
                view=view,
            )
            yield from page.executions
            cursor = page.next_cursor
            if not page.has_more or cursor is None:
                return

    def update(
        self,
        execution_id: str,
        *,
        status: Status | None = None,
        attempt: int | None = None,
        final_output: Object | None = None,
        error_message: str | None = None,
        error_details: Object | None = None,
        completed_at: datetime | str | None = None,
        duration_ms: int | None = None,
        retry_count: int | None = None,
        tokens_used: int | None = None,
        tool_calls_count: int | None = None,
        cost_estimate: float | Decimal | str | None = None,
        performance_metrics: Object | None = None,
        metadata: Object | None = None,
        timeout_seconds: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Reports a status, fields, or both. What is None stays as it is; objects replace, they do not merge.

        `attempt` says for which attempt this speaks: ApiError ATTEMPT_SUPERSEDED where it is not the present one.
        """
        body = present(
            status=status,
            attempt=attempt,
            final_output=final_output,
            error_message=error_message,
            error_details=error_details,
            completed_at=completed_at,
            duration_ms=duration_ms,
            retry_count=retry_count,
            tokens_used=tokens_used,
            tool_calls_count=tool_calls_count,
            cost_estimate=exact_cost(cost_estimate),
            performance_metrics=performance_metrics,
            metadata=metadata,
            timeout_seconds=timeout_seconds,
        )
        return self.update_body(execution_id, body, if_match=if_match, idempotency_key=idempotency_key)

    def update_body(
        self, execution_id: str, body: Object, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Execution:
        """`update` with the request's body as the API has it."""
        return self._record(update_request(execution_id, body, if_match, idempotency_key))

    def update_status(
        self,
        execution_id: str,
        status: Literal["cancelled", "failed", "completed"],
        *,
        error_info: Object | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> StatusChange:
        """Ends a running or interrupted execution from outside, whatever its worker does."""
        request = Request(
            "PATCH",
            execution_path("/executions", execution_id),
            present(status=status, error_info=error_info),
            if_match=if_match,
            idempotency_key=idempotency_key,
            keyed=True,
        )
        return cast(StatusChange, _object(self.send(request)))

    def transitions(self, execution_id: str) -> list[Transition]:
        """Who changed the status when, oldest first."""
        result = self.send(Request("GET", execution_path("/executions", execution_id, "/transitions")))
        return cast("list[Transition]", list_of(_object(result), "transitions"))

    def heartbeat(self, execution_id: str, attempt: int | None = None) -> Beat:
        """Says that the worker lives, and hears what it should do."""
        return cast(Beat, _object(self.send(heartbeat_request(execution_id, attempt))))

    def last_heartbeat(self, execution_id: str) -> LastBeat:
        """When the worker was last heard, and until when the service waits for it. For people and monitors: it changes nothing."""
        request = Request("GET", execution_path("/executions", execution_id, "/heartbeat"))
        return cast(LastBeat, _object(self.send(request)))

    def cancel(
        self,
        execution_id: str,
        *,
        reason: str | None = None,
        grace_seconds: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Cancelled:
        """Ends at once what nobody works on, and asks the worker of what runs."""
        request = Request(
            "POST",
            execution_path("/executions", execution_id, "/cancel"),
            present(reason=reason, grace_seconds=grace_seconds),
            if_match=if_match,
            idempotency_key=idempotency_key,
            keyed=True,
        )
        return cast(Cancelled, _object(self.send(request)))

    def report_steps(
        self,
        execution_id: str,
        steps: Iterable[StepReport],
        *,
        attempt: int | None = None,
        idempotency_key: str | None = None,
    ) -> StepsReported:
        """Reports 1 to 25 steps, each with an outcome of its own."""
        return cast(StepsReported, _object(self.send(steps_request(execution_id, list_(steps), attempt, idempotency_key))))

    def steps(
        self, execution_id: str, *, view: Literal["full", "summary"] | None = None, page_size: int = 100
    ) -> Iterator[dict[str, Any]]:
        """All steps, by their id."""
        cursor: str | None = None
        while True:
            query = urlencode(present(page_size=page_size, view=view, cursor=cursor))
            body = _object(self.send(Request("GET", execution_path("/executions", execution_id, f"/steps?{query}"))))
            yield from list_of(body, "steps")
            cursor = text_or_none(body, "next_cursor")
            if body.get("has_more") is not True or cursor is None:
                return

    def me(self) -> Caller:
        """Whose the API key is, and what it may do."""
        return cast(Caller, _object(self.send(Request("GET", "/me"))))

    def wait(self, execution_id: str, timeout: float | None = 600.0) -> Execution:
        """The execution once it is over.

        Raises WaitTimeout after `timeout` seconds, which ends nothing: the execution goes on. None waits for as long as it takes.
        """
        return _wait.wait(self, execution_id, timeout, threading.Event())

    # --- runs --------------------------------------------------------------------------------------------------------

    def execution(
        self,
        flow_id: str,
        trigger_type: TriggerType = "api",
        *,
        trigger_data: Object | None = None,
        variables: Object | None = None,
        priority: Priority | None = None,
        timeout_seconds: int = DAY,
        heartbeat_timeout_seconds: int | None = HEARTBEAT_TIMEOUT,
        max_retries: int | None = None,
        metadata: Object | None = None,
        agent_id: str | None = None,
        parent_execution_id: str | None = None,
        on_unavailable: Literal["warn", "raise"] = "warn",
        strict: bool = False,
        start_timeout: float = 3.0,
        report_timeout: float = 60.0,
        heartbeat_seconds: float | None = None,
        on_cancel: Callable[[Run], object] | None = None,
    ) -> Run:
        """Monitors a job: `with client.execution("nightly") as run: ...` is an execution from its begin to its end.

        The job matters more than its report. Where the service is away, refuses, or is not configured, this warns and the job
        runs; reports are repeated in the background. Entering takes `start_timeout` seconds at most, leaving `report_timeout`.
        On the way out an exception is `failed`; asyncio.CancelledError, KeyboardInterrupt, GeneratorExit and ExecutionCancelled are
        `cancelled`; SystemExit is what its code says; else it is `completed`. All are raised again.

        `on_unavailable="raise"`: entering raises where the execution could not be created in time. `strict`: leaving raises
        AlreadyEnded where another writer had ended it. `on_cancel` is called, in a thread of the client's, once it should stop.
        """
        from ._run import Run, RunOptions

        body = present(
            flow_id=flow_id,
            trigger_type=trigger_type,
            trigger_data=trigger_data,
            variables=variables,
            priority=priority,
            timeout_seconds=timeout_seconds,
            heartbeat_timeout_seconds=heartbeat_timeout_seconds,
            retry_config=None if max_retries is None else {"max_retries": max_retries},
            metadata=metadata,
            agent_id=agent_id,
            parent_execution_id=parent_execution_id,
        )
        options = RunOptions(
            strict=strict,
            required=on_unavailable == "raise",
            start_timeout=start_timeout,
            report_timeout=report_timeout,
            heartbeat_seconds=heartbeat_seconds,
            on_cancel=on_cancel,
        )
        return Run.monitored(self, body, options)

    def claim(
        self,
        execution_id: str,
        *,
        after_attempt: int | None = None,
        strict: bool = False,
        claim_timeout: float = 30.0,
        report_timeout: float = 60.0,
        heartbeat_seconds: float | None = None,
        on_cancel: Callable[[Run], object] | None = None,
    ) -> Run:
        """Works on an execution that exists: `with client.claim(id) as run: ...`.

        Entering claims it, and raises where that fails: NotOwner with who has it, Unavailable after `claim_timeout` seconds. Of any
        number of workers one enters. `after_attempt` claims only if that attempt is still the last one.
        """
        from ._run import Run, RunOptions

        options = RunOptions(
            strict=strict,
            required=True,
            start_timeout=claim_timeout,
            report_timeout=report_timeout,
            heartbeat_seconds=heartbeat_seconds,
            on_cancel=on_cancel,
        )
        return Run.claimed(self, execution_id, after_attempt, options)

    def flow(self, flow_id: str, **options: Any) -> Callable[[F], F]:
        """Decorates a function, also an async one or a generator: each call is an execution.

        `options` are those of `execution`, and `record_arguments=True` and `record_result=True`: neither is recorded by
        default, for they may be anybody's secrets. `current_run()` is the run, inside.
        """
        from ._flow import decorate

        return decorate(self, flow_id, options)

    @property
    def aio(self) -> AsyncClient:
        """The same calls for a program on asyncio."""
        from ._aio import AsyncClient

        return AsyncClient(self)

    aexecution = _for_async(execution)
    aclaim = _for_async(claim)


def list_(items: Iterable[StepReport]) -> list[StepReport]:
    # `list` is a method, above.
    return [*items]


def exact_cost(cost: float | Decimal | str | None) -> float | Decimal | None:
    """A cost that is given as text, so that it stays exact. Raises ValueError where it is no number."""
    if isinstance(cost, str):
        try:
            return Decimal(cost)
        except ArithmeticError:
            raise ValueError(f"cost_estimate is no number: {cost[:100]!r}") from None
    return cost


def execute_request(body: Object, idempotency_key: str | None = None) -> Request:
    return Request("POST", "/flows/execute", body, idempotency_key=idempotency_key, keyed=True)


def update_request(
    execution_id: str, body: Object, if_match: str | None = None, idempotency_key: str | None = None
) -> Request:
    path = execution_path("/flows/executions", execution_id)
    return Request("PATCH", path, body, if_match=if_match, idempotency_key=idempotency_key, keyed=True)


def heartbeat_request(execution_id: str, attempt: int | None) -> Request:
    return Request("POST", execution_path("/executions", execution_id, "/heartbeat"), present(attempt=attempt))


def steps_request(
    execution_id: str, steps: Iterable[Object] | Iterable[StepReport], attempt: int | None, idempotency_key: str | None = None
) -> Request:
    body = present(attempt=attempt, steps=[*steps])
    return Request("POST", execution_path("/executions", execution_id, "/steps"), body, idempotency_key=idempotency_key, keyed=True)


def _object(result: Result) -> dict[str, Any]:
    if not is_object(result.body):
        raise ApiError(result.status, "the answer is not the service's: a JSON object was expected", result.correlation_id)
    return as_object(result.body)


def as_execution(result: Result, member: str | None = None) -> Execution:
    body = _object(result)
    raw = as_object(body.get(member)) if member else body
    if not isinstance(raw.get("id"), str):
        raise ApiError(result.status, "the answer is not the service's: it has no execution", result.correlation_id)
    return Execution(raw, result.etag, result.replayed)


__all__ = ["Client", "Request"]
