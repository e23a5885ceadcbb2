"""When an attempt is repeated, and after how long. The rules are those of clients/conformance/README.md."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from ._errors import Unavailable, api_error
from ._json import as_object, loads
from ._records import text_or_none
from ._transport import Answer, AttemptFailed

_REPEATED = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """How a call is repeated. Times are in seconds."""

    attempts: int = 4
    """How often a request is sent at most."""
    timeout: float = 10.0
    """How long an attempt may take."""
    deadline: float = 60.0
    """How long the call may take, with all of its attempts and the waits between them."""
    backoff_base: float = 0.1
    backoff_cap: float = 5.0
    """Before attempt n + 1 a random time passes, between backoff_base and the lesser of backoff_cap and backoff_base x 4^n."""
    retry_after_limit: float = 30.0
    """The longest Retry-After that is waited for. After a longer one the call ends."""

    def backoff(self, sent: int, draw: Callable[[], float] = random.random) -> float:
        """The pause after `sent` attempts."""
        # Not 4.0 ** sent: a run may try for hours, and 4^600 is no float.
        longest = self.backoff_cap if sent > 20 else min(self.backoff_cap, self.backoff_base * 4.0**sent)
        return self.backoff_base + (max(longest, self.backoff_base) - self.backoff_base) * draw()


@dataclass(frozen=True)
class Result:
    """A success: 2xx or 304."""

    status: int
    body: Any
    """Parsed; None where there is none."""
    etag: str | None
    replayed: bool
    retry_after: float | None
    correlation_id: str | None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for: a number, or an HTTP date. None where it says nothing that can be read."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - now).total_seconds())


def read_answer(answer: Answer) -> Result | Unavailable:
    """What an answer means: a success, or a reason to try again.

    Raises ApiError where the service refused.
    """
    text = answer.body
    parsed: Any = None
    readable = True
    if text:
        try:
            parsed = loads(text)
        except ValueError:
            readable = False
    elif answer.status not in (204, 304):
        readable = False
    status = answer.status
    error_code = text_or_none(as_object(parsed), "error_code")
    if 200 <= status < 300 or status == 304:
        if not readable:
            return Unavailable(f"{status} without JSON: is something between this machine and the service?", status=status)
        return Result(
            status,
            parsed,
            answer.header("etag"),
            (answer.header("idempotency-replayed") or "").lower() == "true",
            retry_after(answer.header("retry-after"), datetime.now(timezone.utc)),
            answer.header("x-correlation-id"),
        )
    body: Any = parsed if readable else text.decode("utf-8", "replace")
    error = api_error(status, body, answer.header("x-correlation-id"))
    # 500 without a code is API Gateway's: the function did not answer. With one it is a bug, which a repeat meets again.
    if status in _REPEATED or (status >= 500 and error_code is None):
        return Unavailable(str(error), status=status, error_code=error_code)
    raise error


def call(
    attempt: Callable[[float], Answer],
    policy: RetryPolicy,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    note: Callable[[Unavailable], object] = lambda failure: None,
) -> Result:
    """Sends attempts, each with the timeout that it is given, until one is answered. `note` hears of each that was not.

    The request must be frozen before, its Idempotency-Key included: each attempt sends the same bytes. Raises ApiError
    where the service refused, and Unavailable where there was no usable answer.
    """
    until = clock() + policy.deadline
    sent = 0
    while True:
        left = until - clock()
        sent += 1
        asked: float | None = None
        try:
            answer = attempt(max(0.001, min(policy.timeout, left)))
        except AttemptFailed as error:
            failure = Unavailable(str(error))
            failure.__cause__ = error
        else:
            outcome = read_answer(answer)
            if isinstance(outcome, Result):
                return outcome
            failure = outcome
            asked = retry_after(answer.header("retry-after"), datetime.now(timezone.utc))
        note(failure)
        if sent >= policy.attempts:
            raise failure
        if asked is not None and asked > policy.retry_after_limit:
            raise failure
        pause = max(policy.backoff(sent), asked or 0.0)
        if clock() + pause >= until:
            raise failure
        sleep(pause)
