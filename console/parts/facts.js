// The figures of an execution: when, for how long and until when; by whom, and at what cost.

import { useNow } from "../clock.js";
import { counted, dollars, duration, integer, relative, rough } from "../format.js";
import { html } from "../html.js";
import { deadline, elapsed, isTerminal } from "../model.js";
import { HOME, executionHref } from "../router.js";
import { Foreign } from "../text.js";
import { Elapsed, Time } from "./basics.js";

/** What is this near is shown as urgent, in milliseconds. */
const URGENT = 60_000;

/** @typedef {import("../model.js").Execution} Execution */

/** @param {{ execution: Execution, lastHeard: number | null }} props `lastHeard`: when its worker was, as far as that is known */
export function Facts({ execution, lastHeard }) {
  return html`
    <dl class="facts">
      <${Fact} term="Started"><${Time} at=${execution.started_at} /></${Fact}>
      <${Duration} execution=${execution} />
      ${execution.completed_at !== null && html`<${Fact} term="Ended"><${Time} at=${execution.completed_at} /></${Fact}>`}
      <${Deadline} execution=${execution} />
      <${Silence} execution=${execution} lastHeard=${lastHeard} />
      <${Origin} execution=${execution} />
      <${Costs} execution=${execution} />
      ${execution.scheduled_at && html`<${Fact} term="Scheduled"><${Time} at=${execution.scheduled_at} /></${Fact}>`}
      <${Fact} term="Created"><${Time} at=${execution.created_at} /></${Fact}>
      <${Fact} term="Updated" title=${`version ${execution.version}`}><${Time} at=${execution.updated_at} /></${Fact}>
    </dl>`;
}

/**
 * A term and its value.
 * @param {{ term: string, title?: string, children?: any }} props
 */
function Fact({ term, title, children }) {
  return html`
    <div class="fact">
      <dt>${term}</dt>
      <dd title=${title}>${children}</dd>
    </div>`;
}

const none = () => html`<span class="none">–</span>`;

/** How long it has run, or waited to begin. @param {{ execution: Execution }} props */
function Duration({ execution }) {
  const isOpen = !isTerminal(execution.status);
  const now = useNow(isOpen);
  if (isOpen && elapsed(execution, now) === null) {
    return html`<${Fact} term="Waiting for">${duration(now - Date.parse(execution.created_at))}</${Fact}>`;
  }
  return html`<${Fact} term=${isOpen ? "Running for" : "Duration"}><${Elapsed} execution=${execution} /></${Fact}>`;
}

/** By when it must have ended, or begun. @param {{ execution: Execution }} props */
function Deadline({ execution }) {
  const due = deadline(execution);
  const now = useNow(due !== null);
  if (due === null) return null;
  const [term, title] = due.what === "end"
    ? ["Deadline", `timeout_seconds is ${execution.timeout_seconds}, from the first start`]
    : ["Must start", `start_timeout_seconds is ${execution.start_timeout_seconds}`];
  return html`
    <${Fact} term=${term} title=${title}>
      <span class=${due.at - now < URGENT ? "urgent" : ""}>${relative(due.at, now)}</span>
    </${Fact}>`;
}

/**
 * How often its worker must be heard, and when it was.
 * @param {{ execution: Execution, lastHeard: number | null }} props
 */
function Silence({ execution, lastHeard }) {
  const isOpen = !isTerminal(execution.status);
  const now = useNow(isOpen);
  const seconds = execution.heartbeat_timeout_seconds;
  if (!isOpen || !seconds) return null;
  const silent = lastHeard === null ? 0 : now - lastHeard;
  const isLate = execution.status === "running" && silent > (seconds * 1000) / 2;
  return html`
    <${Fact} term="Last heard" title=${`Without a heartbeat for ${counted(seconds, "second")} it counts as interrupted`}>
      <span class=${isLate ? "urgent" : ""}>${lastHeard === null ? "not yet" : html`<${Time} at=${lastHeard} />`}</span>
      <small class="muted beside">${`every ${rough(seconds * 1000)} at least`}</small>
    </${Fact}>`;
}

/** Where it comes from, and who works on it. @param {{ execution: Execution }} props */
function Origin({ execution }) {
  const { agent_id, trigger_type, priority, attempt, retry_count, max_retries, parent_execution_id } = execution;
  const filtered = (/** @type {string} */ name, /** @type {string} */ value) => `${HOME}?${name}=${encodeURIComponent(value)}`;
  return html`
    <${Fact} term="Agent">
      ${agent_id === "unassigned" ? none() : html`
        <a href=${filtered("agent_id", agent_id)}><${Foreign} text=${agent_id} limit=${80} /></a>`}
    </${Fact}>
    <${Fact} term="Trigger"><a href=${filtered("trigger_type", trigger_type)}>${trigger_type}</a></${Fact}>
    ${priority !== "normal" && html`<${Fact} term="Priority">${priority}</${Fact}>`}
    <${Fact} term="Attempt" title=${`retry_count is ${retry_count}, max_retries ${max_retries}`}>
      ${attempt}
      <small class="muted beside">${retry_count} of ${max_retries} retries</small>
    </${Fact}>
    ${parent_execution_id !== null && html`
      <${Fact} term="Retry of">
        <a href=${executionHref(parent_execution_id)}><code><${Foreign} text=${parent_execution_id} limit=${13} /></code></a>
      </${Fact}>`}`;
}

/** What it has used up. @param {{ execution: Execution }} props */
function Costs({ execution: { tokens_used, tool_calls_count, cost_estimate } }) {
  return html`
    <${Fact} term="Tokens">${tokens_used === null ? none() : integer(tokens_used)}</${Fact}>
    <${Fact} term="Tool calls">${integer(tool_calls_count)}</${Fact}>
    <${Fact} term="Cost" title=${cost_estimate === null ? undefined : `$${cost_estimate}`}>
      ${cost_estimate === null ? none() : dollars(cost_estimate)}
    </${Fact}>`;
}
