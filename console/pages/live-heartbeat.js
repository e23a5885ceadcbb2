// When the worker of an execution was last heard, and when a cancel is forced. Neither is in the record: a heartbeat changes no
// version of it, so that the service is asked for them, and only where there is something to show.

import { useState } from "preact/hooks";
import { call, executionPath } from "../api.js";
import { isTerminal } from "../model.js";
import { usePolling } from "../polling.js";

/** Times between two looks, in milliseconds: a part of the time for which a worker may be silent. */
const SOONEST = 5000;
const LATEST = 30_000;

/**
 * @typedef {object} Heartbeat
 * @property {number | null} last when the worker was last heard, in milliseconds since 1970
 * @property {number | null} force from when on the service writes `cancelled` itself; null where no cancel is requested
 */

/**
 * @param {import("../model.js").Execution} execution
 * @returns {Heartbeat | null} null where nothing is known, or nothing is to be known
 */
export function useHeartbeat({ id, status, attempt, heartbeat_timeout_seconds, cancel_requested_at }) {
  const [seen, setSeen] = useState(/** @type {Heartbeat | null} */ (null));
  const silence = heartbeat_timeout_seconds ?? null;
  const requested = cancel_requested_at ?? null;
  const isAsked = !isTerminal(status) && (silence !== null || requested !== null);
  usePolling(
    async (signal) => {
      if (!isAsked) return null;
      const { last_heartbeat_at, force_at } = (await call("GET", `${executionPath(id)}/heartbeat`, { signal })).json;
      const at = (/** @type {string | null} */ time) => (time === null ? null : Date.parse(time));
      setSeen({ last: at(last_heartbeat_at), force: at(force_at) });
      // A worker that is not running sends none; when it does again, the execution changes, and this begins anew.
      if (status !== "running" || silence === null) return null;
      return Math.min(LATEST, Math.max(SOONEST, (silence * 1000) / 6));
    },
    [id, status, attempt, requested, isAsked],
  );
  return isAsked ? seen : null;
}
