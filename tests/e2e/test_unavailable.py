"""DynamoDB unreachable, silent or throttling: deployed functions answer 503 with Retry-After before they time out."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from checks import EXECUTIONS, World, gateways, ok, refused
from inventory import covers, operations
from stack import Answer, free_port, logical_id

# The timeout of the functions in template.yaml. After it Lambda ends them, and the caller gets API Gateway's own 503.
FUNCTION_TIMEOUT = 10


class Throttling(BaseHTTPRequestHandler):
    """A DynamoDB that throttles every request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        body = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"})
        self.send_response(400)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_) -> None:
        pass


@contextmanager
def away() -> Iterator[str]:
    """No process listens."""
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def silent() -> Iterator[str]:
    """Connections are accepted and no request is ever answered: it may or may not have been applied."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def throttling() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Throttling)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def calling(
    world: World, logical_id: str, endpoint: str, service: str = "AWS_ENDPOINT_URL_DYNAMODB"
) -> Iterator[None]:
    """A new version of a function with another endpoint in the place of DynamoDB's, or of another service's, behind the
    function's alias."""
    functions, name = world.stack.emulator.client("lambda"), world.stack.physical(logical_id)
    before = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def configure(variables: dict[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    configure(variables | {service: endpoint})
    version = functions.publish_version(FunctionName=name)["Version"]
    assert version != before, "no new version was published"
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    try:
        yield
    finally:
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=before)
        configure(variables)


CALLS = {
    "ExecuteFlowFunction": lambda world, id: world.admin.post(
        "/flows/execute", {"flow_id": "f", "trigger_type": "api"}
    ),
    "ListExecutionsFunction": lambda world, id: world.admin.get(EXECUTIONS),
    "GetExecutionFunction": lambda world, id: world.admin.get(f"{EXECUTIONS}/{id}"),
    "UpdateExecutionFunction": lambda world, id: world.admin.patch(f"{EXECUTIONS}/{id}", {"status": "completed"}),
    "UpdateExecutionStatusFunction": lambda world, id: world.admin.patch(f"/executions/{id}", {"status": "failed"}),
    "ListTransitionsFunction": lambda world, id: world.admin.get(f"/executions/{id}/transitions"),
    "WaitExecutionFunction": lambda world, id: world.admin.get(f"{EXECUTIONS}/{id}/wait?timeout=1"),
    "GetHeartbeatFunction": lambda world, id: world.admin.get(f"/executions/{id}/heartbeat"),
    "GetCallerFunction": lambda world, id: world.admin.get("/me"),
    "RecordHeartbeatFunction": lambda world, id: world.admin.post(f"/executions/{id}/heartbeat", {"attempt": 1}),
    "CancelExecutionFunction": lambda world, id: world.admin.post(f"/executions/{id}/cancel", {}),
    "ReportStepsFunction": lambda world, id: world.admin.post(f"/executions/{id}/steps", {"steps": [{"step_id": "01"}]}),
    "ListStepsFunction": lambda world, id: world.admin.get(f"/executions/{id}/steps"),
}
# The functions that read no table: they answer as ever.
WITHOUT_STORE = {"GetCallerFunction"}
# The outcome of a write that was sent and not answered is unknown. A new execution takes its number first, and that
# request fails. A heartbeat is in no record, so that it was not changed in any case. A report of steps reads first.
UNKNOWN = {"UpdateExecutionFunction", "UpdateExecutionStatusFunction", "CancelExecutionFunction"}


def test_every_operation_is_called() -> None:
    covers("CALLS of test_unavailable.py", CALLS, [logical_id(operation.id) for operation in operations()])


@pytest.mark.parametrize("fault", [away, silent, throttling], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("function", CALLS)
def test_the_function_answers_where_dynamodb_does_not(function: str, fault, world: World) -> None:
    created = world.execution("running")
    with fault() as endpoint, calling(world, function, endpoint):
        begun = time.monotonic()
        answer: Answer = CALLS[function](world, created["id"])
        took = time.monotonic() - begun
    if function in WITHOUT_STORE:
        ok(answer)
    else:
        code = "OUTCOME_UNKNOWN" if fault is silent and function in UNKNOWN else "STORE_UNAVAILABLE"
        refused(answer, 503, code)
        assert int(answer.headers["retry-after"]) >= 1
    assert took < FUNCTION_TIMEOUT, f"{took:.1f} s"
    # With the function's own endpoint again: the write was not applied.
    assert world.admin.get(f"{EXECUTIONS}/{created['id']}").json()["status"] == "running"


def test_an_authorizer_without_dynamodb_refuses_every_key(world: World) -> None:
    key = world.stack.new_key("acme", "read")
    with silent() as endpoint, calling(world, "AuthorizerFunction", endpoint):
        gateways(world.stack.api(key).get(EXECUTIONS), 500, "Internal Server Error")
    assert world.stack.api(key).get(f"{EXECUTIONS}?page_size=1").status == 200
