// What happened to an execution: from when on it had each status, by whom, and why.

import { html } from "../html.js";
import { Foreign } from "../text.js";
import { Time } from "./basics.js";
import { StatusBadge } from "./status.js";

/** @typedef {import("../model.js").Transition} Transition */

/** Who made a transition: the name of the key, its id, or the service itself. @param {{ transition: Transition }} props */
export function By({ transition: { by, by_name } }) {
  if (by === "service") return html`<span title="Ratchet itself, which watches deadlines">the service</span>`;
  if (by_name === null) return html`<code>${by}</code>`;
  return html`<span title=${`Key ${by}`}><${Foreign} text=${by_name} /></span>`;
}

/** @param {{ execution: import("../model.js").Execution, transitions: Transition[] }} props */
export function History({ execution, transitions }) {
  return html`
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      <table class="history">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Status</th>
            <th scope="col">By whom</th>
            <th scope="col">Why</th>
            <th scope="col" class="figure-cell c-version">Version</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <td><${Time} at=${execution.created_at} always="exact" /></td>
            <td><${StatusBadge} status=${transitions[0]?.from ?? execution.status} /></td>
            <td class="muted">accepted</td>
            <td></td>
            <td class="figure-cell c-version">1</td>
          </tr>
          ${transitions.map((transition) => html`<${Row} key=${transition.version} transition=${transition} />`)}
        </tbody>
      </table>
    </section>`;
}

/** @param {{ transition: Transition }} props */
function Row({ transition }) {
  const { at, to, attempt, reason, version } = transition;
  return html`
    <tr>
      <td><${Time} at=${at} always="exact" /></td>
      <td>
        <${StatusBadge} status=${to} />
        ${to === "running" && attempt ? html`<small class="muted beside">attempt ${attempt}</small>` : null}
      </td>
      <td><${By} transition=${transition} /></td>
      <td>${reason !== null && html`<${Foreign} text=${reason} limit=${1024} />`}</td>
      <td class="figure-cell c-version">${version}</td>
    </tr>`;
}
