// Executions as a small company has them, reported through the API like any others.

import { randomUUID } from "node:crypto";
import { HAS_STEPS } from "./service.js";

/** @typedef {(method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<{ status: number, body: any }>} Api */

/** How often a request is repeated that met a service which was too slow, before that is the answer. */
const TRIES = 10;

/**
 * A client of the API. What the service could not do in time, for the machine is busy, is repeated as it asks for: with the same
 * Idempotency-Key, so that it happens once.
 * @param {string} url
 * @param {string} key
 * @returns {Api}
 */
export const client =
  (url, key) =>
  async (method, path, body, headers = {}) => {
    const own = { "x-api-key": key, "content-type": "application/json" };
    const request = {
      method,
      headers: { ...own, ...(method !== "GET" && { "idempotency-key": randomUUID() }), ...headers },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    };
    for (let tries = 1; ; tries += 1) {
      const response = await fetch(`${url}/api/v1${path}`, request);
      const text = await response.text();
      if (response.status !== 503 || tries === TRIES) {
        return { status: response.status, body: text ? JSON.parse(text) : null };
      }
      await sleep(1000 * Number(response.headers.get("retry-after") ?? 1));
    }
  };

/** Numbers that look random and are the same each time. @param {number} seed */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

/**
 * Starts an execution and takes it to a status.
 * @param {Api} api
 * @param {Record<string, unknown>} fields of execute flow
 * @param {string} [status]
 * @param {Record<string, unknown>} [report] fields of the last report
 * @returns {Promise<any>} the record
 */
export async function execution(api, fields, status = "pending", report = {}) {
  const started = await api("POST", "/flows/execute", { trigger_type: "api", ...fields });
  if (started.status !== 200) throw new Error(JSON.stringify(started.body));
  let record = started.body.execution;
  const path = `/flows/executions/${record.id}`;
  /** @type {Record<string, string[]>} */
  const ways = {
    pending: [],
    queued: ["queued"],
    running: ["running"],
    retrying: ["running", "retrying"],
    interrupted: ["running", "interrupted"],
    completed: ["running", "completed"],
    failed: ["running", "failed"],
    cancelled: ["cancelled"],
    timeout: ["running", "timeout"],
  };
  const way = ways[status] ?? [];
  for (const [index, step] of way.entries()) {
    const answer = await api("PATCH", path, { status: step, ...(index === way.length - 1 && report) });
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    record = answer.body;
  }
  return record;
}

const FLOWS = [
  "nightly-report",
  "invoice-extraction",
  "support-triage",
  "crawl-competitors",
  "embed-documents",
  "release-notes",
];
const AGENTS = ["claude-worker-1", "claude-worker-2", "batch-eu-3", "unassigned"];
const ERRORS = [
  "RateLimitError: 429 from the model API after 5 tries",
  "KeyError: 'line_items'\n  File \"extract.py\", line 118, in rows",
  "exit code 137: out of memory",
  "Timeout while waiting for the browser to load https://example.com/pricing",
];

/**
 * @param {Api} api
 * @param {number} count
 * @param {number} [seed]
 */
export async function company(api, count, seed = 7) {
  const next = random(seed);
  const pick = (/** @type {string[]} */ list) => list[Math.floor(next() * list.length)] ?? "";
  const records = [];
  for (let index = 0; index < count; index += 1) {
    const roll = next();
    const isLate = index >= count - 6;
    const status = isLate
      ? (["running", "queued", "running", "pending", "retrying", "running"][index - count + 6] ?? "running")
      : roll < 0.78
        ? "completed"
        : roll < 0.89
          ? "failed"
          : roll < 0.93
            ? "cancelled"
            : roll < 0.96
              ? "timeout"
              : "interrupted";
    const duration = Math.round(Math.exp(7 + next() * 5));
    const ended = ["completed", "failed", "timeout"].includes(status);
    const fields = {
      flow_id: pick(FLOWS),
      agent_id: pick(AGENTS),
      trigger_type: pick(["scheduled", "api", "webhook", "manual"]),
      variables: { limit: Math.floor(next() * 100) },
    };
    records.push(
      await execution(api, fields, status, {
        ...(ended && { duration_ms: duration }),
        ...(status === "completed" && {
          tokens_used: Math.round(next() * 60_000),
          cost_estimate: Math.round(next() * 4000) / 10_000,
          final_output: { rows: Math.floor(next() * 5000) },
        }),
        ...(status === "failed" && { error_message: pick(ERRORS) }),
        ...(status === "cancelled" && { error_message: "No longer needed" }),
      }),
    );
  }
  return records;
}

/** What must not do anything but be shown. */
export const MARKUP = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

/** Names that look like something else: turned around, with nothing in them, and with a NUL. */
export const NAMES = {
  markup: MARKUP,
  link: "javascript:document.title='owned'",
  turned: "invoice\u202Egnp.exe",
  isolated: "\u2066hidden\u2069 \u200Bzero\u200B",
  template: "${7*7} {{7*7}} `7`",
  nul: "a\u0000b",
  quote: `"'><a href="https://evil.example/">x</a>`,
  arabic: "تقرير الليل",
  emoji: "👩‍🚀 family",
};

/**
 * Executions whose every field has something hostile in it.
 * @param {Api} api
 */
export async function hostile(api) {
  /** @type {Record<string, any>} */
  const made = {};
  for (const [name, text] of Object.entries(NAMES)) {
    const fields = {
      flow_id: text,
      agent_id: text,
      metadata: { [text]: text, url: "javascript:alert(1)" },
      variables: { [text]: [text] },
    };
    made[name] = await execution(api, fields, "failed", {
      error_message: `${text}\n${text}`,
      error_details: { text },
      final_output: { text },
    });
  }
  if (HAS_STEPS) {
    made.steps = await execution(api, { flow_id: "steps" }, "running");
    const steps = Object.entries(NAMES).map(([name, text]) => ({
      step_id: `${name} ${text}`.slice(0, 128),
      step_name: text,
      tool_name: text,
      step_type: "tool",
      input_data: { [text]: text },
      error_message: text,
      status: "failed",
    }));
    const reported = await api("POST", `/executions/${made.steps.id}/steps`, { steps });
    if (reported.status !== 200) throw new Error(JSON.stringify(reported.body));
  }
  // Numbers that JavaScript has not, in the text of the body: JSON.stringify could not write them.
  const deep = `${"[".repeat(95)}1${"]".repeat(95)}`;
  const exact = `{"big":1e400,"exact":1.0,"long":1234567890123456789012345678901234567890,"tiny":-0.0,"deep":${deep},"__proto__":{"polluted":true},"":"empty"}`;
  const body = `{"flow_id":"exact","trigger_type":"test","variables":${exact},"metadata":{"one":1.0}}`;
  made.exact = (await api("POST", "/flows/execute", body)).body.execution;
  made.large = await execution(api, { flow_id: "large" }, "completed", {
    final_output: { text: "x".repeat(300_000), list: Array.from({ length: 20_000 }, (_, index) => index) },
  });
  return made;
}

const sleep = (/** @type {number} */ ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/**
 * Takes a queued execution through a first attempt that fails and a second that is under way, with the steps of both.
 * @param {Api} api
 * @param {string} id
 */
export async function steps(api, id) {
  const report = async (/** @type {Record<string, unknown>} */ fields) => {
    const answer = await api("PATCH", `/flows/executions/${id}`, fields);
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  };
  const step = async (/** @type {Record<string, unknown>[]} */ ...all) => {
    const answer = await api("POST", `/executions/${id}/steps`, { steps: all });
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  };
  await sleep(180);
  await report({ status: "running" });
  await step({
    step_id: "01-fetch",
    step_name: "Fetch the mail",
    step_type: "tool",
    tool_name: "imap",
    input_data: { mailbox: "billing" },
  });
  await sleep(500);
  await step(
    { step_id: "01-fetch", status: "completed", output_data: { attachments: 2 } },
    { step_id: "02-ocr", step_name: "Read 4711.pdf", step_type: "tool", tool_name: "ocr" },
  );
  await sleep(900);
  await step(
    { step_id: "02-ocr", status: "completed", output_data: { pages: 3 } },
    { step_id: "03-extract", step_name: "Extract the line items", step_type: "llm" },
  );
  await sleep(300);
  await step({
    step_id: "03-extract",
    status: "failed",
    error_message: "RateLimitError: 429 from the model API after 5 tries",
  });
  await report({ status: "retrying", error_message: "RateLimitError: 429 from the model API after 5 tries" });
  await sleep(420);
  await report({ status: "running", tokens_used: 18_210, cost_estimate: 0.0718, tool_calls_count: 3 });
  await step({
    step_id: "04-extract",
    step_name: "Extract the line items, again",
    step_type: "llm",
    input_data: { model: "large", pages: 3 },
  });
  await sleep(800);
  await step(
    { step_id: "04-extract", status: "completed", output_data: { items: 12 } },
    { step_id: "05-check", step_name: "Compare with the order", step_type: "tool", tool_name: "erp" },
  );
  await sleep(300);
}
