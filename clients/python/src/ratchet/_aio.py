"""The async twins: the same calls, each in a thread. A loop that is blocked by the job's own work stops no heartbeat."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from . import _wait
from ._client import Client
from ._records import Execution
from ._run import Run

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[[], T], *, awaited_at_exit: bool = False) -> T:
    """Runs a function in a thread of its own: the loop's executor may be full of the job's work.

    Where the task is cancelled, the thread ends what it does all the same; with `awaited_at_exit` the program's end waits for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        elif isinstance(error, StopIteration):
            future.set_exception(RuntimeError("StopIteration"))
        else:
            future.set_exception(error)

    def work() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = context.run(function)
        except BaseException as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            pass

    threading.Thread(target=work, name="ratchet-call", daemon=not awaited_at_exit).start()
    return await future


class AsyncRun:
    """`async with client.aexecution("nightly") as run: ...`: run is a `Run`, of which only `flush` would block."""

    def __init__(self, run: Run) -> None:
        self.run = run

    async def __aenter__(self) -> Run:
        # Not a plain await: a task that is cancelled here has not entered its block, and will not leave it either.
        try:
            await in_thread(self.run.start)
        except asyncio.CancelledError as error:
            self.run.abandon(error)
            raise
        self.run.enter_context()
        return self.run

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.run.leave_context()
        await in_thread(lambda: self.run.finish(error), awaited_at_exit=True)


def _twin(method: Callable[Concatenate[Client, P], T]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The coroutine for a call, with its arguments and its types."""

    @functools.wraps(method)
    async def twin(self: AsyncClient, *args: P.args, **named: P.kwargs) -> T:
        return await in_thread(lambda: method(self.client, *args, **named))

    return twin


def _walk(method: Callable[Concatenate[Client, P], Iterator[T]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """The same for what goes over pages."""

    @functools.wraps(method)
    def twin(self: AsyncClient, *args: P.args, **named: P.kwargs) -> AsyncIterator[T]:
        return _iterate(lambda: method(self.client, *args, **named))

    return twin


def _block(method: Callable[Concatenate[Client, P], Run]) -> Callable[Concatenate[AsyncClient, P], AsyncRun]:
    """The same for what is entered."""

    @functools.wraps(method)
    def twin(self: AsyncClient, *args: P.args, **named: P.kwargs) -> AsyncRun:
        return AsyncRun(method(self.client, *args, **named))

    return twin


class AsyncClient:
    """The calls of a `Client` as coroutines: `await client.aio.get(id)`. Arguments and answers are the same."""

    def __init__(self, client: Client) -> None:
        self.client = client

    execute = _twin(Client.execute)
    get = _twin(Client.get)
    list = _twin(Client.list)
    walk = _walk(Client.walk)
    update = _twin(Client.update)
    update_status = _twin(Client.update_status)
    transitions = _twin(Client.transitions)
    heartbeat = _twin(Client.heartbeat)
    last_heartbeat = _twin(Client.last_heartbeat)
    cancel = _twin(Client.cancel)
    report_steps = _twin(Client.report_steps)
    steps = _walk(Client.steps)
    me = _twin(Client.me)
    execution = _block(Client.execution)
    claim = _block(Client.claim)

    async def wait(self, execution_id: str, timeout: float | None = 600.0) -> Execution:
        """`Client.wait`. Where the task is cancelled, the request that is under way ends by itself, within 30 s."""
        stop = threading.Event()
        try:
            return await in_thread(lambda: _wait.wait(self.client, execution_id, timeout, stop))
        finally:
            stop.set()


async def _iterate(make: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    iterator = make()
    end = object()
    while True:
        item = await in_thread(lambda: next(iterator, end))
        if item is end:
            return
        yield item  # type: ignore[misc]
