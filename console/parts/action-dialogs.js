// The dialogs of the actions on one execution: what will happen, why, and what became of it.

import { useRef, useState } from "preact/hooks";
import { cancel, markFailed, retryAsNew } from "../actions.js";
import { announce } from "../announce.js";
import { Problem, newKey } from "../api.js";
import { html } from "../html.js";
import { executionHref, go } from "../router.js";
import { ProblemBox } from "./basics.js";
import { Dialog } from "./dialog.js";

/** @typedef {import("../model.js").Execution} Execution */
/** @typedef {import("../actions.js").CancelOptions} CancelOptions */
/** @typedef {"cancel" | "fail" | "retry"} Action */

/** How long a worker has to stop, in seconds, unless a person says otherwise. */
export const GRACE = 60;

/** @type {Record<Action, { title: string, button: string, keep: string }>} */
const WORDS = {
  cancel: { title: "Cancel this execution", button: "Cancel execution", keep: "Keep it" },
  fail: { title: "Mark this execution as failed", button: "Mark as failed", keep: "Leave it" },
  retry: { title: "Run it again, as a new execution", button: "Start a new execution", keep: "Do not" },
};

/**
 * @param {{ action: Action, execution: Execution, record: string, close: () => void, done: () => void }} props
 *   `record`: the JSON text of the execution. `done`: something may have changed
 */
export function ActionDialog({ action, execution, record, close, done }) {
  const words = WORDS[action];
  const [options, setOptions] = useState({ reason: "", grace: GRACE });
  const [outcome, setOutcome] = useState(/** @type {import("../actions.js").Outcome | null} */ (null));
  const [busy, setBusy] = useState(false);
  // The same request has the same key, so that it happens once however often the button is pressed; another request has another.
  const sent = useRef({ options, key: newKey() });
  const keyOf = () => {
    if (sent.current.options !== options) sent.current = { options, key: newKey() };
    return sent.current.key;
  };

  const retry = async () => {
    const started = await retryAsNew(record, options.reason, keyOf());
    close();
    announce(`Started ${started.flow_id} #${started.execution_number}`);
    go(executionHref(started.id));
  };
  const end = async () => {
    const result = action === "cancel"
      ? await cancel(execution.id, options, keyOf())
      : await markFailed(execution.id, options.reason, keyOf());
    done();
    announce(result.text);
    if (result.kind === "done" || result.kind === "asked") close();
    else setOutcome(result);
  };
  const act = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setOutcome(null);
    try {
      await (action === "retry" ? retry() : end());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setOutcome({ kind: "failed", text: error.message, problem: error });
    } finally {
      setBusy(false);
    }
  };

  const isLate = outcome?.kind === "late";
  return html`
    <${Dialog} title=${words.title} close=${close} busy=${busy}>
      <form onSubmit=${act}>
        <${Fields} action=${action} options=${options} change=${setOptions} running=${execution.status === "running"} />
        ${outcome?.problem && html`
          <${ProblemBox} problem=${outcome.problem}>
            ${outcome.text !== outcome.problem.message && html`<p>${outcome.text}</p>`}
          </${ProblemBox}>`}
        ${isLate && html`<p class="notice" role="alert"><strong>${outcome.text}</strong></p>`}
        <p class="row end">
          ${!isLate && html`
            <button type="submit" class=${action === "retry" ? "primary" : "danger"} disabled=${busy}>
              ${busy ? "…" : words.button}
            </button>`}
          <button type="button" onClick=${close} disabled=${busy}>${isLate ? "Close" : words.keep}</button>
        </p>
      </form>
    </${Dialog}>`;
}

/**
 * What will happen, and what a person says to it.
 * @param {{ action: Action, options: CancelOptions, change: (options: CancelOptions) => void, running: boolean }} props
 */
function Fields({ action, options, change, running }) {
  const changeReason = (/** @type {string} */ reason) => change({ ...options, reason });
  if (action === "cancel") return html`<${CancelFields} options=${options} change=${change} running=${running} />`;
  if (action === "fail") {
    return html`
      <p>It ends at once, whatever its worker does; a result that comes later is refused.</p>
      <${Reason}
        value=${options.reason}
        change=${changeReason}
        required
        hint="Becomes its error message, and is kept in the history." />`;
  }
  return html`
    <p>
      The new execution has the same flow, trigger, inputs, priority, limits and metadata, and names this one as its parent. This
      one stays as it is.
    </p>
    <${Reason} value=${options.reason} change=${changeReason} hint="Becomes retry_reason in the metadata of the new execution." />`;
}

/** @param {{ options: CancelOptions, change: (options: CancelOptions) => void, running: boolean }} props */
export function CancelFields({ options, change, running }) {
  const changeGrace = (/** @type {any} */ event) => change({ ...options, grace: Number(event.target.value) });
  return html`
    <${Reason}
      value=${options.reason}
      change=${(/** @type {string} */ reason) => change({ ...options, reason })}
      hint="Kept in the history, with the name of your key." />
    ${running && html`
      <label class="block">
        Time to stop, in seconds
        <input type="number" min="0" max="3600" required value=${options.grace} onInput=${changeGrace} />
        <span class="muted">
          A running worker is asked to stop, with its next heartbeat. When this time is up, the execution is cancelled whatever the
          worker does.
        </span>
      </label>`}`;
}

/** @param {{ value: string, change: (reason: string) => void, required?: boolean, hint: string }} props */
function Reason({ value, change, required = false, hint }) {
  return html`
    <label class="block">
      Reason
      ${!required && html`<span class="muted">${" (optional)"}</span>`}
      <textarea
        rows="3"
        maxlength="65536"
        required=${required}
        autofocus
        value=${value}
        onInput=${(/** @type {any} */ event) => change(event.target.value)}></textarea>
      <span class="muted">${hint}</span>
    </label>`;
}
