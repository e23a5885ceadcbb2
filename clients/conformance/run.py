"""Runs the conformance list against a client: README.md says what it is, and what a driver is.

    python3 clients/conformance/run.py [--only TEXT] [--jobs N] [--local BINARY | --url URL --api-key KEY] -- DRIVER...
"""

import argparse
import http.client
import os
import queue
import re
import secrets
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exact_json import at, difference, dumps, loads
from local import start_local
from proxy import Fault, Proxy, Seen, matches

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
API = "/api/v1"
# The smallest waits that still show what is waited for: the list has a hundred cases. Not so the timeout: on a machine that is
# busy, a request that is slow must not be taken for one that is lost.
OPTIONS = {"timeout": 8, "deadline": 40, "backoff_base": 0.02, "backoff_cap": 0.1, "poll_scale": 0.1}
# How long a driver may take for one command. More than any case asks for.
PATIENCE = 90.0


class Failed(Exception):
    """A case that is not as it should be: why."""


@dataclass
class Service:
    """The service under the proxy, and a key for it."""

    host: str
    port: int
    key: str

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """One request without the proxy."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=40)
        try:
            headers = {"x-api-key": self.key}
            if body is not None:
                headers["content-type"] = "application/json"
            connection.request(method, API + path, None if body is None else dumps(body).encode(), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


class Driver:
    """A driver's process."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.answers: queue.Queue[str] = queue.Queue()
        self.errors: list[str] = []
        self.threads = [threading.Thread(target=self._read, daemon=True), threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.errors.append(line.rstrip())

    def send(self, call: str, args: Any) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(dumps({"call": call, "args": args}) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Failed(f"the driver is gone before {call}: {error}") from error

    def receive(self) -> Any:
        try:
            line = self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failed(f"the driver did not answer within {PATIENCE:.0f} s") from None
        if not line:
            raise Failed("the driver ended without an answer")
        return loads(line)

    def close(self) -> None:
        try:
            assert self.process.stdin
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def number(value: Any, otherwise: float = 0.0) -> float:
    return otherwise if value is None else float(value)


@dataclass
class Run:
    """One case that is being run."""

    case: dict[str, Any]
    service: Service
    driver: Driver
    proxy: Proxy
    saved: dict[str, Any] = field(default_factory=dict)
    began: float = 0.0
    took: float = 0.0

    def fill(self, value: Any) -> Any:
        """The value with what was saved in the place of its names."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if type(value) is not str or "$" not in value:
            return value
        if value[1:] in self.saved and value[0] == "$":
            return self.saved[value[1:]]
        return re.sub(r"\$(\w+)", lambda m: str(self.saved.get(m[1], m[0])), value)

    def keep(self, names: dict[str, str] | None, value: Any) -> None:
        for name, pointer in (names or {}).items():
            try:
                self.saved[name] = at(value, pointer)
            except (KeyError, IndexError, TypeError):
                raise Failed(f"there is no {pointer} in {dumps(value)[:600]}") from None

    def check(self, expected: Any, actual: Any, what: str) -> None:
        if found := difference(expected, actual):
            raise Failed(f"{what}: {found}")

    def answered(self, line: dict[str, Any], what: str) -> None:
        answer = self.driver.receive()
        self.took = time.monotonic() - self.began
        outcome = "error" if "error" in line else "ok"
        if outcome not in answer:
            raise Failed(f"{what}: expected {outcome}, got {dumps(answer)[:900]}")
        self.check(line.get(outcome, {}), answer[outcome], what)
        self.keep(line.get("save"), answer[outcome])

    def line(self, line: dict[str, Any]) -> None:
        if "call" in line:
            name = line["call"]
            args = line.get("args", {})
            if name == "connect":
                args = self.connection(args.get("options", {}), args)
            self.began = time.monotonic()
            self.driver.send(name, args)
            if line.get("background") is not True:
                self.answered(line, name)
        elif line.get("join") is True:
            self.answered(line, "join")
        elif "fault" in line:
            fault = dict(line["fault"])
            for member in ("times", "skip", "status"):
                if member in fault:
                    fault[member] = int(fault[member])
            fault["seconds"] = number(fault.get("seconds"))
            self.proxy.add_fault(Fault(**fault))
        elif "proxy" in line:
            {"up": self.proxy.up, "down": self.proxy.down}[line["proxy"]]()
        elif "sleep" in line:
            time.sleep(number(line["sleep"]))
        elif "service" in line:
            wanted = line["service"]
            status, text = self.service.request(wanted["method"], wanted["path"], wanted.get("body"))
            if status != int(wanted.get("status", 200)):
                raise Failed(f"service {wanted['method']} {wanted['path']}: {status} {text[:600]}")
            body = loads(text) if text else None
            self.check(wanted.get("body_is", {}), body or {}, "service")
            self.keep(wanted.get("save"), body)
        elif "requests" in line:
            self.requests(line["requests"])
        elif "executions" in line:
            wanted = line["executions"]
            # Lists show a write within moments: the index of `local` is as old as the write.
            _, text = self.service.request("GET", f"/flows/executions?flow_id={wanted['flow_id']}&page_size=100")
            found = loads(text)["executions"]
            if "count" in wanted and len(found) != int(wanted["count"]):
                raise Failed(f"{len(found)} executions of {wanted['flow_id']}, expected {wanted['count']}")
            if "save_only" in wanted:
                if len(found) != 1:
                    raise Failed(f"{len(found)} executions of {wanted['flow_id']}, expected one")
                self.saved[wanted["save_only"]] = found[0]["id"]
        elif "record" in line:
            self.record(line["record"])
        elif "history" in line:
            wanted = line["history"]
            _, text = self.service.request("GET", f"/executions/{wanted['execution_id']}/transitions")
            self.check(wanted["is"], [transition["to"] for transition in loads(text)["transitions"]], "history")
        elif "elapsed" in line:
            wanted = line["elapsed"]
            low, high = number(wanted.get("at_least")), number(wanted.get("at_most"), float("inf"))
            if not low <= self.took <= high:
                raise Failed(f"it took {self.took:.3f} s, expected {low} to {high}")
        else:
            raise Failed(f"the case has a line that means nothing: {dumps(line)}")

    def connection(self, options: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
        return {
            "url": args.get("url", self.proxy.url),
            "api_key": args.get("api_key", self.service.key),
            "options": {**loads(dumps(OPTIONS)), **options},
        }

    def record(self, wanted: dict[str, Any]) -> None:
        until = time.monotonic() + number(wanted.get("within"))
        while True:
            try:
                status, text = self.service.request("GET", f"/flows/executions/{wanted['execution_id']}")
                if status != 200:
                    raise Failed(f"record: {status} {text[:600]}")
                self.check(wanted.get("is", {}), loads(text), "record")
                for part in wanted.get("text", []):
                    if part not in text:
                        raise Failed(f"record: {part} is not in {text}")
                return
            except Failed:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def requests(self, wanted: dict[str, Any]) -> None:
        seen = [s for s in list(self.proxy.seen) if matches(s.method, s.path, wanted.get("method", ""), wanted.get("path", ""))]
        shown = "; ".join(f"{s.method} {s.path} {s.body[:120]}" for s in seen)
        if "count" in wanted and (found := difference(wanted["count"], loads(str(len(seen))))):
            raise Failed(f"requests{found} ({shown})")

        def part(request: Seen, name: str) -> str | None:
            return request.body if name == "body" else request.headers.get(name)

        for name in wanted.get("same", []):
            values = [part(request, name) for request in seen]
            if None in values or len(set(values)) > 1:
                raise Failed(f"requests: {name} should be the same: {values}")
        for name in wanted.get("differ", []):
            values = [part(request, name) for request in seen]
            if None in values or len(set(values)) != len(values):
                raise Failed(f"requests: {name} should differ: {values}")
        if "some_headers" in wanted and all(difference(wanted["some_headers"], request.headers) for request in seen):
            raise Failed(f"requests: none has the headers {dumps(wanted['some_headers'])}")
        for request in seen:
            if "bodies_all" in wanted:
                self.check(wanted["bodies_all"], loads(request.body), "bodies_all")
            self.check(wanted.get("headers", {}), request.headers, "headers")
            for name in wanted.get("absent", []):
                if name in request.headers:
                    raise Failed(f"requests: {name} is there: {request.headers[name]}")
        if "bodies" in wanted:
            bodies = [loads(request.body) if request.body else None for request in seen]
            self.check(wanted["bodies"], bodies, "bodies")
        gaps = [later.at - earlier.at for earlier, later in zip(seen, seen[1:], strict=False)]
        low, high = number(wanted.get("gap_at_least")), number(wanted.get("gap_at_most"), float("inf"))
        if any(not low <= gap <= high for gap in gaps):
            raise Failed(f"requests: gaps of {[round(gap, 3) for gap in gaps]} s, expected {low} to {high}")
        if "within" in wanted and seen and seen[-1].at - seen[0].at > number(wanted["within"]):
            raise Failed(f"requests: {seen[-1].at - seen[0].at:.3f} s from the first to the last")


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted((HERE / "cases").glob("*.json")):
        found += loads(file.read_text(encoding="utf-8"))
    names = [case["name"] for case in found]
    if doubled := {name for name in names if names.count(name) > 1}:
        sys.exit(f"two cases have the name {', '.join(sorted(doubled))}")
    return found


def run_case(
    case: dict[str, Any], service: Service, command: list[str], without: list[str], seen: list[Seen]
) -> tuple[str, str]:
    """The result (ok, FAILED, skipped) and why."""
    if missing := [operation for operation in case.get("operations", []) if operation in without]:
        return "skipped", f"the service has no {missing[0]}"
    driver = Driver(command)
    proxy = Proxy(service.host, service.port)
    run = Run(case, service, driver, proxy)
    run.saved["proxy"] = proxy.url
    run.saved["kilobytes500"] = "x" * 500_000
    run.saved["flow"] = f"{case['name'][:80]}-{secrets.token_hex(4)}"
    place = "connect"
    try:
        driver.send("connect", run.connection(case.get("options", {}), {}))
        hello = driver.receive()
        if "ok" not in hello:
            raise Failed(f"{dumps(hello)}")
        if case["group"] not in hello["ok"]["groups"]:
            return "skipped", f"the driver has no {case['group']}"
        for index, line in enumerate(case["do"]):
            place = f"line {index + 1}"
            run.line(run.fill(line))
        return "ok", ""
    except (Failed, OSError, ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, Failed) else repr(error)
        driver.close()
        for thread in driver.threads:
            thread.join(2)
        told = "".join(f"\n    driver: {line}" for line in driver.errors[-15:])
        return "FAILED", f"{place}: {why}{told}"
    finally:
        driver.close()
        proxy.close()
        seen.extend(proxy.seen)


def uncalled(seen: list[Seen]) -> list[str]:
    """The operations of the OpenAPI document that no request was for: a new one needs a case, and a call in each driver."""
    document = loads((ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8"))
    missing: list[str] = []
    for path, methods in document["paths"].items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"(\?.*)?")
        for method in methods:
            if method in ("get", "post", "patch", "put", "delete"):
                if not any(s.method == method.upper() and pattern.fullmatch(s.path) for s in seen):
                    missing.append(f"{method.upper()} {path}")
    return missing


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the conformance list against a client.")
    parser.add_argument("--only", default="", help="the cases whose names contain this")
    parser.add_argument("--jobs", type=int, default=4, help="how many cases run at once")
    parser.add_argument("--local", default=str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "local"))
    parser.add_argument("--url", help="a service that runs already")
    parser.add_argument("--api-key", default="local-dev-key")
    parser.add_argument("--without", action="append", default=[], metavar="OPERATION", help="one that the service does not have yet")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    parser.add_argument("driver", nargs="*", help="the driver's command, after --")
    arguments = parser.parse_args()
    chosen = [case for case in cases() if arguments.only in case["name"]]
    if arguments.list:
        for case in chosen:
            print(f"{case['name']}  [{case['group']}]\n    {case['why']}")
        return
    if not arguments.driver:
        parser.error("name a driver after --")
    if not chosen:
        parser.error(f"no case has {arguments.only} in its name")
    process = None
    if arguments.url:
        target = urlsplit(arguments.url)
        service = Service(target.hostname or "", target.port or 80, arguments.api_key)
    else:
        key = "conformance-key"
        process, host, port = start_local(arguments.local, f"{key}=conformance", "conformance-reader=conformance:read")
        service = Service(host, port, key)
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    seen: list[Seen] = []
    try:
        with ThreadPoolExecutor(arguments.jobs) as pool:
            done = pool.map(lambda case: (case, *run_case(case, service, arguments.driver, arguments.without, seen)), chosen)
            for case, result, why in done:
                counts[result] += 1
                print(f"{result} {case['name']}" + (f"\n    {case['why']}\n    {why}" if result == "FAILED" else ""), flush=True)
    finally:
        if process:
            process.terminate()
            process.wait()
    if not arguments.only and not arguments.url and not counts["skipped"]:
        for operation in uncalled(seen):
            counts["FAILED"] += 1
            print(f"FAILED no case calls {operation}")
    print(f"{counts['ok']} conform, {counts['FAILED']} failed, {counts['skipped']} skipped")
    # A list of which nothing ran has shown nothing.
    sys.exit(1 if counts["FAILED"] or not counts["ok"] else 0)


if __name__ == "__main__":
    main()
