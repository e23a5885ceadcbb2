"""What a million requests cost, what grows, and what stands beside what: the tables in docs/ that are made of figures.

    python3 tools/tables.py            writes them
    python3 tools/tables.py --check    fails where they are not what the figures say, or the figures lack a function

From measured figures (benches/figures.json by tools/bench.sh --record, benches/growth.json by tools/growth.sh --record,
benches/passes*.json by tools/passes.sh --record,
benches/servers/figures.json by tools/servers.sh --record), the settings in template.yaml, and prices and assumptions in
benches/prices.json.
"""

import argparse
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import comparison
from inventory import Gaps, covers, functions, operations

ROOT = Path(__file__).resolve().parent.parent
MILLION = 1_000_000

# Values as long as they are in production, for what the access log writes of a request that goes well.
ACCESS_LOG = {
    "requestId": "KzLOJ95ThwDYYKw=",
    "integration.requestId": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    "requestTime": "02/Jan/2026:03:12:05 +0000",
    "requestTimeEpoch": "1767323525000",
    "identity.sourceIp": "203.0.113.177",
    "routeKey": "PATCH /api/v1/flows/executions/{execution_id}",
    "status": "200",
    "responseLength": "1024",
    "responseLatency": "14",
    "integration.latency": "12",
    "integration.integrationStatus": "200",
    "integration.status": "200",
    "integration.error": "-",
    "error.message": "-",
    "error.responseType": "-",
    "authorizer.error": "-",
    "authorizer.organization_id": "acme-production",
    "authorizer.key_id": "0123456789abcdef",
}


@dataclass
class Row:
    """A line of the table: what it says, the function, the operation in growth.json, and its round trips in sequence.

    No operation in growth.json where it needs nothing of DynamoDB's: then there is nothing that could grow.
    """

    says: str
    function: str
    operation: str | None
    round_trips: int
    # For how many milliseconds the function waits besides, and the read units of its looks meanwhile.
    waits_ms: int = 0
    looks: float = 0
    # The units of what benches/growth.json does not have yet: writes of the table, of its indexes, reads. The capacity tests
    # hold them.
    units: tuple[float, float, float] | None = None


ROWS = [
    Row("execute flow", "execute_flow", "execute flow", 2),
    Row("a first `running`, or an end", "update_execution_status", "first running", 1),
    Row("a heartbeat", "record_heartbeat", "heartbeat", 1),
    Row("a request to cancel what runs", "cancel_execution", "request to cancel", 1),
    Row("a report of a step", "report_steps", "report of a step", 2, units=(1, 0, 1)),
    Row("list steps", "list_steps", "list steps", 2, units=(0, 0, 2)),
    Row("a change of fields alone", "update_execution", "change of fields alone", 1),
    Row("get execution", "get_execution", "get execution", 1),
    Row("list transitions", "list_transitions", "list transitions", 1),
    Row("get heartbeat", "get_heartbeat", "list transitions", 1),
    Row("get caller", "get_caller", None, 0),
    # In vain: a whole read before and after, and between them a look after 0.25, 0.75, 1.75 s and each second more.
    Row("a wait of 25 s", "wait_execution", "get execution", 2, waits_ms=25_000, looks=1 + 26 * 0.5),
    Row("a page of {page}, by cursor", "list_executions", "list executions, by cursor", 2),
    Row("the first page of {page}, of 1,000 or more", "list_executions", "list executions, first page", 2),
]


def read(name: str) -> dict:
    return json.loads((ROOT / name).read_text())


def memory(function: str) -> int:
    """The function's memory in template.yaml, in MB."""
    text = (ROOT / "template.yaml").read_text()
    sizes = [(match.start(), int(match[1])) for match in re.finditer(r"^ +MemorySize: (\d+)$", text, re.M)]
    place = text.index(f"CodeUri: functions/{function}\n")
    begin = text.rindex("Type: AWS::Serverless::Function", 0, place)
    end = text.find("Type: ", place)
    own = [size for start, size in sizes if begin < start < end]
    return own[0] if own else sizes[0][1]


def access_log_bytes() -> int:
    """How long a line of the access log is, by its format in template.yaml."""
    text = (ROOT / "template.yaml").read_text()
    found = re.search(r"^ +Format: >-\n((?: +[{\"].*\n)+)", text, re.M)
    if not found:
        raise SystemExit("template.yaml has no format of the access log")
    line = " ".join(part.strip() for part in found[1].splitlines())
    return len(re.sub(r"\$context\.([A-Za-z_.]*[A-Za-z])", lambda match: ACCESS_LOG[match[1]], line)) + 1


def dollars(amount: float) -> str:
    return f"{amount:.2f}"


def costs() -> str:
    """The table of costs."""
    inputs, growth = read("benches/prices.json"), read("benches/growth.json")
    measured = read("benches/figures.json")["costs"]
    price, assumed = inputs["prices"], inputs["assumptions"]
    largest = {operation["name"]: operation for operation in growth["tables"][-1]["operations"]}
    line = access_log_bytes()
    rows = [
        "| per million | write units | read units | ms billed | log, bytes | API | Lambda | DynamoDB | logs, traces | sum |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in ROWS:
        cost = measured[row.function]
        size = memory(row.function)
        # Lambda bills whole milliseconds.
        billed = math.ceil(cost["cpu_ms"] / (size * assumed["cpus_per_mb"]) + row.round_trips * assumed["dynamodb_ms"])
        billed += row.waits_ms
        if row.operation is None:
            table, index, reads = 0, 0, 0
        else:
            table, index, reads = largest[row.operation]["units"] if row.operation in largest else row.units
        reads += row.looks
        logged = cost["log_bytes"] + line
        parts = [
            price["http_api_request"] * MILLION,
            (price["lambda_request"] + billed / 1000 * size / 1024 * price["lambda_gb_second"]) * MILLION,
            ((table + index) * price["write_unit"] + reads * price["read_unit"]) * MILLION,
            (logged / 1e9 * price["log_gb"] + assumed["traced_share"] * price["trace"]) * MILLION,
        ]
        says = row.says.format(page=growth["page"])
        figures = [f"{table + index:g}", f"{reads:g}", f"{billed} at {size} MB", f"{cost['log_bytes']:.0f} + {line}"]
        rows.append("| " + " | ".join([says, *figures, *map(dollars, parts), f"**{dollars(sum(parts))}**"]) + " |")
    # A change that comes alone: one invocation, one event. No request of the API, and no line of its log.
    cost, size = measured["publish_events"], memory("publish_events")
    billed = math.ceil(cost["cpu_ms"] / (size * assumed["cpus_per_mb"]) + assumed["put_events_ms"])
    lambda_cost = (price["lambda_request"] + billed / 1000 * size / 1024 * price["lambda_gb_second"]) * MILLION
    logs = (cost["log_bytes"] / 1e9 * price["log_gb"] + assumed["traced_share"] * price["trace"]) * MILLION
    told = price["event"] * MILLION
    figures = ["0", "0", f"{billed} at {size} MB", f"{cost['log_bytes']:.0f}"]
    parts = [told, lambda_cost, 0, logs]
    rows.append("| " + " | ".join(["an event (the bus under API)", *figures, *map(dollars, parts), f"**{dollars(sum(parts))}**"]) + " |")
    return "\n".join(rows)


def growth(kind: str, unit: str) -> str:
    """The table of what grows with the table's size (`tables`) or with a record's (`records`)."""
    points = read("benches/growth.json")[kind]
    names = [operation["name"] for operation in points[0]["operations"]]
    rows = [
        "| | " + " | ".join(f"{point['size']:,} {unit}" for point in points) + " |",
        "| --- |" + " --: |" * len(points),
    ]
    for index, name in enumerate(names):
        cells = []
        for point in points:
            operation = point["operations"][index]
            table, indexes, reads = operation["units"]
            units = " + ".join(f"{count:g}{letter}" for count, letter in [(table + indexes, "w"), (reads, "r")] if count)
            low, middle, high = operation["ms"]
            cells.append(f"{units}; {middle:.1f} ms ({low:.1f} to {high:.1f})")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def passes() -> str:
    """The table of supervision's passes, on each DynamoDB that was measured."""
    rows = [
        "| executions | DynamoDB | pass | read | changed | filed anew | seconds | requests | units |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for path in sorted((ROOT / "benches").glob("passes*.json")):
        figures = json.loads(path.read_text())
        for kind in ("overdue", "alive"):
            for number, each in enumerate(figures[kind], 1):
                table, indexes, reads = each["units"]
                cells = [
                    f"{figures['executions']:,} {kind}",
                    figures["dynamodb"],
                    str(number),
                    *(f"{each[count]:,}" for count in ("looked", "changed", "refiled")),
                    f"{each['seconds']:.1f}",
                    f"{each['requests']:,}",
                    f"{table + indexes:,.0f}w + {reads:,.0f}r",
                ]
                rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def complete() -> None:
    """Raises Gaps where a function was not measured, or an operation has no line in the table of costs."""
    figures = read("benches/figures.json")
    for kind in ("functions", "costs"):
        covers(f"{kind} of benches/figures.json (tools/bench.sh --record)", figures[kind], functions())
    covers("ROWS of tools/tables.py", [row.function for row in ROWS], [operation.id for operation in operations()])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a table is not up to date")
    check = parser.parse_args().check
    pages, compared = ["docs/performance.md", "docs/operations.md"], {}
    try:
        complete()
        # Until the first figures are recorded there is no such page.
        if comparison.FIGURES.exists():
            compared = comparison.tables()
            pages += ["docs/comparison.md", "README.md"]
    except Gaps as gaps:
        print(f"FAILED {gaps}", file=sys.stderr)
        return 1
    tables = {
        "costs": costs(),
        "growth-tables": growth("tables", "executions"),
        "growth-records": growth("records", "KB"),
        "passes": passes(),
        **compared,
    }
    stale, places = [], 0
    for name in pages:
        page = ROOT / name
        text = new = page.read_text()
        for table, rows in tables.items():
            begin, end = f"<!-- {table} -->\n", f"<!-- /{table} -->\n"
            if begin not in new:
                continue
            places += 1
            before, rest = new.split(begin, 1)
            _, after = rest.split(end, 1)
            new = f"{before}{begin}\n{rows}\n\n{end}{after}"
        if new == text:
            print(f"ok {name} has the tables that the figures make")
        elif check:
            stale.append(name)
        else:
            page.write_text(new)
            print(f"ok {name} is written anew")
    if places < len(tables):
        raise SystemExit("a table has no place in the documentation")
    for name in stale:
        print(f"FAILED {name} has other tables than the figures make: run python3 tools/tables.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
