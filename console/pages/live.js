// One execution, as it changes: by the wait operation where the service has it, which answers the moment that something happens;
// else by asking again, with the version that is known.

import { useRef, useState } from "preact/hooks";
import { Problem, call, executionPath, recordPath } from "../api.js";
import { members } from "../json.js";
import { isTerminal } from "../model.js";
import { usePolling } from "../polling.js";

/** How long the service may hold a request, in seconds. */
const HOLD = 20;

/** Times between two looks without the wait operation, in milliseconds. */
const SOONEST = 2000;
const LATEST = 10_000;

/** How long to do without the wait operation after it was refused for its rate, in milliseconds. */
const REST = 60_000;

/** Whether the service has the wait operation, as far as is known. */
let hasWait = true;

/**
 * @typedef {object} Live
 * @property {import("../model.js").Execution} execution
 * @property {string} record the same as JSON text
 * @property {Map<string, string>} fields the JSON texts of its members
 * @property {string | null} etag
 * @property {import("../model.js").Transition[]} transitions
 */

/** @param {string} id */
export function useExecution(id) {
  const [live, setLive] = useState(/** @type {Live | null} */ (null));
  const known = useRef(/** @type {Live | null} */ (null));
  const pace = useRef({ wait: SOONEST, restUntil: 0 });
  if (known.current && known.current.execution.id !== id) known.current = null;

  const polling = usePolling(
    async (signal) => {
      const before = known.current;
      const answer = before
        ? await next(before, id, pace.current, signal)
        : await call("GET", recordPath(id), { signal });
      if (answer.status !== 304) {
        /** @type {import("../model.js").Execution} */
        const execution = answer.json;
        // An update of fields alone changes the version, too: the history is short, and asked for only then.
        const transitions =
          before?.execution.version === execution.version
            ? before.transitions
            : (await call("GET", `${executionPath(id)}/transitions`, { signal })).json.transitions;
        if (signal.aborted) return null;
        known.current = {
          execution,
          record: answer.text,
          fields: members(answer.text),
          etag: answer.etag,
          transitions,
        };
        setLive(known.current);
      }
      if (known.current && isTerminal(known.current.execution.status)) return null;
      if (hasWait && Date.now() > pace.current.restUntil) return 250;
      pace.current.wait = answer.status === 304 ? Math.min(pace.current.wait * 1.25, LATEST) : SOONEST;
      return pace.current.wait;
    },
    [id],
  );

  return { live: live?.execution.id === id ? live : null, ...polling };
}

/**
 * The next answer that says something: 304 where nothing has changed.
 * @param {Live} before
 * @param {string} id
 * @param {{ restUntil: number }} pace
 * @param {AbortSignal} signal
 */
async function next(before, id, pace, signal) {
  const options = {
    signal,
    headers: /** @type {Record<string, string>} */ (before.etag ? { "if-none-match": before.etag } : {}),
  };
  const isOpen = !isTerminal(before.execution.status);
  if (hasWait && isOpen && Date.now() > pace.restUntil) {
    try {
      return await call("GET", `${recordPath(id)}/wait?timeout=${HOLD}`, options);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.kind === "not-deployed") hasWait = false;
      else if (error.kind === "busy") pace.restUntil = Date.now() + REST;
      else throw error;
    }
  }
  return call("GET", recordPath(id), options);
}
