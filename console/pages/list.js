// The rows of the list as time goes on. What a person looks at stays where it is: known rows change in place, and new ones wait
// until they are asked for.

import { useEffect, useState } from "preact/hooks";
import { announce } from "../announce.js";
import { call } from "../api.js";
import { counted } from "../format.js";
import { beginOf, listPath } from "../filters.js";
import { usePolling } from "../polling.js";

/** Up to how many executions are counted, once for each list. A look that counts more would cost more than it shows. */
export const COUNT = 1000;

/** How many requests one look may take where the service searched its share and found nothing. */
const SEARCHES = 4;

/**
 * @typedef {import("../model.js").Execution} Execution
 * @typedef {import("../model.js").ExecutionPage & { after: string }} Page `after`: the created_after that it was asked for;
 *   its cursor is good for that one alone
 * @typedef {object} Snapshot what is shown
 * @property {Page} page
 * @property {number | null} total of the first look
 * @property {Page | null} newer what the last look saw; null if it is what is shown
 * @property {string[]} added ids that are new since
 * @property {Set<string>} gone ids that do not match the filters any more
 */

/** The lists of this tab, by their addresses, so that the back button shows what was there. @type {Map<string, Snapshot>} */
const cache = new Map();
const MOST_CACHED = 8;

/** @param {string} name @param {Snapshot} snapshot */
function keep(name, snapshot) {
  cache.delete(name);
  cache.set(name, snapshot);
  const [oldest] = cache.keys();
  if (cache.size > MOST_CACHED && oldest !== undefined) cache.delete(oldest);
}

/** Every flow that a list has shown, for suggestions. @type {Set<string>} */
export const seenFlows = new Set();

/** Forgets what was shown: it is another key's, and perhaps another organization's. */
export function forgetLists() {
  cache.clear();
  seenFlows.clear();
}

/**
 * @param {Snapshot} shown
 * @param {Page} page of the same filters, now
 * @returns {Snapshot}
 */
export function merge(shown, page) {
  const now = new Map(page.executions.map((execution) => [execution.id, execution]));
  const before = new Set(shown.page.executions.map((execution) => execution.id));
  const added = page.executions.filter((execution) => !before.has(execution.id)).map((execution) => execution.id);
  // Where there is nothing to push away, new rows are what everybody waits for.
  if (before.size === 0 && added.length > 0) return { ...shown, page, newer: null, added: [], gone: new Set() };
  // New rows push the oldest ones off the page that was looked at: only what is younger than its end is known to be gone.
  const end = page.has_more ? (page.executions.at(-1)?.created_at ?? "") : "";
  const gone = shown.page.executions.filter((execution) => !now.has(execution.id) && execution.created_at > end);
  const executions = shown.page.executions.map((execution) => now.get(execution.id) ?? execution);
  const changed = added.length > 0 || gone.length > 0;
  return {
    ...shown,
    page: { ...shown.page, executions },
    newer: changed ? page : null,
    added,
    gone: new Set(gone.map((execution) => execution.id)),
  };
}

/** Whether two looks show the same. @param {Snapshot} before @param {Snapshot} after */
function isSame(before, after) {
  const versions = (/** @type {Snapshot} */ { page }) =>
    page.executions.map(({ id, version, status }) => `${id} ${version} ${status}`).join();
  return (
    versions(before) === versions(after) &&
    before.added.join() === after.added.join() &&
    before.gone.size === after.gone.size
  );
}

/**
 * The list of these filters, as it changes.
 * @param {import("../filters.js").Filters} filters
 * @param {number} rows
 */
export function useList(filters, rows) {
  // A window that ends now is the same list as time goes on.
  const name = listPath({ ...filters, after: filters.after || filters.within }, { rows, count: 0 });
  const [kept, setKept] = useState(
    /** @type {{ name: string, snapshot: Snapshot | null }} */ ({ name: "", snapshot: null }),
  );
  const snapshot = kept.name === name ? kept.snapshot : (cache.get(name) ?? null);

  /** @param {Snapshot} next */
  const show = (next) => {
    for (const { flow_id } of next.page.executions) seenFlows.add(flow_id);
    keep(name, next);
    setKept({ name, snapshot: next });
  };

  /** @param {string} cursor @param {string} after @param {number} count @param {AbortSignal} signal @returns {Promise<Page>} */
  const look = async (cursor, after, count, signal) => ({
    ...(await call("GET", listPath({ ...filters, cursor, after }, { rows, count }), { signal })).json,
    after,
  });

  const polling = usePolling(
    async (signal) => {
      const shown = cache.get(name) ?? null;
      // Counted once: the count costs as much as the page, and hardly anybody looks at it twice.
      const after = filters.after || (filters.within && beginOf(filters.within));
      let page = await look(filters.cursor, after, shown || filters.cursor ? 0 : COUNT, signal);
      for (let tries = 1; page.executions.length === 0 && page.next_cursor && tries < SEARCHES; tries += 1) {
        page = { ...(await look(page.next_cursor, after, 0, signal)), total_count: page.total_count };
      }
      if (signal.aborted) return false;
      const current = cache.get(name);
      if (!current) {
        show({ page, total: page.total_count, newer: null, added: [], gone: new Set() });
        return true;
      }
      const next = merge(current, page);
      // Where there is nothing yet, somebody waits for the first one.
      if (isSame(current, next)) return next.page.executions.length === 0 ? 5000 : false;
      if (next.added.length > current.added.length) announce(`${counted(next.added.length, "new execution")}`);
      show(next);
      return true;
    },
    [name],
  );

  useEffect(() => {
    if (kept.name !== name) setKept({ name, snapshot: cache.get(name) ?? null });
  }, [name]);

  const apply = () => {
    if (!snapshot?.newer) {
      polling.refresh();
      return;
    }
    const total = snapshot.total === null ? null : snapshot.total + snapshot.added.length - snapshot.gone.size;
    show({ page: snapshot.newer, total, newer: null, added: [], gone: new Set() });
  };
  return { snapshot, apply, ...polling };
}
