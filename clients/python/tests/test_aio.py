"""The async twins: the loop is never blocked, and a task that is cancelled leaves nothing open."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Fault, Proxy, until

from ratchet import AlreadyEnded, Client, Execution, NotOwner, Run, WaitTimeout, current_run
from ratchet._aio import in_thread

Only = Callable[[], Execution]


def test_a_block_is_an_execution(client: Client, flow: str, only: Only) -> None:
    async def main() -> None:
        async with client.aexecution(flow, variables={"a": 1}) as run:
            assert current_run() is run and only().status == "running"
            async with run.step("x"):
                await asyncio.sleep(0)
            run.output({"rows": 1})
        assert current_run() is None

    asyncio.run(main())
    assert (only().status, only().final_output, only().variables) == ("completed", {"rows": 1}, {"a": 1})


def test_an_exception_is_raised_again(client: Client, flow: str, only: Only) -> None:
    async def main() -> None:
        async with client.aio.execution(flow):
            raise LookupError("x")

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert only().error_message == "LookupError: x"


def test_a_task_that_is_cancelled_is_a_cancelled_execution(client: Client, flow: str, only: Only) -> None:
    entered = asyncio.Event()

    async def job() -> None:
        async with client.aexecution(flow):
            entered.set()
            await asyncio.sleep(30)

    async def main() -> None:
        task = asyncio.ensure_future(job())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (only().status, only().error_message) == ("cancelled", "CancelledError")


def test_a_task_that_is_cancelled_again_while_it_reports(client: Client, proxy: Proxy, flow: str, only: Only) -> None:
    entered = asyncio.Event()

    async def job() -> None:
        async with client.aexecution(flow):
            entered.set()
            await asyncio.sleep(30)

    async def main() -> None:
        task = asyncio.ensure_future(job())
        await entered.wait()
        proxy.add_fault(Fault("delay", method="PATCH", seconds=0.5))
        task.cancel()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    until(lambda: only().ended)
    assert only().status == "cancelled"
    until(lambda: not [t for t in threading.enumerate() if t.name == "ratchet-call"])


async def cancelled_on_the_way_in(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a job, and cancels it before it has entered its block."""
    task = asyncio.ensure_future(job())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # A service that went on with it would have it running for a day.
    await asyncio.sleep(1.0)


def test_a_task_that_is_cancelled_while_it_enters(client: Client, proxy: Proxy, flow: str, direct: Client) -> None:
    proxy.add_fault(Fault("delay", method="POST", seconds=0.5))

    async def job() -> None:
        async with client.aexecution(flow):
            pytest.fail("the block was entered")

    asyncio.run(cancelled_on_the_way_in(job))
    until(lambda: [e.status for e in direct.list(flow_id=flow).executions] == ["cancelled"])


def test_a_claim_that_is_cancelled_while_it_claims_is_given_back(client: Client, proxy: Proxy, flow: str, direct: Client) -> None:
    execution = direct.execute(flow)
    proxy.add_fault(Fault("delay", method="PATCH", seconds=0.5))

    async def job() -> None:
        async with client.aclaim(execution.id):
            pytest.fail("the block was entered")

    asyncio.run(cancelled_on_the_way_in(job))

    def status() -> str:
        found = direct.get(execution.id)
        return found.status if found else ""

    until(lambda: status() == "cancelled")


def test_a_claim(client: Client, direct: Client, flow: str) -> None:
    execution = direct.execute(flow)

    async def main() -> None:
        async with client.aclaim(execution.id) as run:
            assert run.attempt == 1
            with pytest.raises(NotOwner):
                async with client.aio.claim(execution.id):
                    pytest.fail("the block was entered")

    asyncio.run(main())


def test_the_loop_is_not_blocked_by_a_service_that_hangs(client: Client, proxy: Proxy, flow: str) -> None:
    proxy.add_fault(Fault("hang", times=99))

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.ensure_future(tick())
        async with client.aexecution(flow, start_timeout=0.5, report_timeout=0.5):
            pass
        ticker.cancel()
        return ticks

    assert asyncio.run(main()) > 20


def test_a_full_executor_of_the_job_delays_no_report(client: Client, flow: str) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        blocked = asyncio.ensure_future(asyncio.to_thread(time.sleep, 3))
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        async with client.aexecution(flow):
            pass
        took = time.monotonic() - begun
        await blocked
        return took

    assert asyncio.run(main()) < 2.5


def test_a_cancel_can_end_the_task(client: Client, direct: Client, flow: str, only: Only) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def stop(run: Run) -> None:
            loop.call_soon_threadsafe(task.cancel)

        async with client.aexecution(flow, heartbeat_seconds=0.1, on_cancel=stop) as run:
            assert run.id
            await client.aio.cancel(run.id, grace_seconds=600)
            await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert only().status == "cancelled"


def test_strict_raises_in_the_task(client: Client, direct: Client, flow: str) -> None:
    async def main() -> None:
        async with client.aexecution(flow, strict=True) as run:
            assert run.id
            await client.aio.update_status(run.id, "failed")

    with pytest.raises(AlreadyEnded):
        asyncio.run(main())


def test_all_calls_have_a_twin(client: Client, flow: str) -> None:
    async def main() -> None:
        aio = client.aio
        made = await aio.execute(flow, variables={"a": 1})
        assert await aio.get(made.id, if_none_match=made.etag) is None
        assert (await aio.update(made.id, status="running")).attempt == 1
        assert (await aio.heartbeat(made.id, 1))["action"] == "continue"
        assert (await aio.last_heartbeat(made.id))["last_heartbeat_at"] is not None
        assert [e.id for e in (await aio.list(flow_id=flow)).executions] == [made.id]
        assert [e.id async for e in aio.walk(flow_id=flow)] == [made.id]
        assert (await aio.me())["organization_id"] == "python"
        assert (await aio.cancel(made.id))["outcome"] == "requested"
        with pytest.raises(WaitTimeout):
            await aio.wait(made.id, 0)
        assert (await aio.update_status(made.id, "completed"))["previous_status"] == "running"
        assert (await aio.wait(made.id)).status == "completed"
        assert [t["to"] for t in await aio.transitions(made.id)] == ["running", "completed"]

    asyncio.run(main())
    public = {name for name in vars(type(client)) if not name.startswith("_")}
    twins = {name for name in vars(type(client.aio)) if not name.startswith("_")}
    own = {"close", "transport", "attempter", "send", "send_once", "execute_body", "update_body", "flow", "aio", "aexecution", "aclaim"}
    assert public - own == twins


def test_a_wait_that_is_called_off_ends_its_thread(client: Client, proxy: Proxy, flow: str) -> None:
    made = client.execute(flow)
    proxy.add_fault(Fault("answer", path="/wait", status=429, body={}, times=99))
    client.poll_scale = 0.05

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aio.wait(made.id, 60), 0.4)

    asyncio.run(main())
    until(lambda: not [t for t in threading.enumerate() if t.name == "ratchet-call"])
    seen = len(proxy.seen)
    time.sleep(0.4)
    assert len(proxy.seen) == seen


def test_what_a_thread_raises_is_raised_in_the_task() -> None:
    def stop() -> None:
        raise StopIteration

    def exit_() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(in_thread(stop))
    with pytest.raises(SystemExit):
        asyncio.run(in_thread(exit_))


def test_a_loop_that_is_closed_before_the_answer_harms_nothing() -> None:
    released = threading.Event()

    async def main() -> None:
        task = asyncio.ensure_future(in_thread(lambda: released.wait(5)))
        await asyncio.sleep(0.05)
        task.cancel()

    asyncio.run(main())
    released.set()
    until(lambda: not [t for t in threading.enumerate() if t.name == "ratchet-call"])
