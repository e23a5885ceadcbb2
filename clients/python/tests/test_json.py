"""Numbers keep their text; what JSON does not have is refused, or for a job's sake replaced."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections import UserDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from ratchet import Number
from ratchet._json import as_list, as_object, dumps, dumps_lenient, loads, made_plain, read_time, write_time


@pytest.mark.parametrize(
    "text",
    [
        "1.0", "1", "-0", "-0.0", "0.10", "1e300", "1E5", "1e+5", "1e-400", "1e400", "-1e400",
        "3.141592653589793238462643383279502884197", "12345678901234567890123456789012345678901234567890",
        "9" * 5000, "0.1", "1.7976931348623157e308", "5e-324",
    ],
)  # fmt: skip
def test_a_number_is_written_as_it_was_read(text: str) -> None:
    assert dumps(loads(text)) == text
    assert dumps(loads(f'{{"a": [{text}]}}')) == f'{{"a": [{text}]}}'


def test_plain_numbers_are_plain() -> None:
    assert type(loads("1")) is int
    assert type(loads("1.5")) is float
    assert type(loads("0.10")) is Number


def test_a_number_computes_as_a_float_and_knows_its_exact_value() -> None:
    number = loads("0.10")
    assert number * 2 == 0.2
    assert number.decimal == Decimal("0.10") and str(number) == repr(number) == number.text == "0.10"
    assert math.isinf(loads("1e400"))
    for twin in (copy.copy(number), copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
        assert twin.text == "0.10"
    assert json.loads(json.dumps({"a": number})) == {"a": 0.1}


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_0", "+1", "01", "1.", ".5", "0x1", "1 ", "１"])
def test_a_number_is_a_number_of_json(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON number"):
        Number(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "", "{", "nul", "[1]]"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_json_that_is_nested_too_deeply_is_refused_and_no_crash() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        loads("[" * 200_000 + "]" * 200_000)


class Text(str):
    def __str__(self) -> str:
        return "something else"


def test_all_kinds_of_values_are_written() -> None:
    value: dict[str, Any] = {
        "none": None, "yes": True, "no": False, "int": 7, "float": 0.5, "decimal": Decimal("1.10"), "exponent": Decimal("1E+2"),
        "text": 'ü"\n\u2028🦀', "list": [1, (2,)], "mapping": UserDict(a=1), "id": UUID(int=1), "day": date(2026, 1, 2),
        "time": datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=2))), "subclass": Text("x"), "": {},
    }  # fmt: skip
    text = dumps(value)
    assert json.loads(text)["list"] == [1, [2]]
    assert '"decimal": 1.10' in text and '"exponent": 1E+2' in text
    assert '"time": "2026-01-02T01:04:05.678Z"' in text
    assert '"subclass": "x"' in text
    assert "ü" in text and "🦀" in text


def test_an_enum_of_strings_is_its_text() -> None:
    from enum import Enum

    class Color(str, Enum):
        RED = "red"

    assert dumps({"a": Color.RED}) == '{"a": "red"}'


CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, math.nan]}, r"a\[1\] is nan"),
        ({"a": {"b": math.inf}}, r"a\.b is inf"),
        ({"a": Decimal("NaN")}, "a is NaN"),
        ({"a": {1, 2}}, "a is of type set"),
        ({"a": b"x"}, "a is of type bytes"),
        ({1: "x"}, "is a key of type int"),
        ({"a": "\ud800"}, "a has a lone surrogate"),
        ({"\ud800": 1}, "has a lone surrogate"),
        ({"a": object()}, "a is of type object"),
        (CYCLE, "self contains itself"),
        ({"a": nested(101)}, "deeper than 100"),
        ({"a": 10**5000}, "too many digits"),
        (math.nan, "the value is nan"),
    ],
)  # fmt: skip
def test_what_json_does_not_have_is_refused_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(ValueError, match=place):
        dumps(value)
    text, changed = dumps_lenient(value)
    assert len(changed) == 1
    loads(text)


def test_what_is_deep_but_not_too_deep_is_written() -> None:
    assert dumps(nested(100)).count("[") == 100


def test_what_is_there_twice_does_not_contain_itself() -> None:
    shared = {"a": 1}
    assert dumps([shared, shared]) == '[{"a": 1}, {"a": 1}]'


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_for_a_job_s_sake_every_value_becomes_json() -> None:
    plain, changed = made_plain({"path": PurePosixPath("/tmp"), "nan": math.nan, "set": {1}, 5: "five", "bad": Hostile(), "t": "a\ud800b"})
    assert plain == {"path": "/tmp", "nan": "nan", "set": "{1}", "5": "five", "bad": "<Hostile>", "t": "a\ufffdb"}
    assert len(changed) == 6


def test_a_plain_copy_does_not_change_with_its_original() -> None:
    original = {"rows": [1]}
    plain, changed = made_plain(original)
    original["rows"].append(2)
    assert plain == {"rows": [1]} and changed == []


def test_times() -> None:
    assert write_time(datetime(2026, 11, 21, 18, 27, 30, 747999, timezone.utc)) == "2026-11-21T18:27:30.747Z"
    assert read_time("2026-11-21T18:27:30.747Z") == datetime(2026, 11, 21, 18, 27, 30, 747000, timezone.utc)


def test_what_is_no_object_or_list_is_an_empty_one() -> None:
    assert as_object([1]) == {} and as_object(None) == {} and as_object({"a": 1}) == {"a": 1}
    assert as_list({"a": 1}) == [] and as_list([1]) == [1]
