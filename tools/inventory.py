"""What there is, for lists that are written by hand: operations and functions; and whether a list has all of them.

The same as tests/src/coverage.rs: without it a list that lacks a new operation passes, and nothing says that the operation is
not tried. Of the standard library alone, for each of the environments that read it.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Operation:
    """An operation of openapi/openapi.json: the name of its function, its method, and its path with parameters in braces."""

    id: str
    method: str
    path: str


def operations() -> list[Operation]:
    document = json.loads((ROOT / "openapi" / "openapi.json").read_text())
    return [
        Operation(operation["operationId"], method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def functions() -> set[str]:
    """The functions of template.yaml, by the names of their folders."""
    return set(re.findall(r"^ +CodeUri: functions/(\w+)$", (ROOT / "template.yaml").read_text(), re.M))


class Gaps(Exception):
    """A list is not of what there is."""


def covers(what: str, listed: Iterable[str], there_are: Iterable[str]) -> None:
    """Raises Gaps, by name, unless a list has all that there is and nothing else."""
    listed, there_are = set(listed), set(there_are)
    gaps = [
        f"{kind}: {', '.join(sorted(names))}"
        for kind, names in [("missing", there_are - listed), ("unknown", listed - there_are)]
        if names
    ]
    if gaps or not there_are:
        raise Gaps(f"{what}: {'; '.join(gaps) or 'there is nothing to cover'}")
