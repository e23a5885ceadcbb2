"""A `local`, and the fault proxy of the conformance list in front of it, for the tests of what no case can say."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "clients" / "conformance"))

from local import start_local  # noqa: E402
from proxy import Fault, Proxy  # noqa: E402

from ratchet import Client, Execution, RetryPolicy  # noqa: E402

KEY = "python-client-key"
QUICK = RetryPolicy(timeout=5.0, deadline=20.0, backoff_base=0.02, backoff_cap=0.1)


@pytest.fixture(scope="session")
def service() -> Iterator[tuple[str, int]]:
    """Host and port of a `local` with an empty store."""
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "local"
    process, host, port = start_local(str(binary), f"{KEY}=python", "reader=python:read")
    yield host, port
    process.terminate()
    process.wait()
    assert process.stdout
    process.stdout.close()


@pytest.fixture
def proxy(service: tuple[str, int]) -> Iterator[Proxy]:
    made = Proxy(*service)
    yield made
    made.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    """Behind the proxy."""
    made = Client(proxy.url, KEY, retry=QUICK)
    yield made
    made.close()


@pytest.fixture
def direct(service: tuple[str, int]) -> Iterator[Client]:
    """Without the proxy: another writer."""
    made = Client(f"http://{service[0]}:{service[1]}", KEY)
    yield made
    made.close()


@pytest.fixture
def flow(request: pytest.FixtureRequest) -> str:
    """A flow of the test's own."""
    return f"{request.node.name[:150]}-{os.urandom(3).hex()}"


@pytest.fixture
def only(direct: Client, flow: str) -> Callable[[], Execution]:
    """The only execution of the test's flow, with all that it has."""

    def get() -> Execution:
        (found,) = direct.list(flow_id=flow).executions
        execution = direct.get(found.id)
        assert execution is not None
        return execution

    return get


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


__all__ = ["KEY", "QUICK", "Fault", "Proxy", "until"]
