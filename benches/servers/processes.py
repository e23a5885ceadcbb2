"""What processes take, and how they are stopped, resumed and ended: by their ids alone."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))
PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process, by an id that may be given to another one, and the time of its start, by which that shows."""

    id: int
    begun: int


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third one, the state; None where it has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return None


def family(root: int) -> list[Process]:
    """A process, the members of the session that it leads, and the descendants of all of these; parents first."""
    fields = {int(entry.name): stat(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit()}
    alive = {pid: found for pid, found in fields.items() if found and found[0] != "Z"}
    found, waiting = [], [root, *(pid for pid in sorted(alive) if int(alive[pid][3]) == root and pid != root)]
    while waiting:
        pid = waiting.pop(0)
        if pid in alive and all(process.id != pid for process in found):
            found.append(Process(pid, int(alive[pid][19])))
            waiting += [child for child in alive if int(alive[child][1]) == pid]
    return found


def send(process: Process, number: signal.Signals) -> None:
    """Sends a signal to a process that is still the same."""
    found = stat(process.id)
    if found and int(found[19]) == process.begun:
        try:
            os.kill(process.id, number)
        except ProcessLookupError:
            pass


def running(process: Process) -> bool:
    found = stat(process.id)
    return found is not None and found[0] != "Z" and int(found[19]) == process.begun


def cpu(root: int) -> float:
    """The CPU time of a family, that of its ended children included, in seconds."""
    times = [stat(process.id) for process in family(root)]
    return sum(sum(map(int, found[11:15])) for found in times if found) / TICK


def memory(root: int) -> dict:
    """Resident memory of a family in MB (10^6 bytes): all of it, and with what is shared divided by who shares it."""
    resident = shared = count = 0
    for process in family(root):
        try:
            lines = (PROC / str(process.id) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
        resident, shared, count = resident + sizes["Rss:"], shared + sizes["Pss:"], count + 1
    return {"rss_mb": round(resident * 1024 / 1e6, 1), "pss_mb": round(shared * 1024 / 1e6, 1), "processes": count}


def busy() -> float:
    """The CPU time of the whole machine, that which its host took away included, in seconds."""
    fields = [int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / TICK


def own() -> float:
    """The CPU time of this process and of its children that have ended, in seconds."""
    return sum(os.times()[:4])


class Others:
    """What other processes took of the machine's CPU time while something was measured, as a share of all cores."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.monotonic(), busy(), own()

    def share(self, measured: float = 0.0) -> float:
        """The share, with `measured` seconds of CPU time that were the measured processes'."""
        elapsed = time.monotonic() - self.began
        others = busy() - self.busy - (own() - self.own) - measured
        return round(max(0.0, others) / (elapsed * CORES), 3)
