"""Every operation, every error that can be provoked from outside, the authorizer, two organizations."""

import json
from collections.abc import Callable

import pytest

from checks import CHECKS, World, gateways
from inventory import covers
from stack import logical_id

ALL = [(function, check) for function, checks in CHECKS.items() for check in checks]


@pytest.mark.parametrize(("function", "check"), ALL, ids=[f"{function}-{check.__name__}" for function, check in ALL])
def test_deployed(function: str, check: Callable[[World], None], world: World) -> None:
    check(world)


def test_every_function_of_the_stack_has_checks(stack) -> None:
    covers("CHECKS of checks.py", map(logical_id, CHECKS), stack.of_type("AWS::Lambda::Function"))


def test_keys_are_listed_without_their_secrets(world: World) -> None:
    key = world.stack.new_key("listed", "read")
    listed = world.stack.keys("list", "--org", "listed", "--json")
    assert listed.returncode == 0, listed.stderr
    (found,) = json.loads(listed.stdout)
    assert (found["key_id"], found["scopes"], found["state"]) == (key.split("_")[1], ["read"], "active")
    assert key.split("_")[2] not in listed.stdout + listed.stderr


def test_a_path_without_a_route_is_the_gateways_404(world: World) -> None:
    for method, path, base in [
        ("GET", "/", ""),
        ("GET", "/flows", "/api/v1"),
        ("DELETE", "/flows/executions", "/api/v1"),
    ]:
        gateways(world.admin.send(method, path, base=base), 404, "Not Found")


def test_a_browser_of_an_allowed_origin_may_call(world: World) -> None:
    preflight = {"access_control_request_method": "PATCH", "access_control_request_headers": "x-api-key,if-match"}
    anonymous = world.stack.api(None)
    answer = anonymous.send("OPTIONS", "/flows/executions", origin="https://app.example.com", **preflight)
    assert answer.status in (200, 204), str(answer)
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {
        "x-api-key",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "prefer",
        "x-correlation-id",
    } <= allowed
    stranger = anonymous.send("OPTIONS", "/flows/executions", origin="https://evil.example.com", **preflight)
    assert "access-control-allow-origin" not in stranger.headers
    read = world.admin.get("/flows/executions?page_size=1", origin="https://app.example.com")
    exposed = {name.strip().lower() for name in read.headers["access-control-expose-headers"].split(",")}
    assert {"etag", "idempotency-replayed", "retry-after", "x-correlation-id"} <= exposed
