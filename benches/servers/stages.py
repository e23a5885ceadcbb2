"""What is measured of the servers: each function is one stage, and returns its figures."""

import collections
import json
import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import processes
from systems import TERMINAL, Hand, HandGuarded, HandRelaxed, Mlflow, MlflowWithJobs, Prefect, Ratchet, RatchetInMemory, Server

# Reports that arrive at once.
WIDTH = 16
# How many runs are reported on late, one report each.
LATE = 20


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    race_runs: int
    # Of the work: how many runs each store has first, rounds, and units of a round by their connections.
    fill: int
    rounds: int
    units: dict[int, int]
    starts: int
    kills: int
    # How long a server is watched while it does nothing, and how much of its own settling it is left, in seconds.
    idle: float
    settle: float


FULL = Sizes(race_runs=200, fill=1000, rounds=6, units={1: 90, 16: 48}, starts=3, kills=5, idle=10, settle=1)
QUICK = Sizes(race_runs=5, fill=25, rounds=1, units={1: 3, 16: 16}, starts=1, kills=1, idle=1, settle=0.2)


def say(text: str) -> None:
    print(text, flush=True)


def race(sizes: Sizes) -> dict:
    """Concurrent reports on the same runs: who is told success, and what became of the run."""
    return {server.name: raced(server(), sizes) for server in (Ratchet, Hand, HandGuarded, Prefect, Mlflow)}


def raced(server: Server, sizes: Sizes) -> dict:
    ids, late = server.place / "ids", server.place / "late"
    others = processes.Others()
    try:
        server.start()
        time.sleep(server.settle * sizes.settle)
        for name in ("create", "running"):
            if server.each(name, 4, ids, sizes.race_runs) != sizes.race_runs:
                raise RuntimeError(f"{server.name}: not every {name} succeeded")
        by_run = collections.defaultdict(list)
        for line in server.generate("race", WIDTH, ",".join(TERMINAL), ids).splitlines():
            run, thread, status, code, success, repeats, text = line.split("\t")
            by_run[run].append((int(thread), status, int(code), success == "1", int(repeats), text.lower()))
        count, wins = collections.Counter(), []
        keeps_result = False
        for run in ids.read_text().split():
            reports, final = by_run[run], server.read(run)
            if len(reports) != WIDTH or final is None:
                raise RuntimeError(f"{server.name}: {len(reports)} reports on the run {run}, which reads as {final}")
            won = [report for report in reports if report[3]]
            wins.append(len(won))
            keeps_result |= final.by is not None
            count["reports"] += len(reports)
            count["successes"] += len(won)
            count["repeats"] += sum(report[4] for report in reports)
            # More than one status was told to have been entered, and none may be left.
            count["replaced"] += len({status for _, status, *_ in won}) > 1
            count["misled_status"] += sum(status != final.status for _, status, *_ in won)
            count["misled_result"] += sum((status, thread) != (final.status, final.by) for thread, status, *_ in won)
            # Refused by an answer, which may be a 200 that says so. Without an answer, or with an error of the server: neither.
            refused = [report for report in reports if not report[3] and 200 <= report[2] < 500 and report[2] != 429]
            count["refused"] += len(refused)
            count["neither"] += len(reports) - len(won) - len(refused)
            count["told"] += sum(final.status in text for *_, text in refused)
        figures = dict(count) | {"per_run": [min(wins), round(mean(wins), 1), max(wins)]}
        if not keeps_result:
            figures["misled_result"] = None
        # Late reports on runs that completed, first without a result and then with one.
        for report in ("late", "failed"):
            taken = []
            for completed in ("plain", "complete"):
                for name in ("create", "running", completed):
                    server.each(name, 1, late, LATE)
                taken.append(server.each(report, 1, late, LATE))
            figures[f"{report}_taken"] = taken
        figures["others"] = others.share(processes.cpu(server.pid))
        say(f"race: {server.name} {json.dumps(figures)}")
        return figures
    finally:
        server.stop()


def work(sizes: Sizes) -> dict:
    """Units of work, one server at a time while the others are stopped; each round in another order."""
    servers = [server() for server in (Ratchet, RatchetInMemory, Hand, HandRelaxed, Prefect, Mlflow)]
    names = [server.name for server in servers]
    fields = ("per_second", "cpu_ms", "p50_ms", "slowest_ms", "failed", "repeats", "generator_share", "others")
    cells = [
        {"connections": connections, "list": lists, "servers": {name: {field: [] for field in fields} for name in names}}
        for connections in sizes.units
        for lists in (True, False)
    ]
    try:
        for server in servers:
            server.start()
            time.sleep(server.settle * sizes.settle)
            # One at a time: so many writers at once are not what is measured here.
            server.each("create", 1, server.place / "ids", sizes.fill)
            check_list(server, sizes.fill + 1)
            server.generate("units", 1, 5)
            server.pause()
        for number in range(sizes.rounds):
            turn = number % len(servers)
            order = servers[turn:] + servers[:turn]
            for cell in cells:
                for server in reversed(order) if number % 2 else order:
                    server.resume()
                    time.sleep(0.5 if server.settle < 5 else 1.5)
                    for field, value in unit(server, cell, sizes).items():
                        cell["servers"][server.name][field].append(value)
                    server.pause()
            say(f"work: round {number + 1} of {sizes.rounds}")
        after = {}
        for server in servers:
            server.resume()
            time.sleep(2)
            after[server.name] = processes.memory(server.pid) | {"runs": runs(sizes), "store_mb": server.store_mb()}
            server.stop()
        return {"cells": cells, "after": after}
    finally:
        for server in servers:
            server.stop()


def runs(sizes: Sizes) -> int:
    """How many runs a store has after all rounds: the first one, those that fill it, two of the check, the warm-up's."""
    return 1 + sizes.fill + 1 + 5 + sizes.rounds * 2 * sum(sizes.units.values())


def unit(server: Server, cell: dict, sizes: Sizes) -> dict:
    """The figures of one server in one round."""
    asked = sizes.units[cell["connections"]]
    others, cpu, own = processes.Others(), processes.cpu(server.pid), processes.own()
    printed = server.generate("units", cell["connections"], asked, lists=cell["list"])
    cpu, own = processes.cpu(server.pid) - cpu, processes.own() - own
    lines = [line.split("\t") for line in printed.splitlines()]
    wall = next(float(line[1]) for line in lines if line[0] == "wall")
    whole, p50, slowest = next((int(line[1]), float(line[2]), float(line[3])) for line in lines if line[0] == "units")
    for line in lines:
        if line[0] == "sample":
            say(f"work: {server.name}: {line[1][:200]}")
    if not whole:
        raise RuntimeError(f"{server.name}: no unit succeeded")
    return {
        "per_second": round(whole / wall, 3),
        "cpu_ms": round(cpu / whole * 1000, 2),
        "p50_ms": round(p50, 2),
        "slowest_ms": round(slowest, 2),
        "failed": asked - whole,
        "repeats": sum(int(line[4]) for line in lines if line[0] == "step"),
        "generator_share": round(own / (own + cpu), 3),
        "others": others.share(cpu),
    }


def check_list(server: Server, there_are: int) -> None:
    """A list has the newest 20 runs, the newest first: else the servers would not do the same."""
    created = server.create(repeats=10)
    listed = server.listed(server.ask("list")[1])
    if len(listed) != min(20, there_are + 1) or listed[0] != created:
        raise RuntimeError(f"{server.name} lists {len(listed)} runs, and {listed[:1]} before {created}")


def start(sizes: Sizes) -> dict:
    """From the start to the first create, on a new store and again on the same; what it takes while nothing is asked."""
    kinds = (Ratchet, RatchetInMemory, Hand, Prefect, Mlflow, MlflowWithJobs)
    figures = {kind.name: {"new": [], "again": [], "cpu_new": [], "others": []} for kind in kinds}
    for number in range(sizes.starts):
        for kind in kinds:
            server, found, others = kind(), figures[kind.name], processes.Others()
            try:
                found["new"].append(round(server.start(), 3))
                found["cpu_new"].append(round(processes.cpu(server.pid), 2))
                found["others"].append(others.share(processes.cpu(server.pid)))
                server.stop()
                found["again"].append(round(server.start(), 3))
                if number == sizes.starts - 1:
                    # What it starts in the background is to be done with.
                    time.sleep(server.settle * sizes.settle)
                    cpu = processes.cpu(server.pid)
                    time.sleep(sizes.idle)
                    found["idle"] = processes.memory(server.pid)
                    found["idle"]["cpu_ms_per_s"] = round((processes.cpu(server.pid) - cpu) / sizes.idle * 1000, 1)
            finally:
                server.stop()
            say(f"start: {kind.name} {json.dumps(found)}")
    return figures


def kills(sizes: Sizes) -> dict:
    """Ends the server at once under load, starts it on the same store, and reads every write that was acknowledged."""
    return {server.name: killed(server(), sizes) for server in (Ratchet, Hand, Prefect, Mlflow)}


def killed(server: Server, sizes: Sizes) -> dict:
    count, again = collections.Counter(kills=sizes.kills), []
    slow = server.settle > 5
    try:
        server.start()
        for _ in range(sizes.kills):
            time.sleep(min(server.settle, 5) * sizes.settle)
            load = random.uniform(6, 10) if slow else random.uniform(2, 4)
            log = server.place / "acknowledged"
            log.unlink(missing_ok=True)
            with server.load("units", WIDTH, 1_000_000, log) as generator:
                try:
                    time.sleep(load * max(sizes.settle, 0.5))
                    server.kill()
                    _, errors = generator.communicate(timeout=120)
                finally:
                    generator.kill()
            if generator.returncode:
                raise RuntimeError(f"{server.name}: {errors[-2000:]}")
            again.append(round(server.start(), 3))
            for name, number in lost(server, log).items():
                count[name] += number
        server.stop()
        integrity = set()
        for store in server.stores():
            connection = sqlite3.connect(store)
            integrity.add(connection.execute("PRAGMA integrity_check").fetchone()[0])
            connection.close()
        figures = dict(count) | {"again": again, "integrity": sorted(integrity)}
        say(f"kills: {server.name} {json.dumps(figures)}")
        return figures
    finally:
        server.stop()


def lost(server: Server, log: Path) -> dict[str, int]:
    """Reads every run that the generator was told about, and counts what it was told and what is not there."""
    told: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for line in log.read_text().splitlines():
        run, step, updates = line.split("\t")
        told[run][step] += 1
        if step == "update":
            told[run]["updates"] = int(updates)
    # A step that a server needs several requests for took effect with the last one.
    needed = collections.Counter(line.split("\t")[1] for line in server.plan() if line.startswith("step\t"))
    count = collections.Counter(runs=len(told), lost=0)
    for run, steps in told.items():
        count["writes"] += sum(steps[name] for name in ("create", "running", "update", "complete"))
        found = server.read(run)
        if found is None:
            count["lost"] += steps["create"] + steps["running"] + steps["update"] + steps["complete"]
            continue
        completed = steps["complete"] >= needed["complete"]
        count["lost"] += completed and (found.status != "completed" or "1200" not in json.dumps(found.result))
        count["lost"] += steps["running"] > 0 and found.status == "pending"
        count["lost"] += max(0, steps["updates"] - (found.tokens or 0))
    return dict(count)
