// JSON as a tree of lines that open and close. However large a value is, no more than MOST_LINES lines are in the page, and a
// download has all of it, byte for byte.

import { useMemo, useState } from "preact/hooks";
import { size } from "../format.js";
import { html } from "../html.js";
import { parse, pretty } from "../json.js";
import { Foreign } from "../text.js";
import { Copy } from "./basics.js";

const MOST_LINES = 2000;

/** What is deeper than this is closed at first, and so is what has more children than this. */
const OPEN_DEPTH = 2;
const OPEN_CHILDREN = 100;

/** How much of a string stands in a line: at first, and once somebody asks for more. The rest is in the download. */
const SHORT = 240;
const LONG = 20_000;

/** Above this, Copy would hold up the page, and the clipboard other programs. */
const MOST_COPIED = 2_000_000;

/**
 * @typedef {import("../json.js").Node} Node
 * @typedef {object} Line
 * @property {string} path unique among the lines
 * @property {number} depth
 * @property {string | null} name of the member
 * @property {Node} node
 * @property {"open" | "closed" | "value" | "end"} form
 * @property {boolean} last whether no comma follows
 */

/** @param {Node} node */
const children = (node) => (node.kind === "object" ? node.members.length : node.kind === "array" ? node.items.length : 0);

/**
 * The lines of a tree, as far as they are open, up to one more than are shown.
 * @param {Node} root
 * @param {Set<string>} toggled paths that are not as they are at first
 */
function linesOf(root, toggled) {
  /** @type {Line[]} */
  const lines = [];
  /** @type {(node: Node, path: string, depth: number, name: string | null, last: boolean) => void} */
  const add = (node, path, depth, name, last) => {
    if (lines.length > MOST_LINES) return;
    const count = children(node);
    if (count === 0) {
      lines.push({ path, depth, name, node, form: "value", last });
      return;
    }
    const opens = depth === 0 || (depth < OPEN_DEPTH && count <= OPEN_CHILDREN);
    const open = opens !== toggled.has(path);
    lines.push({ path, depth, name, node, form: open ? "open" : "closed", last });
    if (!open) return;
    /** @type {[string | null, Node][]} */
    const inside = node.kind === "object" ? node.members : node.kind === "array" ? node.items.map((item) => [null, item]) : [];
    inside.forEach(([key, value], index) => add(value, `${path}/${index}`, depth + 1, key, index === count - 1));
    lines.push({ path: `${path}.`, depth, name: null, node, form: "end", last });
  };
  add(root, "", 0, null, true);
  return lines;
}

/**
 * @param {{ text: string, what: string, file: string }} props `text` is JSON; `what` it is, in words; `file` is its name
 *   when it is downloaded
 */
export function JsonView({ text, what, file }) {
  const [toggled, setToggled] = useState(/** @type {Set<string>} */ (new Set()));
  const root = useMemo(() => parse(text), [text]);
  const lines = useMemo(() => linesOf(root, toggled), [root, toggled]);
  const toggle = (/** @type {string} */ path) => {
    const next = new Set(toggled);
    if (!next.delete(path)) next.add(path);
    setToggled(next);
  };
  const shown = lines.slice(0, MOST_LINES);
  return html`
    <div class="json">
      <div class="row end">
        <span class="muted">${size(new Blob([text]).size)}</span>
        ${text.length <= MOST_COPIED && html`<${Copy} text=${text} what=${what} />`}
        <${Download} text=${text} file=${file} what=${what} />
      </div>
      <div class="code" tabindex="0" role="region" aria-label=${what}>
        ${shown.map((line) => html`<${LineView} key=${line.path} line=${line} toggle=${toggle} />`)}
      </div>
      ${lines.length > MOST_LINES && html`
        <p class="muted">These are the first ${MOST_LINES} lines. Close parts of it to see others, or download all.</p>`}
    </div>`;
}

/**
 * One line. Between its tags there is no white space but what is said: it would be a part of the JSON.
 * @param {{ line: Line, toggle: (path: string) => void }} props
 */
function LineView({ line, toggle }) {
  const { node, form, name, path } = line;
  const [open, close] = node.kind === "array" ? ["[", "]"] : ["{", "}"];
  const indent = "  ".repeat(line.depth);
  const comma = line.last || form === "open" ? "" : ",";
  const label = name === null ? "" : html`<span class="json-name"><${Foreign} text=${quoted(name)} /></span>${": "}`;
  if (form === "end") return html`<div>${indent}${close}${comma}</div>`;
  if (form === "value") return html`<div>${indent}${label}<${Value} node=${node} />${comma}</div>`;
  return html`
    <div>
      ${indent}
      <button type="button" class="json-toggle" aria-expanded=${form === "open"} onClick=${() => toggle(path)}>
        ${label}${open}
        ${form === "closed" && html`<span class="muted">${` ${inWords(node)} `}</span>${close}`}
      </button>
      ${comma}
    </div>`;
}

/** How much is in a closed object or array. @param {Node} node */
function inWords(node) {
  const count = children(node);
  const one = node.kind === "array" ? "item" : "member";
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

/** @param {{ node: Node }} props a value without children */
function Value({ node }) {
  if (node.kind === "string") return html`<${StringValue} value=${node.value} />`;
  if (node.kind === "plain") return html`<span class="json-plain"><${Foreign} text=${node.text} limit=${LONG} /></span>`;
  return node.kind === "array" ? "[]" : "{}";
}

/** @param {{ value: string }} props */
function StringValue({ value }) {
  const [more, setMore] = useState(false);
  if (value.length <= SHORT) return html`<span class="json-string"><${Foreign} text=${quoted(value)} /></span>`;
  const shown = more ? LONG : SHORT;
  const isCut = value.length > shown;
  return html`
    <span class="json-string"><${Foreign} text=${quoted(value.slice(0, shown)).slice(0, -1)} limit=${LONG * 6} /></span>
    ${isCut ? "… " : '" '}
    <button type="button" class="quiet" aria-expanded=${more} onClick=${() => setMore(!more)}>
      ${more ? "less" : `${size(value.length)}, show more`}
    </button>`;
}

/** A string in quotes, with JSON's escapes, so that a newline in it is no line of its own. @param {string} text */
const quoted = (text) => JSON.stringify(text);

/** @param {{ text: string, file: string, what: string }} props */
function Download({ text, file, what }) {
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([pretty(text)], { type: "application/json" }));
    link.download = file;
    link.click();
    // The browser may still be reading it.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
  return html`
    <button type="button" class="quiet" onClick=${download} aria-label=${`Download ${what}`}>Download</button>`;
}
