// Single keys that do something, on each page its own.

import { useEffect, useRef } from "preact/hooks";
import { settings } from "./settings.js";

/** @typedef {Record<string, () => void>} Keys what each key does, by KeyboardEvent.key */

/** Whether a key is for what has the focus: a field, or a dialog. @param {EventTarget | null} target */
const isTaken = (target) =>
  target instanceof Element &&
  (target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null ||
    document.querySelector("dialog[open]") !== null);

/**
 * Makes keys do something while the component is there.
 * @param {Keys} keys
 */
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const press = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTaken(event.target)) return;
      // `?` stays, for it leads to the switch of the others.
      if (!settings.value.shortcuts && event.key !== "?") return;
      const act = Object.hasOwn(latest.current, event.key) ? latest.current[event.key] : undefined;
      if (!act) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}
