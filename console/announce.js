// What screen readers are told without being asked: new rows, outcomes, lost connections.

import { html } from "./html.js";
import { Store, useStore } from "./store.js";

const message = new Store("");

/** @param {string} text */
export function announce(text) {
  // The same text again is news again: readers speak only of what changes.
  message.set(text === message.value ? `${text}\u00a0` : text);
}

export function LiveRegion() {
  return html`<p class="for-readers" role="status" aria-live="polite">${useStore(message)}</p>`;
}
