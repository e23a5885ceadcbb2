"""The whole reliability suite, for hours: everything that tries to break the guarantees, from one command, with its seeds.

    python3 tools/lab.py [--seed N] [--only STAGE,...] [--list]

CI runs each of these shorter (docs/reliability.md says how short). Here the tests are built with optimisations (the profile
`lab`), and every stage runs at its full length, one after the other. Each leaves its output in target/lab/<stage>.log and its
result in target/lab/<stage>.json; at the end the figures of all stages are printed, those of earlier runs included, as a table.
Ends with 1 where a stage of this run failed. Nothing else should be at work on the machine: the soaks measure it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target" / "lab"

# Variables that would send a test to another DynamoDB or table, or make it another test.
FOREIGN = re.compile("AWS_ENDPOINT_URL.*|RATCHET_.*")


def test(package: str, target: str, name: str = "") -> list[str]:
    command = ["cargo", "test", "--locked", "--profile", "lab", "--package", package, "--test", target]
    return [*command, *([name] if name else []), "--", "--nocapture"]


SOAK = r"^(soak: .*|memory: .*| +\d+ .*)"
HISTORIES = r"^(histories: .*| +\d+ \w.*)"


@dataclass
class Stage:
    """A part of the suite: its name, its command, and the lines of its output that hold its figures."""

    name: str
    command: list[str]
    figures: str
    settings: dict[str, str] = field(default_factory=dict)


def stages(seed: int) -> list[Stage]:
    beside_dynamodb_local = ["tools/with-dynamodb-local.sh"]
    seeded = {"RATCHET_SEED": str(seed)}
    soak = {**seeded, "RATCHET_SOAK_SECONDS": "1800"}
    return [
        Stage("soak-embedded", test("local", "soak"), SOAK, soak),
        Stage("soak-dynamodb-local", [*beside_dynamodb_local, *test("local", "soak")], SOAK, soak),
        Stage(
            "histories",
            test("tests", "histories"),
            HISTORIES,
            {**seeded, "RATCHET_HISTORIES": "10000"},
        ),
        Stage(
            "histories-dynamodb-local",
            [*beside_dynamodb_local, *test("tests", "histories", "every_history")],
            HISTORIES,
            {**seeded, "RATCHET_HISTORIES": "1000"},
        ),
        Stage("model", test("tests", "model"), r"^(\d+ states.*)", {"RATCHET_HORIZON": "3", "RATCHET_GIVE_UPS": "1"}),
        Stage("kills", test("local", "kills"), r"^(\d+ kills.*)", {**seeded, "RATCHET_KILLS": "1000"}),
        Stage("hostile", test("tests", "api", "hostile"), r"^(\d+ hostile .*)", {**seeded, "RATCHET_HOSTILE": "100000"}),
        Stage("tenants", test("tests", "api", "tenants"), r"^(tenants: .*)"),
        Stage("schemathesis", ["tools/schemathesis.sh", "300", str(seed)], r"^(ok .*|FAILED .*)"),
        Stage("fuzz", ["tools/fuzz.sh", "1000000", str(seed)], r"^(ok .*|FAILED .*)"),
        Stage("mutations", [sys.executable, "tools/mutations.py"], r"^(mutations: .*)"),
    ]


def run(stage: Stage, seed: int) -> bool:
    settings = " ".join(f"{name}={value}" for name, value in stage.settings.items())
    print(f"\n=== {stage.name}: {settings} {' '.join(stage.command)}", flush=True)
    environment = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)} | stage.settings
    log = PLACE / f"{stage.name}.log"
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    begun = time.monotonic()
    with log.open("w") as file:
        done = subprocess.run(
            stage.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    text = log.read_text(errors="replace")
    passed = done.returncode == 0
    if "cargo" in stage.command:
        # A filter that names no test passes, and shows nothing.
        passed = passed and sum(map(int, re.findall(r"^test result: ok\. (\d+) passed", text, re.M))) > 0
    figures = [match[0].rstrip() for match in re.finditer(stage.figures, text, re.M)]
    result = {
        "stage": stage.name,
        "passed": passed,
        "seconds": round(time.monotonic() - begun),
        "seed": seed,
        "commit": commit,
        "figures": figures,
    }
    (PLACE / f"{stage.name}.json").write_text(json.dumps(result, indent=2) + "\n")
    if not passed:
        print("\n".join(text.splitlines()[-60:]))
    print(f"{'ok' if passed else 'FAILED'} {stage.name} ({result['seconds']} s)", flush=True)
    return passed


def report(known: list[Stage]) -> None:
    print(f"\n=== The reliability suite\n{'stage':<26} {'result':<8} {'seconds':>8} {'seed':>8}  commit")
    results = [PLACE / f"{stage.name}.json" for stage in known]
    read = [json.loads(path.read_text()) for path in results if path.exists()]
    for result in read:
        verdict = "passed" if result["passed"] else "FAILED"
        print(f"{result['stage']:<26} {verdict:<8} {result['seconds']:>8} {result['seed']:>8}  {result['commit']}")
    for result in read:
        print(f"\n--- {result['stage']}")
        print("\n".join(result["figures"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="of every stage that has one")
    parser.add_argument("--only", help="stages, by name: model,kills")
    parser.add_argument("--list", action="store_true", help="print the stages and end")
    arguments = parser.parse_args()
    known = stages(arguments.seed)
    if arguments.list:
        print("\n".join(stage.name for stage in known))
        return 0
    wanted = arguments.only.split(",") if arguments.only else [stage.name for stage in known]
    if unknown := set(wanted) - {stage.name for stage in known}:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in known)}")
    PLACE.mkdir(parents=True, exist_ok=True)
    print(f"lab: seed {arguments.seed}")
    passed = [run(stage, arguments.seed) for stage in known if stage.name in wanted]
    report(known)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
