"""What is repeated, when, and what not. No clock runs here: pauses are noted and not waited for."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.message import Message
from typing import Any

import pytest

from ratchet import ApiError, AuthError, NotFoundError, RetryPolicy, Unavailable
from ratchet._retry import Result, call, read_answer, retry_after
from ratchet._transport import Answer, AttemptFailed


def answer(status: int, body: bytes | str = b"{}", **headers: str) -> Answer:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return Answer(status, message, body.encode() if isinstance(body, str) else body)


class Time:
    """A clock that pauses move."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def attempts(*outcomes: Answer | Exception) -> tuple[Callable[[float], Answer], list[float]]:
    """What gives these outcomes in turn, the last for ever; and the timeouts that it was given."""
    timeouts: list[float] = []
    left: Iterator[Answer | Exception] = iter(outcomes)
    last = outcomes[-1]

    def attempt(timeout: float) -> Answer:
        timeouts.append(timeout)
        outcome = next(left, last)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt, timeouts


def run(*outcomes: Answer | Exception, **policy: Any) -> tuple[Result | Exception, Time, list[float]]:
    time = Time()
    attempt, timeouts = attempts(*outcomes)
    try:
        result: Result | Exception = call(attempt, RetryPolicy(**policy), sleep=time.sleep, clock=time.clock)
    except (ApiError, Unavailable) as error:
        result = error
    return result, time, timeouts


OK = answer(200, '{"id": "x"}', etag='"3"')
BUSY = answer(503, '{"message": "Service Unavailable"}')


def test_a_success_is_sent_once() -> None:
    result, time, timeouts = run(OK)
    assert isinstance(result, Result)
    assert (result.body, result.etag, result.replayed, result.status) == ({"id": "x"}, '"3"', False, 200)
    assert time.pauses == [] and timeouts == [10.0]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_these_statuses_are_repeated_whatever_their_body(status: int) -> None:
    for body in ("{}", "<html>", "", '{"error_code": "STORE_UNAVAILABLE"}', "[1]"):
        result, time, _ = run(answer(status, body), OK)
        assert isinstance(result, Result)
        assert len(time.pauses) == 1


def test_500_is_repeated_without_a_code_and_not_with_one() -> None:
    assert isinstance(run(answer(500, '{"message": "Internal Server Error"}'), OK)[0], Result)
    result, time, _ = run(answer(500, '{"error_code": "INTERNAL", "detail": "x", "correlation_id": "c"}'), OK)
    assert isinstance(result, ApiError) and result.correlation_id == "c" and time.pauses == []


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 405, 409, 411, 412, 413, 415, 422])
def test_these_statuses_are_not_repeated(status: int) -> None:
    result, time, timeouts = run(answer(status, '{"detail": "no"}'), OK)
    assert isinstance(result, ApiError) and result.status == status
    assert time.pauses == [] and len(timeouts) == 1


def test_a_failed_attempt_is_repeated() -> None:
    result, time, timeouts = run(AttemptFailed("reset"), AttemptFailed("reset"), OK)
    assert isinstance(result, Result)
    assert len(time.pauses) == 2 and len(timeouts) == 3


def test_attempts_have_an_end_and_no_pause_follows_the_last() -> None:
    result, time, timeouts = run(AttemptFailed("reset"))
    assert isinstance(result, Unavailable) and str(result) == "reset" and result.status is None
    assert isinstance(result.__cause__, AttemptFailed)
    assert len(timeouts) == 4 and len(time.pauses) == 3


def test_the_last_failure_is_the_one_that_is_told() -> None:
    result, _, _ = run(AttemptFailed("reset"), BUSY, attempts=2)
    assert isinstance(result, Unavailable) and result.status == 503


def test_outcome_unknown_is_told() -> None:
    result, _, _ = run(answer(503, '{"error_code": "OUTCOME_UNKNOWN", "detail": "x"}'))
    assert isinstance(result, Unavailable) and result.outcome_unknown
    assert not Unavailable("x", status=503).outcome_unknown


def test_a_success_without_json_is_repeated() -> None:
    result, _, timeouts = run(answer(200, "<html>"))
    assert isinstance(result, Unavailable) and result.status == 200 and len(timeouts) == 4
    assert isinstance(run(answer(200, b""))[0], Unavailable)
    assert isinstance(run(answer(204, b""))[0], Result)
    assert isinstance(run(answer(304, b""))[0], Result)


def test_pauses_are_within_their_bounds() -> None:
    for _ in range(200):
        _, time, _ = run(BUSY, attempts=6, backoff_base=0.1, backoff_cap=5.0, deadline=1000.0)
        for sent, pause in enumerate(time.pauses, 1):
            assert 0.1 <= pause <= min(5.0, 0.1 * 4.0**sent)


def test_pauses_are_random_and_reach_both_ends() -> None:
    policy = RetryPolicy(backoff_base=0.1, backoff_cap=5.0)
    assert policy.backoff(1, lambda: 0.0) == pytest.approx(0.1)
    assert policy.backoff(1, lambda: 1.0) == pytest.approx(0.4)
    assert policy.backoff(2, lambda: 1.0) == pytest.approx(1.6)
    assert policy.backoff(3, lambda: 1.0) == pytest.approx(5.0)
    assert policy.backoff(10_000, lambda: 1.0) == pytest.approx(5.0)
    assert len({policy.backoff(3) for _ in range(20)}) > 10


def test_a_cap_below_the_base_is_the_base() -> None:
    assert RetryPolicy(backoff_base=2.0, backoff_cap=1.0).backoff(3, lambda: 0.9) == 2.0


def test_retry_after_is_obeyed_where_it_is_longer() -> None:
    _, time, _ = run(answer(429, "{}", retry_after="7"), OK)
    assert time.pauses == [7.0]
    _, time, _ = run(answer(503, "{}", retry_after="0"), OK)
    assert 0.1 <= time.pauses[0] <= 0.4


def test_retry_after_speaks_of_its_own_answer() -> None:
    _, time, _ = run(answer(429, "{}", retry_after="7"), AttemptFailed("x"), OK)
    assert time.pauses[0] == 7.0 and time.pauses[1] < 2.0


def test_retry_after_beyond_the_limit_ends_the_call() -> None:
    result, time, timeouts = run(answer(503, "{}", retry_after="31"), OK, deadline=1000.0)
    assert isinstance(result, Unavailable) and time.pauses == [] and len(timeouts) == 1
    result, time, _ = run(answer(503, "{}", retry_after="30"), OK, deadline=1000.0)
    assert isinstance(result, Result) and time.pauses == [30.0]


def test_no_pause_passes_the_deadline() -> None:
    result, time, timeouts = run(answer(503, "{}", retry_after="20"), OK, deadline=20.0)
    assert isinstance(result, Unavailable) and time.pauses == [] and len(timeouts) == 1
    result, time, _ = run(answer(503, "{}", retry_after="19"), OK, deadline=20.0)
    assert isinstance(result, Result)


def test_the_deadline_cuts_the_timeout_of_an_attempt() -> None:
    _, _, timeouts = run(answer(503, "{}", retry_after="15"), OK, deadline=20.0, timeout=10.0)
    assert timeouts == [10.0, 5.0]


def test_each_failure_is_noted() -> None:
    noted: list[Unavailable] = []
    attempt, _ = attempts(AttemptFailed("a"), BUSY, OK)
    call(attempt, RetryPolicy(), sleep=lambda s: None, note=noted.append)
    assert [failure.status for failure in noted] == [None, 503]


NOW = datetime(2026, 11, 21, 18, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("0", 0.0), (" 5 ", 5.0), ("120", 120.0), ("-5", None), ("1.5", None), ("soon", None), ("", None), ("٣", None),
        ("Sat, 21 Nov 2026 18:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 17:59:30 GMT", 0.0), ("Sat, 21 Nov 2026 18:00:30", 30.0),
        ("9" * 400, 999999999999.0), ("Sat, 99 Nov 2026 99:00:30 GMT", None),
    ],
)  # fmt: skip
def test_what_retry_after_says(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


def test_replays_are_marked() -> None:
    for value, marked in (("true", True), ("True", True), ("false", False)):
        result = read_answer(answer(200, "{}", idempotency_replayed=value))
        assert isinstance(result, Result) and result.replayed is marked


def test_refusals_have_their_classes() -> None:
    with pytest.raises(NotFoundError):
        read_answer(answer(404, '{"error_code": "EXECUTION_NOT_FOUND", "detail": "x"}'))
    with pytest.raises(ApiError) as raised:
        read_answer(answer(404, '{"message": "Not Found"}'))
    assert not isinstance(raised.value, NotFoundError)
    for status in (401, 403):
        with pytest.raises(AuthError):
            read_answer(answer(status, '{"message": "Forbidden"}'))


def test_a_refusal_says_what_the_service_said() -> None:
    body = '{"detail": "too late", "error_code": "INVALID_STATUS_TRANSITION", "correlation_id": "c1", "timestamp": "t", "current_status": "failed", "requested_status": "completed"}'
    with pytest.raises(ApiError) as raised:
        read_answer(answer(400, body))
    error = raised.value
    assert (error.error_code, error.current_status, error.requested_status) == ("INVALID_STATUS_TRANSITION", "failed", "completed")
    assert str(error) == "400 INVALID_STATUS_TRANSITION: too late (correlation id c1)"
    assert pickle.loads(pickle.dumps(error)).current_status == "failed"


def test_validation_errors_are_listed() -> None:
    with pytest.raises(ApiError, match=r"422: body\.flow_id: too short; body\.n\.0: wrong"):
        read_answer(answer(422, '{"detail": [{"loc": ["body", "flow_id"], "msg": "too short"}, {"loc": ["body", "n", 0], "msg": "wrong"}]}'))


@pytest.mark.parametrize("body", ["<html>no</html>", "", "[]", "7", '{"detail": 5}', '{"detail": [7, null]}', "\ufffd", '{"error_code": 7}'])
def test_a_refusal_with_any_body_is_one(body: str) -> None:
    with pytest.raises(ApiError) as raised:
        read_answer(answer(400, body, x_correlation_id="from-the-header"))
    assert raised.value.error_code is None
    assert raised.value.correlation_id == "from-the-header"
    assert raised.value.detail


def test_a_redirect_says_why_it_is_not_followed() -> None:
    with pytest.raises(ApiError, match="not followed"):
        read_answer(answer(302, ""))
