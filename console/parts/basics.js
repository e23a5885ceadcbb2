// Small things that every page uses: times, buttons that copy, errors, figures.

import { useEffect, useRef, useState } from "preact/hooks";
import { announce } from "../announce.js";
import { Ticking } from "../clock.js";
import { duration, exact, integer, relative } from "../format.js";
import { html } from "../html.js";
import { elapsed, isTerminal } from "../model.js";
import { arrive, hasMoved } from "../router.js";
import { settings } from "../settings.js";
import { useStore } from "../store.js";

/**
 * A moment: how long ago, or exactly, as people prefer; the other is in the title.
 * @param {{ at: string | number | null | undefined, always?: "exact" }} props `always`: not as people prefer
 */
export function Time({ at, always }) {
  const { times } = useStore(settings);
  const ms = typeof at === "string" ? Date.parse(at) : at;
  if (ms === null || ms === undefined || Number.isNaN(ms)) return html`<span class="none">–</span>`;
  const precise = exact(ms, times === "utc");
  const iso = new Date(ms).toISOString();
  if (times === "relative" && !always) {
    return html`
      <time datetime=${iso} title=${precise}><${Ticking} text=${(/** @type {number} */ now) => relative(ms, now)} /></time>`;
  }
  return html`<time datetime=${iso} title=${exact(ms, times !== "utc")}>${precise}</time>`;
}

/** How long an execution has taken, or takes so far. @param {{ execution: import("../model.js").Execution }} props */
export function Elapsed({ execution }) {
  const ms = execution.duration_ms;
  if (ms !== null) return html`<span title=${`${integer(ms)} ms`}>${duration(ms)}</span>`;
  if (isTerminal(execution.status)) return html`<span class="none" title="Nobody reported when it began">–</span>`;
  return html`<${Ticking} text=${(/** @type {number} */ now) => {
    const soFar = elapsed(execution, now);
    return soFar === null ? "–" : duration(soFar);
  }} />`;
}

/**
 * A button that copies a text.
 * @param {{ text: string, what: string, children?: any }} props `what` is copied, for those who do not see where it stands
 */
export function Copy({ text, what, children }) {
  const [state, setState] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState("Copied");
      announce(`Copied ${what}`);
    } catch {
      // Not over plain HTTP from another machine, and not where the browser asks and the answer is no.
      setState("The browser does not allow copying");
    }
    setTimeout(() => setState(""), 2000);
  };
  // A name of its own only where the words in the button say too little.
  const label = state || children ? undefined : `Copy ${what}`;
  return html`
    <button type="button" class="quiet copy" onClick=${copy} aria-label=${label} title=${`Copy ${what}`}>
      ${state || (children ?? "Copy")}
    </button>`;
}

/**
 * Lines for a shell, which can be copied.
 * @param {{ command: string, what: string }} props
 */
export function Command({ command, what }) {
  // A scrolling part that has no link in it can be reached by keyboard only with a tabindex.
  return html`
    <div class="command">
      <pre tabindex="0" role="region" aria-label=${what}><code>${command}</code></pre>
      <${Copy} text=${command} what=${what} />
    </div>`;
}

/**
 * What went wrong, with its correlation id, and a way on.
 * @param {{ problem: import("../api.js").Problem, retry?: () => void, children?: any }} props
 */
export function ProblemBox({ problem, retry, children }) {
  const { id, message, details } = problem;
  return html`
    <div class="notice bad" role="alert">
      <p><strong>${message}</strong></p>
      ${details.length > 0 && html`<ul>${details.map((line) => html`<li>${line}</li>`)}</ul>`}
      ${children}
      <p class="row">
        ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
        ${id && html`
          <span class="muted">
            ${"Correlation id "}<code>${id}</code>${" "}
            <${Copy} text=${id} what="the correlation id" />
          </span>`}
      </p>
    </div>`;
}

/**
 * The heading of a page. A page that comes in place of another is read from its heading on; the first one from its beginning, as
 * any page. While a page is loading it may have another heading: what has loaded takes over the focus from that one, and from
 * nothing that a person has chosen meanwhile.
 * @param {{ quiet?: boolean, children?: any }} props `quiet`: for readers alone
 */
export function Heading({ quiet = false, children }) {
  const node = useRef(/** @type {HTMLHeadingElement | null} */ (null));
  useEffect(() => {
    const isNew = arrive();
    const isFree = document.activeElement === document.body;
    if (hasMoved() && (isNew || isFree)) node.current?.focus({ preventScroll: true });
  }, []);
  return html`<h1 ref=${node} tabindex="-1" class=${quiet ? "for-readers" : ""}>${children}</h1>`;
}

/**
 * What stands where something is on its way. It stands below a heading, as what it is waiting for will; and whoever waits for the
 * page, a reader of screens or a test, is told by `aria-busy` that it is not there yet.
 * @param {{ children?: any }} props
 */
export function Loading({ children }) {
  return html`<p class="muted loading" aria-busy="true">${children}</p>`;
}
