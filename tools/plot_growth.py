"""Draws benches/growth.json: docs/growth-tables.svg and docs/growth-records.svg. tools/growth.sh runs it.

Twice the same figures give the same bytes.
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
MARKERS = "osD^v<>"


def plot(growth: dict, kind: str, title: str, label: str) -> None:
    points = growth[kind]
    sizes = [point["size"] for point in points]
    figure, (times, units) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for index, first in enumerate(points[0]["operations"]):
        operations = [point["operations"][index] for point in points]
        low, middle, high = zip(*(operation["ms"] for operation in operations), strict=True)
        marker = MARKERS[index % len(MARKERS)]
        (line,) = times.plot(sizes, middle, marker=marker, markersize=4, label=first["name"])
        times.fill_between(sizes, low, high, color=line.get_color(), alpha=0.15)
        consumed = [sum(operation["units"]) for operation in operations]
        units.plot(sizes, consumed, marker=marker, markersize=4, color=line.get_color())
    times.set_ylabel("ms, on the emulator: the middle, and half of the samples")
    units.set_ylabel("units, written or read")
    for axes in (times, units):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    figure.suptitle(f"{title} ({growth['dynamodb']}, {growth['samples']} samples)")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(ROOT / f"docs/growth-{kind}.svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    # Text stays text, and ids do not depend on chance.
    plt.rcParams.update({"svg.hashsalt": "ratchet", "svg.fonttype": "none", "font.size": 9})
    growth = json.loads((ROOT / "benches/growth.json").read_text())
    plot(growth, "tables", "What an operation takes in a larger table", "executions in the table, all of one organization")
    plot(growth, "records", "What an operation takes on a larger record", "KB of the record")


main()
