"""Ratchet for Python: reports executions of agents and jobs, and never stops them for it.

    from ratchet import Client

    client = Client()                          # RATCHET_URL, RATCHET_API_KEY
    with client.execution("nightly") as run:   # created, running; completed or failed at the end
        run.output({"rows": 1200})
"""

from ._aio import AsyncClient, AsyncRun
from ._client import Client
from ._errors import (
    AlreadyEnded,
    ApiError,
    AuthError,
    ConfigurationError,
    ExecutionCancelled,
    NotFoundError,
    NotOwner,
    RatchetError,
    Unavailable,
    WaitTimeout,
)
from ._json import Number
from ._records import (
    Beat,
    Caller,
    Cancelled,
    Execution,
    LastBeat,
    Page,
    Priority,
    Status,
    StatusChange,
    StepReport,
    StepsReported,
    Transition,
    TriggerType,
)
from ._retry import RetryPolicy
from ._run import Run, current_run
from ._steps import Step
from ._version import __version__

__all__ = [
    "AlreadyEnded",
    "ApiError",
    "AsyncClient",
    "AsyncRun",
    "AuthError",
    "Beat",
    "Caller",
    "Cancelled",
    "Client",
    "ConfigurationError",
    "Execution",
    "ExecutionCancelled",
    "LastBeat",
    "NotFoundError",
    "NotOwner",
    "Number",
    "Page",
    "Priority",
    "RatchetError",
    "RetryPolicy",
    "Run",
    "Status",
    "StatusChange",
    "Step",
    "StepReport",
    "StepsReported",
    "Transition",
    "TriggerType",
    "Unavailable",
    "WaitTimeout",
    "__version__",
    "current_run",
]
