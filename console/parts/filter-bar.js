// The filters of the list. Each is a parameter of the address.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { NO_FILTERS, WINDOW_NAMES, isFiltered } from "../filters.js";
import { html } from "../html.js";
import { useKeys } from "../keyboard.js";
import { STATUSES, TRIGGERS } from "../model.js";
import { seenFlows } from "../pages/list.js";
import { go, withParameters } from "../router.js";
import { Glyph } from "./status.js";

/** How many flows are suggested at most. */
const SUGGESTIONS = 200;

const DAY = 864e5;

/** @typedef {import("../filters.js").Filters} Filters */

/** Another list begins with its newest execution. @param {Record<string, string | null>} change */
const filter = (change) => go(withParameters({ cursor: null, ...change }));

/** What a field has now. @param {any} event */
const valueOf = (event) => event.target.value;

/** @param {{ filters: Filters }} props */
export function FilterBar({ filters }) {
  const flow = useRef(/** @type {HTMLInputElement | null} */ (null));
  useKeys({
    "/": () => flow.current?.focus(),
    0: () => filter({ status: null }),
  });
  const suggestions = [...seenFlows].sort().slice(0, SUGGESTIONS);
  return html`
    <search class="filters">
      <${Statuses} chosen=${filters.statuses} />
      <div class="fields">
        <${TextFilter} label="Flow" name="flow_id" value=${filters.flow} suggestions=${suggestions} field=${flow} />
        <${TextFilter} label="Agent" name="agent_id" value=${filters.agent} />
        <label>
          ${"Trigger "}
          <select value=${filters.trigger} onChange=${(/** @type {Event} */ event) => filter({ trigger_type: valueOf(event) })}>
            <option value="">any</option>
            ${TRIGGERS.map((trigger) => html`<option value=${trigger}>${trigger}</option>`)}
          </select>
        </label>
        <${Window} filters=${filters} />
        ${isFiltered(filters) && html`
          <button type="button" class="quiet" onClick=${() => filter(NO_FILTERS)}>Clear filters</button>`}
      </div>
    </search>`;
}

/** @param {{ chosen: string[] }} props */
function Statuses({ chosen }) {
  const toggle = (/** @type {string} */ status) => {
    const next = new Set(chosen);
    if (!next.delete(status)) next.add(status);
    filter({ status: STATUSES.filter((each) => next.has(each)).join(",") });
  };
  return html`
    <div class="chips" role="group" aria-label="Status">
      <button type="button" aria-pressed=${chosen.length === 0} onClick=${() => filter({ status: null })}>all</button>
      ${STATUSES.map((status) => html`
        <button
          key=${status}
          type="button"
          class=${`is-${status}`}
          aria-pressed=${chosen.includes(status)}
          onClick=${() => toggle(status)}>
          <${Glyph} status=${status} />${status}
        </button>`)}
    </div>`;
}

/**
 * A text that filters once it is left, or Enter is pressed.
 * @param {{ label: string, name: string, value: string, suggestions?: string[], field?: any }} props
 */
function TextFilter({ label, name, value, suggestions, field }) {
  const [text, setText] = useState(value);
  const list = useId();
  // The address may change by a link, or by the back button.
  useEffect(() => setText(value), [value]);
  const apply = () => text.trim() !== value && filter({ [name]: text.trim() });
  return html`
    <label>
      ${`${label} `}
      <input
        type="search"
        ref=${field}
        value=${text}
        list=${suggestions ? list : undefined}
        autocomplete="off"
        spellcheck=${false}
        maxlength="256"
        placeholder="any"
        onInput=${(/** @type {Event} */ event) => setText(valueOf(event))}
        onChange=${apply}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && apply()} />
      ${suggestions && html`
        <datalist id=${list}>${suggestions.map((each) => html`<option value=${each} />`)}</datalist>`}
    </label>`;
}

/** When the executions were created: in a window that ends now, or between two times. @param {{ filters: Filters }} props */
function Window({ filters: { within, after, before } }) {
  const isBetween = within === "" && (after !== "" || before !== "");
  const choose = (/** @type {Event} */ event) => {
    const chosen = valueOf(event);
    if (chosen !== "between") {
      filter({ within: chosen, created_after: null, created_before: null });
      return;
    }
    // To the minute, as the field is that shows it.
    const yesterday = `${new Date(Date.now() - DAY).toISOString().slice(0, 16)}:00Z`;
    filter({ within: null, created_after: yesterday, created_before: null });
  };
  return html`
    <label>
      ${"Created "}
      <select value=${within || (isBetween ? "between" : "")} onChange=${choose}>
        <option value="">any time</option>
        ${Object.entries(WINDOW_NAMES).map(([name, words]) => html`<option value=${name}>${words}</option>`)}
        <option value="between">between …</option>
      </select>
    </label>
    ${isBetween && html`
      <${Moment} label="from" name="created_after" value=${after} />
      <${Moment} label="to" name="created_before" value=${before} />`}`;
}

/** @param {{ label: string, name: string, value: string }} props */
function Moment({ label, name, value }) {
  const choose = (/** @type {Event} */ event) => filter({ [name]: fromField(valueOf(event)) });
  return html`<label>${`${label} `}<input type="datetime-local" value=${toField(value)} onChange=${choose} /></label>`;
}

/** A time of the address for a field of the browser, which has no zone. @param {string} iso */
function toField(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** @param {string} text */
const fromField = (text) => (text ? new Date(text).toISOString() : null);
