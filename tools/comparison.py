"""The tables of docs/comparison.md and the lines of README.md that stand on benches/servers/figures.json.

tools/tables.py writes and checks them; tools/servers.sh --record measures the figures.
"""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import median

from inventory import covers

FIGURES = Path(__file__).resolve().parent.parent / "benches" / "servers" / "figures.json"

NAMES = {
    "ratchet": "Ratchet",
    "ratchet-memory": "Ratchet, in memory",
    "hand": "by hand",
    "hand-guarded": "by hand, guarded",
    "hand-relaxed": "by hand, relaxed",
    "prefect": "Prefect",
    "mlflow": "MLflow",
    "mlflow-jobs": "MLflow with job runners",
}
# Which of them each stage has.
STAGES = {
    "race": ["ratchet", "hand", "hand-guarded", "prefect", "mlflow"],
    "work": ["ratchet", "ratchet-memory", "hand", "hand-relaxed", "prefect", "mlflow"],
    "start": ["ratchet", "ratchet-memory", "hand", "prefect", "mlflow", "mlflow-jobs"],
    "kills": ["ratchet", "hand", "prefect", "mlflow"],
}
# Those beside Ratchet in README.md.
PEERS = ["hand", "prefect", "mlflow"]


def number(value: float | None) -> str:
    """Three digits, or a whole number in full; a dash where there is none."""
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def spread(values: list[float]) -> str:
    """The median, and in brackets the smallest and the largest."""
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|  |", "| |")


def columns(stage: str) -> list[str]:
    return [NAMES[name] for name in STAGES[stage]]


def conditions(figures: dict) -> str:
    """When, on what and with what it was measured."""
    stages, versions = figures["stages"], figures["versions"]
    worked = [found for cell in stages["work"]["figures"]["cells"] for found in cell["servers"].values()]
    started = stages["start"]["figures"].values()
    shares = [share for found in [*worked, *started] for share in found["others"]]
    shares += [found["others"] for found in stages["race"]["figures"].values()]
    generator = [share for found in worked for share in found["generator_share"]]
    minutes = sum(stage["seconds"] for stage in stages.values()) / 60
    return "\n".join(
        [
            f"Measured on {figures['date']} on {figures['cores']} cores, in {minutes:.0f} minutes. "
            f"Python {figures['python']}, Rust {versions['rustc']};",
            f"by hand FastAPI {versions['hand: fastapi']} and uvicorn {versions['hand: uvicorn']}; "
            f"Prefect {versions['prefect: prefect']} with SQLAlchemy {versions['prefect: sqlalchemy']}; "
            f"MLflow {versions['mlflow: mlflow']}.",
            f"Other processes took {median(shares):.1%} of the machine's CPU time while something was measured, "
            f"{max(shares):.1%} at most;",
            f"the load generator took {median(generator):.1%} of what it and the server took together, "
            f"{max(generator):.1%} at most.",
        ]
    )


def race(figures: dict) -> str:
    found = figures["stages"]["race"]["figures"]
    runs = found["ratchet"]["reports"] // 16
    lines = [
        (f"told success, of {found['ratchet']['reports']:,}", lambda of: number(of["successes"])),
        ("per run: smallest, mean, largest", lambda of: ", ".join(map(number, of["per_run"]))),
        (f"runs whose terminal status was replaced, of {runs}", lambda of: number(of["replaced"])),
        ("told success, but the run ended in another status", lambda of: number(of["misled_status"])),
        ("the same, or with another's result", lambda of: number(of["misled_result"])),
        ("refused", lambda of: number(of["refused"])),
        ("of these, told which status won", lambda of: number(of["told"]) if of["refused"] else "-"),
        ("neither: no answer, or an error of the server", lambda of: number(of["neither"])),
        ("late `running`, accepted of 20: without, with a result", lambda of: ", ".join(map(number, of["late_taken"]))),
        ("late `failed`, accepted of 20: without, with a result", lambda of: ", ".join(map(number, of["failed_taken"]))),
    ]
    rows = [[what, *(cell(found[name]) for name in STAGES["race"])] for what, cell in lines]
    return table(["", *columns("race")], rows)


def says(cell: dict) -> str:
    connections = "1 connection" if cell["connections"] == 1 else f"{cell['connections']} connections"
    return connections if cell["list"] else f"{connections}, no list"


def work(figures: dict) -> str:
    """The medians of all rounds."""
    measures = [("units per second", "per_second"), ("CPU of a unit, ms", "cpu_ms")]
    measures += [("latency of a unit, median, ms", "p50_ms"), ("latency of a unit, slowest of a round, ms", "slowest_ms")]
    cells = figures["stages"]["work"]["figures"]["cells"]
    rows = []
    for what, field in measures:
        for cell in cells:
            values = [number(median(cell["servers"][name][field])) for name in STAGES["work"]]
            rows.append([f"{what}: {says(cell)}", *values])
    for what, field in [("repeated requests", "repeats"), ("failed units", "failed")]:
        for cell in cells:
            values = [sum(cell["servers"][name][field]) for name in STAGES["work"]]
            if any(values):
                rows.append([f"{what}, all rounds: {says(cell)}", *map(number, values)])
    return table(["", *columns("work")], rows)


def ratios(figures: dict) -> str:
    """Ratchet's figure divided by another's of the same round."""
    rows = []
    for what, field in [("units per second", "per_second"), ("CPU of a unit", "cpu_ms")]:
        for cell in figures["stages"]["work"]["figures"]["cells"]:
            ours = cell["servers"]["ratchet"][field]
            others = [cell["servers"][name][field] for name in STAGES["work"][1:]]
            pairs = [[mine / theirs for mine, theirs in zip(ours, other, strict=True)] for other in others]
            rows.append([f"{what}: {says(cell)}", *map(spread, pairs)])
    return table(["Ratchet divided by", *columns("work")[1:]], rows)


def start(figures: dict) -> str:
    found, after = figures["stages"]["start"]["figures"], figures["stages"]["work"]["figures"]["after"]
    sizes = figures["size_mb"] | {"ratchet-memory": None, "mlflow-jobs": None}

    def memory(of: dict | None) -> str:
        return f"{number(of['rss_mb'])} ({number(of['pss_mb'])})" if of else "-"

    runs = after["ratchet"]["runs"]
    lines = [
        ("start to first create, new store, s", lambda name: spread(found[name]["new"])),
        ("again on the same store, s", lambda name: "-" if name == "ratchet-memory" else spread(found[name]["again"])),
        ("CPU of the first, s", lambda name: number(median(found[name]["cpu_new"]) or None).replace("-", "< 0.01")),
        ("installed size, MB", lambda name: number(sizes[name])),
        ("processes", lambda name: number(found[name]["idle"]["processes"])),
        ("memory, idle, MB", lambda name: memory(found[name]["idle"])),
        ("CPU, idle, ms per second", lambda name: number(found[name]["idle"]["cpu_ms_per_s"])),
        (f"memory after {runs:,} runs, MB", lambda name: memory(after.get(name))),
        ("size of the store then, MB", lambda name: number(after.get(name, {}).get("store_mb") or None)),
    ]
    return table(["", *columns("start")], [[what, *(cell(name) for name in STAGES["start"])] for what, cell in lines])


def kills(figures: dict) -> str:
    found = figures["stages"]["kills"]["figures"]
    lines = [
        ("kills", lambda of: number(of["kills"])),
        ("runs", lambda of: number(of["runs"])),
        ("acknowledged writes", lambda of: number(of["writes"])),
        ("lost", lambda of: number(of["lost"])),
        ("SQLite's `integrity_check`", lambda of: ", ".join(of["integrity"])),
        ("start to first create afterwards, s", lambda of: spread(of["again"])),
    ]
    rows = [[what, *(cell(found[name]) for name in STAGES["kills"])] for what, cell in lines]
    return table(["", *columns("kills")], rows)


def summary(figures: dict) -> str:
    """The lines of README.md."""
    stages = {name: stage["figures"] for name, stage in figures["stages"].items()}
    reports = stages["race"]["ratchet"]["reports"]

    def beside(value: Callable[[str], float]) -> str:
        return ", ".join(f"{NAMES[name]} {number(value(name))}" for name in ["ratchet", *PEERS])

    def misled(name: str) -> float:
        return stages["race"][name]["misled_status"]

    def cpu(connections: int, lists: bool) -> str:
        cells = stages["work"]["cells"]
        cell = next(cell for cell in cells if (cell["connections"], cell["list"]) == (connections, lists))
        return beside(lambda name: median(cell["servers"][name]["cpu_ms"]))

    lines = [
        f"Reports that were told success although the run ended in another status, of {reports:,}, 16 at once on each run: "
        f"{beside(misled)}; by hand with the condition inside the UPDATE {misled('hand-guarded')}.",
        "CPU time of nine requests that take a run from its creation to its end, and of the first page of a list, in ms: "
        f"{cpu(16, True)} with 16 connections; {cpu(1, True)} with one.",
        f"From start to first create, in seconds: {beside(lambda name: median(stages['start'][name]['new']))}; "
        f"idle memory, in MB: {beside(lambda name: stages['start'][name]['idle']['rss_mb'])}.",
    ]
    return "\n".join(
        textwrap.fill(line, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) for line in lines
    )


def tables() -> dict[str, str]:
    """Every part of a page that is made of the figures, by its name there."""
    figures = json.loads(FIGURES.read_text())
    covers("stages of benches/servers/figures.json (tools/servers.sh --record)", figures["stages"], STAGES)
    found = {name: figures["stages"][name]["figures"] for name in STAGES}
    for cell in found["work"]["cells"]:
        covers("work of benches/servers/figures.json", cell["servers"], STAGES["work"])
    for name in ("race", "start", "kills"):
        covers(f"{name} of benches/servers/figures.json", found[name], STAGES[name])
    parts = {
        "conditions": conditions,
        "race": race,
        "work": work,
        "ratios": ratios,
        "start": start,
        "kills": kills,
        "summary": summary,
    }
    return {f"servers-{name}": part(figures) for name, part in parts.items()}
