"""The decorator, over every kind of function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from conftest import Proxy

from ratchet import Client, Execution, current_run

Only = Callable[[], Execution]


def test_each_call_is_an_execution(client: Client, direct: Client, flow: str) -> None:
    @client.flow(flow, metadata={"team": "x"})
    def job(limit: int, *, secret: str = "s") -> dict[str, int]:
        """What it does."""
        assert current_run() is not None
        return {"rows": limit}

    assert job(3) == {"rows": 3} and job(limit=4, secret="t") == {"rows": 4}
    executions = list(direct.walk(flow_id=flow))
    assert [e.status for e in executions] == ["completed", "completed"]
    # Neither what it is given nor what it gives is recorded, for it may be anybody's secret.
    assert all(e.variables == {} and e.final_output is None and e.metadata == {"team": "x"} for e in executions)
    assert (job.__name__, job.__doc__, list(inspect.signature(job).parameters)) == ("job", "What it does.", ["limit", "secret"])


def test_arguments_and_result_are_recorded_where_that_is_asked_for(client: Client, flow: str, only: Only) -> None:
    @client.flow(flow, record_arguments=True, record_result=True, variables={"fixed": 1})
    def job(limit: int, *rest: int, deep: bool = False) -> list[int]:
        return [limit, *rest]

    assert job(1, 2, 3) == [1, 2, 3]
    assert only().variables == {"fixed": 1, "limit": 1, "rest": [2, 3]}
    assert only().final_output == {"result": [1, 2, 3]}


def test_arguments_that_do_not_fit_raise_as_they_would(client: Client, flow: str, only: Only) -> None:
    @client.flow(flow, record_arguments=True)
    def job(limit: int) -> None: ...

    with pytest.raises(TypeError, match="limit"):
        job()  # type: ignore[call-arg]
    assert only().status == "failed"


def test_a_function_that_fails(client: Client, flow: str, only: Only) -> None:
    @client.flow(flow)
    def job() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError):
        job()
    assert only().error_message == "LookupError: x"


def test_a_coroutine(client: Client, flow: str, only: Only) -> None:
    @client.flow(flow, record_result=True)
    async def job(x: int) -> dict[str, int]:
        await asyncio.sleep(0.01)
        assert current_run() is not None
        return {"x": x}

    assert inspect.iscoroutinefunction(job)
    assert asyncio.run(job(5)) == {"x": 5}
    assert (only().status, only().final_output) == ("completed", {"x": 5})


def test_a_generator_is_one_execution_over_all_of_its_values(client: Client, flow: str, only: Only) -> None:
    @client.flow(flow, record_result=True)
    def job(n: int) -> Iterator[int]:
        yield from range(n)
        return {"n": n}

    values = job(3)
    assert next(values) == 0 and only().status == "running"
    assert list(values) == [1, 2]
    assert (only().status, only().final_output) == ("completed", {"n": 3})


def test_a_generator_that_is_left_early_is_cancelled(client: Client, flow: str, only: Only) -> None:
    @client.flow(flow)
    def job() -> Iterator[int]:
        yield 1
        yield 2

    values: Any = job()
    next(values)
    values.close()
    assert only().status == "cancelled"


def test_an_async_generator(client: Client, flow: str, only: Only) -> None:
    closed: list[bool] = []

    @client.flow(flow)
    async def job(n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                yield i
        finally:
            closed.append(True)

    async def main() -> list[int]:
        return [i async for i in job(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    assert only().status == "completed" and closed == [True]


def test_an_async_generator_that_is_left_early_is_cancelled(client: Client, flow: str, only: Only) -> None:
    closed: list[bool] = []

    @client.flow(flow)
    async def job() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main() -> None:
        values: Any = job()
        await values.__anext__()
        await values.aclose()

    asyncio.run(main())
    assert only().status == "cancelled" and closed == [True]


def test_a_method(client: Client, flow: str, only: Only) -> None:
    class Worker:
        @client.flow(flow, record_arguments=True)
        def job(self, n: int) -> int:
            return n + 1

    assert Worker().job(1) == 2
    assert only().variables["n"] == 1


def test_a_wrong_option_fails_where_the_function_is_defined(client: Client) -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        client.flow("f", no_such_option=1)


def test_a_service_that_is_away_stops_no_function(client: Client, proxy: Proxy, flow: str) -> None:
    proxy.down()

    @client.flow(flow, start_timeout=0.1, report_timeout=0.1)
    def job() -> int:
        return 7

    assert job() == 7
