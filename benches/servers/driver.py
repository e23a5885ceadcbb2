"""Ratchet's development server beside what one would run instead. tools/servers.sh builds and installs, and runs this.

Writes target/servers/figures.json: what every stage measured. A stage that is not run keeps what it measured before.
"""

import argparse
import datetime
import json
import re
import signal
import subprocess
import sys
import time

import processes
import stages
from systems import PLACE, ROOT, TARGET, Hand, Mlflow, Prefect

STAGES = {"race": stages.race, "work": stages.work, "start": stages.start, "kills": stages.kills}
FIGURES = PLACE / "figures.json"
RECORDED = ROOT / "benches" / "servers" / "figures.json"
# What other processes may take of the machine for figures that are recorded, and how long it may take them to end.
QUIET, PATIENCE = 0.05, 300
# All of it takes half an hour: whatever hangs is ended, with the servers.
LIMIT = 90 * 60


class Noise(Exception):
    """The machine is not quiet."""


def quiet(must: bool) -> float:
    """What other processes take of the machine before a stage; waits for quiet where it must be."""
    deadline = time.monotonic() + PATIENCE
    while True:
        others = processes.Others()
        time.sleep(3)
        share = others.share()
        if share <= QUIET or not must:
            return share
        if time.monotonic() > deadline:
            raise Noise(f"other processes take {share:.0%} of the machine")


def size_mb(path) -> float:
    """What a file, or the files below a folder, take on the disk, in MB (10^6 bytes)."""
    files = path.rglob("*") if path.is_dir() else [path]
    return round(sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6, 1)


def installed() -> dict:
    """Versions, and sizes on the disk: Ratchet's of its binary, the others' of their virtual environments."""
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()
    versions = {"rustc": rustc[1]}
    sizes = {"ratchet": size_mb(TARGET / "server" / "local")}
    for server in (Hand, Prefect, Mlflow):
        venv = ROOT / ".tools" / str(server.venv)
        command = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"
        python = [str(venv / "bin" / "python"), "-c", command, *server.packages]
        found = subprocess.run(python, check=True, capture_output=True, text=True).stdout.split()
        versions |= {f"{server.name}: {package}": version for package, version in zip(server.packages, found, strict=True)}
        sizes[server.name] = size_mb(venv)
    return {"versions": versions, "size_mb": sizes}


def written(figures: dict) -> str:
    """The figures as they are kept: a list of numbers on one line."""
    text = json.dumps(figures, indent=2) + "\n"
    return re.sub(r"\[[^][{}]*\]", lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it works: no figures")
    parser.add_argument("--stage", action="append", choices=STAGES, help="only this one; may be repeated")
    parser.add_argument("--record", action="store_true", help="write benches/servers/figures.json and the pages made of it")
    arguments = parser.parse_args()
    if arguments.quick and arguments.record:
        parser.error("what --quick measures is not worth recording")
    # Ended by a signal, it ends the servers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("took too long"))
    signal.alarm(LIMIT)

    PLACE.mkdir(parents=True, exist_ok=True)
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if figures.get("quick") != arguments.quick:
        figures = {"quick": arguments.quick, "stages": {}}
    figures |= {"date": datetime.date.today().isoformat(), "cores": processes.CORES, "python": sys.version.split()[0]}
    figures |= installed()
    sizes = stages.QUICK if arguments.quick else stages.FULL
    for name in arguments.stage or STAGES:
        begun = time.monotonic()
        try:
            before = quiet(arguments.record)
        except Noise as noise:
            print(f"NOT RUN: {noise}", file=sys.stderr)
            return 2
        found = STAGES[name](sizes)
        seconds = round(time.monotonic() - begun)
        figures["stages"][name] = {"seconds": seconds, "others_before": before, "figures": found}
        FIGURES.write_text(written(figures))
        print(f"ok {name} ({seconds} s; other processes took {before:.0%} of the machine before it)", flush=True)
    if arguments.record:
        if missing := STAGES.keys() - figures["stages"].keys():
            print(f"FAILED not recorded: no figures of {', '.join(sorted(missing))}", file=sys.stderr)
            return 1
        noisy = [name for name, stage in figures["stages"].items() if stage["others_before"] > QUIET]
        if noisy:
            print(f"FAILED not recorded: the machine was not quiet before {', '.join(noisy)}", file=sys.stderr)
            return 1
        RECORDED.write_text(written(figures))
        return subprocess.run([sys.executable, str(ROOT / "tools" / "tables.py")], check=False).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
