"""Drives the client that openapi-python-client makes: package `ratchet_client`, made by tools/clients.sh."""

import os
from uuid import uuid4

from ratchet_client import AuthenticatedClient
from ratchet_client.api.executions import (
    cancel_execution,
    get_heartbeat,
    list_steps,
    list_transitions,
    record_heartbeat,
    report_steps,
    update_execution_status,
)
from ratchet_client.api.flows import execute_flow, get_execution, list_executions, update_execution, wait_execution
from ratchet_client.api.keys import get_caller
from ratchet_client.models.action import Action
from ratchet_client.models.caller_details import CallerDetails
from ratchet_client.models.cancel_execution_request import CancelExecutionRequest
from ratchet_client.models.cancel_outcome import CancelOutcome
from ratchet_client.models.error_code import ErrorCode
from ratchet_client.models.error_response import ErrorResponse
from ratchet_client.models.execute_flow_request import ExecuteFlowRequest
from ratchet_client.models.execute_flow_request_variables_type_0 import ExecuteFlowRequestVariablesType0
from ratchet_client.models.execute_flow_response import ExecuteFlowResponse
from ratchet_client.models.execution import Execution
from ratchet_client.models.execution_cancelled import ExecutionCancelled
from ratchet_client.models.execution_page import ExecutionPage
from ratchet_client.models.gateway_message import GatewayMessage
from ratchet_client.models.heartbeat_recorded import HeartbeatRecorded
from ratchet_client.models.heartbeat_seen import HeartbeatSeen
from ratchet_client.models.override_status import OverrideStatus
from ratchet_client.models.priority import Priority
from ratchet_client.models.record_heartbeat_request import RecordHeartbeatRequest
from ratchet_client.models.report_steps_request import ReportStepsRequest
from ratchet_client.models.scope import Scope
from ratchet_client.models.status import Status
from ratchet_client.models.status_updated import StatusUpdated
from ratchet_client.models.step_list import StepList
from ratchet_client.models.step_outcome import StepOutcome
from ratchet_client.models.step_report import StepReport
from ratchet_client.models.step_report_output_data_type_0 import StepReportOutputDataType0
from ratchet_client.models.steps_reported import StepsReported
from ratchet_client.models.transition_list import TransitionList
from ratchet_client.models.trigger_type import TriggerType
from ratchet_client.models.update_execution_request import UpdateExecutionRequest
from ratchet_client.models.update_execution_request_final_output_type_0 import UpdateExecutionRequestFinalOutputType0
from ratchet_client.models.update_execution_status_request import UpdateExecutionStatusRequest
from ratchet_client.models.validation_errors import ValidationErrors
from ratchet_client.models.view import View
from ratchet_client.types import Unset

URL = os.environ["RATCHET_URL"]
FLOW = "driven-by-openapi-python-client"


def client_with(key: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=URL, token=key, prefix="", auth_header_name="x-api-key")


def ok(what: str) -> None:
    print(f"ok openapi-python-client: {what}")


def main() -> None:
    client = client_with(os.environ["RATCHET_KEY"])
    caller = get_caller.sync(client=client)
    assert isinstance(caller, CallerDetails) and caller.scopes == [Scope.READ, Scope.WRITE, Scope.ADMIN], caller
    assert caller.key_name is None and caller.expires_at is None, caller
    refused = get_caller.sync(client=client_with("unknown"))
    assert isinstance(refused, GatewayMessage) and refused.message == "Forbidden", refused
    ok("learns who its key speaks for")

    variables = ExecuteFlowRequestVariablesType0.from_dict({"currency": "EUR", "threshold": 250})
    wanted = ExecuteFlowRequest(flow_id=FLOW, trigger_type=TriggerType.TEST, variables=variables)
    key = str(uuid4())
    made = execute_flow.sync_detailed(client=client, body=wanted, idempotency_key=key)
    assert isinstance(made.parsed, ExecuteFlowResponse), made
    execution = made.parsed.execution
    assert execution.status is Status.PENDING and made.headers["etag"] == '"1"', made
    assert (execution.priority, execution.timeout_seconds) == (Priority.NORMAL, 300), execution
    assert execution.variables["currency"] == "EUR", execution
    ok("executes a flow, by its required members and one other")

    again = execute_flow.sync_detailed(client=client, body=wanted, idempotency_key=key)
    assert isinstance(again.parsed, ExecuteFlowResponse), again
    assert again.parsed.execution.id == execution.id and again.headers["idempotency-replayed"] == "true", again
    other = ExecuteFlowRequest(flow_id=FLOW, trigger_type=TriggerType.MANUAL)
    reused = execute_flow.sync(client=client, body=other, idempotency_key=key)
    assert isinstance(reused, ErrorResponse) and reused.error_code is ErrorCode.IDEMPOTENCY_KEY_REUSED, reused
    ok("repeats a request by its Idempotency-Key, and reads the refusal of another one")

    running = UpdateExecutionRequest(status=Status.RUNNING)
    claimed = update_execution.sync_detailed(execution.id, client=client, body=running, if_match=made.headers["etag"])
    assert isinstance(claimed.parsed, Execution) and claimed.parsed.status is Status.RUNNING, claimed
    assert claimed.headers["etag"] == '"2"', claimed
    ok("passes the id of an answer on, and changes the status to running")

    late = update_execution.sync(execution.id, client=client, body=running, if_match=made.headers["etag"])
    assert isinstance(late, ErrorResponse) and late.error_code is ErrorCode.PRECONDITION_FAILED, late
    twice = update_execution.sync(execution.id, client=client, body=running)
    assert isinstance(twice, ErrorResponse) and twice.error_code is ErrorCode.INVALID_STATUS_TRANSITION, twice
    ok("reads why a change is refused")

    output = UpdateExecutionRequestFinalOutputType0.from_dict({"decision": "approve"})
    end = UpdateExecutionRequest(status=Status.COMPLETED, final_output=output, cost_estimate=0.0153)
    completed = update_execution.sync(execution.id, client=client, body=end)
    assert isinstance(completed, Execution) and completed.status is Status.COMPLETED, completed
    assert completed.final_output is not None and completed.final_output["decision"] == "approve", completed
    assert completed.duration_ms is not None and completed.cost_estimate == 0.0153, completed
    ok("changes the status to completed, with a result")

    got = get_execution.sync_detailed(execution.id, client=client)
    assert got.parsed == completed, got
    unchanged = get_execution.sync_detailed(execution.id, client=client, if_none_match=got.headers["etag"])
    assert unchanged.status_code == 304 and unchanged.parsed is None, unchanged
    ok("gets the execution, once")

    assert wait_execution.sync(execution.id, client=client, timeout=25) == completed
    waited = wait_execution.sync_detailed(execution.id, client=client, if_none_match=got.headers["etag"])
    assert waited.status_code == 304 and waited.parsed is None, waited
    ok("waits for its end")

    page = list_executions.sync(client=client, flow_id=FLOW, status=[Status.COMPLETED, Status.FAILED], page_size=5)
    assert isinstance(page, ExecutionPage), page
    assert [execution.to_dict() for execution in page.executions] == [completed.to_dict()], page
    assert page.total_count == 1 and page.next_cursor is None, page
    summary = list_executions.sync(client=client, count_limit=0, view=View.SUMMARY)
    assert isinstance(summary, ExecutionPage) and summary.total_count is None, summary
    assert summary.executions[0].id == completed.id and isinstance(summary.executions[0].variables, Unset), summary
    wrong = list_executions.sync(client=client, page_size=0)
    assert isinstance(wrong, ValidationErrors) and wrong.detail[0].loc == ["query", "page_size"], wrong
    ok("lists it, and reads what is wrong with a query")

    transitions = list_transitions.sync(execution.id, client=client)
    assert isinstance(transitions, TransitionList), transitions
    path = [(transition.from_, transition.to) for transition in transitions.transitions]
    assert path == [(Status.PENDING, Status.RUNNING), (Status.RUNNING, Status.COMPLETED)], path
    assert {(transition.by, transition.by_name) for transition in transitions.transitions} == {(caller.key_id, None)}
    ok("lists its transitions")

    stuck = execute_flow.sync(client=client, body=other)
    assert isinstance(stuck, ExecuteFlowResponse), stuck
    update_execution.sync(stuck.execution.id, client=client, body=running)
    cancel = UpdateExecutionStatusRequest(status=OverrideStatus.CANCELLED)
    cancelled = update_execution_status.sync(stuck.execution.id, client=client, body=cancel)
    assert isinstance(cancelled, StatusUpdated) and cancelled.current_status == "cancelled", cancelled
    ok("cancels another one")

    asked = execute_flow.sync(client=client, body=other)
    assert isinstance(asked, ExecuteFlowResponse), asked
    update_execution.sync(asked.execution.id, client=client, body=running)
    told = record_heartbeat.sync(asked.execution.id, client=client, body=RecordHeartbeatRequest(attempt=1))
    assert isinstance(told, HeartbeatRecorded) and told.action is Action.CONTINUE, told
    seen = get_heartbeat.sync(asked.execution.id, client=client)
    assert isinstance(seen, HeartbeatSeen) and seen.last_heartbeat_at is not None, seen
    why = CancelExecutionRequest(reason="not needed")
    requested = cancel_execution.sync(asked.execution.id, client=client, body=why)
    assert isinstance(requested, ExecutionCancelled) and requested.outcome is CancelOutcome.REQUESTED, requested
    told = record_heartbeat.sync(asked.execution.id, client=client)
    assert isinstance(told, HeartbeatRecorded) and (told.action, told.reason) == (Action.CANCEL, "not needed"), told
    ok("sends heartbeats, with a body and without, and asks a worker to stop")

    output_data = StepReportOutputDataType0.from_dict({"n": 1})
    steps = [StepReport(step_id="01", status=Status.COMPLETED, output_data=output_data), StepReport(step_id="02")]
    report = ReportStepsRequest(attempt=1, steps=steps)
    reported = report_steps.sync(asked.execution.id, client=client, body=report)
    assert isinstance(reported, StepsReported) and reported.action is Action.CANCEL, reported
    assert [outcome.outcome for outcome in reported.outcomes] == [StepOutcome.CREATED] * 2, reported
    listed = list_steps.sync(asked.execution.id, client=client, page_size=1, view=View.SUMMARY)
    assert isinstance(listed, StepList) and listed.next_cursor is not None, listed
    assert listed.steps[0].step_id == "01" and isinstance(listed.steps[0].output_data, Unset), listed
    rest = list_steps.sync(asked.execution.id, client=client, cursor=listed.next_cursor)
    assert isinstance(rest, StepList) and rest.steps[0].status is Status.RUNNING and not rest.has_more, rest
    ok("reports steps, and lists them by pages")

    unknown = get_execution.sync(execution.id, client=client_with("unknown"))
    assert isinstance(unknown, GatewayMessage) and unknown.message == "Forbidden", unknown
    missing = get_execution.sync(uuid4(), client=client)
    assert isinstance(missing, ErrorResponse) and missing.error_code is ErrorCode.EXECUTION_NOT_FOUND, missing
    ok("tells the gateway's answer from the service's")


main()
