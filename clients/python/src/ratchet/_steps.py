"""Steps of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._ending import cut, end_of, now
from ._json import dumps
from ._records import Object

if TYPE_CHECKING:
    from ._reporter import Reporter

STEP_DATA_LIMIT = 150_000
"""Bytes of the input or output of a step; a step has 350 KB in all."""
STEP_METADATA_LIMIT = 20_000


class Step:
    """A step while it runs: made by `Run.step`."""

    def __init__(
        self,
        reporter: Reporter,
        next_id: Callable[[str], str],
        name: str,
        type: str,
        tool_name: str | None,
        input: object,
        metadata: Object | None,
    ) -> None:
        self._next_id = next_id
        self._reporter = reporter
        self.name = name
        self._first: dict[str, Any] = {"step_name": cut(name, 256), "step_type": cut(type, 256)}
        if tool_name is not None:
            self._first["tool_name"] = cut(tool_name, 256)
        if input is not None:
            self._first["input_data"] = self._data(input, "input")
        if metadata is not None:
            self._first["metadata"] = self._data(metadata, "metadata")
        self.id = ""
        """The step's id, once it has begun."""
        self._output: dict[str, Any] | None = None
        self._begun = 0.0

    def _data(self, value: object, what: str) -> dict[str, Any]:
        plain = self._reporter.plain(f"the {what} of step {self.name}", value)
        size = len(dumps(plain).encode())
        limit = STEP_METADATA_LIMIT if what == "metadata" else STEP_DATA_LIMIT
        return plain if size <= limit else {"omitted": f"{size} bytes, more than the {limit} that are reported"}

    def output(self, output: object) -> None:
        """What becomes its output_data; an object, or anything else as the `result` of one. The last one counts."""
        self._output = self._data(output, "output")

    def start(self) -> None:
        """Begins the step, for code that has no block: `finish` must follow."""
        self.id = self._next_id(self.name)
        self._begun = time.monotonic()
        self._reporter.add_step(self.id, {**self._first, "status": "running", "started_at": now()})

    def finish(self, error: BaseException | None = None, status: str | None = None) -> None:
        """Ends the step as a block is that is left by `error`. `status` says otherwise."""
        end = end_of(error)
        fields: dict[str, Any] = {
            "status": status or end.status,
            "completed_at": now(),
            "duration_ms": int((time.monotonic() - self._begun) * 1000),
        }
        if end.error_message is not None:
            fields["error_message"] = cut(end.error_message, 8_192)
        if self._output is not None:
            fields["output_data"] = self._output
        self._reporter.add_step(self.id, fields)

    def __enter__(self) -> Step:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish(error)

    async def __aenter__(self) -> Step:
        self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish(error)
