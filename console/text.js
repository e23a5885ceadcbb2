// Text of others, as it is: characters that nobody sees, and those that turn the direction of what follows, are shown by
// their codes. A name must not look like another one.

import { html } from "./html.js";

// Controls, zero-width characters but for the two joiners that scripts and emoji need, marks of direction, and separators.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;
const EACH = new RegExp(`(${HIDDEN.source})`);

/** @param {string} character */
const code = (character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/**
 * The same text for places that hold no elements, such as titles.
 * @param {string} text
 */
export const plainly = (text) =>
  HIDDEN.test(text) ? text.split(EACH).map((part, index) => (index % 2 ? `[${code(part)}]` : part)).join("") : text;

/**
 * Text of others, in an element of its own, so that its direction ends with it.
 * @param {{ text: string, limit?: number }} props `limit`: how many characters are shown
 */
export function Foreign({ text, limit = 2000 }) {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  if (!HIDDEN.test(cut)) return html`<bdi>${cut}</bdi>`;
  const parts = cut.split(EACH);
  // Every second part is what the others were split by.
  const shown = parts.map((part, index) => (index % 2 ? html`<span class="hidden-character">${code(part)}</span>` : part));
  return html`<bdi>${shown}</bdi>`;
}
