// The list of executions.

import { useRef, useState } from "preact/hooks";
import { isFiltered, isOneFlow, NO_FILTERS, readFilters } from "../filters.js";
import { counted, integer } from "../format.js";
import { html } from "../html.js";
import { useKeys } from "../keyboard.js";
import { BulkCancel } from "../parts/bulk-cancel.js";
import { Heading, Loading, ProblemBox } from "../parts/basics.js";
import { ExecutionsTable } from "../parts/executions-table.js";
import { FilterBar } from "../parts/filter-bar.js";
import { FlowSummary } from "../parts/flow-summary.js";
import { FirstExecution } from "../parts/first-execution.js";
import { go, useParameters, withParameters } from "../router.js";
import { mayWrite } from "../session.js";
import { prefer, settings } from "../settings.js";
import { useStore } from "../store.js";
import { COUNT, useList } from "./list.js";
import { useSelection } from "./selection.js";

/** @typedef {import("../model.js").Execution} Execution */
/** @typedef {import("../filters.js").Filters} Filters */
/** @typedef {import("./list.js").Snapshot} Snapshot */

export function ExecutionsPage() {
  const parameters = useParameters();
  const filters = readFilters(parameters);
  const preferred = useStore(settings).rows;
  const oneFlow = isOneFlow(filters);
  // The summary of a flow is of its last 100 runs: with that many rows it needs no request of its own.
  const rows = oneFlow ? 100 : preferred;
  const { snapshot, apply, problem, refresh } = useList(filters, rows);
  const executions = snapshot?.page.executions ?? [];

  const writes = mayWrite();
  const selection = useSelection(executions, parameters.toString());
  const [cancelling, setCancelling] = useState(/** @type {Execution[] | null} */ (null));
  const cancelChosen = () => writes && selection.chosen.length > 0 && setCancelling(selection.chosen);

  const table = useRef(/** @type {HTMLTableElement | null} */ (null));
  const older = snapshot && olderThan(snapshot);
  useKeys({
    j: () => moveFocus(table.current, 1),
    k: () => moveFocus(table.current, -1),
    x: () => {
      const id = focusedRow()?.getAttribute("data-id");
      if (writes && selection.open.some((execution) => execution.id === id)) selection.select(id ?? "", false);
    },
    c: cancelChosen,
    r: apply,
    n: () => older && go(older),
    p: () => filters.cursor && history.back(),
  });

  return html`
    <${Heading} quiet>Executions</${Heading}>
    <${FilterBar} filters=${filters} />
    ${oneFlow && executions.length > 0 && html`<${FlowSummary} runs=${executions} />`}
    ${problem && html`<${Trouble} problem=${problem} filters=${filters} isStale=${snapshot !== null} retry=${refresh} />`}
    ${!snapshot && !problem && html`<${Loading}>Reading executions …</${Loading}>`}
    ${snapshot && executions.length === 0 && html`<${Nothing} filters=${filters} older=${older} />`}
    ${snapshot && executions.length > 0 && html`
      <div class="toolbar">
        <span class="muted">${filters.cursor ? "" : totalOf(snapshot.total)}</span>
        <${News} snapshot=${snapshot} rows=${rows} show=${apply} />
        ${selection.chosen.length > 0 && html`
          <span class="row picked">
            <strong>${selection.chosen.length} selected</strong>
            <button type="button" class="danger" onClick=${cancelChosen}>
              ${`Cancel ${counted(selection.chosen.length, "execution")} …`}
            </button>
            <button type="button" class="quiet" onClick=${() => selection.selectAll(false)}>Clear selection</button>
          </span>`}
      </div>
      <${ExecutionsTable} executions=${executions} gone=${snapshot.gone} selection=${writes ? selection : null} table=${table} />
      <nav class="pager" aria-label="Pages of the list">
        ${filters.cursor && html`<a class="button" href=${newest(filters)}>Newest</a>`}
        ${older && html`<a class="button" href=${older}>Older</a>`}
        ${!older && filters.cursor && html`<span class="muted">The end of the list</span>`}
        ${!oneFlow && html`<${Rows} preferred=${preferred} />`}
      </nav>`}
    ${cancelling && html`
      <${BulkCancel} executions=${cancelling} close=${() => {
        setCancelling(null);
        selection.selectAll(false);
        refresh();
      }} />`}`;
}

/** The row that has the focus, or in which it is. */
const focusedRow = () => document.activeElement?.closest("tr[data-id]") ?? null;

/** Moves the focus to the row before or behind the one that has it. @param {HTMLTableElement | null} table @param {1 | -1} by */
function moveFocus(table, by) {
  const all = [...(table?.querySelectorAll("tr[data-id]") ?? [])];
  const at = all.findIndex((row) => row === focusedRow());
  const first = by > 0 ? 0 : all.length - 1;
  const next = at < 0 ? first : Math.min(all.length - 1, Math.max(0, at + by));
  all[next]?.querySelector("a")?.focus();
}

/** The number of matching executions, as far as it is known. @param {number | null} total */
function totalOf(total) {
  if (total === null) return null;
  return total >= COUNT ? `${integer(COUNT)}+ executions` : counted(total, "execution");
}

/**
 * The address of the page behind this one; null where there is none. A walk keeps its filters: a window that ended when the page
 * was read keeps the begin that it had.
 * @param {Snapshot} snapshot
 */
function olderThan({ page: { next_cursor, after } }) {
  return next_cursor && withParameters({ cursor: next_cursor, created_after: after });
}

/** The address of the first page. @param {Filters} filters */
const newest = (filters) => withParameters({ cursor: null, ...(filters.within && { created_after: null }) });

/** How many rows a page has. @param {{ preferred: number }} props */
function Rows({ preferred }) {
  return html`
    <label class="muted">
      ${"Rows "}
      <select value=${String(preferred)} onChange=${(/** @type {any} */ event) => prefer({ rows: Number(event.target.value) })}>
        ${[25, 50, 100].map((count) => html`<option value=${String(count)}>${count}</option>`)}
      </select>
    </label>`;
}

/**
 * What is new, and what has left the list, since it was shown.
 * @param {{ snapshot: Snapshot, rows: number, show: () => void }} props `rows`: how many are read, and hence found to be new,
 *   at most
 */
function News({ snapshot: { added, gone }, rows, show }) {
  const words = [
    added.length > 0 && `${added.length}${added.length >= rows ? "+" : ""} new`,
    gone.size > 0 && `${gone.size} left`,
  ].filter(Boolean);
  return words.length > 0 && html`<button type="button" class="news" onClick=${show}>${words.join(", ")} – show</button>`;
}

/**
 * A look that failed.
 * @param {{ problem: import("../api.js").Problem, filters: Filters, isStale: boolean, retry: () => void }} props
 *   `isStale`: what an earlier look has found is shown
 */
function Trouble({ problem, filters, isStale, retry }) {
  const isInvalid = problem.kind === "invalid";
  return html`
    <${ProblemBox} problem=${problem} retry=${isInvalid ? undefined : retry}>
      ${problem.passes && html`
        <p class="muted">${isStale ? "What is shown is from before. " : ""}The console tries again by itself.</p>`}
      ${isInvalid && filters.cursor && html`
        <p>
          ${"The place in the list that this address names is not valid any more. "}
          <a href=${newest(filters)}>Show the newest</a>
        </p>`}
      ${isInvalid && !filters.cursor && html`<p><a href=${withParameters(NO_FILTERS)}>Clear the filters</a></p>`}
    </${ProblemBox}>`;
}

/**
 * Instead of rows: why there are none, and what to do.
 * @param {{ filters: Filters, older: string | null }} props
 */
function Nothing({ filters, older }) {
  if (older) {
    return html`
      <div class="empty">
        <h2>Nothing found yet</h2>
        <p>The service looked through a part of the executions, and none of them matches. There are older ones.</p>
        <p><a class="button" href=${older}>Search the older ones</a></p>
      </div>`;
  }
  if (filters.cursor) {
    return html`
      <div class="empty">
        <h2>The end of the list</h2>
        <p><a class="button" href=${withParameters({ cursor: null })}>Show the newest</a></p>
      </div>`;
  }
  if (!isFiltered(filters)) return html`<${FirstExecution} />`;
  return html`
    <div class="empty">
      <h2>No execution matches these filters</h2>
      <p>Flow and agent must be written exactly, capital letters included.</p>
      <p><a class="button" href=${withParameters(NO_FILTERS)}>Clear the filters</a></p>
    </div>`;
}
