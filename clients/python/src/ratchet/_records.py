"""What the service answers, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict, TypeVar, Union, cast

from ._json import Number, as_list, as_object, is_object, read_time

Status = Literal["pending", "queued", "running", "retrying", "interrupted", "completed", "failed", "cancelled", "timeout"]
TriggerType = Literal["manual", "event", "scheduled", "api", "webhook", "test"]
Priority = Literal["low", "normal", "high", "urgent"]
Object = Mapping[str, Any]
"""A JSON object: what json.dumps takes, and Decimal, Number, datetime, UUID."""

TERMINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled", "timeout"})
"""The statuses that nothing leaves."""

T = TypeVar("T")


def text_of(raw: Object, name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def text_or_none(raw: Object, name: str) -> str | None:
    value = raw.get(name)
    return value if isinstance(value, str) else None


def int_or_none(raw: Object, name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(raw: Object, name: str) -> datetime | None:
    value = raw.get(name)
    return read_time(value) if isinstance(value, str) else None


def list_of(raw: Object, name: str) -> list[dict[str, Any]]:
    return [as_object(item) for item in as_list(raw.get(name)) if is_object(item)]


@dataclass(frozen=True)
class Execution:
    """The record of an execution, as it was when it was read.

    `raw` has all of it as the service sent it, also fields that are newer than this package. Numbers in the objects are ints and
    floats, and `Number` where a float would not be written as it was read.
    """

    raw: dict[str, Any]
    etag: str | None = None
    """For if_match and if_none_match; None in lists, which have none."""
    replayed: bool = False
    """The service had this write already: a repeat with the same Idempotency-Key."""

    @property
    def id(self) -> str:
        return text_of(self.raw, "id")

    @property
    def flow_id(self) -> str:
        return text_of(self.raw, "flow_id")

    @property
    def agent_id(self) -> str:
        return text_of(self.raw, "agent_id")

    @property
    def organization_id(self) -> str:
        return text_of(self.raw, "organization_id")

    @property
    def execution_number(self) -> int:
        """Rises within the flow; gaps are allowed, repeats never happen."""
        return int_or_none(self.raw, "execution_number") or 0

    @property
    def trigger_type(self) -> str:
        return text_of(self.raw, "trigger_type")

    @property
    def trigger_data(self) -> dict[str, Any]:
        return as_object(self.raw.get("trigger_data"))

    @property
    def variables(self) -> dict[str, Any]:
        return as_object(self.raw.get("variables"))

    @property
    def priority(self) -> str:
        return text_of(self.raw, "priority")

    @property
    def status(self) -> Status:
        return cast(Status, text_of(self.raw, "status"))

    @property
    def ended(self) -> bool:
        """Whether the status is one that nothing leaves."""
        return self.status in TERMINAL

    @property
    def version(self) -> int:
        """Rises by 1 with each write."""
        return int_or_none(self.raw, "version") or 0

    @property
    def attempt(self) -> int:
        """How often it was claimed: the number of the present worker."""
        return int_or_none(self.raw, "attempt") or 0

    @property
    def started_at(self) -> datetime | None:
        return _time(self.raw, "started_at")

    @property
    def completed_at(self) -> datetime | None:
        return _time(self.raw, "completed_at")

    @property
    def duration_ms(self) -> int | None:
        return int_or_none(self.raw, "duration_ms")

    @property
    def timeout_seconds(self) -> int | None:
        return int_or_none(self.raw, "timeout_seconds")

    @property
    def heartbeat_timeout_seconds(self) -> int | None:
        return int_or_none(self.raw, "heartbeat_timeout_seconds")

    @property
    def start_timeout_seconds(self) -> int | None:
        return int_or_none(self.raw, "start_timeout_seconds")

    @property
    def cancel_requested_at(self) -> datetime | None:
        return _time(self.raw, "cancel_requested_at")

    @property
    def steps(self) -> list[dict[str, Any]] | None:
        """The first 100; None where they were not read. `Client.steps` has all."""
        return list_of(self.raw, "steps") if isinstance(self.raw.get("steps"), list) else None

    @property
    def final_output(self) -> dict[str, Any] | None:
        return as_object(self.raw.get("final_output")) if isinstance(self.raw.get("final_output"), dict) else None

    @property
    def error_message(self) -> str | None:
        return text_or_none(self.raw, "error_message")

    @property
    def error_details(self) -> dict[str, Any] | None:
        return as_object(self.raw.get("error_details")) if isinstance(self.raw.get("error_details"), dict) else None

    @property
    def retry_count(self) -> int:
        return int_or_none(self.raw, "retry_count") or 0

    @property
    def max_retries(self) -> int:
        return int_or_none(self.raw, "max_retries") or 0

    @property
    def parent_execution_id(self) -> str | None:
        """The execution that this one retries."""
        return text_or_none(self.raw, "parent_execution_id")

    @property
    def tokens_used(self) -> int | None:
        return int_or_none(self.raw, "tokens_used")

    @property
    def tool_calls_count(self) -> int:
        return int_or_none(self.raw, "tool_calls_count") or 0

    @property
    def cost_estimate(self) -> Union[int, float, Number, None]:
        """USD. Its `Number.decimal`, where it is one, is exact."""
        value = self.raw.get("cost_estimate")
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    @property
    def performance_metrics(self) -> dict[str, Any]:
        return as_object(self.raw.get("performance_metrics"))

    @property
    def metadata(self) -> dict[str, Any]:
        return as_object(self.raw.get("metadata"))

    @property
    def created_at(self) -> datetime | None:
        return _time(self.raw, "created_at")

    @property
    def updated_at(self) -> datetime | None:
        return _time(self.raw, "updated_at")

    @property
    def scheduled_at(self) -> datetime | None:
        return _time(self.raw, "scheduled_at")


@dataclass(frozen=True)
class Page:
    """A page of a list, newest first."""

    raw: dict[str, Any]

    @property
    def executions(self) -> list[Execution]:
        return [Execution(item) for item in list_of(self.raw, "executions")]

    @property
    def total_count(self) -> int | None:
        """Exact below count_limit, which stands for that many and more; None where nothing was counted."""
        return int_or_none(self.raw, "total_count")

    @property
    def has_more(self) -> bool:
        return self.raw.get("has_more") is True

    @property
    def next_cursor(self) -> str | None:
        return text_or_none(self.raw, "next_cursor")


class Transition(TypedDict):
    """One change of status that took effect."""

    to: str
    at: str
    by: str
    """The id of the API key, or `service`."""
    by_name: str | None
    reason: str | None
    attempt: int
    version: int


class StatusChange(TypedDict):
    """The answer of update execution status."""

    success: bool
    execution_id: str
    previous_status: str
    current_status: str
    message: str


class Beat(TypedDict):
    """The answer of a heartbeat."""

    execution_id: str
    status: str
    attempt: int
    action: Literal["continue", "cancel", "stop", "claim"]
    reason: str | None
    cancel_requested_at: str | None
    force_at: str | None
    deadline_at: str | None
    heartbeat_in_seconds: int


class LastBeat(TypedDict):
    """When a worker was last heard."""

    execution_id: str
    status: str
    attempt: int
    last_heartbeat_at: str | None
    """Its claim counts as the first; None before it."""
    cancel_requested_at: str | None
    force_at: str | None
    deadline_at: str | None


class Cancelled(TypedDict):
    """The answer of a cancel."""

    execution_id: str
    outcome: Literal["cancelled", "requested"]
    """`cancelled`: it is over; `requested`: its worker is asked, until `force_at`."""
    previous_status: str
    current_status: str
    cancel_requested_at: str | None
    force_at: str | None


class StepsReported(TypedDict):
    """The answer of report steps."""

    execution_id: str
    status: str
    action: str
    outcomes: list[dict[str, Any]]


class Caller(TypedDict):
    """Whose the API key is."""

    organization_id: str
    key_id: str
    key_name: str | None
    scopes: list[str]
    expires_at: str | None


class StepReport(TypedDict, total=False):
    """What is told of a step. A field that is absent or None stays as it is."""

    step_id: str
    step_name: str
    step_type: str
    tool_name: str | None
    status: Status
    input_data: Object | None
    output_data: Object | None
    error_message: str | None
    started_at: str
    completed_at: str
    duration_ms: int
    retry_count: int
    metadata: Object | None
