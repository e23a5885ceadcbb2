"""The servers that are compared: how each is started, asked and read."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PLACE = ROOT / "target" / "servers"
GENERATOR = TARGET / "server" / "generator"
# What a run ends as in the races, and each server's own word for it where it is another one.
TERMINAL = ("completed", "failed", "cancelled")


@dataclass
class Run:
    """A run as it is read back: its status, which reporter's result it has, the field that is updated, and its result."""

    status: str
    by: int | None
    tokens: int | None
    result: Any


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def step(name: str, method: str, path: str, codes: str, must: str = "", body: str = "", kind: str = "step") -> str:
    return "\t".join([kind, name, method, path, codes, must, body])


def plan_of_patches(create: str, one: str, newest: str) -> list[str]:
    """The plan of a server whose runs are changed by PATCHes of their fields at `one`, with its steps that create and list."""
    running = '{"status":"running"}'
    return [
        'id\t"id":"',
        create,
        step("running", "PATCH", one, "200", "", running),
        *[step("update", "PATCH", one, "200", "", '{"tokens_used":{k}}')] * 5,
        step("complete", "PATCH", one, "200", "completed", '{"status":"completed","final_output":{"rows":1200}}'),
        step("get", "GET", one, "200", "1200"),
        newest,
        *(
            step(status, "PATCH", one, "200", "", f'{{"status":"{status}","final_output":{{"by":{{thread}}}}}}', "extra")
            for status in TERMINAL
        ),
        step("plain", "PATCH", one, "200", "", '{"status":"completed"}', "extra"),
        step("late", "PATCH", one, "200", "", running, "extra"),
    ]


class Server:
    """One server with a store of its own. Subclasses say how it is started, asked and read."""

    name: str
    # How long it is left alone after its start, for what it still does then, in seconds.
    settle = 2.0
    headers: dict[str, str] = {}
    # The virtual environment under .tools/, and the packages whose versions are said.
    venv: str | None = None
    packages: tuple[str, ...] = ()
    environment: dict[str, str] = {}

    def __init__(self) -> None:
        self.port = free_port()
        self.place = PLACE / "run" / self.name
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        self.process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def prepare(self) -> None:
        """Makes what a create needs; raises while the server is not up."""

    def plan(self) -> list[str]:
        """The lines of its plan: benches/servers/generator/src/plan.rs."""
        raise NotImplementedError

    def path(self, run: str) -> str:
        """Where a run is read."""
        raise NotImplementedError

    def run(self, answer: dict) -> Run:
        raise NotImplementedError

    def listed(self, answer: Any) -> list[str]:
        """The ids in a list."""
        raise NotImplementedError

    def stores(self) -> list[Path]:
        """The files of its store."""
        return [path for path in self.place.rglob("*") if path.suffix in (".db", ".sqlite")]

    # What is the same for all.

    @property
    def pid(self) -> int:
        assert self.process, f"{self.name} is not running"
        return self.process.pid

    def bin(self, program: str) -> str:
        return str(ROOT / ".tools" / str(self.venv) / "bin" / program)

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, {"content-type": "application/json", **self.headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, name: str) -> tuple[str, Any]:
        """Asks for a step that names no run: the bare answer, and as JSON."""
        line = next(line for line in self.plan() if line.split("\t")[:2] == ["step", name])
        _, _, method, path, codes, must, body = line.split("\t")
        code, answer = self.call(method, path, body.replace("{now}", str(int(time.time() * 1000))))
        text = answer.decode()
        if str(code) not in codes.split(",") or must not in text:
            raise ValueError(f"{self.name} answers {name} with {code}: {text[:300]}")
        return text, json.loads(text)

    def create(self, repeats: int = 0) -> str:
        """Creates a run. Returns its id. A server that has no time is asked again, as the load generator does."""
        before = next(line for line in self.plan() if line.startswith("id\t")).split("\t")[1]
        while True:
            try:
                return self.ask("create")[0].split(before, 1)[1].split('"', 1)[0]
            except ValueError:
                if repeats == 0:
                    raise
            repeats -= 1
            time.sleep(0.2)

    def read(self, run: str) -> Run | None:
        code, answer = self.call("GET", self.path(run))
        if code == 404:
            return None
        if code != 200:
            raise ValueError(f"{self.name} answers with {code}: {answer[:300]!r}")
        return self.run(json.loads(answer))

    def start(self, limit: float = 180) -> float:
        """Starts it. Returns the seconds from there to its first create that succeeds."""
        # Not the caller's environment: it may have settings for one of the servers.
        path = os.environ.get("PATH", "")
        if self.venv:
            path = f"{ROOT / '.tools' / self.venv / 'bin'}:{path}"
        place = str(self.place)
        environment = {"PATH": path, "HOME": place, "TMPDIR": place, "LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
        with (self.place / "log").open("ab") as log:
            begun = time.perf_counter()
            self.process = subprocess.Popen(
                self.command(),
                env=environment | self.environment,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while True:
            try:
                self.prepare()
                self.create()
                return time.perf_counter() - begun
            except (OSError, http.client.HTTPException, ValueError) as error:
                if time.perf_counter() - begun > limit or self.process.poll() is not None:
                    raise RuntimeError(f"{self.name} does not start: {error!r}; see {self.place / 'log'}") from error
                time.sleep(0.002)

    def stop(self) -> None:
        """Ends it as its user would, and what is left after 20 seconds otherwise."""
        if not self.process:
            return
        self.resume()
        members = processes.family(self.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        self.end(members)

    def kill(self) -> None:
        """Ends all of its processes at once, the parents first, that none is replaced."""
        self.end(processes.family(self.pid))

    def end(self, members: list[processes.Process]) -> None:
        for member in members:
            processes.send(member, signal.SIGKILL)
        if self.process:
            self.process.wait(20)
        deadline = time.monotonic() + 20
        while any(map(processes.running, members)) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.process = None

    def pause(self) -> None:
        """Stops all of its processes, the parents first: none may find that its child does not answer."""
        for member in processes.family(self.pid):
            processes.send(member, signal.SIGSTOP)

    def resume(self) -> None:
        members = processes.family(self.pid)
        for member in reversed(members[1:]):
            processes.send(member, signal.SIGCONT)
        if len(members) > 1:
            time.sleep(0.2)
        for member in members[:1]:
            processes.send(member, signal.SIGCONT)

    def load(self, mode: str, connections: int, *arguments: Any, lists: bool = True) -> subprocess.Popen:
        """Starts the load generator."""
        lines = [line for line in self.plan() if lists or not line.startswith("step\tlist\t")]
        plan = self.place / ("plan.tsv" if lists else "plan-without-list.tsv")
        plan.write_text("\n".join(lines) + "\n")
        command = [GENERATOR, mode, plan, self.port, connections, *arguments]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def generate(self, mode: str, connections: int, *arguments: Any, lists: bool = True, limit: float = 900) -> str:
        """Runs the load generator. Returns what it printed."""
        with self.load(mode, connections, *arguments, lists=lists) as generator:
            try:
                printed, errors = generator.communicate(timeout=limit)
            finally:
                generator.kill()
        if generator.returncode:
            raise RuntimeError(f"{self.name}: {errors[-2000:]}")
        return printed

    def each(self, name: str, connections: int, ids: Path, count: int) -> int:
        """One step on so many runs. Returns how many succeeded; for `create` the file is written."""
        lines = [line.split("\t") for line in self.generate("step", connections, name, count, ids).splitlines()]
        return count - sum(int(line[3]) for line in lines if line[0] == "step")

    def store_mb(self) -> float:
        """What its store takes on the disk, in MB (10^6 bytes), write-ahead logs included."""
        files = [path for store in self.stores() for path in store.parent.glob(f"{store.name}*")]
        return round(sum(path.stat().st_size for path in files) / 1e6, 1)


class Ratchet(Server):
    """The development server, built for speed (the profile `server`), with its embedded DynamoDB in a file."""

    name = "ratchet"
    headers = {"x-api-key": "local-dev-key"}
    file = True

    def command(self) -> list[str]:
        store = ["--db", str(self.place / "ratchet.sqlite")] if self.file else []
        return [str(TARGET / "server" / "local"), "--port", str(self.port), *store]

    def plan(self) -> list[str]:
        all, one = "/api/v1/flows/executions", "/api/v1/flows/executions/{id}"
        new = '{"flow_id":"bench","trigger_type":"api","variables":{"limit":1}}'
        create = step("create", "POST", "/api/v1/flows/execute", "200,201,202", "pending", new)
        # Not counted, for none of the others counts.
        newest = step("list", "GET", f"{all}?page_size=20&count_limit=0", "200", "executions")
        headers = [f"header\t{name}: {value}" for name, value in self.headers.items()]
        return [*headers, *plan_of_patches(create, one, newest)]

    def path(self, run: str) -> str:
        return f"/api/v1/flows/executions/{run}"

    def run(self, answer: dict) -> Run:
        run = answer.get("execution", answer)
        return Run(run["status"], (run["final_output"] or {}).get("by"), run["tokens_used"], run["final_output"])

    def listed(self, answer: Any) -> list[str]:
        return [run["id"] for run in answer["executions"]]


class RatchetInMemory(Ratchet):
    name = "ratchet-memory"
    file = False


class Hand(Server):
    """hand.py behind uvicorn."""

    name = "hand"
    venv = "servers-hand"
    packages = ("fastapi", "uvicorn", "pydantic")

    def __init__(self) -> None:
        super().__init__()
        self.environment = {**type(self).environment, "HAND_DB": str(self.place / "hand.sqlite")}

    def command(self) -> list[str]:
        where = ["--app-dir", str(Path(__file__).parent), "--host", "127.0.0.1", "--port", str(self.port)]
        return [self.bin("uvicorn"), "hand:app", *where]

    def plan(self) -> list[str]:
        create = step("create", "POST", "/runs", "201", "pending", '{"flow_id":"bench","variables":{"limit":1}}')
        return plan_of_patches(create, "/runs/{id}", step("list", "GET", "/runs?limit=20", "200"))

    def path(self, run: str) -> str:
        return f"/runs/{run}"

    def run(self, answer: dict) -> Run:
        return Run(answer["status"], (answer["final_output"] or {}).get("by"), answer["tokens_used"], answer["final_output"])

    def listed(self, answer: Any) -> list[str]:
        return [run["id"] for run in answer]


class HandGuarded(Hand):
    name = "hand-guarded"
    environment = {"HAND_GUARDED": "1"}


class HandRelaxed(Hand):
    name = "hand-relaxed"
    environment = {"HAND_RELAXED": "1"}


class Prefect(Server):
    """Prefect's server on SQLite, its default. The field that is updated is a tag."""

    name = "prefect"
    venv = "servers-prefect"
    packages = ("prefect", "sqlalchemy", "aiosqlite", "uvicorn")
    settle = 20.0

    def __init__(self) -> None:
        super().__init__()
        self.flow = ""
        self.environment = {
            "PREFECT_HOME": str(self.place),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_PROMPT": "false",
        }

    def command(self) -> list[str]:
        return [self.bin("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]

    def prepare(self) -> None:
        if not self.flow:
            code, answer = self.call("POST", "/api/flows/", '{"name":"bench"}')
            if code not in (200, 201):
                raise ValueError(f"no flow: {code} {answer[:300]!r}")
            self.flow = json.loads(answer)["id"]

    def plan(self) -> list[str]:
        one, state = "/api/flow_runs/{id}", "/api/flow_runs/{id}/set_state"
        create = f'{{"flow_id":"{self.flow}","parameters":{{"limit":1}},"state":{{"type":"PENDING"}}}}'
        running = '{"state":{"type":"RUNNING"}}'
        completed = '{"state":{"type":"COMPLETED","data":{"rows":1200}}}'
        ended = '{"state":{"type":"STATUS","message":"by {thread}"}}'
        # The newest by when they were to start, which for these is when they were created: ids are random. It has an index.
        newest = '{"sort":"EXPECTED_START_TIME_DESC","limit":20}'
        accepted = "200,201", '"ACCEPT"'
        return [
            'id\t"id":"',
            step("create", "POST", "/api/flow_runs/", "200,201", "", create),
            step("running", "POST", state, *accepted, running),
            *[step("update", "PATCH", one, "200,204", "", '{"tags":["tokens:{k}"]}')] * 5,
            step("complete", "POST", state, *accepted, completed),
            step("get", "GET", one, "200", "COMPLETED"),
            step("list", "POST", "/api/flow_runs/filter", "200", "", newest),
            *(
                step(status, "POST", state, *accepted, ended.replace("STATUS", status.upper()), "extra")
                for status in TERMINAL
            ),
            step("plain", "POST", state, *accepted, '{"state":{"type":"COMPLETED"}}', "extra"),
            step("late", "POST", state, *accepted, running, "extra"),
        ]

    def path(self, run: str) -> str:
        return f"/api/flow_runs/{run}"

    def run(self, answer: dict) -> Run:
        state = answer["state"] or {}
        message = state.get("message") or ""
        by = int(message.removeprefix("by ")) if message.startswith("by ") else None
        tokens = [int(tag.split(":")[1]) for tag in answer["tags"] if tag.startswith("tokens:")]
        return Run(answer["state_type"].lower(), by, tokens[0] if tokens else None, state.get("data"))

    def listed(self, answer: Any) -> list[str]:
        return [run["id"] for run in answer]


class Mlflow(Server):
    """MLflow's tracking server on SQLite without its job runners. The field that is updated and the result are tags."""

    name = "mlflow"
    venv = "servers-mlflow"
    packages = ("mlflow", "uvicorn")
    settle = 20.0
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    statuses = {"completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        store = ["--backend-store-uri", f"sqlite:///{self.place}/mlflow.db"]
        artifacts = ["--default-artifact-root", f"{self.place}/artifacts"]
        return [self.bin("mlflow"), "server", *where, *store, *artifacts]

    def plan(self) -> list[str]:
        api = "/api/2.0/mlflow/runs"
        create = '{"experiment_id":"0","run_name":"bench","start_time":{now},"tags":[{"key":"limit","value":"1"}]}'
        update = f"{api}/update"
        running = '{"run_id":"{id}","status":"RUNNING"}'
        tokens = '{"run_id":"{id}","key":"tokens","value":"{k}"}'
        result = '{"run_id":"{id}","key":"result","value":"{\\"rows\\":1200}"}'

        def ended(status: str) -> str:
            return f'{{"run_id":"{{id}}","status":"{status}","end_time":{{now}}}}'

        return [
            'id\t"run_id": "',
            step("create", "POST", f"{api}/create", "200", "RUNNING", create),
            step("running", "POST", update, "200", "", running),
            *[step("update", "POST", f"{api}/set-tag", "200", "", tokens)] * 5,
            step("complete", "POST", f"{api}/set-tag", "200", "", result),
            step("complete", "POST", update, "200", "FINISHED", ended("FINISHED")),
            step("get", "GET", f"{api}/get?run_id={{id}}", "200", "1200"),
            step("list", "POST", f"{api}/search", "200", "", '{"experiment_ids":["0"],"max_results":20}'),
            *(step(status, "POST", update, "200", "", ended(self.statuses[status]), "extra") for status in TERMINAL),
            step("plain", "POST", update, "200", "", ended("FINISHED"), "extra"),
            step("late", "POST", update, "200", "", running, "extra"),
        ]

    def path(self, run: str) -> str:
        return f"/api/2.0/mlflow/runs/get?run_id={run}"

    def run(self, answer: dict) -> Run:
        run = answer["run"]
        tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
        ours = {theirs: status for status, theirs in self.statuses.items()}
        status = ours.get(run["info"]["status"], run["info"]["status"].lower())
        return Run(status, None, int(tags["tokens"]) if "tokens" in tags else None, tags.get("result"))

    def listed(self, answer: Any) -> list[str]:
        return [run["info"]["run_id"] for run in answer["runs"]]


class MlflowWithJobs(Mlflow):
    """MLflow's tracking server as it is by default."""

    name = "mlflow-jobs"
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true"}
