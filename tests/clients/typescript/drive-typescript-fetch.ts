// Drives the client that openapi-generator makes for fetch: folder typescript-fetch, made by tools/clients.sh.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  Action,
  CancelOutcome,
  Configuration,
  ErrorCode,
  type ErrorResponse,
  ErrorResponseFromJSON,
  ExecutionsApi,
  FlowsApi,
  GatewayMessageFromJSON,
  KeysApi,
  OverrideStatus,
  Priority,
  ResponseError,
  Scope,
  Status,
  StepOutcome,
  TriggerType,
  ValidationErrorsFromJSON,
  View,
} from "./typescript-fetch";

const flowId = "driven-by-typescript-fetch";
const ok = (what: string) => console.log(`ok openapi-generator typescript-fetch: ${what}`);

const configuration = (apiKey: string) => new Configuration({ basePath: process.env["RATCHET_URL"] ?? "", apiKey });

/** The body with which a request is refused: this client leaves reading it to its caller. */
async function refusal(answer: Promise<unknown>): Promise<unknown> {
  try {
    await answer;
  } catch (error) {
    assert(error instanceof ResponseError, String(error));
    return error.response.json();
  }
  assert.fail("it was accepted");
}

const reason = async (answer: Promise<unknown>): Promise<ErrorResponse["errorCode"]> =>
  ErrorResponseFromJSON(await refusal(answer)).errorCode;

async function main() {
  const configured = configuration(process.env["RATCHET_KEY"] ?? "");
  const [flows, executions] = [new FlowsApi(configured), new ExecutionsApi(configured)];
  const caller = await new KeysApi(configured).getCaller();
  assert.deepEqual(caller.scopes, [Scope.Read, Scope.Write, Scope.Admin]);
  assert.deepEqual([caller.keyName, caller.expiresAt], [null, null]);
  const refused = new KeysApi(configuration("unknown")).getCaller();
  assert.equal(GatewayMessageFromJSON(await refusal(refused)).message, "Forbidden");
  ok("learns who its key speaks for");

  const idempotencyKey = randomUUID();
  const executeFlowRequest = { flowId, triggerType: TriggerType.Test, variables: { currency: "EUR", threshold: 250 } };
  const made = await flows.executeFlowRaw({ idempotencyKey, executeFlowRequest });
  const { execution } = await made.value();
  const ifMatch = made.raw.headers.get("etag") ?? "";
  assert.deepEqual([execution.status, ifMatch], [Status.Pending, '"1"']);
  assert.deepEqual([execution.priority, execution.timeoutSeconds], [Priority.Normal, 300]);
  assert.equal(execution.variables["currency"], "EUR");
  ok("executes a flow, by its required members and one other");

  const again = await flows.executeFlowRaw({ idempotencyKey, executeFlowRequest });
  assert.equal((await again.value()).execution.id, execution.id);
  assert.equal(again.raw.headers.get("idempotency-replayed"), "true");
  const other = { flowId, triggerType: TriggerType.Manual };
  const reused = flows.executeFlow({ idempotencyKey, executeFlowRequest: other });
  assert.equal(await reason(reused), ErrorCode.IdempotencyKeyReused);
  ok("repeats a request by its Idempotency-Key, and reads the refusal of another one");

  const executionId = execution.id;
  const running = { executionId, updateExecutionRequest: { status: Status.Running } };
  const claimed = await flows.updateExecutionRaw({ ...running, ifMatch });
  const { status } = await claimed.value();
  assert.deepEqual([status, claimed.raw.headers.get("etag")], [Status.Running, '"2"']);
  ok("passes the id of an answer on, and changes the status to running");

  assert.equal(await reason(flows.updateExecution({ ...running, ifMatch })), ErrorCode.PreconditionFailed);
  assert.equal(await reason(flows.updateExecution(running)), ErrorCode.InvalidStatusTransition);
  ok("reads why a change is refused");

  const end = { status: Status.Completed, finalOutput: { decision: "approve" }, costEstimate: 0.0153 };
  const completed = await flows.updateExecution({ executionId, updateExecutionRequest: end });
  assert(completed);
  assert.deepEqual([completed.status, completed.costEstimate], [Status.Completed, 0.0153]);
  assert.equal(completed.finalOutput?.["decision"], "approve");
  assert(completed.completedAt instanceof Date);
  ok("changes the status to completed, with a result");

  assert.deepEqual(await flows.getExecution({ executionId }), completed);
  ok("gets the execution");

  assert.deepEqual(await flows.waitExecution({ executionId, timeout: 25 }), completed);
  ok("waits for its end");

  const page = await flows.listExecutions({ flowId, status: [Status.Completed, Status.Failed], pageSize: 5 });
  assert.deepEqual(page.executions, [completed]);
  assert.deepEqual([page.totalCount, page.nextCursor], [1, null]);
  const wrong = ValidationErrorsFromJSON(await refusal(flows.listExecutions({ pageSize: 0 })));
  assert.deepEqual(wrong.detail[0]?.loc, ["query", "page_size"]);
  ok("lists it, and reads what is wrong with a query");

  const { transitions } = await executions.listTransitions({ executionId });
  const steps = transitions.map(({ from, to }) => [from, to]);
  assert.deepEqual(steps, [[Status.Pending, Status.Running], [Status.Running, Status.Completed]]);
  assert(transitions.every(({ by, byName }) => by === caller.keyId && byName === null));
  ok("lists its transitions");

  const stuck = (await flows.executeFlow({ executeFlowRequest: other })).execution.id;
  await flows.updateExecution({ ...running, executionId: stuck });
  const updateExecutionStatusRequest = { status: OverrideStatus.Cancelled };
  const cancelled = await executions.updateExecutionStatus({ executionId: stuck, updateExecutionStatusRequest });
  assert.equal(cancelled.currentStatus, "cancelled");
  ok("cancels another one");

  const asked = (await flows.executeFlow({ executeFlowRequest: other })).execution.id;
  await flows.updateExecution({ ...running, executionId: asked });
  const beat = await executions.recordHeartbeat({ executionId: asked, recordHeartbeatRequest: { attempt: 1 } });
  assert.equal(beat.action, Action.Continue);
  const seen = await executions.getHeartbeat({ executionId: asked });
  assert(seen.status === Status.Running && seen.lastHeartbeatAt instanceof Date);
  const cancelExecutionRequest = { reason: "not needed" };
  const requested = await executions.cancelExecution({ executionId: asked, cancelExecutionRequest });
  assert.deepEqual([requested.outcome, requested.forceAt instanceof Date], [CancelOutcome.Requested, true]);
  const told = await executions.recordHeartbeat({ executionId: asked });
  assert.deepEqual([told.action, told.reason], [Action.Cancel, "not needed"]);
  ok("sends heartbeats, with a body and without, and asks a worker to stop");

  const reportStepsRequest = {
    attempt: 1,
    steps: [{ stepId: "01", status: Status.Completed, outputData: { n: 1 } }, { stepId: "02" }],
  };
  const reported = await executions.reportSteps({ executionId: asked, reportStepsRequest });
  assert.deepEqual(reported.outcomes.map(({ outcome }) => outcome), [StepOutcome.Created, StepOutcome.Created]);
  const listed = await executions.listSteps({ executionId: asked, pageSize: 1, view: View.Summary });
  assert.deepEqual([listed.steps[0]?.stepId, listed.hasMore], ["01", true]);
  const rest = await executions.listSteps({ executionId: asked, cursor: listed.nextCursor ?? "" });
  assert.deepEqual([rest.steps[0]?.status, rest.nextCursor], [Status.Running, null]);
  const withSteps = await flows.getExecution({ executionId: asked });
  assert.deepEqual(withSteps.steps?.[0]?.outputData, { n: 1 });
  ok("reports steps, and lists them by pages");

  const unknown = new FlowsApi(configuration("unknown")).getExecution({ executionId });
  assert.equal(GatewayMessageFromJSON(await refusal(unknown)).message, "Forbidden");
  assert.equal(await reason(flows.getExecution({ executionId: randomUUID() })), ErrorCode.ExecutionNotFound);
  ok("tells the gateway's answer from the service's");
}

void main();
