"""JSON that comes back exactly: numbers keep their text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, NoReturn, cast
from uuid import UUID

MAX_DEPTH = 100
"""How deep the service takes objects to be nested."""

_MAX_INT_DIGITS = 4000
"""Python itself refuses to read or print integers beyond 4300 digits."""


_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


class Number(float):
    """A number of the service that Python would not write as it was read: 1.10, 1e300, or forty digits.

    It computes as the float next to it, and is sent as the text that it was. `text` is that, `decimal` its exact value.
    Raises ValueError for a text that is no JSON number.
    """

    text: str

    def __new__(cls, text: str) -> Number:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{text[:100]!r} is not a JSON number")
        number = super().__new__(cls, text)
        number.text = text
        return number

    @property
    def decimal(self) -> Decimal:
        """The exact value."""
        return Decimal(self.text)

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.text,)

    def __copy__(self) -> Number:
        return self

    def __deepcopy__(self, memo: object) -> Number:
        return self


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview))


def _read_float(text: str) -> float:
    number = float(text)
    # Most floats are written as they were read, and are then plain floats.
    return number if float.__repr__(number) == text else Number(text)


def _read_int(text: str) -> int | float:
    if len(text) > _MAX_INT_DIGITS or text == "-0":
        return Number(text)
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def loads(text: str | bytes) -> Any:
    """Reads JSON.

    Raises ValueError where it is none, also where it is nested too deeply to read.
    """
    try:
        return json.loads(text, parse_float=_read_float, parse_int=_read_int, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


class _Writer:
    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.parts: list[str] = []
        self.changed: list[str] = []
        self.path: set[int] = set()

    def change(self, place: str, why: str, instead: str) -> None:
        if not self.lenient:
            raise ValueError(f"{place or 'the value'} {why}")
        self.changed.append(f"{place or 'the value'} {why}")
        self.parts.append(json.dumps(instead))

    def string(self, text: str, place: str) -> None:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            fixed = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self.change(place, "has a lone surrogate, which is not Unicode text", fixed)
            return
        self.parts.append(json.dumps(text, ensure_ascii=False))

    def value(self, value: object, place: str, depth: int) -> None:
        if value is None or isinstance(value, bool):
            self.parts.append("null" if value is None else "true" if value else "false")
        elif isinstance(value, Number):
            self.parts.append(value.text)
        elif isinstance(value, str):
            self.string(str.__str__(value), place)
        elif isinstance(value, int):
            try:
                self.parts.append(int.__repr__(value))
            except ValueError:
                self.change(place, "is an integer with too many digits for Python to print", hex(value))
        elif isinstance(value, float):
            if math.isfinite(value):
                self.parts.append(float.__repr__(value))
            else:
                self.change(place, f"is {float.__repr__(value)}, which JSON does not have: send null or a string", float.__repr__(value))
        elif isinstance(value, Decimal):
            if value.is_finite():
                # str() of a Decimal is a JSON number: 1E+2 is, too.
                self.parts.append(str(value))
            else:
                self.change(place, f"is {value}, which JSON does not have: send null or a string", str(value))
        elif isinstance(value, Mapping):
            self.container(cast("Mapping[object, object]", value), place, depth)
        elif _is_sequence(value):
            self.container(cast("Sequence[object]", value), place, depth)
        elif isinstance(value, datetime):
            self.parts.append(json.dumps(write_time(value)))
        elif isinstance(value, (date, UUID)):
            self.parts.append(json.dumps(str(value)))
        else:
            self.change(place, f"is of type {type(value).__name__}, which JSON does not have", _shown(value))

    def container(self, value: Mapping[object, object] | Sequence[object], place: str, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self.change(place, f"is nested deeper than {MAX_DEPTH}", "...")
        elif id(value) in self.path:
            self.change(place, "contains itself", "...")
        else:
            self.path.add(id(value))
            if isinstance(value, Mapping):
                self.mapping(value, place, depth)
            else:
                self.sequence(value, place, depth)
            self.path.discard(id(value))

    def mapping(self, value: Mapping[object, object], place: str, depth: int) -> None:
        self.parts.append("{")
        for index, (key, item) in enumerate(value.items()):
            if index:
                self.parts.append(", ")
            inner = f"{place}.{key}" if place else _shown(key)
            if isinstance(key, str):
                self.string(str.__str__(key), inner)
            else:
                self.change(inner, f"is a key of type {type(key).__name__}, and JSON has strings alone", _shown(key))
            self.parts.append(": ")
            self.value(item, inner, depth + 1)
        self.parts.append("}")

    def sequence(self, value: Sequence[object], place: str, depth: int) -> None:
        self.parts.append("[")
        for index, item in enumerate(value):
            if index:
                self.parts.append(", ")
            self.value(item, f"{place}[{index}]", depth + 1)
        self.parts.append("]")


def _shown(value: object) -> str:
    """A value of another type as text, whatever its own methods do."""
    try:
        text = str(value)[:2000]
        text.encode("utf-8")
    except Exception:
        return f"<{type(value).__name__}>"
    return text


def dumps(value: object) -> str:
    """Writes JSON: what json.dumps takes, and Decimal, Number, datetime, date, UUID, and any Mapping or Sequence.

    Raises ValueError, with the place, for what JSON does not have (NaN, a set, a key that is no string, a lone surrogate).
    """
    writer = _Writer(lenient=False)
    writer.value(value, "", 0)
    return "".join(writer.parts)


def dumps_lenient(value: object) -> tuple[str, list[str]]:
    """Writes JSON whatever it is given, and says what it had to change: for a job that is over must not fail for a value."""
    writer = _Writer(lenient=True)
    writer.value(value, "", 0)
    return "".join(writer.parts), writer.changed


def made_plain(value: object) -> tuple[Any, list[str]]:
    """The value as it stands now, as plain dicts and lists that `dumps` takes; and what had to be changed for that."""
    text, changed = dumps_lenient(value)
    return loads(text), changed


def write_time(time: datetime) -> str:
    """A time as the service writes it: RFC 3339, UTC, milliseconds. One without a zone is local time, as Python has it."""
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: str) -> datetime:
    """A time of the service. Raises ValueError where it is none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def is_object(value: object) -> bool:
    """Whether a value is a JSON object. A plain bool: a type checker that narrowed it would know less than before."""
    return isinstance(value, dict)


def as_object(value: object) -> dict[str, Any]:
    """A value if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A value if it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []
