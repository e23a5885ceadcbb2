// The modules that need no browser: exact JSON, numbers and durations in words, figures of a flow.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { random } from "./seed.js";

const root = pathToFileURL(`${process.env.RATCHET_ROOT ?? process.cwd()}/console/`);

/** @param {string} name @returns {Promise<any>} */
const load = (name) => import(new URL(name, root).href);

const json = await load("json.js");
const format = await load("format.js");
const { byFlow, percentile, summarize } = await load("statistics.js");

/** A JSON text with spaces where they may be, and numbers as nobody writes them. @param {() => number} next @param {number} depth @returns {string} */
function anyJson(next, depth) {
  const space = () => ["", " ", "\n", "\t ", ""][Math.floor(next() * 5)] ?? "";
  const text = () =>
    JSON.stringify(
      ["", "a", '"', "\\", '\\"', "{", "]", ",", ":", "\u202e", "\u0000", "\ud83e\udd80", "a\\u0041"][
        Math.floor(next() * 13)
      ],
    );
  const kind = next();
  if (depth === 0 || kind < 0.4)
    return (
      ["1.0", "-0.0", "1e400", "1E-5", "12345678901234567890123", "true", "false", "null", text()][
        Math.floor(next() * 9)
      ] ?? "null"
    );
  const count = Math.floor(next() * 4);
  const parts = Array.from({ length: count }, () => {
    const value = space() + anyJson(next, depth - 1) + space();
    return kind < 0.7 ? value : `${space()}${text()}${space()}:${value}`;
  });
  return kind < 0.7 ? `[${space()}${parts.join(",")}]` : `{${space()}${parts.join(",")}}`;
}

/** A JSON text without the spaces that mean nothing. @param {string} text */
const dense = (text) => text.replace(/("(?:[^"\\]|\\.)*")|[ \t\n\r]+/g, "$1");

/** What a tree says, as JSON.parse would have it, with numbers as they are written. @param {any} node @returns {any} */
function plain(node) {
  if (node.kind === "object")
    return Object.fromEntries(node.members.map((/** @type {[string, any]} */ [name, value]) => [name, plain(value)]));
  if (node.kind === "array") return node.items.map(plain);
  return node.kind === "string" ? node.value : JSON.parse(node.text);
}

test("JSON is taken apart and put together without the change of a digit", () => {
  const next = random(20261130);
  for (let round = 0; round < 3000; round += 1) {
    const text = anyJson(next, 5);
    assert.deepEqual(plain(json.parse(text)), JSON.parse(text), text);
    assert.equal(dense(json.pretty(text)), dense(text), text);
    assert.deepEqual(JSON.parse(json.pretty(text)), JSON.parse(text));
    const value = JSON.parse(text);
    if (Array.isArray(value))
      assert.deepEqual(
        json.items(text).map((/** @type {string} */ item) => JSON.parse(item)),
        value,
        text,
      );
    else if (value !== null && typeof value === "object") {
      const members = json.members(text);
      assert.deepEqual(
        Object.fromEntries([...members].map(([name, member]) => [name, JSON.parse(member)])),
        value,
        text,
      );
      assert.deepEqual(JSON.parse(json.object(members)), value, text);
    }
  }
  assert.equal(
    json.pretty('{"a":[1.0,{}],"b":{"c":"x"}}'),
    '{\n  "a": [\n    1.0,\n    {}\n  ],\n  "b": {\n    "c": "x"\n  }\n}',
  );
  for (const broken of ["", "{", "[1", '"a', '{"a"}', '{"a":1'])
    assert.throws(() => json.parse(broken), SyntaxError, broken);
});

test("durations are rounded down, and never count a unit that is not full", () => {
  for (const [ms, words] of /** @type {const} */ ([
    [0, "0 ms"],
    [-5, "0 ms"],
    [999, "999 ms"],
    [1000, "1.0 s"],
    [9999, "9.9 s"],
    [10_000, "10 s"],
    [59_999, "59 s"],
    [60_000, "1 min 00 s"],
    [245_000, "4 min 05 s"],
    [3_599_999, "59 min 59 s"],
    [3_600_000, "1 h 00 min"],
    [11_520_000, "3 h 12 min"],
    [86_399_999, "23 h 59 min"],
    [187_200_000, "2 d 4 h"],
  ])) {
    assert.equal(format.duration(ms), words);
  }
  const now = Date.parse("2026-11-21T18:30:00Z");
  for (const [ms, words] of /** @type {const} */ ([
    [500, "now"],
    [-1500, "now"],
    [12_000, "12 s ago"],
    [-240_000, "in 4 min"],
    [7_200_000, "2 h ago"],
    [172_800_000, "2 d ago"],
  ])) {
    assert.equal(format.relative(now - ms, now), words);
  }
  assert.equal(format.exact(now, true), "2026-11-21 18:30:00.000 UTC");
  assert.match(format.exact(now, false), /^2026-11-2[12] \d\d:\d\d:00\.000 [+-]\d\d:\d\d$/);
});

test("amounts are added as decimals, and shown with as many places as they need", () => {
  assert.equal(format.exactSum([0.1, 0.2]), "0.3");
  assert.equal(format.exactSum([]), "0");
  assert.equal(format.exactSum([1e21, 1e-7, 0.5]), "1000000000000000000000.5000001");
  assert.equal(format.exactSum(Array.from({ length: 1000 }, () => 0.0017)), "1.7");
  for (const [amount, words] of /** @type {const} */ ([
    [0, "$0"],
    [0.0034, "$0.0034"],
    [0.000012, "$0.000012"],
    [0.018, "$0.0180"],
    [3.6211, "$3.6211"],
    [1234.5, "$1234.50"],
    [1e-9, "$1.00e-9"],
    [Infinity, "over $1e308"],
  ])) {
    assert.equal(format.dollars(amount), words);
  }
});

test("a word for a shell is one word, whatever is in it", () => {
  for (const word of ["a", "", "a b", "it's", "$HOME `id` $(id)", "\\", "a\nb", "'; rm -rf /; '", "é🦀"]) {
    assert.equal(execFileSync("bash", ["-c", `printf %s ${format.shellQuote(word)}`], { encoding: "utf8" }), word);
  }
});

test("figures of a flow are of the runs that have them, and of no other", () => {
  const run = (/** @type {string} */ status, /** @type {any} */ more = {}) => ({
    flow_id: "a",
    status,
    duration_ms: null,
    tokens_used: null,
    cost_estimate: null,
    ...more,
  });
  const found = summarize([
    run("completed", { duration_ms: 30, tokens_used: 5, cost_estimate: 0.1 }),
    run("running", { tokens_used: 7 }),
    run("failed", { duration_ms: 10 }),
    run("cancelled"),
    run("completed", { duration_ms: 20 }),
  ]);
  assert.deepEqual(
    [found.count, found.ended, found.completed, found.median, found.percentile95, found.tokens, found.costs],
    [5, 4, 2, 20, 30, [5, 7], [0.1]],
  );
  assert.deepEqual([percentile([], 50), percentile([4], 95), percentile([1, 2, 3, 4], 50)], [null, 4, 2]);
  assert.equal(
    percentile(
      Array.from({ length: 100 }, (_, index) => index + 1),
      95,
    ),
    95,
  );
  const flows = byFlow([run("failed"), { ...run("failed"), flow_id: "__proto__" }, run("completed")]);
  assert.deepEqual([...flows.keys()], ["a", "__proto__"]);
  assert.equal(flows.get("a").length, 2);
});
