// What the last runs of a flow say: drawn small, and in exact figures beside it.

import { compact, counted, dollars, duration, exactSum, integer } from "../format.js";
import { html } from "../html.js";
import { isTerminal, nameOf } from "../model.js";
import { executionHref } from "../router.js";
import { summarize } from "../statistics.js";
import { plainly } from "../text.js";

/** The picture's height, the least of a bar, and that of a run without a duration, in pixels. */
const HEIGHT = 44;
const LEAST = 4;
const UNKNOWN = 6;

/** For how many runs there is always room: a few do not become wide columns. */
const ROOM = 30;

/** @typedef {import("../model.js").Execution} Execution */

/** @param {{ runs: Execution[] }} props newest first */
export function FlowSummary({ runs }) {
  const { count, ended, completed, durations, median, percentile95, tokens, costs } = summarize(runs);
  const rate = ended === 0 ? null : (completed / ended) * 100;
  const sum = tokens.reduce((total, each) => total + each, 0);
  const cost = exactSum(costs);
  const open = count - ended;
  const noDuration = "No run has a duration yet";
  return html`
    <section class="summary" aria-label="Summary of the flow's last runs">
      <${Bars} runs=${runs} />
      <dl>
        <${Figure}
          label="completed"
          title=${`${completed} of ${ended} ended runs completed; ${open} of these ${count} have not ended`}>
          ${rate === null ? "–" : `${rate.toFixed(rate === 100 ? 0 : 1)} %`}${" "}
          <small>${completed} of ${ended}</small>
        </${Figure}>
        <${Figure}
          label="median"
          title=${median === null ? noDuration : `${integer(median)} ms, of ${counted(durations.length, "duration")}`}>
          ${median === null ? "–" : duration(median)}
        </${Figure}>
        <${Figure}
          label="95th percentile"
          title=${percentile95 === null ? noDuration : `${integer(percentile95)} ms: 95 % took no longer (nearest rank)`}>
          ${percentile95 === null ? "–" : duration(percentile95)}
        </${Figure}>
        <${Figure} label="tokens" title=${`${integer(sum)} in all, reported by ${counted(tokens.length, "run")}`}>
          ${tokens.length === 0 ? "–" : compact(sum)}
        </${Figure}>
        <${Figure} label="cost" title=${`$${cost} in all, reported by ${counted(costs.length, "run")}`}>
          ${costs.length === 0 ? "–" : dollars(Number(cost))}
        </${Figure}>
      </dl>
      <p class="muted">
        ${`Of ${count === 1 ? "the only run" : `the last ${count} runs`}${open > 0 ? `, ${open} not ended` : ""}.`}
      </p>
    </section>`;
}

/** @param {{ label: string, title: string, children?: any }} props */
function Figure({ label, title, children }) {
  return html`
    <div class="figure" title=${title}>
      <dt>${label}</dt>
      <dd>${children}</dd>
    </div>`;
}

/**
 * One bar for each run, the newest on the right: its colour is the status, its height the duration.
 * @param {{ runs: Execution[] }} props newest first
 */
function Bars({ runs }) {
  const longest = Math.max(1, ...runs.map((run) => run.duration_ms ?? 0));
  const width = 100 / Math.max(runs.length, ROOM);
  const label = `${counted(runs.length, "run")}, the newest on the right`;
  return html`
    <svg class="bars" width="100%" height=${HEIGHT} aria-label=${label} role="group">
      ${runs.toReversed().map((run, index) => html`
        <${Bar} key=${run.id} run=${run} longest=${longest} x=${index * width} width=${width} />`)}
    </svg>`;
}

/** @param {{ run: Execution, longest: number, x: number, width: number }} props `x`, `width`: in percent of the picture */
function Bar({ run, longest, x, width }) {
  const { duration_ms, status } = run;
  // Square roots: one very long run must not press all others into a line.
  const height = duration_ms === null ? UNKNOWN : LEAST + Math.sqrt(duration_ms / longest) * (HEIGHT - LEAST);
  const words = plainly(`${nameOf(run)}: ${status}${duration_ms === null ? "" : `, ${duration(duration_ms)}`}`);
  return html`
    <a href=${executionHref(run.id)} tabindex="-1" aria-label=${words}>
      <rect class="hit" x=${`${x}%`} y="0" width=${`${width}%`} height=${HEIGHT} />
      <rect
        class=${`bar is-${status}${isTerminal(status) ? "" : " open"}`}
        x=${`${x + width * 0.12}%`}
        width=${`${width * 0.76}%`}
        y=${HEIGHT - height}
        height=${height}
        rx="1">
        <title>${words}</title>
      </rect>
    </a>`;
}
