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
    """The functions' own output is in it: after all tests, no key may be."""
    yield
    text = Path(emulator.log.name).read_text(errors="replace")
    assert not re.findall("ratchet_[0-9a-f]{16}_", text), "an API key is in the log"


@pytest.fixture(scope="session")
def proven(request: pytest.FixtureRequest) -> list:
    """What the proof of least privilege found, for the table at the end."""
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
            "Besides, each may write its own log and send traces. Lambda does that in its name, and here without asking IAM:\n"
            "that these are needed is not seen."
        )
