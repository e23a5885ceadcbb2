// A development server, a browser, and pages in it that complain of everything that a console must not do.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { client } from "./seed.js";
import { HAS_WAIT } from "./service.js";

/** Where tools/console.sh has put what the tests need. */
const BINARIES = process.env.RATCHET_BINARIES ?? "target/debug";
export const OUT = process.env.RATCHET_OUT ?? "target/console";
const CHROMIUM = process.env.RATCHET_CHROMIUM ?? "/usr/bin/chromium";

/** How long anything may take, in milliseconds: more than on any machine, for only what hangs should fail by it. */
const PATIENCE = 60_000;

/** How many organizations a server knows: each test takes its own, and sees nothing of the others. */
const ORGANIZATIONS = 60;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("node:child_process").ChildProcess} */
let server;
let url = "";
let database = "";
let taken = 0;

/** The server's address. */
export const address = () => url;

async function startServer() {
  const keys = Array.from({ length: ORGANIZATIONS }, (_, index) => [
    `all-${index}=org-${index}`,
    `read-${index}=org-${index}:read`,
    `write-${index}=org-${index}:write`,
  ]);
  const environment = { ...process.env };
  for (const name of ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL", "RATCHET_TABLE"]) delete environment[name];
  server = spawn(`${BINARIES}/local`, ["--port", "0", ...keys.flat().flatMap((key) => ["--api-key", key])], {
    env: environment,
    stdio: ["ignore", "pipe", "ignore"],
  });
  for await (const line of createInterface({ input: /** @type {import("node:stream").Readable} */ (server.stdout) })) {
    url = /^Ratchet listens on (\S+)/.exec(line)?.[1] ?? url;
    database = /AWS_ENDPOINT_URL_DYNAMODB=(\S+)/.exec(line)?.[1] ?? database;
    if (line.includes("Ctrl-C")) return;
  }
  throw new Error("local does not start");
}

/** Starts the server and the browser for the tests of a file, and ends them. */
export function useWorld() {
  before(async () => {
    mkdirSync(OUT, { recursive: true });
    await startServer();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // A name that is not this machine's, for a service that is deployed somewhere.
        "--host-resolver-rules=MAP ratchet.example 127.0.0.1",
      ],
    });
  });
  after(async () => {
    await browser?.close();
    server?.kill("SIGINT");
  });
}

/** An organization that no other test has, with a client for each of its keys. */
export function organization() {
  const number = taken;
  taken += 1;
  assert.ok(number < ORGANIZATIONS, "more organizations than the server knows");
  const keys = { all: `all-${number}`, read: `read-${number}`, write: `write-${number}` };
  return { name: `org-${number}`, keys, api: client(url, keys.all) };
}

/** Runs the tool that manages keys on the server's table. @param {string[]} args */
export const keysTool = (...args) =>
  execFileSync(`${BINARIES}/keys`, args, {
    encoding: "utf8",
    env: {
      ...process.env,
      AWS_ENDPOINT_URL_DYNAMODB: database,
      RATCHET_TABLE: "ratchet",
      AWS_ACCESS_KEY_ID: "local",
      AWS_SECRET_ACCESS_KEY: "local",
      AWS_REGION: "us-east-1",
    },
  }).trim();

/**
 * A browser as one person has it, with nothing kept from anybody else.
 *
 * @param {import("node:test").TestContext} t
 * @param {{ width?: number, height?: number, scheme?: "light" | "dark", allow?: (number | string | RegExp)[], scale?: number, hidden?: boolean }} [options]
 *   `allow`: statuses and network errors that the test causes, and that a browser writes into its console.
 *   `hidden`: pages think that nobody sees them until `hide` says otherwise, and so ask nothing but what they begin with.
 */
export async function person(
  t,
  { width = 1280, height = 800, scheme = "light", allow = [], scale = 1, hidden = false } = {},
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: scale,
    acceptDownloads: true,
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  /** @type {string[]} */
  const complaints = [];
  /** Where this machine was too slow for the service, which said so and asked to wait: no test causes that. @type {Set<string>} */
  const overloaded = new Set();
  /** The requests whose 503 a browser has written into its console. @type {string[]} */
  const unavailable = [];
  /** @type {string[]} */
  const requests = [];
  context.on("page", (page) => {
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      const failed = /^Failed to load resource: (?:the server responded with a status of (\d+)|net::(\S+))/.exec(
        message.text(),
      );
      const isAllowed = (/** @type {number | string | RegExp} */ allowed) =>
        allowed instanceof RegExp
          ? allowed.test(message.text())
          : failed && String(allowed) === (failed[1] ?? failed[2]);
      if (allow.some(isAllowed)) return;
      // A console that tries whether the service has the wait operation gets this answer from one that has not.
      if (failed?.[1] === "404" && message.location().url.includes("/wait?") && !HAS_WAIT) return;
      if (failed?.[1] === "503") unavailable.push(message.location().url);
      else if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on("response", (response) => {
      if (response.status() === 503 && response.headers()["retry-after"]) overloaded.add(response.url());
    });
    page.on("request", (request) => {
      const target = new URL(request.url());
      if (target.protocol === "blob:") return;
      requests.push(`${request.method()} ${target.pathname}${target.search}`);
      if (target.port !== new URL(url).port || !["127.0.0.1", "ratchet.example"].includes(target.hostname))
        complaints.push(`a request to ${target.origin}`);
    });
  });
  // Reports that a policy stopped something are console errors in chromium; this also catches those that only make an event.
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
    );
  });
  if (hidden)
    await context.addInitScript(() =>
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true }),
    );
  t.after(async () => {
    await context.close();
    // The console has to live with it, and the tests see that it does: it is told, and no failure.
    for (const each of overloaded) t.diagnostic(`the service was too slow on this machine: ${each}`);
    complaints.push(
      ...unavailable.filter((each) => !overloaded.has(each)).map((each) => `503 without Retry-After: ${each}`),
    );
    assert.deepEqual(complaints, [], "what the pages complained of");
  });
  return {
    context,
    requests,
    /** Requests of the API so far, without the base path. */
    calls: () =>
      requests.filter((request) => request.includes(" /api/v1")).map((request) => request.replace("/api/v1", "")),
    /** Opens a page. @param {string} path @param {string} [key] */
    open: async (path, key) => {
      const page = await context.newPage();
      await page.goto(`${url}${path}${key ? `#key=${key}` : ""}`);
      return page;
    },
  };
}

/**
 * Waits until something holds.
 * @param {() => unknown} holds
 * @param {string} what
 */
export async function until(holds, what) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await holds()) return;
    assert.ok(Date.now() < end, `it never came to be: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

/** Waits until a page has all that it asks for: until then something on it says that it is busy. @param {import("playwright-core").Page} page */
export async function settled(page) {
  await page.locator("main").waitFor();
  await until(async () => (await page.locator("[aria-busy=true]").count()) === 0, "the page has loaded");
}

/** What the clipboard has becomes a text. @param {import("playwright-core").Page} page @param {string} text */
export const copied = (page, text) =>
  until(async () => (await page.evaluate(() => navigator.clipboard.readText())) === text, `copied: ${text}`);

/** The rows of the list. @param {import("playwright-core").Page} page */
export const rows = (page) => page.locator("tr[data-id]");

/** The row of an execution. @param {import("playwright-core").Page} page @param {{ id: string }} execution */
export const row = (page, execution) => page.locator(`tr[data-id="${execution.id}"]`);

/** Whether the page says something. @param {import("playwright-core").Page} page @param {string | RegExp} text */
export const says = (page, text) => page.getByText(text).first().waitFor();

/** Makes a page think that nobody sees it, or that somebody does again. @param {import("playwright-core").Page} page @param {boolean} hidden */
export const hide = (page, hidden) =>
  page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

/** Makes the page look again, as it does by itself in a few seconds. @param {import("playwright-core").Page} page */
export const look = async (page) => {
  await hide(page, true);
  await hide(page, false);
};
