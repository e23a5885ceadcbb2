"""What the way in which a block was left means."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from ._errors import ExecutionCancelled
from ._json import write_time

MESSAGE_LIMIT = 65_536
"""Characters of an error_message that the service takes."""
TRACEBACK_LIMIT = 8_192
"""Characters of a traceback that are kept: its end."""

Ending = Literal["completed", "failed", "cancelled"]


@dataclass(frozen=True)
class End:
    """How a run ended, and what is said of it."""

    status: Ending
    error_message: str | None = None
    error_details: dict[str, Any] | None = None
    at: float = field(default_factory=time.monotonic)
    """When, on the clock of time.monotonic."""

    def duration_ms(self, begun: float) -> int:
        """How long it took, from a moment of the same clock."""
        return max(0, int((self.at - begun) * 1000))


def end_of(error: BaseException | None) -> End:
    """What the way in which a block was left means. `completed` for none."""
    if error is None:
        return End("completed")
    if isinstance(error, SystemExit):
        code = error.code
        if code is None or code == 0:
            return End("completed")
        words = f"exit code {code}" if isinstance(code, int) else cut(words_of(code), MESSAGE_LIMIT)
        return End("failed", words, {"exit_code": code if isinstance(code, int) else 1})
    name = type(error).__name__
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, ExecutionCancelled)):
        words = words_of(error)
        return End("cancelled", cut(f"{name}: {words}" if words else name, MESSAGE_LIMIT))
    words = words_of(error)
    message = cut(f"{name}: {words}" if words else name, MESSAGE_LIMIT)
    module = type(error).__module__
    details: dict[str, Any] = {
        "type": name if module == "builtins" else f"{module}.{name}",
        "message": cut(words, MESSAGE_LIMIT),
        "traceback": _traceback(error),
    }
    return End("failed", message, details)


def words_of(value: object) -> str:
    """str(), for objects whose own fails too."""
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with dots."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:
        return "<the traceback cannot be shown>"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= TRACEBACK_LIMIT else "..." + text[-(TRACEBACK_LIMIT - 3) :]


def now() -> str:
    """The time, as the service writes it."""
    return write_time(datetime.now(timezone.utc))
