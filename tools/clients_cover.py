"""Fails, by name, where a driver of tests/clients/ does not call an operation of openapi/openapi.json.

    python3 tools/clients_cover.py

A driver calls an operation where its code has the operation's name as the generator writes it (`get_execution` or
`getExecution`), or, for a client that goes by paths, the operation's path and a call with its method.
"""

import re
import sys

from inventory import ROOT, Gaps, Operation, covers, operations

DRIVERS = sorted((ROOT / "tests" / "clients").glob("*/drive[-_]*"))


def is_called(operation: Operation, code: str) -> bool:
    first, *others = operation.id.split("_")
    camel = first + "".join(word.title() for word in others)
    by_path = f'"{operation.path}"' in code and f".{operation.method}(" in code
    return by_path or re.search(rf"\b({operation.id}|{camel})\b", code) is not None


def main() -> int:
    gaps = []
    there_are = operations()
    for driver in DRIVERS:
        code = driver.read_text()
        called = [operation.id for operation in there_are if is_called(operation, code)]
        name = str(driver.relative_to(ROOT))
        try:
            covers(name, called, [operation.id for operation in there_are])
            print(f"ok {name} calls all {len(called)} operations")
        except Gaps as error:
            gaps.append(str(error))
    for gap in gaps:
        print(f"clients: {gap}", file=sys.stderr)
    return 1 if gaps or not DRIVERS else 0


if __name__ == "__main__":
    sys.exit(main())
