// The keys, and what people prefer.

import { html } from "../html.js";
import { prefer, settings } from "../settings.js";
import { useStore } from "../store.js";
import { Dialog } from "./dialog.js";

/** @typedef {[keys: string, what: string]} Entry `keys`: one, or several with spaces between */

/** @type {[where: string, entries: Entry[]][]} */
const KEYS = [
  ["Everywhere", [
    ["?", "this page"],
    ["e", "executions"],
    ["l", "flows"],
    ["r", "look again, show what is new"],
    ["Esc", "close a dialog"],
  ]],
  ["In the list", [
    ["j k", "next, previous execution"],
    ["Enter", "open it"],
    ["x", "select it; with shift-click a range"],
    ["c", "cancel the selected"],
    ["/", "filter by flow"],
    ["0", "all statuses"],
    ["n p", "older, newer page"],
  ]],
  ["On an execution", [
    ["c", "cancel"],
    ["f", "mark as failed"],
    ["t", "retry as new"],
    ["u", "up to the list"],
    ["← →", "the tabs of its data"],
  ]],
];

/** @param {{ close: () => void }} props */
export function Help({ close }) {
  const { shortcuts } = useStore(settings);
  return html`
    <${Dialog} title="Keys" close=${close}>
      <div class="help">
        ${KEYS.map(([where, entries]) => html`
          <section>
            <h3>${where}</h3>
            <dl>${entries.map(([keys, what]) => html`<${Line} keys=${keys} what=${what} />`)}</dl>
          </section>`)}
        <label>
          <input type="checkbox" checked=${shortcuts} onChange=${() => prefer({ shortcuts: !shortcuts })} />
          ${" Single keys do this "}
          <span class="muted">(off for speech input, and for those who hit them by accident)</span>
        </label>
      </div>
    </${Dialog}>`;
}

/** @param {{ keys: string, what: string }} props */
function Line({ keys, what }) {
  return html`
    <div>
      <dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd>${" "}`)}</dt>
      <dd>${what}</dd>
    </div>`;
}
