"""Waiting for an execution to end: by the wait operation, else by polling. The rules are in clients/conformance/README.md."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._errors import ApiError, NotFoundError, Unavailable, WaitTimeout
from ._records import Execution
from ._retry import Result

if TYPE_CHECKING:
    from ._client import Client

HOLD = 20
"""Seconds for which the service is asked to hold a request. It takes up to 25."""

_PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0)
_LAST_PAUSE = 10.0


class Stopped(Exception):
    """The waiting was called off."""


def pauses(scale: float) -> Iterator[float]:
    """The pauses between polls, in seconds."""
    index = 0
    while True:
        pause = _PAUSES[index] if index < len(_PAUSES) else _LAST_PAUSE
        index += 1
        yield pause * scale * random.uniform(0.8, 1.2)


def wait(client: Client, execution_id: str, timeout: float | None, stop: threading.Event) -> Execution:
    """The execution once it is over. `stop` calls the waiting off, within the time that one request is held."""
    from ._client import Request, as_execution, execution_path

    until = float("inf") if timeout is None else time.monotonic() + timeout
    path = execution_path("/flows/executions", execution_id)
    between = pauses(client.poll_scale)
    last: Execution | None = None
    failure: Unavailable | None = None
    polling = False
    cuts = 0

    def ask(request: Request, seconds: float) -> Result:
        """Once. A bug of the service's is no answer, either: the execution may end all the same."""
        try:
            return client.send_once(request, seconds)
        except ApiError as error:
            if error.status < 500:
                raise
            raise Unavailable(str(error), status=error.status, error_code=error.error_code) from error

    def read() -> None:
        """A plain read, whose failure is not the end of the waiting."""
        nonlocal last, failure
        try:
            left = max(1.0, min(client.retry.timeout, until - time.monotonic()))
            result = ask(Request("GET", path, if_none_match=last.etag if last else None), left)
        except Unavailable as error:
            failure = error
            return
        failure = None
        if result.status != 304:
            last = as_execution(result)

    def pause(seconds: float) -> None:
        left = until - time.monotonic()
        if stop.wait(max(0.0, min(seconds, left))):
            raise Stopped

    def in_vain() -> Exception:
        if last is None:
            return failure or Unavailable("no answer in time")
        error = WaitTimeout(last, timeout or 0.0)
        error.__cause__ = failure
        return error

    while not stop.is_set():
        left = until - time.monotonic()
        if polling or left < 1:
            read()
            if last is not None and last.ended:
                return last
            # The last pause ends at the deadline, and one more read follows it: what is over by then counts.
            if until - time.monotonic() <= 0:
                raise in_vain()
            pause(next(between))
            continue
        hold = int(min(HOLD, left))
        begun = time.monotonic()
        try:
            request = Request("GET", f"{path}/wait?timeout={hold}")
            result = ask(request, min(hold + 10.0, left + 2.0))
        except NotFoundError:
            raise
        except ApiError as error:
            if error.status != 404:
                raise
            # The route is switched off.
            polling = True
            continue
        except Unavailable as error:
            failure = error
            if error.status == 429:
                polling = True
                pause(next(between))
                continue
            cuts += 1
            polling = cuts >= 2
            pause(client.retry.backoff(cuts))
            read()
        else:
            failure = None
            cuts = 0
            if result.status != 304:
                last = as_execution(result)
            if (last is None or not last.ended) and time.monotonic() - begun < hold - 0.5:
                # Not held: the service has its reasons, and a loop without pauses would not help it.
                pause(max(result.retry_after or 0.0, next(between)))
        if last is not None and last.ended:
            return last
        if until - time.monotonic() <= 0:
            raise in_vain()
    raise Stopped
