// A status is shown by glyph, word and colour together: none of the three alone says it to everybody.

import { html } from "../html.js";
import { MEANING } from "../model.js";

/** The glyphs, as paths in a square of 16. @type {Record<string, string>} */
const GLYPHS = {
  pending: "M8 2.5a5.5 5.5 0 0 1 2.4.6M12.6 5A5.5 5.5 0 0 1 13.4 8.9M12 11.8a5.5 5.5 0 0 1-3.2 1.7M6 13.1a5.5 5.5 0 0 1-2.8-2.4M2.5 7.6A5.5 5.5 0 0 1 4.3 4",
  queued: "M3.5 4h9M3.5 8h9M3.5 12h5",
  running: "M5 3.2v9.6L12.6 8z",
  retrying: "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3.2H10",
  interrupted: "M8 2.3 14.2 13H1.8zM8 6.3v3.2M8 11.3v.2",
  completed: "m3 8.6 3.3 3.3L13 4.6",
  failed: "m4 4 8 8M12 4l-8 8",
  cancelled: "M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0zM4.2 11.8l7.6-7.6",
  timeout: "M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0zM8 4.8V8l2.2 1.6",
};

/** @param {{ status: string }} props */
export function Glyph({ status }) {
  return html`
    <svg class="glyph" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d=${GLYPHS[status] ?? GLYPHS.pending} />
    </svg>`;
}

/** @param {{ status: import("../model.js").Status, large?: boolean }} props */
export function StatusBadge({ status, large = false }) {
  return html`<span class=${`status is-${status}${large ? " large" : ""}`} title=${MEANING[status] ?? ""}>
    <${Glyph} status=${status} />${status}
  </span>`;
}
