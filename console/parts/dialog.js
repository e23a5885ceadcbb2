// A dialog over the page: the browser keeps the focus in it, and closes it by Escape.

import { useEffect, useId, useRef } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {{ title: string, close: () => void, busy?: boolean, wide?: boolean, children?: any }} props
 *   `busy`: it cannot be closed now
 */
export function Dialog({ title, close, busy = false, wide = false, children }) {
  const node = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const label = useId();
  useEffect(() => {
    const before = document.activeElement;
    node.current?.showModal();
    // A browser gives the focus back to what had it when a dialog is closed, but not when it is taken out of the page.
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const cancel = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!busy) close();
  };
  return html`
    <dialog ref=${node} class=${wide ? "wide" : ""} aria-labelledby=${label} onCancel=${cancel}>
      <header>
        <h2 id=${label}>${title}</h2>
        <button type="button" class="quiet" onClick=${close} disabled=${busy} aria-label="Close">✕</button>
      </header>
      ${children}
    </dialog>`;
}
