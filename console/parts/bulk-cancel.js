// Cancelling many at once: one request each, a few at a time, and what became of each.

import { useRef, useState } from "preact/hooks";
import { cancel, eachOf } from "../actions.js";
import { announce } from "../announce.js";
import { newKey } from "../api.js";
import { counted } from "../format.js";
import { html } from "../html.js";
import { executionHref } from "../router.js";
import { Foreign } from "../text.js";
import { CancelFields, GRACE } from "./action-dialogs.js";
import { Dialog } from "./dialog.js";

/** How many requests are under way at once. */
const WIDTH = 6;

/** @typedef {import("../model.js").Execution} Execution */
/** @typedef {import("../actions.js").Outcome} Outcome */

/** @type {Record<Outcome["kind"], string>} */
const WORDS = { done: "cancelled", asked: "asked to stop", late: "too late", unknown: "unknown", failed: "failed" };

/** @param {{ executions: Execution[], close: () => void }} props */
export function BulkCancel({ executions, close }) {
  const [options, setOptions] = useState({ reason: "", grace: GRACE });
  const [outcomes, setOutcomes] = useState(/** @type {Map<string, Outcome>} */ (new Map()));
  const [state, setState] = useState(/** @type {"asking" | "working" | "done"} */ ("asking"));
  // One key for each execution, as long as this dialog is open with these options: what is repeated happens once.
  const keys = useRef(new Map(executions.map(({ id }) => [id, newKey()])));

  const run = async (/** @type {Execution[]} */ those) => {
    setState("working");
    const found = new Map(outcomes);
    await eachOf(those, WIDTH, async ({ id }) => {
      found.set(id, await cancel(id, options, keys.current.get(id) ?? newKey()));
      setOutcomes(new Map(found));
    });
    setState("done");
    announce(summary(found));
  };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void run(executions);
  };

  const isAsking = state === "asking";
  const isWorking = state === "working";
  const again = executions.filter(({ id }) => ["unknown", "failed"].includes(outcomes.get(id)?.kind ?? ""));
  return html`
    <${Dialog} title=${`Cancel ${counted(executions.length, "execution")}`} close=${close} busy=${isWorking} wide>
      <form onSubmit=${submit}>
        ${isAsking && html`
          <${CancelFields}
            options=${options}
            change=${setOptions}
            running=${executions.some((execution) => execution.status === "running")} />`}
        ${!isAsking && html`
          <p role="status">
            <strong>${isWorking ? `${outcomes.size} of ${executions.length} …` : summary(outcomes)}</strong>
          </p>`}
        <div class="scroll" tabindex="0" role="region" aria-label="The executions">
          <table class="outcomes">
            <tbody>
              ${executions.map((execution) => html`
                <${Row} key=${execution.id} execution=${execution} outcome=${outcomes.get(execution.id) ?? null} />`)}
            </tbody>
          </table>
        </div>
        <p class="row end">
          ${isAsking && html`<button type="submit" class="danger">Cancel ${counted(executions.length, "execution")}</button>`}
          ${state === "done" && again.length > 0 && html`
            <button type="button" onClick=${() => run(again)}>Try ${again.length} again</button>`}
          <button type="button" onClick=${close} disabled=${isWorking}>${isAsking ? "Keep them" : "Close"}</button>
        </p>
      </form>
    </${Dialog}>`;
}

/** @param {{ execution: Execution, outcome: Outcome | null }} props `outcome`: null where nothing has become of it yet */
function Row({ execution, outcome }) {
  const { id, flow_id, execution_number, status } = execution;
  const correlation = outcome?.problem?.id;
  return html`
    <tr>
      <th scope="row">
        <a href=${executionHref(id)} target="_blank"><${Foreign} text=${flow_id} limit=${60} />${` #${execution_number}`}</a>
      </th>
      <td>
        ${outcome
          ? html`<span class=${`outcome ${outcome.kind}`}>${WORDS[outcome.kind]}</span>`
          : html`<span class="muted">${status}</span>`}
      </td>
      <td>
        ${outcome?.text}
        ${correlation && html`<span class="muted">${" Correlation id "}<code>${correlation}</code></span>`}
      </td>
    </tr>`;
}

/** How often each kind of outcome came, in words. @param {Map<string, Outcome>} outcomes */
function summary(outcomes) {
  const kinds = /** @type {Outcome["kind"][]} */ (Object.keys(WORDS));
  const count = (/** @type {string} */ kind) => [...outcomes.values()].filter((outcome) => outcome.kind === kind).length;
  return kinds.filter((kind) => count(kind) > 0).map((kind) => `${count(kind)} ${WORDS[kind]}`).join(", ");
}
