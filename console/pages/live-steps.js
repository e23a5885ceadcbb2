// The steps of an execution as they change, without their data: an execution may have thousands, of 350 KB each. What went into one
// step and came out of it is read when somebody asks for it.

import { useRef, useState } from "preact/hooks";
import { call, executionPath, query } from "../api.js";
import { items, members } from "../json.js";
import { isTerminal } from "../model.js";
import { usePolling } from "../polling.js";

/** How many steps are read at once: the most that the service returns. */
const PAGE = 100;

/** How many requests a look may take for that many: where steps are large, a page of the service has fewer. */
const REQUESTS = 5;

/**
 * @typedef {import("../model.js").Step} Step
 * @typedef {{ cursor: string | null, steps: Step[] }} Page a part of the list of steps; `cursor` is where it begins
 * @typedef {object} Steps
 * @property {Step[] | null} steps the first ones; null while nothing is known
 * @property {boolean} hasMore whether there are others
 * @property {() => void} more reads the next ones, too
 * @property {(step: Step, signal: AbortSignal) => Promise<string>} read the whole of one of them, as JSON text
 * @property {import("../api.js").Problem | null} problem of the last look
 * @property {() => void} refresh looks at once
 */

/**
 * @param {string} id of the execution
 * @param {Record<string, string | number | null>} parameters
 * @param {AbortSignal} signal
 */
async function list(id, parameters, signal) {
  const answer = await call("GET", `${executionPath(id)}/steps${query(parameters)}`, { signal });
  return {
    steps: /** @type {Step[]} */ (answer.json.steps),
    /** The same as JSON texts, to the last digit. */
    texts: items(members(answer.text).get("steps") ?? "[]"),
    next: /** @type {string | null} */ (answer.json.next_cursor),
  };
}

/**
 * @param {import("./live.js").Live} live
 * @returns {Steps}
 */
export function useSteps({ execution, fields }) {
  const { id } = execution;
  const isOver = isTerminal(execution.status);
  // The record has the first steps. They are what tells that something has changed, and that there are steps at all.
  const inRecord = fields.get("steps") ?? "[]";
  const hasSteps = inRecord !== "[]";

  const [seen, setSeen] = useState(/** @type {{ pages: Page[], next: string | null } | null} */ (null));
  const wanted = useRef(PAGE);

  const { problem, refresh } = usePolling(
    async (signal) => {
      if (!hasSteps) return null;
      /** @type {Page[]} */
      const pages = [];
      /** @type {string | null} */
      let next = null;
      let count = 0;
      do {
        const page = await list(id, { view: "summary", page_size: PAGE, cursor: next }, signal);
        pages.push({ cursor: next, steps: page.steps });
        next = page.next;
        count += page.steps.length;
      } while (next !== null && count < wanted.current && pages.length < (wanted.current / PAGE) * REQUESTS);
      setSeen({ pages, next });
      // Steps that the record does not show change without a change of the record.
      const isAllInRecord = next === null && count <= (execution.steps?.length ?? 0);
      return isOver || isAllInRecord ? null : false;
    },
    [id, inRecord, isOver],
  );

  const more = () => {
    wanted.current += PAGE;
    refresh();
  };

  /** @param {Step} step @param {AbortSignal} signal */
  const read = async (step, signal) => {
    const page = seen?.pages.find(({ steps }) => steps.includes(step));
    return readStep(id, page?.cursor ?? null, page?.steps.indexOf(step) ?? 0, step.step_id, signal);
  };

  return {
    steps: hasSteps ? (seen?.pages.flatMap((page) => page.steps) ?? null) : [],
    hasMore: hasSteps && seen !== null && seen.next !== null,
    more,
    read,
    problem,
    refresh,
  };
}

/**
 * One step with all that it has, as JSON text. A step has no address of its own: the list is walked, without data, to the place
 * before it, and then asked for one.
 *
 * @param {string} id of the execution
 * @param {string | null} from the cursor of its page
 * @param {number} index its place in that page
 * @param {string} stepId
 * @param {AbortSignal} signal
 */
async function readStep(id, from, index, stepId, signal) {
  let cursor = from;
  let before = index;
  while (before > 0) {
    const passed = await list(id, { view: "summary", page_size: before, cursor }, signal);
    if (passed.next === null) break;
    before -= passed.steps.length;
    cursor = passed.next;
  }
  // Steps are never taken away, but others may have come before it since.
  for (;;) {
    const found = await list(id, { view: "full", page_size: 1, cursor }, signal);
    const [text] = found.texts;
    if (text !== undefined && found.steps[0]?.step_id === stepId) return text;
    if (found.next === null) throw new Error(`step ${stepId} is not in the list of steps any more`);
    cursor = found.next;
  }
}
