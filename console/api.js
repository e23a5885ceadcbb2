// Calls of the API, and what went wrong with them in words.

import { hear, now } from "./clock.js";
import { forget, session } from "./session.js";

const BASE = `${location.origin}/api/v1`;

/** How long an answer may take, in milliseconds: API Gateway ends a request after 30 s. */
const PATIENCE = 31_000;

/**
 * What kind of failure it was, by which the pages decide what to do.
 *
 * @typedef {"away" | "foreign" | "signed-out" | "forbidden" | "not-deployed" | "not-found" | "busy" | "unavailable" | "refused" | "invalid" | "broken"} Kind
 * "away": no answer. "foreign": an answer that is not the service's. "not-deployed": the service has no such operation yet.
 * "busy": too many requests. "unavailable": the service or its table cannot answer now, or does not know the outcome.
 * "refused": the execution's state does not allow it.
 */

/** A request that failed, and what a person should know of it. */
export class Problem extends Error {
  /**
   * @param {Kind} kind
   * @param {string} message
   * @param {{ status?: number, code?: string, id?: string, retryAfter?: number, body?: any, details?: string[] }} [more]
   */
  constructor(kind, message, more = {}) {
    super(message);
    this.kind = kind;
    this.status = more.status ?? 0;
    /** error_code of the service */
    this.code = more.code ?? null;
    /** Correlation id, or API Gateway's request id. */
    this.id = more.id ?? null;
    /** When to try again, in milliseconds from now. */
    this.retryAfter = more.retryAfter ?? null;
    this.body = more.body ?? null;
    /** What is wrong with the request, one line each. */
    this.details = more.details ?? [];
  }

  /** Whether the same request may succeed in a moment. */
  get passes() {
    return ["away", "busy", "unavailable", "broken", "foreign"].includes(this.kind);
  }
}

/** An answer: its text, exactly as it came, and what it says. */
export class Answer {
  /** @param {Response} response @param {string} text */
  constructor(response, text) {
    this.status = response.status;
    this.text = text;
    this.etag = response.headers.get("etag");
    /** What the text says; undefined where there is none. Numbers may have lost digits: json.js has the exact ones. @type {any} */
    this.json = undefined;
  }
}

/** @param {Response} response @param {any} body @returns {Problem} */
function problemOf(response, body) {
  const { status, headers } = response;
  const seconds = Number(headers.get("retry-after"));
  const more = {
    status,
    body,
    code: body.error_code,
    id: body.correlation_id ?? headers.get("x-correlation-id") ?? headers.get("apigw-requestid") ?? undefined,
    retryAfter: seconds > 0 ? seconds * 1000 : undefined,
  };
  const detail = typeof body.detail === "string" ? body.detail : null;
  if (status === 401 || (status === 403 && !body.error_code))
    return new Problem("signed-out", "The service does not take this key.", more);
  if (status === 403) return new Problem("forbidden", detail ?? "This key may not do that.", more);
  // API Gateway's own words where no route fits: an older service, without this operation.
  if (status === 404 && !body.error_code)
    return new Problem("not-deployed", "This service does not have this operation yet.", more);
  if (status === 404) return new Problem("not-found", detail ?? "There is no such execution.", more);
  if (status === 429) return new Problem("busy", "Too many requests at once: the service asks to wait.", more);
  if (status === 422 && Array.isArray(body.detail)) {
    const details = body.detail.map((/** @type {any} */ wrong) => `${[].concat(wrong.loc).join(" ")}: ${wrong.msg}`);
    return new Problem("invalid", "The service does not take this request.", { ...more, details });
  }
  if (status === 503) return new Problem("unavailable", detail ?? "The service cannot answer now.", more);
  if (status >= 500) return new Problem("broken", detail ?? "The service failed.", more);
  return new Problem(status === 422 ? "invalid" : "refused", detail ?? `The service refused it (${status}).`, more);
}

/**
 * Sends a request with a key, and returns the answer to it: 200, 204 or 304.
 *
 * @param {string} method
 * @param {string} path below /api/v1
 * @param {{ key?: string, body?: string, headers?: Record<string, string>, signal?: AbortSignal }} [options]
 * @returns {Promise<Answer>}
 * @throws {Problem} for every other answer, and where there is none. An abort by `signal` throws its own error.
 */
export async function call(method, path, { key, body, headers = {}, signal } = {}) {
  const own = session.value.state === "in" ? session.value.key : "";
  const patience = AbortSignal.timeout(PATIENCE);
  let response;
  let text;
  try {
    response = await fetch(BASE + path, {
      method,
      body,
      headers: {
        "x-api-key": key ?? own,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      // There are no cookies, the API redirects nobody, and the conditional requests are the console's own.
      credentials: "omit",
      redirect: "error",
      cache: "no-store",
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(
      "away",
      navigator.onLine
        ? "The service does not answer. It may be away, or the network in between."
        : "This machine is offline.",
    );
  }
  hear(response.headers.get("date"));
  if (response.status === 204 || response.status === 304) return new Answer(response, "");
  const isJson = /^application\/(.*\+)?json/.test(response.headers.get("content-type") ?? "");
  /** @type {any} */
  let parsed;
  try {
    parsed = isJson ? JSON.parse(text) : undefined;
  } catch {
    // Told below.
  }
  if (typeof parsed !== "object" || parsed === null) {
    const type = response.headers.get("content-type") ?? "without a type";
    throw new Problem(
      "foreign",
      `Something else than the service answered (HTTP ${response.status}, ${type}): a proxy or a sign-in page in between?`,
      { status: response.status, id: response.headers.get("apigw-requestid") ?? undefined },
    );
  }
  if (response.ok) {
    const answer = new Answer(response, text);
    answer.json = parsed;
    return answer;
  }
  const problem = problemOf(response, parsed);
  // A key that is tried out is not the one of this tab.
  if (problem.kind === "signed-out" && !key) forget(whyRefused());
  throw problem;
}

/** Why the key that worked is refused now, as far as the console can tell. */
function whyRefused() {
  const end = session.value.state === "in" && session.value.caller?.expires_at;
  if (end && Date.parse(end) <= now()) return "This key has expired. Sign in with another one.";
  const known = session.value.state === "in" && session.value.caller;
  return known
    ? "The service does not take this key any more: it was revoked, or has expired. Sign in with another one."
    : "The service does not know this key. Keys that were revoked or have expired are unknown to it, too.";
}

/** @param {number} ms */
const sleep = (ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** A new Idempotency-Key. Not by randomUUID: over plain HTTP from another machine a browser has none. */
export const newKey = () =>
  `console-${[...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16).padStart(8, "0")).join("")}`;

/**
 * Sends a write. It is repeated with the same Idempotency-Key where its outcome is unknown, so that it happens once.
 *
 * @param {string} method
 * @param {string} path
 * @param {string} body JSON
 * @param {string} idempotencyKey the same one for the same body, if a person repeats it
 * @returns {Promise<Answer>}
 */
export async function write(method, path, body, idempotencyKey) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(method, path, { body, headers: { "idempotency-key": idempotencyKey } });
    } catch (error) {
      const again = error instanceof Problem && error.passes && attempt < 2;
      if (!again) throw error;
      await sleep(Math.min(error.retryAfter ?? 400 * 4 ** attempt, 5000));
    }
  }
}

/** A URL's query of what is not empty. @param {Record<string, string | number | null | undefined>} parameters */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

/** The path of one execution, in the part of the API that has records. @param {string} id */
export const recordPath = (id) => `/flows/executions/${encodeURIComponent(id)}`;

/** The path of one execution, in the part of the API that has what happens to it. @param {string} id */
export const executionPath = (id) => `/executions/${encodeURIComponent(id)}`;
