"""Runs events/*.json through the built functions, each started as Lambda starts it, with DynamoDB Local behind them.
events/cases.json has the answer to each event, and the events that must come before it.

    python run_events.py rie    in AWS's runtime interface emulator, without a container
    python run_events.py sam    by `sam local invoke` in a container, two stories at a time; then one by `sam local start-api`

Needs tools/build.sh for this machine's architecture; tools/rie.sh and tools/sam-local.sh install the rest. Prints a
line `ok ...` for each check that passes, and ends with 1 if one fails.
"""

import gzip
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse

from stack import ARCHITECTURE, REGION, ROOT, SAM, free_port, logical_id

BUILD = ROOT / ".aws-sam" / "build"
EVENTS = ROOT / "events"
CASES_FILE = "cases.json"
CURSOR_KEY = "a secret of this run, long enough to be one"

# The variables that a function cannot start without, for all functions but those of WITHOUT_STORE or for one.
NEEDED = {"RATCHET_TABLE": None, "AWS_REGION": None, "RATCHET_CURSOR_KEY": {"list_executions", "list_steps"}}
# The functions that read no table, and so no setting.
WITHOUT_STORE = {"get_caller", "console"}

# Types of the events that invoke each function in template.yaml: HttpApi, Schedule, DynamoDB; the authorizer has none.
SOURCES = {
    resource["Metadata"]["BuildProperties"]["Binary"]: {
        source["Type"] for source in resource["Properties"].get("Events", {}).values()
    }
    for resource in yaml_parse((ROOT / "template.yaml").read_text())["Resources"].values()
    if resource["Type"] == "AWS::Serverless::Function"
}

Invoke = Callable[[str, dict], dict]


def event(name: str) -> dict:
    return json.loads((EVENTS / f"{name}.json").read_text())


@dataclass(frozen=True)
class Case:
    """An event, the events before it, in this order, and the answer to it."""

    event: str
    after: list[str]
    # For the authorizer, the status that API Gateway derives from its answer.
    status: int
    # What the body must contain. It may contain more.
    body: object

    @property
    def function(self) -> str:
        return self.event.split(".")[0]

    @property
    def writes(self) -> bool:
        # An event of a schedule or a stream has no method, and may write.
        method = event(self.event).get("requestContext", {}).get("http", {}).get("method")
        return self.status < 300 and method != "GET"


def cases() -> list[Case]:
    found = [Case(**case) for case in json.loads((EVENTS / CASES_FILE).read_text())]
    listed = {case.event for case in found}
    present = {path.stem for path in EVENTS.glob("*.json") if path.name != CASES_FILE}
    if listed != present:
        sys.exit(f"run_events: events/ and events/{CASES_FILE} differ: {', '.join(sorted(listed ^ present))}")
    return found


def stories_of(cases: list[Case]) -> list[list[Case]]:
    """Stories: possible orders of the events, each order on a table of its own, and as few orders as possible.

    A story is a sequence of writes that no longer sequence begins with. An event that writes nothing belongs to the
    longest story that it fits into, at the point where exactly the events before it have happened.
    """
    named = {case.event: case for case in cases}
    ways = {(*case.after, case.event) if case.writes else tuple(case.after) for case in cases}
    whole = [way for way in ways if not any(other != way and other[: len(way)] == way for other in ways)]
    left = [case for case in cases if not case.writes]
    stories = []
    for way in sorted(whole, key=lambda way: (-len(way), way)):
        story = []
        for place in range(len(way) + 1):
            story += [case for case in left if tuple(case.after) == way[:place]]
            left = [case for case in left if case not in story]
            story += [named[event] for event in way[place : place + 1]]
        stories.append(story)
    return stories


CASES = cases()
STORIES = stories_of(CASES)


class Failed(Exception):
    """A check has failed."""


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Failed(what)


# ---------------------------------------------------------------- processes


def wait_for_port(port: int, process: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise Failed(f"{Path(str(process.args[0])).name} does not start:\n{log.read_text()[-2000:]}")


@contextmanager
def running(command: list, log: Path, **options) -> Iterator[subprocess.Popen]:
    """A program that runs until the end of the block, with its output in a file."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A process group of its own, so that the processes that it starts end with it.
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def dynamodb_local(work: Path) -> Iterator[int]:
    """AWS's DynamoDB Local; its port."""
    folder = subprocess.run(
        [ROOT / "tools" / "setup-dynamodb-local.sh"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[-1]
    port = free_port()
    command = ["java", "-Xmx1g", "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
    # One database for all regions and credentials: a container has its own.
    command += ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    with running(command, work / "dynamodb.log", cwd=folder) as process:
        wait_for_port(port, process, work / "dynamodb.log")
        yield port


def make_table(port: int, name: str) -> None:
    """The table of template.yaml, with the key of authorizer.known_key in it."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    declared = template["Resources"]["ExecutionsTable"]["Properties"]
    wanted = {
        part: declared[part] for part in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    }
    client = boto3.client(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_table(TableName=name, **wanted)
    (key,) = event("authorizer.known_key")["identitySource"]
    client.put_item(
        TableName=name,
        Item={
            "pk": {"S": f"k#{key.split('_')[1]}"},
            "sk": {"S": "k"},
            "hs": {"B": hashlib.sha256(key.encode()).digest()},
            "og": {"S": "acme"},
            "na": {"S": "Nightly reports"},
            "sp": {"S": "read,write"},
        },
    )


# ---------------------------------------------------------------- the stories


def holds(actual, expected) -> bool:
    """Whether everything that is expected is in `actual`. Lists must have the same length."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(name in actual and holds(actual[name], value) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(actual) == len(expected) and all(map(holds, actual, expected))
    return actual == expected


def outcome_of(function: str, answer: dict) -> tuple[int, object]:
    """The status and the body of an answer; for the authorizer, the status that API Gateway derives from it.
    For a schedule and a stream, which have no status, 200 if the function did not fail. For the console, whose answers are
    files, the headers in place of the body.
    """
    if function == "console":
        return answer.get("statusCode", 500), answer.get("headers", {})
    if "HttpApi" in SOURCES[function]:
        return answer.get("statusCode", 500), json.loads(answer.get("body") or "null")
    if SOURCES[function]:
        return 500 if "errorType" in answer else 200, answer
    return 200 if answer.get("isAuthorized") else 403, answer


def run_story(story: list[Case], invoke: Invoke, how: str) -> None:
    for case in story:
        answer = invoke(case.function, event(case.event))
        status, body = outcome_of(case.function, answer)
        expect(status == case.status, f"{case.event}: expected {case.status}, got {json.dumps(answer)[:1000]}")
        expect(holds(body, case.body), f"{case.event}: expected {case.body}, got {json.dumps(answer)[:1000]}")
        # In one piece, for stories that run beside each other.
        print(f"ok {how} {case.event} {status}\n", end="", flush=True)


def by_rie(work: Path, port: int) -> None:
    (rie,) = (ROOT / ".tools" / "sam").glob(f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}")
    settings = {
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{port}",
        "RATCHET_CURSOR_KEY": CURSOR_KEY,
    }

    @contextmanager
    def function(name: str, environment: dict[str, str]) -> Iterator[tuple[Callable[[dict], dict], Path]]:
        front, log = free_port(), work / f"{name}.log"
        command = [rie, "--runtime-interface-emulator-address", f"127.0.0.1:{front}"]
        command += ["--runtime-api-address", f"127.0.0.1:{free_port()}", BUILD / logical_id(name) / "bootstrap"]
        with running(command, log, env={"PATH": os.environ["PATH"], **environment}) as process:
            wait_for_port(front, process, log)

            def invoke(payload: dict) -> dict:
                url = f"http://127.0.0.1:{front}/2015-03-31/functions/function/invocations"
                request = urllib.request.Request(url, json.dumps(payload).encode())
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        return json.load(answer) or {}
                except urllib.error.HTTPError as error:
                    return json.loads(error.read() or b"{}")

            yield invoke, log

    for number, story in enumerate(STORIES):
        table = f"story-{number}"
        make_table(port, table)
        with ExitStack() as stack:
            functions = {
                name: stack.enter_context(function(name, settings | {"RATCHET_TABLE": table}))
                for name in sorted({case.function for case in story})
            }
            run_story(story, lambda name, payload: functions[name][0](payload), "rie")
            for name, (_, log) in functions.items():
                # One line for each request, on the function's own output, and no key in it.
                lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
                requests = [line for line in lines if line.get("level") == "INFO" and "status" in line]
                invoked = sum(case.function == name for case in story)
                if "HttpApi" in SOURCES[name]:
                    expect(len(requests) == invoked, f"{name}: {invoked} requests, {len(requests)} lines at INFO")
                    longest = max(len(json.dumps(line, separators=(",", ":"))) for line in requests)
                    print(f"ok rie {name} logs one line for each request, the longest of {longest} bytes")
                expect(not re.search("ratchet_[0-9a-f]{16}_", log.read_text()), f"{name}: a key is in the log")

    # A function without a setting: one line about it, and an INIT that fails.
    for missing, only in NEEDED.items():
        for name in sorted({case.function for case in CASES}):
            if only is not None and name not in only:
                continue
            if name in WITHOUT_STORE:
                # It must not even need what it does not use: it starts, and answers.
                with function(name, {}) as (invoke, _):
                    (first, *_) = (case for case in CASES if case.function == name and case.status < 300)
                    status, _ = outcome_of(name, invoke(event(first.event)))
                expect(status == first.status, f"{name} without any setting: {status}")
                print(f"ok rie {name} starts without {missing}")
                continue
            environment = {key: value for key, value in (settings | {"RATCHET_TABLE": "t"}).items() if key != missing}
            with function(name, environment) as (invoke, log):
                answer = invoke(event(next(case.event for case in CASES if case.function == name)))
                said = [line for line in log.read_text().splitlines() if missing in line]
            expect("statusCode" not in answer and "isAuthorized" not in answer, f"{name} without {missing}: {answer}")
            # The emulator starts a function once more if its INIT has failed, as Lambda does.
            expect(0 < len(said) <= 2, f"{name} without {missing} says:\n{log.read_text()}")
            expect("template.yaml" in said[0] or "Lambda" in said[0], said[0])
            print(f"ok rie {name} does not start without {missing}: {answer.get('errorType')}")


def by_sam(work: Path, port: int) -> None:
    # The address of this machine inside containers, as one of them reports it.
    asked = ["docker", "run", "--rm", "--add-host", "machine:host-gateway", "--entrypoint", "getent"]
    asked += [f"public.ecr.aws/lambda/provided:al2023-{ARCHITECTURE}", "hosts", "machine"]
    gateway = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0]
    endpoint = f"http://{gateway}:{port}"
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": REGION}
    environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    # The SAM CLI asks AWS for the account's number, and where there is no network it tries for ten seconds. Nobody listens
    # here, and it takes a number of its own.
    environment |= {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}

    def options(table: str) -> list:
        variables = work / f"{table}.json"
        # No event bus: the one of the template is AWS's own, which this must neither need nor reach.
        settings = {"RATCHET_TABLE": table, "RATCHET_CURSOR_KEY": CURSOR_KEY, "RATCHET_EVENT_BUS": ""}
        variables.write_text(json.dumps({"Parameters": settings}))
        return [
            *("--template", BUILD / "template.yaml", "--env-vars", variables, "--skip-pull-image"),
            *("--parameter-overrides", f"Stage=dev Architecture={ARCHITECTURE} DynamoDbEndpoint={endpoint}"),
        ]

    failed = threading.Event()

    def run(number: int) -> None:
        table, given = f"story-{number}", work / f"event-{number}.json"
        make_table(port, table)

        def invoke(name: str, payload: dict) -> dict:
            expect(not failed.is_set(), "another story has failed")
            given.write_text(json.dumps(payload))
            done = subprocess.run(
                [SAM, "local", "invoke", logical_id(name), "--event", given, *options(table)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            answers = [line for line in done.stdout.splitlines() if line.startswith("{") or line == "null"]
            answer = json.loads(answers[-1]) or {} if done.returncode == 0 and answers else {"errorType": "none"}
            expect("errorType" not in answer, f"sam local invoke {name}:\n{done.stdout}\n{done.stderr}")
            return answer

        run_story(STORIES[number], invoke, "sam-local-invoke")

    # The shortest alone: with its first invocation the SAM CLI builds the image of all of them.
    *others, shortest = range(len(STORIES))
    run(shortest)
    with ThreadPoolExecutor(2) as threads:
        try:
            for ended in as_completed([threads.submit(run, number) for number in others]):
                ended.result()
        except BaseException:
            # No story begins any more, and those that run end before their next event.
            failed.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise

    table = "served"
    make_table(port, table)
    front = free_port()
    log = work / "start-api.log"
    # Containers start when they are needed, not all at once.
    command = [SAM, "local", "start-api", "--port", str(front), "--warm-containers", "LAZY", *options(table)]
    with running(command, log, cwd=ROOT, env=environment) as process:
        wait_for_port(front, process, log)
        (key,) = event("authorizer.known_key")["identitySource"]

        def call(method: str, path: str, status: int, body: dict | None = None, key: str | None = key) -> dict:
            headers = {"content-type": "application/json"} if body else {}
            headers |= {"x-api-key": key} if key else {}
            data = json.dumps(body).encode() if body else None
            request = urllib.request.Request(f"http://127.0.0.1:{front}/api/v1{path}", data, headers, method=method)
            try:
                answer = urllib.request.urlopen(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            text = answer.read()
            message = f"{method} {path}: expected {status}, got {answer.status} {text!r}\n{log.read_text()[-4000:]}"
            expect(answer.status == status, message)
            print(f"ok sam-local-start-api {method} {path.split('?')[0]} {status}", flush=True)
            return json.loads(text) if text else {}

        created = call("POST", "/flows/execute", 200, {"flow_id": "f", "trigger_type": "api"})["execution"]
        call("GET", "/flows/executions", 401, key=None)
        call("GET", "/flows/executions", 403, key=key[:-1] + "x")
        call("PATCH", f"/flows/executions/{created['id']}", 200, {"status": "running"})
        call("PATCH", f"/flows/executions/{created['id']}", 400, {"status": "queued"})
        call("POST", f"/executions/{created['id']}/steps", 200, {"steps": [{"step_id": "01", "status": "completed"}]})
        (step,) = call("GET", f"/executions/{created['id']}/steps", 200)["steps"]
        expect(step["status"] == "completed", f"not the step that was reported: {step}")
        call("PATCH", f"/executions/{created['id']}", 200, {"status": "cancelled"})
        record = call("GET", f"/flows/executions/{created['id']}", 200)
        expect(record["status"] == "cancelled", f"not cancelled: {record}")
        (claimed, _) = call("GET", f"/executions/{created['id']}/transitions", 200)["transitions"]
        expect(claimed["by_name"] == "Nightly reports", f"not by its name: {claimed}")
        seen = call("GET", f"/executions/{created['id']}/heartbeat", 200)
        expect(seen["last_heartbeat_at"] is not None and seen["deadline_at"] is None, f"not what was heard: {seen}")
        caller = call("GET", "/me", 200)
        expect(caller["key_name"] == "Nightly reports", f"not the caller: {caller}")
        with urllib.request.urlopen(f"http://127.0.0.1:{front}/console", timeout=60) as answer:
            shown, policy = answer.read().decode(), answer.headers["content-security-policy"]
        expect("trusted-types 'none'" in policy, f"the console's policy: {policy}")
        (script,) = re.findall(r'src="(/console/[0-9a-f]+/app\.js)"', shown)
        request = urllib.request.Request(f"http://127.0.0.1:{front}{script}", headers={"accept-encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            packed, cache = answer.read(), answer.headers["cache-control"]
        expect(b"useExecution" in gzip.decompress(packed) and "immutable" in cache, f"the console's script: {cache}")
        print("ok sam-local-start-api GET /console 200", flush=True)
        page = call("GET", "/flows/executions?status=cancelled", 200)
        expect([listed["id"] for listed in page["executions"]] == [created["id"]], f"not listed: {page}")


def main(how: str) -> int:
    if not (BUILD / "template.yaml").exists():
        print(f"run_events: nothing is built: tools/build.sh {ARCHITECTURE}", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="ratchet-events-") as work, dynamodb_local(Path(work)) as port:
            {"rie": by_rie, "sam": by_sam}[how](Path(work), port)
    except Failed as failed:
        print(f"run_events: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["rie"], ["sam"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
