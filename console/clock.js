// The time, as the service has it, and what ticks with it. A laptop whose clock is wrong must not show runs that begin in
// the future: each answer says the service's time in its Date header.

import { useEffect, useState } from "preact/hooks";

/** How much the service's clock is ahead of this machine's, in milliseconds. */
let ahead = 0;

/** Below this, what differs is the way of the answer and the seconds of the header. */
const TOLERANCE = 2500;

/**
 * Takes note of an answer's Date header.
 * @param {string | null} date
 */
export function hear(date) {
  const at = Date.parse(date ?? "");
  // The header has no milliseconds: on average half a second is cut off.
  const difference = at + 500 - Date.now();
  if (!Number.isNaN(at)) ahead = Math.abs(difference) < TOLERANCE ? 0 : difference;
}

/** The service's time, in milliseconds since 1970. */
export const now = () => Date.now() + ahead;

/** @type {Set<() => void>} */
const ticking = new Set();

setInterval(() => {
  if (!document.hidden) for (const tick of [...ticking]) tick();
}, 1000);

/**
 * The time, anew each second while `on`.
 * @param {boolean} [on]
 */
export function useNow(on = true) {
  const [at, setAt] = useState(now);
  useEffect(() => {
    if (!on) return undefined;
    const tick = () => setAt(now());
    ticking.add(tick);
    return () => {
      ticking.delete(tick);
    };
  }, [on]);
  return on ? at : now();
}

/**
 * Text that depends on the time. It renders again only when the text changes, which for most rows of a list is seldom.
 * @param {{ text: (now: number) => string }} props
 */
export function Ticking({ text }) {
  const [, setShown] = useState("");
  useEffect(() => {
    const tick = () => setShown(text(now()));
    ticking.add(tick);
    return () => {
      ticking.delete(tick);
    };
  }, [text]);
  return text(now());
}
