// Drives openapi-fetch with the types that openapi-typescript makes: schema.d.ts, made by tools/clients.sh.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

type Schemas = components["schemas"];

const baseUrl = process.env["RATCHET_URL"] ?? "";
const flow_id = "driven-by-openapi-typescript";

const clientWith = (key: string) => createClient<paths>({ baseUrl, headers: { "x-api-key": key } });
const ok = (what: string) => console.log(`ok openapi-typescript: ${what}`);

/** The reason of a refusal. */
function reason(error: Schemas["ErrorOrGatewayMessage" | "InvalidOrKeyReused"] | undefined): Schemas["ErrorCode"] {
  assert(error !== undefined && "error_code" in error, JSON.stringify(error));
  return error.error_code;
}

async function main() {
  const client = clientWith(process.env["RATCHET_KEY"] ?? "");
  const { data: caller } = await client.GET("/api/v1/me");
  assert.deepEqual(caller?.scopes, ["read", "write", "admin"]);
  assert.deepEqual([caller.key_name, caller.expires_at], [null, null]);
  const refused = await clientWith("unknown").GET("/api/v1/me");
  assert(refused.error && "message" in refused.error);
  assert.equal(refused.error.message, "Forbidden");
  ok("learns who its key speaks for");

  const key = randomUUID();
  const params = { header: { "Idempotency-Key": key } };
  const wanted = { flow_id, trigger_type: "test", variables: { currency: "EUR", threshold: 250 } } as const;
  const made = await client.POST("/api/v1/flows/execute", { params, body: wanted });
  assert(made.data, JSON.stringify(made.error));
  const { execution } = made.data;
  const etag = made.response.headers.get("etag");
  assert.deepEqual([execution.status, etag], ["pending", '"1"']);
  assert.deepEqual([execution.priority, execution.timeout_seconds], ["normal", 300]);
  assert.equal(execution.variables["currency"], "EUR");
  ok("executes a flow, by its required members and one other");

  const again = await client.POST("/api/v1/flows/execute", { params, body: wanted });
  assert.equal(again.data?.execution.id, execution.id);
  assert.equal(again.response.headers.get("idempotency-replayed"), "true");
  const other = { flow_id, trigger_type: "manual" } as const;
  const reused = await client.POST("/api/v1/flows/execute", { params, body: other });
  assert.equal(reason(reused.error), "IDEMPOTENCY_KEY_REUSED");
  ok("repeats a request by its Idempotency-Key, and reads the refusal of another one");

  const path = { execution_id: execution.id };
  const guarded = { path, header: { "If-Match": etag ?? "" } };
  const one = "/api/v1/flows/executions/{execution_id}";
  const claimed = await client.PATCH(one, { params: guarded, body: { status: "running" } });
  assert.deepEqual([claimed.data?.status, claimed.response.headers.get("etag")], ["running", '"2"']);
  ok("passes the id of an answer on, and changes the status to running");

  const late = await client.PATCH(one, { params: guarded, body: { status: "running" } });
  assert.equal(reason(late.error), "PRECONDITION_FAILED");
  const twice = await client.PATCH(one, { params: { path }, body: { status: "running" } });
  assert.equal(reason(twice.error), "INVALID_STATUS_TRANSITION");
  ok("reads why a change is refused");

  const end = { status: "completed", final_output: { decision: "approve" }, cost_estimate: 0.0153 } as const;
  const { data: completed } = await client.PATCH(one, { params: { path }, body: end });
  assert(completed);
  assert.equal(completed.status, "completed");
  assert.equal(completed.final_output?.["decision"], "approve");
  assert.equal(completed.cost_estimate, 0.0153);
  ok("changes the status to completed, with a result");

  const got = await client.GET(one, { params: { path } });
  assert.deepEqual(got.data, completed);
  const known = got.response.headers.get("etag") ?? "";
  const unchanged = await client.GET(one, { params: { path, header: { "If-None-Match": known } } });
  assert.equal(unchanged.response.status, 304);
  ok("gets the execution, once");

  const waited = await client.GET("/api/v1/flows/executions/{execution_id}/wait", {
    params: { path, query: { timeout: 25 } },
  });
  assert.deepEqual(waited.data, completed);
  ok("waits for its end");

  const status: Schemas["Status"][] = ["completed", "failed"];
  const query = { flow_id, status, page_size: 5 };
  const { data: page } = await client.GET("/api/v1/flows/executions", { params: { query } });
  assert.deepEqual(page?.executions, [completed]);
  assert.deepEqual([page?.total_count, page?.next_cursor], [1, null]);
  const wrong = await client.GET("/api/v1/flows/executions", { params: { query: { page_size: 0 } } });
  assert(wrong.error && "detail" in wrong.error && typeof wrong.error.detail !== "string");
  assert.deepEqual(wrong.error.detail[0]?.loc, ["query", "page_size"]);
  ok("lists it, and reads what is wrong with a query");

  const { data: log } = await client.GET("/api/v1/executions/{execution_id}/transitions", { params: { path } });
  const steps = log?.transitions.map(({ from, to }) => [from, to]);
  assert.deepEqual(steps, [["pending", "running"], ["running", "completed"]]);
  assert(log?.transitions.every(({ by, by_name }) => by === caller.key_id && by_name === null));
  ok("lists its transitions");

  const stuck = await client.POST("/api/v1/flows/execute", { body: other });
  const stuckPath = { execution_id: stuck.data?.execution.id ?? "" };
  await client.PATCH(one, { params: { path: stuckPath }, body: { status: "running" } });
  const cancelled = await client.PATCH("/api/v1/executions/{execution_id}", {
    params: { path: stuckPath },
    body: { status: "cancelled" },
  });
  assert.equal(cancelled.data?.current_status, "cancelled");
  ok("cancels another one");

  const asked = await client.POST("/api/v1/flows/execute", { body: other });
  const askedPath = { execution_id: asked.data?.execution.id ?? "" };
  await client.PATCH(one, { params: { path: askedPath }, body: { status: "running" } });
  const heartbeat = "/api/v1/executions/{execution_id}/heartbeat";
  const beat = await client.POST(heartbeat, { params: { path: askedPath }, body: { attempt: 1 } });
  assert.equal(beat.data?.action, "continue");
  const seen = await client.GET(heartbeat, { params: { path: askedPath } });
  assert(seen.data?.status === "running" && seen.data.last_heartbeat_at !== null);
  const requested = await client.POST("/api/v1/executions/{execution_id}/cancel", {
    params: { path: askedPath },
    body: { reason: "not needed" },
  });
  assert.equal(requested.data?.outcome, "requested");
  const told = await client.POST(heartbeat, { params: { path: askedPath } });
  assert.deepEqual([told.data?.action, told.data?.reason], ["cancel", "not needed"]);
  ok("sends heartbeats, with a body and without, and asks a worker to stop");

  const stepsPath = "/api/v1/executions/{execution_id}/steps";
  const reported = await client.POST(stepsPath, {
    params: { path: askedPath },
    body: { attempt: 1, steps: [{ step_id: "01", status: "completed", output_data: { n: 1 } }, { step_id: "02" }] },
  });
  assert.deepEqual(reported.data?.outcomes.map(({ outcome }) => outcome), ["created", "created"]);
  assert.equal(reported.data?.action, "cancel");
  const listed = await client.GET(stepsPath, { params: { path: askedPath, query: { page_size: 1, view: "summary" } } });
  assert.deepEqual([listed.data?.steps[0]?.step_id, listed.data?.steps[0]?.output_data], ["01", undefined]);
  const cursor = listed.data?.next_cursor ?? "";
  const rest = await client.GET(stepsPath, { params: { path: askedPath, query: { cursor } } });
  assert.deepEqual([rest.data?.steps[0]?.status, rest.data?.has_more], ["running", false]);
  const withSteps = await client.GET(one, { params: { path: askedPath } });
  assert.deepEqual(withSteps.data?.steps?.[0]?.output_data, { n: 1 });
  ok("reports steps, and lists them by pages");

  const unknown = await clientWith("unknown").GET(one, { params: { path } });
  assert(unknown.error && "message" in unknown.error);
  assert.equal(unknown.error.message, "Forbidden");
  const missing = await client.GET(one, { params: { path: { execution_id: randomUUID() } } });
  assert.equal(reason(missing.error), "EXECUTION_NOT_FOUND");
  ok("tells the gateway's answer from the service's");
}

void main();
