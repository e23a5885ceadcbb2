// What happened when, in one picture: a band of statuses, and a bar for each step below it. Everything in it is in the tables
// of the page as well. Places are percentages in SVG attributes, so that it fits any width without being measured, and needs no
// style attribute, which the page's security policy does not allow.

import { duration, exact } from "../format.js";
import { html } from "../html.js";
import { plainly } from "../text.js";

const BAND = 26;
const ROW = 22;
const AXIS = 18;

/** How many steps have a bar. The table has all. */
const MOST_STEPS = 40;

/** Distances between two marks of the axis, in milliseconds: round numbers of milliseconds, seconds, minutes, hours. */
const UNITS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  1e3, 2e3, 5e3, 1e4, 15e3, 3e4,
  6e4, 12e4, 3e5, 6e5, 9e5, 18e5,
  36e5, 72e5, 108e5, 216e5, 432e5, 864e5,
];

/** The distance between two marks of the axis: three to six fit. @param {number} span in milliseconds */
function step(span) {
  return UNITS.find((unit) => span / unit <= 6) ?? Math.ceil(span / 6 / 864e5) * 864e5;
}

/** "250 ms", "5 s", "2 min": a mark of the axis. @param {number} ms */
function mark(ms) {
  if (ms === 0) return "0";
  if (ms % 864e5 === 0) return `${ms / 864e5} d`;
  if (ms % 36e5 === 0) return `${ms / 36e5} h`;
  if (ms % 6e4 === 0) return `${ms / 6e4} min`;
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}

/**
 * @typedef {import("../model.js").Execution} Execution
 * @typedef {import("../model.js").Transition} Transition
 * @typedef {import("../model.js").Step} Step
 * @typedef {import("../model.js").Status} Status
 * @typedef {{ status: Status, from: number, to: number }} Band in which status it was, in milliseconds since 1970
 * @typedef {object} Frame what is drawn, and where
 * @property {number} begin of the picture, in milliseconds since 1970
 * @property {number} end
 * @property {number} height in pixels
 * @property {boolean} isOver whether the execution has ended
 * @property {boolean} utc whether times are shown in UTC
 * @property {(at: number) => number} x the place of a moment, in percent
 */

/** @param {number} value */
const percent = (value) => `${value.toFixed(3)}%`;

/** @param {{ execution: Execution, transitions: Transition[], steps: Step[], now: number, utc: boolean }} props */
export function Timeline({ execution, transitions, steps, now, utc }) {
  const begin = Date.parse(execution.created_at);
  const isOver = execution.completed_at !== null;
  const end = Math.max(begin + 1, ...moments(execution, transitions, steps), isOver ? begin : now);
  const bars = steps.slice(0, MOST_STEPS);
  /** @type {Frame} */
  const frame = {
    begin,
    end,
    height: BAND + bars.length * ROW + AXIS,
    isOver,
    utc,
    x: (at) => Math.min(100, Math.max(0, ((at - begin) / (end - begin)) * 100)),
  };

  const all = bandsOf(transitions, begin, end);
  // The status in which it ended lasts for ever, and is no part of what it took.
  const bands = isOver && transitions.length > 0 ? all.slice(0, -1) : all;
  const words = bands.map((band) => `${band.status} for ${duration(band.to - band.from)}`).join(", ");
  const label = `Timeline: ${words}${isOver ? `, then ${execution.status}` : ""}. ${steps.length} steps.`;
  return html`
    <figure class="timeline">
      <svg width="100%" height=${frame.height} role="img" aria-label=${label}>
        <${Axis} frame=${frame} />
        ${bands.map((band, index) => html`<${BandView} key=${index} band=${band} frame=${frame} />`)}
        ${bars.map((each, index) => html`<${Bar} key=${each.step_id} step=${each} index=${index} now=${now} frame=${frame} />`)}
      </svg>
      ${steps.length > MOST_STEPS && html`
        <figcaption class="muted">The first ${MOST_STEPS} of ${steps.length} steps; the table has all.</figcaption>`}
    </figure>`;
}

/**
 * All moments that are known of an execution. Steps may be reported after the end, and clocks of workers may differ.
 * @param {Execution} execution
 * @param {Transition[]} transitions
 * @param {Step[]} steps
 */
function moments(execution, transitions, steps) {
  const texts = [execution.completed_at, transitions.at(-1)?.at, ...steps.flatMap((each) => [each.started_at, each.completed_at])];
  return texts.filter((text) => text !== null && text !== undefined).map((text) => Date.parse(text));
}

/** @param {Transition[]} transitions @param {number} begin @param {number} end @returns {Band[]} */
function bandsOf(transitions, begin, end) {
  const starts = [
    { status: transitions[0]?.from ?? /** @type {Status} */ ("pending"), from: begin },
    ...transitions.map(({ to, at }) => ({ status: to, from: Date.parse(at) })),
  ];
  return starts.map((start, index) => ({ ...start, to: starts[index + 1]?.from ?? end }));
}

/** @param {{ frame: Frame }} props */
function Axis({ frame: { begin, end, height, x } }) {
  const unit = step(end - begin);
  const marks = Array.from({ length: Math.floor((end - begin) / unit) + 1 }, (_, index) => index * unit);
  return marks.map((at) => {
    const place = x(begin + at);
    const anchor = at === 0 ? "start" : place > 94 ? "end" : "middle";
    return html`
      <g key=${at}>
        <line class="grid" x1=${percent(place)} x2=${percent(place)} y1=${BAND} y2=${height - AXIS} />
        <text class="mark" x=${percent(place)} y=${height - 4} text-anchor=${anchor}>${mark(at)}</text>
      </g>`;
  });
}

/** @param {{ band: Band, frame: Frame }} props */
function BandView({ band: { status, from, to }, frame: { x, utc } }) {
  const width = Math.max(0.25, x(to) - x(from));
  const took = duration(to - from);
  // An svg in the svg cuts its text off at its edge.
  return html`
    <svg class=${`is-${status}`} x=${percent(x(from))} width=${percent(width)} y="3" height=${BAND - 8}>
      <rect class="band" width="100%" height="100%" rx="2">
        <title>${`${status}: ${took}, from ${exact(from, utc)}`}</title>
      </rect>
      ${width > 4 && html`<text class="band-name" x="7" y="13">${width > 12 ? `${status} ${took}` : status}</text>`}
    </svg>`;
}

/** @param {{ step: Step, index: number, now: number, frame: Frame }} props */
function Bar({ step: { step_name, status, started_at, completed_at }, index, now, frame: { begin, end, isOver, utc, x } }) {
  const from = started_at === null ? begin : Date.parse(started_at);
  const to = completed_at !== null ? Date.parse(completed_at) : isOver ? end : now;
  const top = BAND + index * ROW;
  const name = plainly(step_name);
  // The name of what began late stands before it.
  const isLate = x(from) > 60;
  return html`
    <g>
      <rect
        class=${`bar is-${status}`}
        x=${percent(x(from))}
        y=${top + 2}
        width=${percent(Math.max(0.4, x(to) - x(from)))}
        height=${ROW - 5}
        rx="2">
        <title>${`${name}: ${status}, ${duration(to - from)}, from ${exact(from, utc)}`}</title>
      </rect>
      <text
        class="bar-name"
        x=${percent(x(from))}
        dx=${isLate ? -6 : 6}
        y=${top + 14}
        text-anchor=${isLate ? "end" : "start"}>${name.slice(0, 48)}</text>
    </g>`;
}
