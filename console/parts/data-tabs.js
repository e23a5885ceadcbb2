// What went into an execution and came out of it, in tabs. The chosen one is in the address.

import { useRef } from "preact/hooks";
import { html } from "../html.js";
import { go, useParameters, withParameters } from "../router.js";
import { JsonView } from "./json-view.js";

/** @typedef {{ name: string, title: string, members: string[] }} Tab `members`: those of the record that it shows */

/** @type {Tab[]} */
const TABS = [
  { name: "output", title: "Output", members: ["final_output"] },
  { name: "error", title: "Error", members: ["error_details"] },
  { name: "inputs", title: "Inputs", members: ["variables", "trigger_data"] },
  { name: "metadata", title: "Metadata", members: ["metadata", "performance_metrics"] },
  { name: "json", title: "JSON", members: [] },
];

/** What a tab says of a member without a value. @type {Record<string, string>} */
const EMPTY = {
  final_output: "No output was reported.",
  error_details: "No details of an error were reported.",
  variables: "It was started without variables.",
  trigger_data: "Its trigger brought no data.",
  metadata: "It has no metadata.",
  performance_metrics: "No metrics were reported.",
};

/** @param {{ live: import("../pages/live.js").Live }} props */
export function DataTabs({ live }) {
  const chosen = useParameters().get("tab");
  const list = useRef(/** @type {HTMLElement | null} */ (null));

  const isEmpty = (/** @type {string} */ member) => ["null", "{}", undefined].includes(live.fields.get(member));
  const first = !isEmpty("final_output") ? "output" : !isEmpty("error_details") ? "error" : "inputs";
  const tab = TABS.find(({ name }) => name === chosen) ?? TABS.find(({ name }) => name === first);
  if (!tab) return null;

  const choose = (/** @type {string} */ name) => go(withParameters({ tab: name }), { replace: true });
  const arrow = (/** @type {KeyboardEvent} */ event) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length];
    if (by === 0 || !next) return;
    choose(next.name);
    list.current?.querySelector(/** @type {"button"} */ (`#tab-${next.name}`))?.focus();
  };

  return html`
    <section class="data-tabs" aria-label="Data">
      <div role="tablist" aria-label="Data" ref=${list} onKeyDown=${arrow}>
        ${TABS.map(({ name, title, members }) => html`
          <button
            key=${name}
            type="button"
            role="tab"
            id=${`tab-${name}`}
            aria-controls="tab-panel"
            aria-selected=${name === tab.name}
            tabindex=${name === tab.name ? 0 : -1}
            class=${members.length > 0 && members.every(isEmpty) ? "nothing" : ""}
            onClick=${() => choose(name)}>${title}</button>`)}
      </div>
      <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab.name}`}>
        ${tab.name === "json" && html`
          <${JsonView} text=${live.record} what="the whole record" file=${`${live.execution.id}.json`} />`}
        ${tab.members.map((member) => html`
          <div key=${member}>
            ${tab.members.length > 1 && html`<h3>${member}</h3>`}
            ${isEmpty(member) ? html`<p class="muted">${EMPTY[member]}</p>` : html`
              <${JsonView}
                text=${live.fields.get(member) ?? "null"}
                what=${member}
                file=${`${live.execution.id}.${member}.json`} />`}
          </div>`)}
      </div>
    </section>`;
}
