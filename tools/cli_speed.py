"""Measures what `ratchet` costs: its start, what `ratchet run` adds to a command, its size.

    python3 tools/cli_speed.py [--rounds N] [--check]

Builds `ratchet` as it is installed (release) and takes the `local` of target/debug. Each round runs `true` with and without
`ratchet run` one after the other, in an order that alternates, so that what the machine does besides hits both; the figures are
medians. With --check it ends with 1 where a bound is passed: 10 ms for the start, 50 ms for what `run` adds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "clients" / "conformance"))

from local import start_local  # noqa: E402

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
START_MS = 10.0
ADDED_MS = 50.0


def milliseconds(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--check", action="store_true", help="end with 1 where a bound is passed")
    arguments = parser.parse_args()
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--release", "--package", "ratchet-cli"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--package", "local"], cwd=ROOT, check=True)
    ratchet = str(TARGET / "release" / "ratchet")
    server, host, port = start_local(str(TARGET / "debug" / "local"), "speed-key=speed")
    try:
        environment = os.environ | {"RATCHET_URL": f"http://{host}:{port}", "RATCHET_API_KEY": "speed-key"}
        plain, wrapped = ["true"], [ratchet, "run", "--flow", "speed", "--", "true"]
        # The first of each reads its file from the disk.
        for command in ([ratchet, "--version"], plain, wrapped):
            milliseconds(command, environment)
        starts = [milliseconds([ratchet, "--version"], environment) for _ in range(arguments.rounds)]
        added = []
        for number in range(arguments.rounds):
            both = [plain, wrapped] if number % 2 else [wrapped, plain]
            took = {id(command): milliseconds(command, environment) for command in both}
            added.append(took[id(wrapped)] - took[id(plain)])
    finally:
        server.terminate()
        server.wait()
    start, more = statistics.median(starts), statistics.median(added)
    size = Path(ratchet).stat().st_size
    print(f"ratchet --version: {start:.1f} ms (median of {arguments.rounds})")
    print(f"ratchet run -- true: {more:.1f} ms more than true (median of {arguments.rounds} pairs)")
    print(f"size: {size / 1_000_000:.1f} MB")
    if arguments.check:
        for what, value, bound in (("the start", start, START_MS), ("what run adds", more, ADDED_MS)):
            print(f"{'ok' if value < bound else 'FAILED'} {what}: {value:.1f} ms, below {bound:.0f} ms")
    return int(arguments.check and not (start < START_MS and more < ADDED_MS))


if __name__ == "__main__":
    sys.exit(main())
