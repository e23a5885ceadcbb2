"""What schemathesis cannot know of this API, for tools/schemathesis.sh (SCHEMATHESIS_HOOKS).

All of schemathesis' checks are on. Two of them call an answer a failure that is right, because the document says which
requests are well-formed, and the state of an execution decides the rest. `filter_failure` takes such a failure back, and only
where it can show from the request, the record and what was sent before that the refusal was due: the table of transitions
stands here once more, written by hand. Any other answer of the same status remains a failure, and so does every other check.

`before_call` brings every second PATCH to an execution in a state that allows it: otherwise nearly all would be refused.
"""

import atexit
import collections
import itertools
import json
import os
import re
import urllib.parse

import requests
import schemathesis
from hypothesis import strategies
from schemathesis import Case, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse

from inventory import covers, operations

URL = os.environ["RATCHET_URL"]
KEY = os.environ["RATCHET_KEY"]
SUMMARY = os.environ["RATCHET_SUMMARY"]

TERMINAL = {"completed", "failed", "cancelled", "timeout"}
# From where a status can be entered (README.md, "The ratchet").
SOURCES = {
    "pending": set(),
    "queued": {"pending", "retrying", "interrupted"},
    "running": {"pending", "queued", "retrying", "interrupted"},
    "retrying": {"pending", "queued", "running", "interrupted"},
    "interrupted": {"running"},
    **{end: {"pending", "queued", "running", "retrying", "interrupted"} for end in TERMINAL},
}
WAYS = {
    "pending": [],
    "queued": ["queued"],
    "running": ["running"],
    "retrying": ["running", "retrying"],
    "interrupted": ["running", "interrupted"],
    "completed": ["running", "completed"],
    "failed": ["failed"],
    "cancelled": ["cancelled"],
    "timeout": ["timeout"],
}
FROZEN = {"final_output", "error_message", "error_details", "completed_at", "duration_ms", "retry_count", "timeout_seconds"}
OPERATIONS = operations()
# By method and pattern.
ROUTES = {(operation.method, re.sub(r"\{\w+\}", "[^/]+", operation.path)) for operation in OPERATIONS}
PATCHES = ("update_execution", "update_execution_status")
# Another one would be sent to executions in states that refuse it, and its refusals would be nobody's to judge.
covers(
    "PATCHES of tools/schemathesis_hooks.py",
    PATCHES,
    [operation.id for operation in OPERATIONS if operation.method == "PATCH"],
)
FILTERS = ("flow_id", "status", "trigger_type", "agent_id", "created_after", "created_before")
# Numbered pages reach the first 10000 executions.
REACH = 10_000
# What If-Match takes, which the document says as a format: of the tags that HTTP knows those of visible ASCII, for this service
# gives out no others.
ENTITY_TAG = r'(W/)?"[ !#-~]*"'
ENTITY_TAGS = re.compile(rf"\*|{ENTITY_TAG}( *, *{ENTITY_TAG})*")
schemathesis.openapi.format("entity-tags", strategies.from_regex(ENTITY_TAGS, fullmatch=True))

session = requests.Session()
turns = itertools.count()
states = itertools.cycle(WAYS)
answers: collections.Counter[tuple[str, int]] = collections.Counter()
accepted_refusals: collections.Counter[str] = collections.Counter()
# Bodies that were accepted with an Idempotency-Key, by operation, path and key.
known_keys: dict[tuple[str, str, str], set[str]] = collections.defaultdict(set)
# The filters for which a cursor was given out.
cursors: dict[str, dict[str, str]] = {}
# The path of the steps for which a cursor was given out.
step_cursors: dict[str, str] = {}


def call(method: str, path: str, body: dict | None = None) -> requests.Response:
    return session.request(method, f"{URL}/api/v1{path}", json=body, headers={"x-api-key": KEY}, timeout=10)


def execution_in(state: str) -> tuple[str, str]:
    """A new execution in this state: its id and its ETag."""
    made = call("POST", "/flows/execute", {"flow_id": "prepared", "trigger_type": "test"})
    execution_id, etag = made.json()["execution"]["id"], made.headers["etag"]
    for status in WAYS[state]:
        moved = call("PATCH", f"/flows/executions/{execution_id}", {"status": status})
        moved.raise_for_status()
        etag = moved.headers["etag"]
    return execution_id, etag


def sent_body(response: Response) -> dict:
    body = response.request.body or b"{}"
    value = json.loads(body)
    return value if isinstance(value, dict) else {}


def sent_path(response: Response) -> str:
    return urllib.parse.urlsplit(response.request.url).path


def sent_query(response: Response) -> dict[str, str]:
    query = urllib.parse.urlsplit(response.request.url).query
    return dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


def sent_header(response: Response, name: str) -> str:
    value = response.request.headers[name]
    return value.decode("latin-1") if isinstance(value, bytes) else value


def present(response: Response) -> tuple[dict, str]:
    """The execution of a request as it is now, and its ETag. One request is made at a time: so it was then."""
    path = sent_path(response).removesuffix("/cancel").removesuffix("/heartbeat").removesuffix("/steps")
    execution_id = path.rsplit("/", 1)[1]
    answer = call("GET", f"/flows/executions/{execution_id}")
    answer.raise_for_status()
    return answer.json(), answer.headers["etag"]


def transition_not_allowed(operation: str, response: Response) -> bool:
    """400 INVALID_STATUS_TRANSITION: the table does not allow it from the status that the execution has."""
    record, _ = present(response)
    if operation == "cancel_execution":
        return record["status"] in TERMINAL
    requested, current = sent_body(response)["status"], record["status"]
    sources = {"running", "interrupted"} if operation == "update_execution_status" else SOURCES[requested]
    no_retry_left = requested == "retrying" and record["retry_count"] >= record["max_retries"]
    return current not in sources or no_retry_left


def finished(_operation: str, response: Response) -> bool:
    """400 EXECUTION_FINISHED: a frozen field after a terminal status."""
    record, _ = present(response)
    fields = {name for name, value in sent_body(response).items() if value is not None}
    return record["status"] in TERMINAL and bool(fields & FROZEN)


def retry_count_out_of_bounds(_operation: str, response: Response) -> bool:
    """400 INVALID_RETRY_COUNT: it would fall or pass max_retries."""
    record, _ = present(response)
    body = sent_body(response)
    # Entering `retrying` counts one more.
    least = record["retry_count"] + (body.get("status") == "retrying")
    return not least <= body["retry_count"] <= record["max_retries"]


def timeout_would_fall(_operation: str, response: Response) -> bool:
    """400 INVALID_TIMEOUT: it may only rise."""
    record, _ = present(response)
    return sent_body(response)["timeout_seconds"] < record["timeout_seconds"]


def cancel_requested(_operation: str, response: Response) -> bool:
    """400 CANCEL_REQUESTED: nobody may take the execution up again."""
    record, _ = present(response)
    taken_up = sent_body(response).get("status") in ("queued", "running", "retrying")
    return record["cancel_requested_at"] is not None and taken_up


def another_attempt(_operation: str, response: Response) -> bool:
    """409 ATTEMPT_SUPERSEDED: the request speaks for another attempt than the present one."""
    record, _ = present(response)
    return sent_body(response).get("attempt") not in (None, record["attempt"])


def another_version(_operation: str, response: Response) -> bool:
    """412: If-Match names other versions than the present one."""
    _, etag = present(response)
    tags = sent_header(response, "if-match")
    # A weak tag never matches. The version in quotes is in no other tag, but in those with a hash of steps after it.
    version = etag.strip('"').split(".")[0]
    return tags.strip() != "*" and not re.search(rf'(?<!W/)"{version}(\.[0-9a-f]{{16}})?"', tags)


def key_of(operation: str, response: Response) -> tuple[str, str, str] | None:
    key = response.request.headers.get("idempotency-key")
    return (operation, sent_path(response), str(key)) if key is not None else None


def canonical(response: Response) -> str:
    return json.dumps(sent_body(response), sort_keys=True)


def key_reused(operation: str, response: Response) -> bool:
    """422 IDEMPOTENCY_KEY_REUSED: an earlier request with this key and another body was accepted."""
    key = key_of(operation, response)
    return key is not None and bool(known_keys.get(key, set()) - {canonical(response)})


def foreign_cursor(response: Response, problem: dict) -> bool:
    """A cursor that was not given out for this query: the document cannot say which were."""
    query = sent_query(response)
    if problem["loc"] != ["query", "cursor"] or "cursor" not in query:
        return False
    filters = {name: query[name] for name in FILTERS if name in query}
    return cursors.get(query["cursor"]) != filters


def page_with_cursor(response: Response, problem: dict) -> bool:
    """`page` together with `cursor`: the document cannot say that one excludes the other."""
    return problem["loc"] == ["query", "page"] and {"page", "cursor"} <= sent_query(response).keys()


def page_too_far(response: Response, problem: dict) -> bool:
    """A page that only a cursor reaches: where that is depends on page_size."""
    query = sent_query(response)
    page, size = int(query.get("page", 1)), int(query.get("page_size", 20))
    return problem["loc"] == ["query", "page"] and (page - 1) * size >= REACH


def foreign_cursor_of_steps(response: Response, problem: dict) -> bool:
    """A cursor that was not given out for the steps of this execution."""
    cursor = sent_query(response).get("cursor")
    return problem["loc"] == ["query", "cursor"] and step_cursors.get(cursor) != sent_path(response)


def step_twice(response: Response, problem: dict) -> bool:
    """One step twice in a request: the document cannot say that ids differ."""
    ids = [step["step_id"] for step in sent_body(response)["steps"]]
    place = problem["loc"]
    return place[:2] == ["body", "steps"] and place[3:] == ["step_id"] and ids[place[2]] in ids[: place[2]]


REFUSALS = {
    (400, "INVALID_STATUS_TRANSITION"): ((*PATCHES, "cancel_execution"), transition_not_allowed),
    (400, "CANCEL_REQUESTED"): (("update_execution",), cancel_requested),
    (400, "EXECUTION_FINISHED"): (("update_execution",), finished),
    (400, "INVALID_RETRY_COUNT"): (("update_execution",), retry_count_out_of_bounds),
    (400, "INVALID_TIMEOUT"): (("update_execution",), timeout_would_fall),
    (409, "ATTEMPT_SUPERSEDED"): (("update_execution", "report_steps"), another_attempt),
    (412, "PRECONDITION_FAILED"): ((*PATCHES, "cancel_execution"), another_version),
    (422, "IDEMPOTENCY_KEY_REUSED"): (
        (*PATCHES, "execute_flow", "cancel_execution", "report_steps"),
        key_reused,
    ),
}
# By operation: validation errors of well-formed requests, of which the document cannot say that they are due.
PROBLEMS = {
    "list_executions": (foreign_cursor, page_with_cursor, page_too_far),
    "list_steps": (foreign_cursor_of_steps,),
    "report_steps": (step_twice,),
}


def due(operation: str, response: Response) -> str | None:
    """The name of a refusal of a well-formed request that was due; `None` for one that was not."""
    answer = json.loads(response.content)
    code = answer.get("error_code")
    operations, is_due = REFUSALS.get((response.status_code, code), ((), None))
    if operation in operations:
        return code if is_due(operation, response) else None
    if operation in PROBLEMS and response.status_code == 422 and code is None:
        kinds = set()
        # Every problem must be one of these: another one beside them is a failure.
        for problem in answer["detail"]:
            kind = next((check for check in PROBLEMS[operation] if check(response, problem)), None)
            if kind is None or problem["type"] != "value_error":
                return None
            kinds.add(kind.__name__)
        return " and ".join(sorted(kinds))
    return None


@schemathesis.hook
def filter_failure(_context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    operation = case.operation.definition.raw.get("operationId", "")
    kind = None
    if isinstance(failure, RejectedPositiveData):
        kind = due(operation, response)
    elif isinstance(failure, UnsupportedMethodResponse):
        # An HTTP API of API Gateway knows routes and not paths: it answers 404 to a method that no route has, and there
        # is no setting for it. Its own body, and for no route of ours.
        method, path = response.request.method, sent_path(response)
        unknown = not any(method == other and re.fullmatch(pattern, path) for other, pattern in ROUTES)
        if unknown and response.status_code == 404 and json.loads(response.content) == {"message": "Not Found"}:
            kind = "404 for a method without a route"
    if kind is not None:
        accepted_refusals[f"{operation}: {kind}"] += 1
    return kind is None


# Mostly what has ended, for there a wait of any length is answered at once.
WAITED_FOR = itertools.cycle(("completed", "failed", "cancelled", "timeout", "running"))


def shorten_a_wait(case: Case) -> None:
    """A wait that does not take as long as it may: for an execution that has ended, or of a second."""
    state = next(WAITED_FOR)
    if next(turns) % 2:
        execution_id, _ = execution_in(state)
        case.path_parameters["execution_id"] = execution_id
        if state in TERMINAL:
            return
    case.query = {**(case.query or {}), "timeout": 1}


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict) -> None:
    operation = case.operation.definition.raw.get("operationId")
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    if operation == "wait_execution" and case.method.upper() == "GET" and positive:
        shorten_a_wait(case)
    prepared = (*PATCHES, "cancel_execution", "record_heartbeat", "report_steps")
    if operation not in prepared or case.method.upper() not in ("PATCH", "POST") or not positive:
        return
    # The coverage phase of schemathesis 4.32 takes any text for one of a format that it does not know.
    if "If-Match" in case.headers and not ENTITY_TAGS.fullmatch(str(case.headers["If-Match"])):
        case.headers["If-Match"] = "*"
    if next(turns) % 2:
        return
    requested = case.body.get("status") if isinstance(case.body, dict) else None
    if operation == "update_execution_status":
        state = "running"
    elif operation in ("cancel_execution", "record_heartbeat", "report_steps"):
        state = next(states)
    elif requested is None:
        state = next(states)
    else:
        state = next(iter(sorted(SOURCES.get(requested, ()))), "pending")
    execution_id, etag = execution_in(state)
    case.path_parameters["execution_id"] = execution_id
    if "If-Match" in case.headers:
        case.headers["If-Match"] = etag


@schemathesis.hook
def after_call(_context: HookContext, case: Case, response: Response) -> None:
    operation = case.operation.definition.raw.get("operationId", "")
    answers[(operation, response.status_code)] += 1
    if not 200 <= response.status_code < 300:
        return
    key = key_of(operation, response)
    if key is not None and response.request.method in ("POST", "PATCH"):
        known_keys[key].add(canonical(response))
    if operation == "list_steps" and response.request.method == "GET":
        cursor = json.loads(response.content).get("next_cursor")
        if cursor is not None:
            step_cursors[cursor] = sent_path(response)
    if operation == "list_executions" and response.request.method == "GET":
        cursor = json.loads(response.content).get("next_cursor")
        if cursor is not None:
            query = sent_query(response)
            cursors[cursor] = {name: query[name] for name in FILTERS if name in query}


@atexit.register
def summarize() -> None:
    lines = []
    # Also those that were never called.
    for operation in sorted({operation for operation, _ in answers} | {operation.id for operation in OPERATIONS}):
        statuses = {status: count for (other, status), count in sorted(answers.items()) if other == operation}
        done = sum(count for status, count in statuses.items() if 200 <= status < 300)
        # Where nothing is ever accepted, the answers to accepted requests are not tried.
        verdict = "ok" if done else "FAILED"
        lines.append(f"{verdict} schemathesis {operation}: {sum(statuses.values())} answers {statuses}")
    for kind, count in sorted(accepted_refusals.items()):
        lines.append(f"   refusal that was due: {kind}: {count}")
    with open(SUMMARY, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
