"""One emulator and one deployed stack for all tests of a run."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks import World
from stack import Emulator, Stack

PROVEN = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    running = Emulator()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stack(emulator: Emulator) -> Stack:
    return Stack(emulator)


@pytest.fixture(scope="session")
def world(stack: Stack) -> World:
    return World.of(stack)


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_the_emulators_log(emulator: Emulator) -> Iterator[None]:
    """The log has the functions' own output. After all tests, it must not have a key."""
    yield
    text = Path(emulator.log.name).read_text(errors="replace")
    assert not re.findall("ratchet_[0-9a-f]{16}_", text), "an API key is in the log"


@pytest.fixture(scope="session")
def proven(request: pytest.FixtureRequest) -> list:
    """The rows of the proof of least privilege, for the table at the end."""
    request.config.stash[PROVEN] = rows = []
    return rows


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    rows = config.stash.get(PROVEN, [])
    if rows:
        terminalreporter.section("least privilege: what each function needs")
        terminalreporter.write_line(f"{'function':26}{'action':24}{'on':18}checks that fail without it")
        for function, action, target, failed in rows:
            terminalreporter.write_line(f"{function:26}{action:24}{target:18}{failed}")
        terminalreporter.write_line(
            "In addition, each may write its own log and send traces. Lambda does that on its behalf, here without\n"
            "asking IAM: this proof does not show that these are needed."
        )
