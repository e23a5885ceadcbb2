// What a person prefers, kept by the browser for this service's pages.

import { Store } from "./store.js";

const NAME = "ratchet.settings";

/**
 * @typedef {{ times: "relative" | "local" | "utc", shortcuts: boolean, rows: number }} Settings
 * `times`: how times stand in tables. `shortcuts`: whether single keys do something. `rows`: of a page of the list.
 */

/** @type {Settings} */
const DEFAULTS = { times: "relative", shortcuts: true, rows: 50 };

/** @returns {Settings} */
function read() {
  try {
    // What is there may be of another version: only known values are taken.
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return {
      times: ["relative", "local", "utc"].includes(kept.times) ? kept.times : DEFAULTS.times,
      shortcuts: kept.shortcuts !== false,
      rows: [25, 50, 100].includes(kept.rows) ? kept.rows : DEFAULTS.rows,
    };
  } catch {
    return DEFAULTS;
  }
}

/** @type {Store<Settings>} */
export const settings = new Store(read());

/** @param {Partial<Settings>} change */
export function prefer(change) {
  settings.set({ ...settings.value, ...change });
  try {
    localStorage.setItem(NAME, JSON.stringify(settings.value));
  } catch {
    // A browser that keeps nothing still obeys until the page is closed.
  }
}
