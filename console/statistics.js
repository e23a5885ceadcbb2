// What the runs of a flow say together. Exact, for the executions that are counted, and nothing is said of any other.

import { isTerminal } from "./model.js";

/**
 * The smallest value that at least `percent` of 100 values do not pass (nearest rank); null where there is none.
 * @param {number[]} values
 * @param {number} percent
 */
export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? null;
}

/** @param {(number | null | undefined)[]} values @returns {number[]} */
const known = (values) => /** @type {number[]} */ (values.filter((value) => value !== null && value !== undefined));

/** @param {import("./model.js").Execution[]} executions */
export function summarize(executions) {
  const ended = executions.filter((execution) => isTerminal(execution.status));
  const completed = ended.filter((execution) => execution.status === "completed").length;
  const durations = known(ended.map((execution) => execution.duration_ms));
  const tokens = known(executions.map((execution) => execution.tokens_used));
  const costs = known(executions.map((execution) => execution.cost_estimate));
  return {
    count: executions.length,
    ended: ended.length,
    completed,
    durations,
    median: percentile(durations, 50),
    percentile95: percentile(durations, 95),
    tokens,
    costs,
  };
}

/**
 * Executions by flow, the flow with the latest one first.
 * @param {import("./model.js").Execution[]} executions newest first
 * @returns {Map<string, import("./model.js").Execution[]>}
 */
export function byFlow(executions) {
  /** @type {Map<string, import("./model.js").Execution[]>} */
  const flows = new Map();
  for (const execution of executions) {
    const runs = flows.get(execution.flow_id);
    if (runs) runs.push(execution);
    else flows.set(execution.flow_id, [execution]);
  }
  return flows;
}
