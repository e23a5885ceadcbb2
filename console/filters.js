// The filters of the list: from the address, and to the API.

import { query } from "./api.js";
import { now } from "./clock.js";

/** Windows of time that end now, in milliseconds. @type {Record<string, number>} */
export const WINDOWS = { "15m": 9e5, "1h": 36e5, "24h": 864e5, "7d": 6048e5, "30d": 2592e6 };

/** @type {Record<string, string>} */
export const WINDOW_NAMES = {
  "15m": "last 15 minutes",
  "1h": "last hour",
  "24h": "last 24 hours",
  "7d": "last 7 days",
  "30d": "last 30 days",
};

/**
 * @typedef {object} Filters
 * @property {string[]} statuses
 * @property {string} flow
 * @property {string} agent
 * @property {string} trigger
 * @property {string} within a name of WINDOWS
 * @property {string} after created_after, a time
 * @property {string} before created_before, a time
 * @property {string} cursor where the page begins; empty for the newest
 */

/** @param {URLSearchParams} parameters @returns {Filters} */
export function readFilters(parameters) {
  const text = (/** @type {string} */ name) => parameters.get(name) ?? "";
  const within = text("within");
  return {
    statuses: parameters
      .getAll("status")
      .flatMap((statuses) => statuses.split(","))
      .filter(Boolean),
    flow: text("flow_id"),
    agent: text("agent_id"),
    trigger: text("trigger_type"),
    within: Object.hasOwn(WINDOWS, within) ? within : "",
    after: text("created_after"),
    before: text("created_before"),
    cursor: text("cursor"),
  };
}

/** What the address has for filters, all of them, to take them out. */
export const NO_FILTERS = {
  status: null,
  flow_id: null,
  agent_id: null,
  trigger_type: null,
  within: null,
  created_after: null,
  created_before: null,
  cursor: null,
};

/** Whether anything is filtered. @param {Filters} filters */
export const isFiltered = ({ statuses, flow, agent, trigger, within, after, before }) =>
  statuses.length > 0 || [flow, agent, trigger, within, after, before].some(Boolean);

/** Whether the list is all there is of one flow. @param {Filters} filters */
export const isOneFlow = ({ statuses, flow, agent, trigger, within, after, before, cursor }) =>
  flow !== "" && statuses.length === 0 && ![agent, trigger, within, after, before, cursor].some(Boolean);

/** When a window that ends now begins. @param {string} within */
export const beginOf = (within) => new Date(now() - (WINDOWS[within] ?? 0)).toISOString();

/**
 * The path of a list, without the objects of the executions, which a list does not show. A window must have its begin in
 * `after`: `within` alone says nothing.
 * @param {Filters} filters
 * @param {{ rows: number, count: number }} options `count`: up to how many are counted
 */
export function listPath(filters, { rows, count }) {
  return `/flows/executions${query({
    status: filters.statuses.join(","),
    flow_id: filters.flow,
    agent_id: filters.agent,
    trigger_type: filters.trigger,
    created_after: filters.after,
    created_before: filters.before,
    cursor: filters.cursor,
    page_size: rows,
    view: "summary",
    count_limit: count,
  })}`;
}
