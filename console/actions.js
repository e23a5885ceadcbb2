// What a person can do to an execution, and what became of it. Nothing here reads first and decides then: the service decides,
// and says who was faster.

import { Problem, call, executionPath, recordPath, write } from "./api.js";
import { now } from "./clock.js";
import { duration, rough } from "./format.js";
import { members, object } from "./json.js";
import { isTerminal } from "./model.js";

/**
 * @typedef {object} Outcome
 * @property {"done" | "asked" | "late" | "unknown" | "failed"} kind "asked": the worker is asked to stop. "late": another
 *   change was first. "unknown": no answer came; it may have been done.
 * @property {string} text
 * @property {Problem | null} problem
 *
 * @typedef {{ reason: string, grace: number }} CancelOptions `grace`: seconds that a running worker has to stop
 */

/** @param {"done" | "asked"} kind @param {string} text @returns {Outcome} */
const success = (kind, text) => ({ kind, text, problem: null });

/**
 * Who ended an execution, and how long before.
 * @param {string} id
 * @param {number} at when the person decided
 */
async function winner(id, at) {
  /** @type {import("./model.js").Transition[]} */
  const transitions = (await call("GET", `${executionPath(id)}/transitions`)).json.transitions;
  const end = transitions.findLast((transition) => isTerminal(transition.to));
  if (!end) return null;
  const before = at - Date.parse(end.at);
  // The two clocks agree to a second or two: below that, who was first is all that is known.
  const how = before < 0 ? "at the same moment" : `${before < 60_000 ? duration(before) : rough(before)} before you`;
  return `${end.to} won, ${how} (by ${end.by_name ?? end.by})`;
}

/**
 * What became of a write that failed.
 * @param {unknown} error
 * @param {string} id
 * @param {number} at when the person decided
 * @returns {Promise<Outcome>}
 */
async function lost(error, id, at) {
  if (!(error instanceof Problem)) throw error;
  const current = error.body?.current_status;
  if (error.kind === "refused" && current && isTerminal(current)) {
    const told = await winner(id, at).catch(() => null);
    return { kind: "late", text: `Too late: ${told ?? `it is ${current} already`}`, problem: null };
  }
  const unknown = error.kind === "away" || error.code === "OUTCOME_UNKNOWN";
  const text = unknown ? `${error.message} It may have been done all the same: repeating it is safe.` : error.message;
  return { kind: unknown ? "unknown" : "failed", text, problem: error };
}

/**
 * Cancels an execution: at once where no worker is on it, else by asking the worker to stop.
 *
 * @param {string} id
 * @param {CancelOptions} options
 * @param {string} key Idempotency-Key
 * @returns {Promise<Outcome>}
 */
export async function cancel(id, { reason, grace }, key) {
  const at = now();
  const body = JSON.stringify({ ...(reason && { reason }), grace_seconds: grace });
  try {
    const answer = (await write("POST", `${executionPath(id)}/cancel`, body, key)).json;
    if (answer.outcome === "cancelled") return success("done", "Cancelled");
    const left = Math.max(0, Date.parse(answer.force_at) - now());
    return success("asked", `The worker is asked to stop; in ${rough(left)} it is cancelled in any case`);
  } catch (error) {
    if (!(error instanceof Problem && error.kind === "not-deployed")) return lost(error, id, at);
  }
  // A service without that operation: the status is written at once, whatever the worker does.
  try {
    await write(
      "PATCH",
      recordPath(id),
      JSON.stringify({ status: "cancelled", ...(reason && { error_message: reason }) }),
      key,
    );
    return success("done", "Cancelled");
  } catch (error) {
    return lost(error, id, at);
  }
}

/**
 * Marks an execution as failed, whatever its worker does.
 *
 * @param {string} id
 * @param {string} reason
 * @param {string} key Idempotency-Key
 * @returns {Promise<Outcome>}
 */
export async function markFailed(id, reason, key) {
  const at = now();
  try {
    await write(
      "PATCH",
      recordPath(id),
      JSON.stringify({ status: "failed", ...(reason && { error_message: reason }) }),
      key,
    );
    return success("done", "Marked as failed");
  } catch (error) {
    return lost(error, id, at);
  }
}

/** The fields that a new execution takes over from the one that it retries, where they have a value. */
const TAKEN = [
  "flow_id",
  "trigger_type",
  "trigger_data",
  "variables",
  "priority",
  "timeout_seconds",
  "heartbeat_timeout_seconds",
  "start_timeout_seconds",
];

/**
 * The request that runs an execution again: the same inputs, to the last digit, as a new execution that names the old one.
 * @param {string} record the JSON text of the old one
 * @param {string} reason
 */
export function retryBody(record, reason) {
  const old = members(record);
  const has = (/** @type {string} */ name) => old.has(name) && old.get(name) !== "null";
  const body = new Map(TAKEN.filter(has).map((name) => [name, old.get(name) ?? ""]));
  if (old.get("agent_id") !== '"unassigned"') body.set("agent_id", old.get("agent_id") ?? "");
  body.set("retry_config", object([["max_retries", old.get("max_retries") ?? "3"]]));
  body.set("parent_execution_id", old.get("id") ?? "");
  const metadata = members(old.get("metadata") ?? "{}");
  // Execute flow has no place for a reason. Metadata is what is kept with the new execution, and shown.
  if (reason) metadata.set("retry_reason", JSON.stringify(reason));
  body.set("metadata", object(metadata));
  return object(body);
}

/**
 * Runs an execution again, as a new one.
 *
 * @param {string} record the JSON text of the old one
 * @param {string} reason
 * @param {string} key Idempotency-Key
 * @returns {Promise<import("./model.js").Execution>}
 * @throws {Problem}
 */
export async function retryAsNew(record, reason, key) {
  return (await write("POST", "/flows/execute", retryBody(record, reason), key)).json.execution;
}

/**
 * Does something for each of many, `width` at a time.
 *
 * @template T
 * @param {T[]} all
 * @param {number} width
 * @param {(one: T) => Promise<void>} act
 */
export async function eachOf(all, width, act) {
  const left = [...all];
  const worker = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await act(one);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
