"""JSON whose numbers keep their text, and the matches of the cases."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any


class Number(str):
    """A number as it was written: 1.0 is not 1."""

    __slots__ = ()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def loads(text: str | bytes) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse)


def dumps(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return json.dumps(value)


MISSING = object()


def difference(expected: Any, actual: Any, place: str = "") -> str | None:
    """Why `actual` does not match, or None. README.md says what a match is."""
    shown = "nothing" if actual is MISSING else dumps(actual)[:600]
    if isinstance(expected, dict) and any(key.startswith("$") for key in expected):
        ((rule, operand),) = expected.items()
        if rule == "$absent":
            fine = actual is MISSING
        elif rule == "$any":
            fine = actual is not MISSING and actual is not None
        elif rule == "$matches":
            fine = isinstance(actual, str) and re.search(operand, actual) is not None
        elif rule == "$one_of":
            fine = any(difference(item, actual) is None for item in operand)
        elif rule in ("$at_least", "$at_most"):
            try:
                number = Decimal(actual) if isinstance(actual, Number) else None
            except InvalidOperation:
                number = None
            if number is None:
                fine = False
            else:
                fine = number >= Decimal(operand) if rule == "$at_least" else number <= Decimal(operand)
        else:
            raise ValueError(f"{rule} is no match")
        return None if fine else f"{place or '/'}: expected {dumps(expected)}, got {shown}"
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return f"{place or '/'}: expected an object like {dumps(expected)}, got {shown}"
        for key, item in expected.items():
            if found := difference(item, actual.get(key, MISSING), f"{place}/{key}"):
                return found
        return None
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return f"{place or '/'}: expected {dumps(expected)}, got {shown}"
        for index, (wanted, item) in enumerate(zip(expected, actual, strict=True)):
            if found := difference(wanted, item, f"{place}/{index}"):
                return found
        return None
    # A number is not a string of the same digits, and true is not 1.
    if type(expected) is not type(actual) or expected != actual:
        return f"{place or '/'}: expected {dumps(expected)}, got {shown}"
    return None


def at(value: Any, pointer: str) -> Any:
    """What a JSON pointer names."""
    for part in pointer.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value
