"""Drives the client that openapi-generator makes for Python: package `openapi_client`, made by tools/clients.sh."""

import os
from collections.abc import Callable
from uuid import uuid4

from openapi_client import ApiClient, Configuration
from openapi_client.api.executions_api import ExecutionsApi
from openapi_client.api.flows_api import FlowsApi
from openapi_client.api.keys_api import KeysApi
from openapi_client.exceptions import ApiException
from openapi_client.models.action import Action
from openapi_client.models.cancel_execution_request import CancelExecutionRequest
from openapi_client.models.cancel_outcome import CancelOutcome
from openapi_client.models.error_code import ErrorCode
from openapi_client.models.error_or_gateway_message import ErrorOrGatewayMessage
from openapi_client.models.error_response import ErrorResponse
from openapi_client.models.execute_flow_request import ExecuteFlowRequest
from openapi_client.models.gateway_message import GatewayMessage
from openapi_client.models.invalid_or_key_reused import InvalidOrKeyReused
from openapi_client.models.override_status import OverrideStatus
from openapi_client.models.priority import Priority
from openapi_client.models.record_heartbeat_request import RecordHeartbeatRequest
from openapi_client.models.report_steps_request import ReportStepsRequest
from openapi_client.models.scope import Scope
from openapi_client.models.status import Status
from openapi_client.models.step_outcome import StepOutcome
from openapi_client.models.step_report import StepReport
from openapi_client.models.trigger_type import TriggerType
from openapi_client.models.update_execution_request import UpdateExecutionRequest
from openapi_client.models.update_execution_status_request import UpdateExecutionStatusRequest
from openapi_client.models.validation_errors import ValidationErrors
from openapi_client.models.view import View

FLOW = "driven-by-openapi-generator"


def client_with(key: str) -> ApiClient:
    return ApiClient(Configuration(host=os.environ["RATCHET_URL"], api_key={"ApiKey": key}))


def refusal(call: Callable[[], object]) -> object:
    """The body with which a request is refused."""
    try:
        answer = call()
    except ApiException as error:
        # A union keeps what it found in a member of its own.
        if isinstance(error.data, (ErrorOrGatewayMessage, InvalidOrKeyReused)):
            return error.data.actual_instance
        return error.data
    raise AssertionError(f"it was accepted: {answer}")


def ok(what: str) -> None:
    print(f"ok openapi-generator python: {what}")


def main() -> None:
    client = client_with(os.environ["RATCHET_KEY"])
    flows, executions = FlowsApi(client), ExecutionsApi(client)
    caller = KeysApi(client).get_caller()
    assert caller.scopes == [Scope.READ, Scope.WRITE, Scope.ADMIN], caller
    assert caller.key_name is None and caller.expires_at is None, caller
    refused = refusal(lambda: KeysApi(client_with("unknown")).get_caller())
    assert isinstance(refused, GatewayMessage) and refused.message == "Forbidden", refused
    ok("learns who its key speaks for")

    variables = {"currency": "EUR", "threshold": 250}
    wanted = ExecuteFlowRequest(flow_id=FLOW, trigger_type=TriggerType.TEST, variables=variables)
    key = str(uuid4())
    made = flows.execute_flow_with_http_info(wanted, idempotency_key=key)
    execution, headers = made.data.execution, made.headers or {}
    assert execution.status is Status.PENDING and headers["etag"] == '"1"', made
    assert (execution.priority, execution.timeout_seconds) == (Priority.NORMAL, 300), execution
    assert execution.variables["currency"] == "EUR", execution
    ok("executes a flow, by its required members and one other")

    again = flows.execute_flow_with_http_info(wanted, idempotency_key=key)
    assert again.data.execution.id == execution.id, again
    assert (again.headers or {})["idempotency-replayed"] == "true", again
    other = ExecuteFlowRequest(flow_id=FLOW, trigger_type=TriggerType.MANUAL)
    reused = refusal(lambda: flows.execute_flow(other, idempotency_key=key))
    assert isinstance(reused, ErrorResponse) and reused.error_code is ErrorCode.IDEMPOTENCY_KEY_REUSED, reused
    ok("repeats a request by its Idempotency-Key, and reads the refusal of another one")

    running = UpdateExecutionRequest(status=Status.RUNNING)
    claimed = flows.update_execution_with_http_info(execution.id, running, if_match=headers["etag"])
    assert claimed.data.status is Status.RUNNING and (claimed.headers or {})["etag"] == '"2"', claimed
    ok("passes the id of an answer on, and changes the status to running")

    late = refusal(lambda: flows.update_execution(execution.id, running, if_match=headers["etag"]))
    assert isinstance(late, ErrorResponse) and late.error_code is ErrorCode.PRECONDITION_FAILED, late
    twice = refusal(lambda: flows.update_execution(execution.id, running))
    assert isinstance(twice, ErrorResponse) and twice.error_code is ErrorCode.INVALID_STATUS_TRANSITION, twice
    ok("reads why a change is refused")

    output = {"decision": "approve"}
    end = UpdateExecutionRequest(status=Status.COMPLETED, final_output=output, cost_estimate=0.0153)
    completed = flows.update_execution(execution.id, end)
    assert completed.status is Status.COMPLETED and completed.final_output == output, completed
    assert completed.duration_ms is not None and completed.cost_estimate == 0.0153, completed
    ok("changes the status to completed, with a result")

    got = flows.get_execution(execution.id)
    assert got == completed, got
    ok("gets the execution")

    assert flows.wait_execution(execution.id, timeout=25) == completed
    ok("waits for its end")

    page = flows.list_executions(flow_id=FLOW, status=[Status.COMPLETED, Status.FAILED], page_size=5)
    assert [execution.to_dict() for execution in page.executions] == [completed.to_dict()], page
    assert page.total_count == 1 and page.next_cursor is None, page
    summary = flows.list_executions(count_limit=0, view=View.SUMMARY)
    assert summary.total_count is None and summary.executions[0].variables is None, summary
    wrong = refusal(lambda: flows.list_executions(cursor="made up"))
    assert isinstance(wrong, ValidationErrors), wrong
    assert [step.actual_instance for step in wrong.detail[0].loc] == ["query", "cursor"], wrong
    ok("lists it, and reads what is wrong with a query")

    transitions = executions.list_transitions(execution.id).transitions
    path = [(transition.var_from, transition.to) for transition in transitions]
    assert path == [(Status.PENDING, Status.RUNNING), (Status.RUNNING, Status.COMPLETED)], path
    assert {(transition.by, transition.by_name) for transition in transitions} == {(caller.key_id, None)}, transitions
    ok("lists its transitions")

    stuck = flows.execute_flow(other).execution
    flows.update_execution(stuck.id, running)
    cancel = UpdateExecutionStatusRequest(status=OverrideStatus.CANCELLED)
    cancelled = executions.update_execution_status(stuck.id, cancel)
    assert cancelled.current_status == "cancelled" and cancelled.execution_id == stuck.id, cancelled
    ok("cancels another one")

    asked = flows.execute_flow(other).execution
    flows.update_execution(asked.id, running)
    beat = RecordHeartbeatRequest(attempt=1)
    assert executions.record_heartbeat(asked.id, record_heartbeat_request=beat).action is Action.CONTINUE
    seen = executions.get_heartbeat(asked.id)
    assert seen.status is Status.RUNNING and seen.last_heartbeat_at is not None, seen
    why = CancelExecutionRequest(reason="not needed")
    requested = executions.cancel_execution(asked.id, cancel_execution_request=why)
    assert requested.outcome is CancelOutcome.REQUESTED and requested.force_at is not None, requested
    told = executions.record_heartbeat(asked.id)
    assert (told.action, told.reason) == (Action.CANCEL, "not needed"), told
    ok("sends heartbeats, with a body and without, and asks a worker to stop")

    steps = [
        StepReport(step_id="01", status=Status.COMPLETED, output_data={"n": 1}),
        StepReport(step_id="02"),
    ]
    reported = executions.report_steps(asked.id, ReportStepsRequest(attempt=1, steps=steps))
    assert [outcome.outcome for outcome in reported.outcomes] == [StepOutcome.CREATED] * 2, reported
    listed = executions.list_steps(asked.id, page_size=1, view=View.SUMMARY)
    assert listed.steps[0].step_id == "01" and listed.steps[0].output_data is None and listed.has_more, listed
    rest = executions.list_steps(asked.id, cursor=listed.next_cursor)
    assert rest.steps[0].status is Status.RUNNING and rest.next_cursor is None, rest
    ok("reports steps, and lists them by pages")

    unknown = refusal(lambda: FlowsApi(client_with("unknown")).get_execution(execution.id))
    assert isinstance(unknown, GatewayMessage) and unknown.message == "Forbidden", unknown
    missing = refusal(lambda: flows.get_execution(uuid4()))
    assert isinstance(missing, ErrorResponse) and missing.error_code is ErrorCode.EXECUTION_NOT_FOUND, missing
    ok("tells the gateway's answer from the service's")


main()
