"""Heartbeats, and what the service says to them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ._errors import ApiError, ConfigurationError, Unavailable
from ._json import as_object
from ._records import TERMINAL, int_or_none, text_or_none

if TYPE_CHECKING:
    from ._client import Client

logger = logging.getLogger("ratchet")

Order = Literal["cancel", "stop"]
Told = Callable[[Order, "str | None", "str | None"], object]
"""Called with the order, the reason and the status: the work should be stopped soon and reported, or is not wanted any more."""

_SOON = 5.0
"""Seconds until the next heartbeat after one that was not answered: the service waits for three in all."""


class Pulse:
    """Sends heartbeats for an attempt. It belongs into a thread: a loop that is busy with the work would send none."""

    def __init__(self, client: Client, execution_id: str, attempt: int | None, every: float | None, told: Told) -> None:
        """`every` is in seconds; None for what the service asks for."""
        self._client = client
        self._execution_id = execution_id
        self._attempt = attempt
        self._every = every
        self._told = told
        self._asked = 40.0
        self._stopped = False
        self._complained = False

    def expect(self, heartbeat_timeout: int | None) -> None:
        """The execution's heartbeat_timeout_seconds, until the service has said how often it wants to hear."""
        self._asked = max(1.0, heartbeat_timeout / 3) if heartbeat_timeout else 60.0

    def _interval(self) -> float:
        return self._asked if self._every is None else self._every

    def beat_until(self, done: threading.Event) -> None:
        """Sends heartbeats until `done` is set or the service says stop. To have claimed counts as the first."""
        pause = self._interval()
        while not self._stopped and not done.wait(pause):
            pause = self.beat()

    def beat(self) -> float:
        """Sends one. The pause before the next, in seconds. A service that does not answer ends nothing."""
        from ._client import heartbeat_request

        try:
            timeout = min(self._client.retry.timeout, max(1.0, self._interval()))
            answer = self._client.send_once(heartbeat_request(self._execution_id, self._attempt), timeout)
        except Unavailable:
            return min(self._interval(), _SOON)
        except (ApiError, ConfigurationError) as error:
            if not self._complained:
                self._complained = True
                logger.warning("ratchet: execution %s: a heartbeat was refused: %s", self._execution_id, error)
            return self._interval()
        body = as_object(answer.body)
        if seconds := int_or_none(body, "heartbeat_in_seconds"):
            self._asked = float(seconds)
        if body.get("action") == "stop":
            self._stopped = True
        obey(body, self._told)
        return self._interval()


def obey(answer: dict[str, Any], told: Told) -> None:
    """Passes on what an answer to a heartbeat or a report of steps orders, if it does."""
    action = answer.get("action")
    if action not in ("cancel", "stop"):
        return
    status = text_or_none(answer, "status")
    reason = text_or_none(answer, "reason")
    if reason is None and action == "stop":
        reason = f"The execution is {status}" if status in TERMINAL else "Another attempt is the present one"
    told("cancel" if action == "cancel" else "stop", reason, status)
