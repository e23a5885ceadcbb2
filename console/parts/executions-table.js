// The rows of the list of executions.

import { compact, dollars, integer } from "../format.js";
import { html } from "../html.js";
import { isTerminal } from "../model.js";
import { executionHref, go } from "../router.js";
import { Foreign, plainly } from "../text.js";
import { Elapsed, Time } from "./basics.js";
import { StatusBadge } from "./status.js";

/** @typedef {import("../model.js").Execution} Execution */
/** @typedef {import("../pages/selection.js").Selection} Selection */

/**
 * @typedef {object} Props
 * @property {Execution[]} executions
 * @property {Set<string>} gone ids that do not match the filters any more
 * @property {Selection | null} selection null where the key may change nothing
 * @property {import("preact").RefObject<HTMLTableElement>} table
 */

/** @param {Props} props */
export function ExecutionsTable({ executions, gone, selection, table }) {
  return html`
    <table class="executions" ref=${table}>
      <thead>
        <tr>
          ${selection && html`<${SelectAll} selection=${selection} />`}
          <th scope="col" class="c-status">Status</th>
          <th scope="col" class="c-run">Execution</th>
          <th scope="col" class="c-agent">Agent</th>
          <th scope="col" class="c-trigger">Trigger</th>
          <th scope="col" class="c-started">Started</th>
          <th scope="col" class="c-duration figure-cell">Duration</th>
          <th scope="col" class="c-tokens figure-cell">Tokens</th>
          <th scope="col" class="c-cost figure-cell">Cost</th>
          <th scope="col" class="c-error">Error</th>
        </tr>
      </thead>
      <tbody>
        ${executions.map((execution) => html`
          <${Row} key=${execution.id} execution=${execution} isGone=${gone.has(execution.id)} selection=${selection} />`)}
      </tbody>
    </table>`;
}

/** @param {{ selection: Selection }} props */
function SelectAll({ selection: { open, ids, selectAll } }) {
  const isAll = open.length > 0 && open.every(({ id }) => ids.has(id));
  return html`
    <td class="pick">
      <label>
        <input
          type="checkbox"
          aria-label="Select all that have not ended"
          disabled=${open.length === 0}
          checked=${isAll}
          onClick=${() => selectAll(!isAll)} />
      </label>
    </td>`;
}

/**
 * @param {{ execution: Execution, isGone: boolean, selection: Selection | null }} props
 */
function Row({ execution, isGone, selection }) {
  const { id, flow_id, agent_id, execution_number, tokens_used, cost_estimate, error_message } = execution;
  const isSelected = selection?.ids.has(id) ?? false;
  const open = (/** @type {MouseEvent} */ event) => {
    // A click anywhere in the row, but for what has its own meaning, and not at the end of selecting text.
    if (event.target instanceof Element && event.target.closest("a, input, button, label")) return;
    if (getSelection()?.isCollapsed) go(executionHref(id));
  };
  return html`
    <tr class=${`${isGone ? "gone" : ""}${isSelected ? " selected" : ""}`} onClick=${open} data-id=${id}>
      ${selection && html`
        <td class="pick">
          ${(isSelected || !isTerminal(execution.status)) && html`
            <label>
              <input
                type="checkbox"
                checked=${isSelected}
                aria-label=${`Select ${plainly(flow_id)} #${execution_number}`}
                onClick=${(/** @type {MouseEvent} */ event) => selection.select(id, event.shiftKey)} />
            </label>`}
        </td>`}
      <td class="c-status">
        <${StatusBadge} status=${execution.status} />
        ${isGone && html`<span class="muted beside" title="It changed, and does not match the filters any more">left</span>`}
      </td>
      <th scope="row" class="c-run">
        <a href=${executionHref(id)}>
          <${Foreign} text=${flow_id} limit=${80} />
          <span class="number">${` #${execution_number}`}</span>
        </a>
      </th>
      <td class="c-agent">${agent_id === "unassigned" ? none() : html`<${Foreign} text=${agent_id} limit=${60} />`}</td>
      <td class="c-trigger">${execution.trigger_type}</td>
      <td class="c-started"><${Time} at=${execution.started_at} /></td>
      <td class="c-duration figure-cell"><${Elapsed} execution=${execution} /></td>
      <td class="c-tokens figure-cell" title=${tokens_used === null ? undefined : integer(tokens_used)}>
        ${tokens_used === null ? none() : compact(tokens_used)}
      </td>
      <td class="c-cost figure-cell" title=${cost_estimate === null ? undefined : `$${cost_estimate}`}>
        ${cost_estimate === null ? none() : dollars(cost_estimate)}
      </td>
      <td class="c-error" title=${error_message === null ? undefined : plainly(error_message.slice(0, 1000))}>
        ${error_message !== null && html`<${Foreign} text=${firstLine(error_message)} limit=${200} />`}
      </td>
    </tr>`;
}

const none = () => html`<span class="none">–</span>`;

/** The first line of a text. @param {string} text */
const firstLine = (text) => text.slice(0, 400).split("\n", 1)[0] ?? "";
