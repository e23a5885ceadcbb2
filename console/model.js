// The shapes of the API, as openapi/openapi.json has them, and what the console says of statuses.
// Fields with a question mark are missing where the deployed service does not know them yet.

/**
 * @typedef {"pending" | "queued" | "running" | "retrying" | "interrupted" | "completed" | "failed" | "cancelled" | "timeout"} Status
 *
 * @typedef {object} Execution
 * @property {string} id
 * @property {string} flow_id
 * @property {string} agent_id
 * @property {string} organization_id
 * @property {number} execution_number
 * @property {string} trigger_type
 * @property {string} priority
 * @property {Status} status
 * @property {number} version
 * @property {number} attempt
 * @property {string} started_at
 * @property {string | null} completed_at
 * @property {number | null} duration_ms
 * @property {number} timeout_seconds
 * @property {number | null} [heartbeat_timeout_seconds]
 * @property {number | null} [start_timeout_seconds]
 * @property {string | null} [cancel_requested_at]
 * @property {Step[] | null} steps
 * @property {string | null} error_message
 * @property {number} retry_count
 * @property {number} max_retries
 * @property {string | null} parent_execution_id
 * @property {number | null} tokens_used
 * @property {number} tool_calls_count
 * @property {number | null} cost_estimate
 * @property {string} created_at
 * @property {string} updated_at
 * @property {string | null} [scheduled_at]
 *
 * @typedef {object} ExecutionPage
 * @property {Execution[]} executions
 * @property {number | null} total_count
 * @property {boolean} has_more
 * @property {string | null} next_cursor
 *
 * @typedef {object} Transition
 * @property {Status} from
 * @property {Status} to
 * @property {string} at
 * @property {string} by
 * @property {string | null} by_name
 * @property {string | null} reason
 * @property {number | null} attempt
 * @property {number} version
 *
 * @typedef {object} Step
 * @property {string} step_id
 * @property {string} step_name
 * @property {string} step_type
 * @property {string | null} [tool_name]
 * @property {Status} status
 * @property {string | null} error_message
 * @property {string | null} started_at
 * @property {string | null} completed_at
 * @property {number | null} duration_ms
 * @property {number} [retry_count]
 *
 * @typedef {object} Caller
 * @property {string} organization_id
 * @property {string} key_id
 * @property {string | null} key_name
 * @property {("read" | "write" | "admin")[]} scopes
 * @property {string | null} expires_at
 */

/** All statuses, in the order of an execution's life. @type {Status[]} */
export const STATUSES = [
  "pending", "queued", "running", "retrying", "interrupted", "completed", "failed", "cancelled", "timeout",
];

/** What each status says, for people who do not know it. @type {Record<Status, string>} */
export const MEANING = {
  pending: "accepted, and taken up by nobody yet",
  queued: "waiting for a worker",
  running: "a worker is on it",
  retrying: "failed, and about to be tried again",
  interrupted: "the worker has not been heard from; it may still be alive",
  completed: "ended with a result",
  failed: "ended with an error",
  cancelled: "ended because somebody asked for it",
  timeout: "ended because its time was up",
};

const TERMINAL = new Set(["completed", "failed", "cancelled", "timeout"]);

/** Whether nothing leaves a status. @param {string} status */
export const isTerminal = (status) => TERMINAL.has(status);

export const TRIGGERS = ["manual", "event", "scheduled", "api", "webhook", "test"];

/** What people call an execution. @param {Execution} execution */
export const nameOf = (execution) => `${execution.flow_id} #${execution.execution_number}`;

/**
 * How long an execution has taken, in milliseconds; null while nobody has begun it, and where nobody knows.
 * @param {Execution} execution
 * @param {number} now
 */
export function elapsed(execution, now) {
  if (execution.duration_ms !== null) return execution.duration_ms;
  // Before the first `running`, started_at is only when the execution was accepted. Executions that were claimed before
  // there were attempts have none, and run all the same.
  const begun = execution.attempt > 0 || execution.status === "running" || execution.status === "interrupted";
  if (isTerminal(execution.status) || !begun) return null;
  return Math.max(0, now - Date.parse(execution.started_at));
}

/**
 * By when an execution must have ended, or begun, in milliseconds since 1970; null where nothing says so.
 * @param {Execution} execution
 * @returns {{ at: number, what: "end" | "start" } | null}
 */
export function deadline(execution) {
  if (isTerminal(execution.status)) return null;
  const begun = elapsed(execution, Date.now()) !== null;
  if (begun) return { at: Date.parse(execution.started_at) + execution.timeout_seconds * 1000, what: "end" };
  if (!execution.start_timeout_seconds) return null;
  const due = Math.max(Date.parse(execution.created_at), Date.parse(execution.scheduled_at ?? execution.created_at));
  return { at: due + execution.start_timeout_seconds * 1000, what: "start" };
}
