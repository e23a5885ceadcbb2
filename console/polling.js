// Looking again: often while something changes, seldom while nothing does, never while nobody looks.

import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./api.js";
import { now } from "./clock.js";

/** Times between two looks, in milliseconds. */
const SOONEST = 5000;
const LATEST = 30_000;

/** How much longer each time is than the one before, while nothing changes. */
const GROWTH = 1.25;

/**
 * @typedef {object} Polling
 * @property {Problem | null} problem of the last look; null if it succeeded
 * @property {number | null} at when the last look succeeded
 * @property {boolean} loading whether a look is under way
 * @property {() => void} refresh looks at once
 */

/**
 * Looks at once, then again and again while the page is visible.
 *
 * @param {(signal: AbortSignal) => Promise<boolean | number | null>} look Whether something has changed; or in how many
 *   milliseconds to look again; or null where there is nothing more to see.
 * @param {unknown[]} inputs With other inputs it begins anew.
 * @returns {Polling}
 */
export function usePolling(look, inputs) {
  const [state, setState] = useState(
    /** @type {{ problem: Problem | null, at: number | null, loading: boolean }} */ ({
      problem: null,
      at: null,
      loading: true,
    }),
  );
  const refresh = useRef(() => {});
  const latest = useRef(look);
  latest.current = look;

  useEffect(() => {
    const ended = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let wait = SOONEST;
    let failures = 0;
    let busy = false;
    let over = false;
    let again = false;

    const run = async () => {
      clearTimeout(timer);
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      setState((before) => ({ ...before, loading: true }));
      try {
        const found = await latest.current(ended.signal);
        if (ended.signal.aborted) return;
        failures = 0;
        over = found === null;
        if (typeof found === "number") wait = found;
        else wait = found ? SOONEST : Math.min(wait * GROWTH, LATEST);
        setState({ problem: null, at: now(), loading: false });
      } catch (error) {
        if (ended.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem("broken", `The console failed: ${error}`);
        if (!(error instanceof Problem)) console.error(error);
        failures += 1;
        wait = problem.retryAfter ?? Math.min(1000 * 2 ** failures, LATEST);
        over = !problem.passes;
        setState((before) => ({ ...before, problem, loading: false }));
      } finally {
        busy = false;
      }
      if (again) {
        again = false;
        run();
      } else if (!over && !document.hidden) {
        timer = setTimeout(run, wait);
      }
    };

    const wake = () => {
      if (document.hidden) clearTimeout(timer);
      else if (!over) run();
    };
    refresh.current = run;
    document.addEventListener("visibilitychange", wake);
    addEventListener("online", wake);
    setState({ problem: null, at: null, loading: true });
    run();
    return () => {
      ended.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      removeEventListener("online", wake);
    };
  }, inputs);

  return { ...state, refresh: () => refresh.current() };
}
