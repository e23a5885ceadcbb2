"""What can go wrong, by what a caller does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._json import as_list, as_object

if TYPE_CHECKING:
    from ._records import Execution


class RatchetError(Exception):
    """All errors of this package but ExecutionCancelled."""


class ConfigurationError(RatchetError):
    """There is no URL or no API key, or they cannot be right. Nothing was sent."""


class ApiError(RatchetError):
    """The service refused the request; to repeat it as it is does not help."""

    def __init__(self, status: int, body: Any, correlation_id: str | None = None) -> None:
        fields = as_object(body)
        self.status = status
        """The HTTP status."""
        self.body = body
        """The answer's body: parsed JSON, or text where it is none."""
        self.error_code: str | None = _text(fields.get("error_code"))
        """The service's name for it, such as INVALID_STATUS_TRANSITION; None for API Gateway's own answers."""
        self.current_status: str | None = _text(fields.get("current_status"))
        """The execution's status, where one decided."""
        self.requested_status: str | None = _text(fields.get("requested_status"))
        self.correlation_id: str | None = _text(fields.get("correlation_id")) or correlation_id
        """The name of the request in the service's log."""
        self.detail: str = _detail(status, body)
        """In words."""
        name = f"{status} {self.error_code}" if self.error_code else f"{status}"
        suffix = f" (correlation id {self.correlation_id})" if self.correlation_id else ""
        super().__init__(f"{name}: {self.detail}{suffix}")

    def __reduce__(self) -> tuple[type[ApiError], tuple[int, Any, str | None]]:
        return type(self), (self.status, self.body, self.correlation_id)


class NotFoundError(ApiError):
    """404 EXECUTION_NOT_FOUND: there is no such execution in the key's organization."""


class AuthError(ApiError):
    """401 or 403: no key, one that is unknown, or one whose scopes do not suffice."""


class Unavailable(RatchetError):
    """No usable answer, after all attempts."""

    def __init__(self, message: str, *, status: int | None = None, error_code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status of the last answer; None where none arrived."""
        self.error_code = error_code

    @property
    def outcome_unknown(self) -> bool:
        """The service itself does not know whether the write took effect: read, or repeat with the same Idempotency-Key."""
        return self.error_code == "OUTCOME_UNKNOWN"


class NotOwner(RatchetError):
    """A claim was refused: the execution is another worker's, or over."""

    def __init__(self, execution_id: str, current_status: str | None, by: str | None, detail: str) -> None:
        self.execution_id = execution_id
        self.current_status = current_status
        """Its status."""
        self.by = by
        """The name, or else the id, of the API key that brought it there; None where that could not be read."""
        self.detail = detail
        who = f", by {by}" if by else ""
        super().__init__(f"execution {execution_id} is {current_status or 'not ours'}{who}: {detail}")

    def __reduce__(self) -> tuple[type[NotOwner], tuple[str, str | None, str | None, str]]:
        return type(self), (self.execution_id, self.current_status, self.by, self.detail)


class AlreadyEnded(RatchetError):
    """Raised with strict=True at the end of a run whose result did not count, for another writer had ended it."""

    def __init__(self, execution_id: str, current_status: str | None, detail: str) -> None:
        self.execution_id = execution_id
        self.current_status = current_status
        self.detail = detail
        super().__init__(f"execution {execution_id} is {current_status or 'another worker’s'} already: {detail}")

    def __reduce__(self) -> tuple[type[AlreadyEnded], tuple[str, str | None, str]]:
        return type(self), (self.execution_id, self.current_status, self.detail)


class WaitTimeout(RatchetError, TimeoutError):
    """The execution was not over in time. It goes on: `execution` is how it was last seen."""

    def __init__(self, execution: Execution, seconds: float) -> None:
        self.execution = execution
        self.seconds = seconds
        super().__init__(f"execution {execution.id} is still {execution.status} after {seconds:g} s")

    def __reduce__(self) -> tuple[type[WaitTimeout], tuple[Execution, float]]:
        return type(self), (self.execution, self.seconds)


class ExecutionCancelled(BaseException):
    """Raised by `run.raise_if_cancelled()` in the job, to leave it; the run is then reported as cancelled.

    A BaseException, as KeyboardInterrupt is: an `except Exception` of the job's must not keep it running.
    """


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _detail(status: int, body: Any) -> str:
    fields = as_object(body)
    detail = fields.get("detail", fields.get("message"))
    if isinstance(detail, str):
        return detail
    if problems := as_list(detail):
        return "; ".join(map(_problem, problems[:20]))
    if 300 <= status < 400:
        return "a redirect, which is not followed, for the API key would go along: check the URL"
    return str(body)[:300] if body else "no explanation"


def _problem(problem: object) -> str:
    fields = as_object(problem)
    return f"{'.'.join(map(str, as_list(fields.get('loc'))))}: {fields.get('msg')}"


def api_error(status: int, body: Any, correlation_id: str | None) -> ApiError:
    """The class for an answer."""
    error = ApiError(status, body, correlation_id)
    if error.error_code == "EXECUTION_NOT_FOUND":
        return NotFoundError(status, body, correlation_id)
    if status in (401, 403):
        return AuthError(status, body, correlation_id)
    return error
