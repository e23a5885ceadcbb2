"""A flood of waiters at the deployed API: how many get through, and what is left to everybody else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import urllib3

from checks import EXECUTIONS, World, gateways, ok
from stack import Answer, Api

# WaitRateLimit of template.yaml, by default: requests a second, and as many at once.
RATE = 4
WAITERS = 200
# Seconds. An update takes a thirtieth of it; beside 200 functions that start it takes longer, or fails.
SLOWEST = 2


def test_a_flood_of_waiters_leaves_an_update_alone(world: World) -> None:
    waited = [world.execution("running")["id"] for _ in range(5)]
    updated = f"{EXECUTIONS}/{world.execution('running')['id']}"
    # A connection for each, so that none waits for another one here.
    reader = Api(world.reader.endpoint, world.reader.host, world.reader.key, urllib3.PoolManager(maxsize=WAITERS))
    flood, begun = uuid4().hex, []
    together = threading.Barrier(WAITERS + 1, lambda: begun.append(time.monotonic()))

    def wait(number: int) -> tuple[Answer, float]:
        together.wait()
        path = f"{EXECUTIONS}/{waited[number % len(waited)]}/wait?timeout=25"
        return reader.get(path, x_correlation_id=f"{flood}-{number}"), time.monotonic()

    def update(seconds: float) -> list[float]:
        """Updates one after the other, for so long. How long each took."""
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            sent = time.monotonic()
            ok(world.admin.patch(updated, {"tokens_used": len(times)}))
            times.append(time.monotonic() - sent)
        return times

    # Fills the bucket, too, out of which other tests may have taken.
    alone = update(3)
    with ThreadPoolExecutor(WAITERS) as threads:
        waiters = [threads.submit(wait, number) for number in range(WAITERS)]
        together.wait()
        beside = update(5)
        ended = time.monotonic()
        for id in waited:
            ok(world.admin.patch(f"{EXECUTIONS}/{id}", {"status": "completed"}))
        answers = [waiter.result() for waiter in waiters]

    through = [(answer, at) for answer, at in answers if answer.status == 200]
    refused = [(answer, at) for answer, at in answers if answer.status != 200]
    for answer, _ in refused:
        gateways(answer, 429, "Too Many Requests")
    lasted = max((at for _, at in refused), default=ended) - begun[0]
    print(
        f"ok of {WAITERS} waiters {len(through)} wait and {len(refused)} are answered 429 within {lasted:.1f} s; an update"
        f" takes {middle(alone):.0f} ms alone, {middle(beside):.0f} ms beside them, at most {max(beside) * 1000:.0f} ms"
    )
    # All that the bucket had, and what came into it while the flood lasted.
    assert RATE <= len(through) <= RATE + RATE * lasted, f"{len(through)} in {lasted:.1f} s"
    assert max(beside) < SLOWEST, f"updates: {sorted(beside)[-5:]}"
    for answer, at in through:
        assert at > ended and ok(answer)["status"] == "completed", "it did not wait for the end"
        assert at - ended < 5, f"told {at - ended:.1f} s after the end"
    # What was refused has reached no function.
    logs, group = world.stack.emulator.client("logs"), f"/aws/lambda/{world.stack.name}/wait_execution"
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    lines = [event["message"] for page in pages for event in page["events"] if flood in event["message"]]
    assert len(lines) == len(through), lines[:5]


def middle(times: list[float]) -> float:
    """The middle one, in milliseconds."""
    return sorted(times)[len(times) // 2] * 1000
