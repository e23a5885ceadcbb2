"""The stack on this machine: the emulator, `sam deploy` to it, and access to what was deployed.

Run as a program it deploys the stack, prints how to call it, and keeps it until Ctrl-C (tools/deploy-local.sh).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import urllib3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
REGION = "us-east-1"
STACK = "ratchet-e2e"
SAM = ROOT / ".tools" / "sam" / "bin" / "sam"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TEMPLATE = ROOT / ".aws-sam" / "build" / "template.yaml"

# This machine's architecture, in Lambda's spelling: the built functions must run here.
ARCHITECTURE = "x86_64" if os.uname().machine == "x86_64" else "arm64"

# Short, so that a test can wait for it to pass.
AUTHORIZER_CACHE_SECONDS = 2

# The template's parameters of a test deployment. The emulator lacks CodeDeploy, which shifts traffic.
PARAMETERS = {
    "Stage": "dev",
    "Architecture": ARCHITECTURE,
    "Deployment": "AllAtOnce",
    "AuthorizerCacheSeconds": str(AUTHORIZER_CACHE_SECONDS),
    "CorsOrigins": "https://app.example.com",
}


def logical_id(function: str) -> str:
    """The name in the template of the function with a binary of this name."""
    return "".join(word.capitalize() for word in function.split("_")) + "Function"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Answer:
    """An HTTP answer, its headers by lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body.decode(errors='replace')[:500]}"


@dataclass
class Api:
    """The deployed API, called with one key."""

    endpoint: str
    host: str
    key: str | None = field(repr=False)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=16), repr=False)

    def with_key(self, key: str | None) -> "Api":
        return Api(self.endpoint, self.host, key, self.pool)

    def send(self, method: str, path: str, body=None, base: str = "/api/v1", **headers: str) -> Answer:
        """Sends a request; header names are written with underscores. A body that is no text is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"host": self.host}
        if self.key is not None:
            sent["x-api-key"] = self.key
        if body is not None and not isinstance(body, str | bytes):
            body = json.dumps(body)
        if body is not None:
            sent.setdefault("content-type", "application/json")
        answer = self.pool.request(
            method, self.endpoint + base + path, body=body, headers=sent, timeout=60, retries=False, redirect=False
        )
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, body, **headers: str) -> Answer:
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body, **headers: str) -> Answer:
        return self.send("PATCH", path, body, **headers)


class Emulator:
    """MiniStack under AUTH=true, on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.NamedTemporaryFile(prefix="ratchet-emulator-", suffix=".log", delete=False)
        # Not the caller's environment: the functions inherit that of the emulator, and must get their settings from the
        # stack. AWS_ENDPOINT_URL is the one exception; on AWS, nothing sets it.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ} | {
            "AUTH": "true",
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "MINISTACK_REGION": REGION,
        }
        self.process = subprocess.Popen(
            [sys.executable, HERE / "emulator.py"],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # A process group of its own: the emulator starts the functions, and they end with it.
            start_new_session=True,
        )
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the emulator does not start:\n{Path(self.log.name).read_text()[-2000:]}")

    def client(self, service: str, **credentials: str):
        credentials = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}),
            **credentials,
        )

    def environment(self) -> dict[str, str]:
        """For programs that call AWS: the emulator, and nothing of the caller's account."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return own | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
        }

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def sam_deploy(emulator: Emulator, stack: str, parameters: dict[str, str]) -> subprocess.CompletedProcess:
    """`sam deploy` of what tools/build.sh built. Its whole output is in `stdout`."""
    if not TEMPLATE.exists():
        raise RuntimeError(f"nothing is built: tools/build.sh {PARAMETERS['Architecture']}")
    command = [SAM, "deploy", "--config-env", "dev", "--stack-name", stack, "--no-confirm-changeset"]
    command += ["--no-progressbar", "--parameter-overrides", " ".join(f"{k}={v}" for k, v in parameters.items())]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=emulator.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


class Stack:
    """A deployed stack."""

    def __init__(self, emulator: Emulator, name: str = STACK, parameters: dict[str, str] | None = None) -> None:
        self.emulator = emulator
        self.name = name
        deployed = sam_deploy(emulator, name, PARAMETERS | (parameters or {}))
        if deployed.returncode != 0:
            raise RuntimeError(f"sam deploy failed:\n{deployed.stdout}")
        self.deployment = deployed.stdout
        self.formation = emulator.client("cloudformation")
        (described,) = self.formation.describe_stacks(StackName=name)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        pages = self.formation.get_paginator("list_stack_resources").paginate(StackName=name)
        self.resources = {
            resource["LogicalResourceId"]: resource for page in pages for resource in page["StackResourceSummaries"]
        }
        self.table = self.outputs["TableName"]
        self.api_id = self.physical("Api")

    def physical(self, logical_id: str) -> str:
        return self.resources[logical_id]["PhysicalResourceId"]

    def of_type(self, kind: str) -> dict[str, str]:
        """The physical ids of the resources of a type, by their logical ids."""
        return {
            logical_id: resource["PhysicalResourceId"]
            for logical_id, resource in self.resources.items()
            if resource["ResourceType"] == kind
        }

    def api(self, key: str | None) -> Api:
        return Api(self.emulator.endpoint, f"{self.api_id}.execute-api.localhost:{self.emulator.port}", key)

    def keys(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs the command line tool that manages API keys against the stack's table."""
        return subprocess.run(
            # What `cargo run --package keys` runs; tools/setup-e2e.sh has built it.
            [TARGET / "debug" / "keys", *arguments],
            cwd=ROOT,
            env=self.emulator.environment() | {"RATCHET_TABLE": self.table},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def new_key(self, organization: str, scopes: str, name: str | None = None, expires_in: str | None = None) -> str:
        options = [f"--name={name}"] * (name is not None) + [f"--expires-in={expires_in}"] * (expires_in is not None)
        created = self.keys("create", "--org", organization, "--scopes", scopes, *options)
        if created.returncode != 0:
            raise RuntimeError(f"no key was created:\n{created.stderr}")
        return created.stdout.strip()


def main() -> None:
    emulator = Emulator()
    try:
        print("deploying template.yaml to the emulator ...", flush=True)
        stack = Stack(emulator)
        key = stack.new_key("acme", "admin")
        api = stack.api(key)
        print(
            f"""
The stack {stack.name} is deployed. AWS_ENDPOINT_URL={emulator.endpoint}, the emulator's log is {emulator.log.name}

  curl -s {api.endpoint}/api/v1/flows/execute -H 'Host: {api.host}' \\
    -H 'x-api-key: {key}' -H 'content-type: application/json' \\
    -d '{{"flow_id": "nightly-report", "trigger_type": "manual"}}'

Ctrl-C ends it; nothing is kept.""",
            flush=True,
        )
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        emulator.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
