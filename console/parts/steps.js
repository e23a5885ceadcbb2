// The steps of an execution, and the data of one for those who open it.

import { useState } from "preact/hooks";
import { Ticking } from "../clock.js";
import { counted, duration, integer } from "../format.js";
import { html } from "../html.js";
import { members } from "../json.js";
import { isTerminal } from "../model.js";
import { usePolling } from "../polling.js";
import { Foreign, plainly } from "../text.js";
import { Loading, ProblemBox, Time } from "./basics.js";
import { JsonView } from "./json-view.js";
import { StatusBadge } from "./status.js";

/** The objects of a step that others wrote, as they are shown. @type {[name: string, title: string][]} */
const DATA = [["input_data", "Input"], ["output_data", "Output"], ["metadata", "Metadata"]];

/** How many columns the table has. */
const COLUMNS = 5;

/** @typedef {import("../model.js").Step} Step */
/** @typedef {import("../pages/live-steps.js").Steps} Steps */

/** @param {Step} step */
const isTrouble = (step) => ["failed", "timeout", "interrupted"].includes(step.status);

/** @param {{ steps: Steps }} props */
export function StepsSection({ steps: { steps, hasMore, more, read, problem, refresh } }) {
  const [troubleOnly, setTroubleOnly] = useState(false);
  if (steps !== null && steps.length === 0) return null;

  const trouble = steps?.filter(isTrouble) ?? [];
  const shown = troubleOnly && trouble.length > 0 ? trouble : steps;
  const isMixed = trouble.length > 0 && trouble.length < (steps?.length ?? 0);
  return html`
    <section aria-labelledby="steps">
      <div class="row">
        <h2 id="steps">Steps ${steps && html`<small class="muted">${steps.length}${hasMore ? "+" : ""}</small>`}</h2>
        ${isMixed && html`
          <label class="muted">
            <input type="checkbox" checked=${troubleOnly} onChange=${() => setTroubleOnly(!troubleOnly)} />
            ${` only what went wrong (${trouble.length})`}
          </label>`}
      </div>
      ${problem && html`<${ProblemBox} problem=${problem} retry=${refresh} />`}
      ${!steps && !problem && html`<${Loading}>Reading the steps …</${Loading}>`}
      ${shown && html`
        <table class="steps">
          <thead>
            <tr>
              <th scope="col">Status</th>
              <th scope="col">Step</th>
              <th scope="col" class="c-kind">Kind</th>
              <th scope="col" class="c-started">Started</th>
              <th scope="col" class="figure-cell">Duration</th>
            </tr>
          </thead>
          <tbody>
            ${shown.map((step) => html`<${StepRow} key=${step.step_id} step=${step} read=${read} />`)}
          </tbody>
        </table>`}
      ${steps && hasMore && html`
        <p>
          <button type="button" onClick=${more}>More steps</button>
          <span class="muted">${` ${counted(steps.length, "step")} shown`}</span>
        </p>`}
    </section>`;
}

/** @param {{ step: Step, read: Steps["read"] }} props */
function StepRow({ step, read }) {
  const [open, setOpen] = useState(false);
  const { step_id, step_name, step_type, tool_name } = step;
  return html`
    <tr>
      <td class="c-status"><${StatusBadge} status=${step.status} /></td>
      <th scope="row">
        <button type="button" class="disclose" aria-expanded=${open} onClick=${() => setOpen(!open)}>
          <${Foreign} text=${step_name} limit=${120} />
        </button>
        ${step_name !== step_id && html`<small class="muted beside"><${Foreign} text=${step_id} limit=${60} /></small>`}
      </th>
      <td class="muted c-kind">
        <${Foreign} text=${step_type} limit=${60} />
        ${tool_name && html`<span> · <${Foreign} text=${tool_name} limit=${60} /></span>`}
      </td>
      <td class="c-started"><${Time} at=${step.started_at} /></td>
      <td class="figure-cell"><${Took} step=${step} /></td>
    </tr>
    ${open && html`<${Data} step=${step} read=${read} />`}`;
}

/** @param {{ step: Step }} props */
function Took({ step }) {
  const { duration_ms, started_at, status } = step;
  if (duration_ms !== null && duration_ms !== undefined) {
    return html`<span title=${`${integer(duration_ms)} ms`}>${duration(duration_ms)}</span>`;
  }
  if (!started_at || isTerminal(status) || status === "interrupted") return html`<span class="none">–</span>`;
  const begun = Date.parse(started_at);
  return html`<${Ticking} text=${(/** @type {number} */ now) => duration(now - begun)} />`;
}

/**
 * What went into a step and came out of it: read when it is opened, and again when the step has changed.
 * @param {{ step: Step, read: Steps["read"] }} props
 */
function Data({ step, read }) {
  const [text, setText] = useState(/** @type {string | null} */ (null));
  const { problem, refresh } = usePolling(async (signal) => {
    setText(await read(step, signal));
    return null;
  }, [JSON.stringify(step)]);

  const fields = members(text ?? "{}");
  const present = DATA.filter(([name]) => !["null", "{}", undefined].includes(fields.get(name)));
  return html`
    <tr class="data">
      <td colspan=${COLUMNS}>
        ${step.error_message && html`<p class="error-text"><${Foreign} text=${step.error_message} /></p>`}
        <p class="muted">step_id <code><${Foreign} text=${step.step_id} /></code></p>
        ${problem && html`<${ProblemBox} problem=${problem} retry=${refresh} />`}
        ${text === null && !problem && html`<${Loading}>Reading its data …</${Loading}>`}
        ${text !== null && present.length === 0 && html`<p class="muted">Nothing was reported with this step.</p>`}
        ${present.map(([name, title]) => html`
          <h3 key=${`${name} title`}>${title}</h3>
          <${JsonView}
            key=${name}
            text=${fields.get(name) ?? "null"}
            what=${`${title.toLowerCase()} of step ${plainly(step.step_id)}`}
            file=${`${name}.json`} />`)}
      </td>
    </tr>`;
}
