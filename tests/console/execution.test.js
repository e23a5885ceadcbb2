import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { execution, steps } from "./seed.js";
import { STEPS } from "./service.js";
import { address, copied, organization, person, rows, row, says, until, useWorld } from "./world.js";

useWorld();

/** @param {{ id: string }} record */
const path = (record) => `/console/x/${record.id}`;

/** The status beside the heading. @param {import("playwright-core").Page} page */
const status = async (page) => ((await page.locator(".head .status").textContent()) ?? "").trim();

/** @param {import("playwright-core").Page} page @param {string} wanted */
const becomes = (page, wanted) => until(async () => (await status(page)) === wanted, `it is ${wanted}`);

test("a link to an execution shows what it is and what happened to it", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report", agent_id: "w1", variables: { limit: 3 } }, "retrying", {
    error_message: "first try",
  });
  await api("PATCH", `/flows/executions/${made.id}`, { status: "running" });
  await api("PATCH", `/flows/executions/${made.id}`, {
    status: "completed",
    final_output: { rows: 12 },
    tokens_used: 1234,
    cost_estimate: 0.5,
  });
  const { open } = await person(t);
  const page = await open(path(made), keys.all);
  await page.getByRole("heading", { name: "report #1" }).waitFor();
  await becomes(page, "completed");
  await until(async () => (await page.title()) === "report #1 completed · Ratchet", "its title");
  const history = await page.locator("table.history tbody tr").allTextContents();
  assert.deepEqual(
    history.map((line) => /(pending|running|retrying|completed)/.exec(line)?.[1]),
    ["pending", "running", "retrying", "running", "completed"],
  );
  assert.ok(history[2]?.includes("first try") && history[3]?.includes("attempt 2"), history.join("\n"));
  const label = await page.getByRole("img", { name: /^Timeline/ }).getAttribute("aria-label");
  assert.match(
    label ?? "",
    /^Timeline: pending for .*, running for .*, retrying for .*, running for .*, then completed\./,
  );
  for (const words of ["1,234", "$0.5000", "1 of 3 retries"]) await says(page, words);
  await page.getByRole("tab", { name: "Inputs" }).click();
  await says(page, '"limit"');
  await page.reload();
  await says(page, '"limit"');
});

test("the link of another organization's execution, and one of none, say that there is no such execution here", async (t) => {
  const [ours, theirs] = [organization(), organization()];
  const made = await execution(theirs.api, { flow_id: "secret" });
  const { open } = await person(t, { allow: [404, 422] });
  for (const id of [made.id, "00000000-0000-4000-8000-000000000000", "nonsense", "..%2F..%2Fme", "%"]) {
    const page = await open(`/console/x/${id}`, ours.keys.all);
    await says(page, "No such execution");
    await says(page, ours.name);
    assert.ok(!(await page.locator("main").textContent())?.includes("secret"));
    await page.getByRole("link", { name: "All executions" }).click();
    await says(page, "No executions yet");
    await page.close();
  }
});

test("what a second client does is shown within moments, until the execution has ended", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" });
  const { calls, open } = await person(t);
  const page = await open(path(made), keys.read);
  await becomes(page, "pending");
  for (const next of ["queued", "running", "completed"]) {
    await api("PATCH", `/flows/executions/${made.id}`, { status: next });
    await becomes(page, next);
  }
  await until(async () => (await page.locator("table.history tbody tr").count()) === 4, "the whole history");
  const after = calls().length;
  await page.waitForTimeout(4000);
  assert.equal(calls().length, after, "what has ended is not asked for again");
});

test("without the wait operation, or where that is busy, the page asks again by itself", async (t) => {
  const { api, keys } = organization();
  for (const [status, message] of /** @type {const} */ ([
    [404, "Not Found"],
    [429, "Too Many Requests"],
  ])) {
    const made = await execution(api, { flow_id: "report" });
    const { calls, context, open } = await person(t, { allow: [status] });
    await context.route("**/wait?*", (route) => route.fulfill({ status, json: { message } }));
    const page = await open(path(made), keys.read);
    await becomes(page, "pending");
    const looks = () => calls().filter((call) => call === `GET /flows/executions/${made.id}`).length;
    for (const next of ["running", "completed"]) {
      const before = looks();
      await until(() => looks() > before, "it asks again");
      await api("PATCH", `/flows/executions/${made.id}`, { status: next });
      await becomes(page, next);
    }
    assert.equal(calls().filter((call) => call.includes("/wait?")).length, 1, "it is not tried again and again");
  }
});

test("an execution that nobody has begun is cancelled at once, with the reason in the history", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "queued");
  const { open } = await person(t);
  const page = await open(path(made), keys.all);
  await page.getByRole("button", { name: "Cancel …" }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel this execution" });
  assert.equal(await dialog.getByLabel(/Time to stop/).count(), 0, "there is no worker to wait for");
  await dialog.getByLabel(/Reason/).fill("no longer needed");
  await dialog.getByRole("button", { name: "Cancel execution" }).click();
  await becomes(page, "cancelled");
  await until(async () => (await page.getByRole("dialog").count()) === 0, "the dialog is closed");
  assert.match((await page.locator("table.history tbody tr").last().textContent()) ?? "", /no longer needed/);
  const transitions = (await api("GET", `/executions/${made.id}/transitions`)).body.transitions;
  assert.equal(transitions.at(-1).reason, "no longer needed");
});

test("a running worker is asked to stop, and may still say what really happened", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "running");
  const { open } = await person(t);
  const page = await open(path(made), keys.all);
  await becomes(page, "running");
  await page.keyboard.press("c");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/Time to stop/).fill("119");
  await dialog.getByRole("button", { name: "Cancel execution" }).click();
  await says(page, /A cancel was requested/);
  await says(page, /In 1 min it is cancelled in any case/);
  assert.equal(await status(page), "running");
  await api("PATCH", `/flows/executions/${made.id}`, { status: "completed" });
  await becomes(page, "completed");
  assert.equal(await page.getByText(/A cancel was requested/).count(), 0);
});

test("a cancel that loses the race says what was faster, and changes nothing", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" });
  const { context, open } = await person(t, { allow: [400] });
  const page = await open(path(made), keys.all);
  // The request is on its way while a worker completes the run.
  await context.route(`**/executions/${made.id}/cancel`, async (route) => {
    await api("PATCH", `/flows/executions/${made.id}`, { status: "completed", final_output: { rows: 1 } });
    await new Promise((resolve) => {
      setTimeout(resolve, 300);
    });
    await route.continue();
  });
  await page.getByRole("button", { name: "Cancel …" }).click();
  await page.getByRole("button", { name: "Cancel execution" }).click();
  await says(page, /^Too late: completed won, (at the same moment|[\d.]+ (ms|s) before you) \(by local-\d+\)$/);
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).last().click();
  await becomes(page, "completed");
  assert.equal((await api("GET", `/flows/executions/${made.id}`)).body.status, "completed");
});

test("a mark as failed needs a reason, which becomes the error message", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "interrupted");
  const { open } = await person(t);
  const page = await open(path(made), keys.all);
  await says(page, "The worker has not been heard from.");
  await page.getByRole("button", { name: "Mark failed …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Mark as failed" }).click();
  assert.equal((await api("GET", `/flows/executions/${made.id}`)).body.status, "interrupted", "not without a reason");
  await dialog.getByLabel(/Reason/).fill("the machine is gone");
  await dialog.getByRole("button", { name: "Mark as failed" }).click();
  await becomes(page, "failed");
  assert.equal((await api("GET", `/flows/executions/${made.id}`)).body.error_message, "the machine is gone");
});

test("a retry is a new execution with the same inputs to the last digit, that names the old one", async (t) => {
  const { api, keys } = organization();
  const variables = '{"rate":1.0,"huge":1e400,"id":123456789012345678901234567890,"":[{}],"__proto__":{"a":1}}';
  const started = await api(
    "POST",
    "/flows/execute",
    `{"flow_id":"exact","agent_id":"w1","trigger_type":"webhook","priority":"high","timeout_seconds":77,"variables":${variables},"metadata":{"team":"growth","n":2.50},"retry_config":{"max_retries":7}}`,
  );
  const old = started.body.execution;
  await api("PATCH", `/flows/executions/${old.id}`, { status: "failed" });
  const { open } = await person(t);
  const page = await open(path(old), keys.all);
  await page.getByRole("button", { name: "Retry as new …" }).click();
  await page.getByLabel(/Reason/).fill("fixed");
  await page.getByRole("button", { name: "Start a new execution" }).click();
  await page.getByRole("heading", { name: "exact #2" }).waitFor();
  const id = new URL(page.url()).pathname.split("/").at(-1);
  const response = await fetch(`${address()}/api/v1/flows/executions/${id}`, { headers: { "x-api-key": keys.all } });
  const text = await response.text();
  assert.ok(text.includes(`"variables":${variables}`), text);
  assert.ok(text.includes('"metadata":{"team":"growth","n":2.50,"retry_reason":"fixed"}'), text);
  const record = JSON.parse(text);
  assert.deepEqual(
    [
      record.parent_execution_id,
      record.agent_id,
      record.trigger_type,
      record.priority,
      record.timeout_seconds,
      record.max_retries,
      record.status,
    ],
    [old.id, "w1", "webhook", "high", 77, 7, "pending"],
  );
  await page.getByRole("link", { name: old.id.slice(0, 13) }).click();
  await page.getByRole("heading", { name: "exact #1" }).waitFor();
  assert.equal((await api("GET", `/flows/executions/${old.id}`)).body.status, "failed", "the old one stays as it is");
});

test("an action whose answer is lost is repeated by itself, and happens once", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "failed");
  const { calls, context, open } = await person(t, { allow: ["ERR_FAILED", "ERR_CONNECTION_RESET"] });
  const page = await open(path(made), keys.all);
  let lost = 0;
  await context.route("**/api/v1/flows/execute", async (route) => {
    if (lost < 2) {
      lost += 1;
      await route.fetch();
      await route.abort("connectionreset");
    } else {
      await route.continue();
    }
  });
  await page.getByRole("button", { name: "Retry as new …" }).click();
  await page.getByRole("button", { name: "Start a new execution" }).click();
  await page.getByRole("heading", { name: "report #2" }).waitFor();
  assert.equal(calls().filter((call) => call === "POST /flows/execute").length, 3);
  assert.equal((await api("GET", "/flows/executions")).body.total_count, 2);
});

test("an action whose outcome stays unknown says so, and pressing again is safe", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "queued");
  const { context, open } = await person(t, { allow: ["ERR_CONNECTION_RESET"] });
  const page = await open(path(made), keys.all);
  await context.route(`**/api/v1/executions/${made.id}/cancel`, async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  });
  await page.getByRole("button", { name: "Cancel …" }).click();
  await page.getByRole("button", { name: "Cancel execution" }).click();
  await says(page, /It may have been done all the same: repeating it is safe/);
  await context.unroute(`**/api/v1/executions/${made.id}/cancel`);
  await page.getByRole("button", { name: "Cancel execution" }).click();
  await until(async () => (await page.getByRole("dialog").count()) === 0, "done, by the same key");
  await becomes(page, "cancelled");
});

test("what the service does by itself is shown with its reason, and the deadline before it", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report", timeout_seconds: 4 }, "running");
  const { open } = await person(t);
  const page = await open(path(made), keys.read);
  await until(async () => (await status(page)) === "timeout", "its time is up");
  const last = (await page.locator("table.history tbody tr").last().textContent()) ?? "";
  assert.match(last, /timeoutthe serviceNo result within timeout_seconds \(4\)/);
  const running = await execution(
    api,
    { flow_id: "report", timeout_seconds: 900, heartbeat_timeout_seconds: 120 },
    "running",
  );
  await page.goto(`${address()}${path(running)}`);
  await says(page, /^in 1[45] min$/);
  await says(page, "every 2 min at least");
  const heard = page.locator(".fact", { has: page.getByText("Last heard", { exact: true }) }).locator("time");
  const isHeard = async (/** @type {string} */ at) =>
    until(async () => (await heard.getAttribute("datetime")) === at, `heard at ${at}`);
  const known = async () => (await api("GET", `/executions/${running.id}/heartbeat`)).body.last_heartbeat_at;
  const claim = await known();
  await isHeard(claim);
  assert.match((await heard.textContent()) ?? "", /^(now|\d+ s ago)$/);
  assert.equal((await api("POST", `/executions/${running.id}/heartbeat`, { attempt: 1 })).status, 200);
  const beat = await known();
  assert.ok(beat > claim, `${beat} is after ${claim}`);
  // By itself: nobody asks.
  await isHeard(beat);
  const waiting = await execution(api, { flow_id: "report", start_timeout_seconds: 900 });
  await page.goto(`${address()}${path(waiting)}`);
  await says(page, "Must start");
  await says(page, /^in 1[45] min$/);
});

test("steps are shown with their data for those who open them, and those that went wrong alone", STEPS, async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "queued");
  await steps(api, made.id);
  const { calls, open } = await person(t);
  const page = await open(path(made), keys.read);
  const table = page.locator("table.steps > tbody > tr:not(.data)");
  await until(async () => (await table.count()) === 5, "the steps");
  assert.equal(await page.locator("svg .bar").count(), 5);
  const withData = () => calls().filter((call) => call.includes("/steps?") && !call.includes("view=summary"));
  assert.deepEqual(withData(), [], "nobody asked for the data");
  await page.getByRole("button", { name: "Read 4711.pdf" }).click();
  await says(page, '"pages"');
  assert.equal(withData().length, 1, "of one step");
  assert.equal(await page.getByText("attachments").count(), 0, "not of any other");
  await page.getByRole("button", { name: "Fetch the mail" }).click();
  await says(page, '"attachments"');
  await says(page, '"mailbox"');
  await page.getByLabel(/only what went wrong/).check();
  await until(async () => (await table.count()) === 1, "the one that failed");
  await page.getByRole("button", { name: "Extract the line items" }).click();
  await page.locator("tr.data").getByText("RateLimitError: 429").waitFor();
  await page.getByLabel(/only what went wrong/).uncheck();
  // A step that is reported now appears by itself.
  await api("POST", `/executions/${made.id}/steps`, {
    steps: [{ step_id: "06-book", step_name: "Book it", output_data: { exact: 1.5 } }],
  });
  await until(async () => (await table.count()) === 6, "the new step");
  // And what is reported of a step that is open.
  await page.getByRole("button", { name: "Compare with the order" }).click();
  await says(page, "Nothing was reported with this step.");
  await api("POST", `/executions/${made.id}/steps`, {
    steps: [{ step_id: "05-check", status: "completed", output_data: { difference: 0.5 } }],
  });
  await says(page, '"difference"');
});

test("of two steps that change places the one that was opened is read", STEPS, async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "running");
  const report = async (/** @type {string} */ id) =>
    api("POST", `/executions/${made.id}/steps`, { steps: [{ step_id: id, output_data: { of: id } }] });
  for (const id of ["b", "c"]) await report(id);
  const { open } = await person(t, { hidden: true });
  const page = await open(path(made), keys.read);
  const button = page.getByRole("button", { name: "c", exact: true });
  await button.waitFor();
  // It comes before both, and the page, which nobody sees, does not know of it.
  await report("a");
  await button.click();
  await page.getByRole("region", { name: "output of step c" }).getByText('"c"').waitFor();
  assert.equal(await page.locator("table.steps > tbody > tr:not(.data)").count(), 2);
});

test("more than a hundred steps are read when they are asked for", STEPS, async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "running");
  const all = Array.from({ length: 230 }, (_, index) => ({
    step_id: `s${String(index).padStart(3, "0")}`,
    input_data: { index },
  }));
  for (let from = 0; from < all.length; from += 25) {
    assert.equal(
      (await api("POST", `/executions/${made.id}/steps`, { steps: all.slice(from, from + 25) })).status,
      200,
    );
  }
  await api("PATCH", `/flows/executions/${made.id}`, { status: "completed" });
  const { calls, open } = await person(t);
  const page = await open(path(made), keys.read);
  const table = page.locator("table.steps > tbody > tr:not(.data)");
  await until(async () => (await table.count()) === 100, "the first hundred");
  assert.equal(await page.locator("svg .bar").count(), 40);
  assert.equal(calls().filter((call) => call.includes("/steps")).length, 1, "one request for them");
  await page.getByRole("button", { name: "More steps" }).click();
  await until(async () => (await table.count()) === 200, "two hundred");
  await page.getByRole("button", { name: "More steps" }).click();
  await until(async () => (await table.count()) === 230, "all");
  assert.equal(await page.getByRole("button", { name: "More steps" }).count(), 0);
  await page.getByRole("button", { name: "s229" }).click();
  await says(page, '"index"');
});

test("values are shown, copied and downloaded as they were sent", async (t) => {
  const { api, keys } = organization();
  const variables = '{"big":1e400,"exact":1.0,"long":1234567890123456789012345678901234567890,"deep":[[[[1]]]]}';
  const made = (
    await api("POST", "/flows/execute", `{"flow_id":"exact","trigger_type":"test","variables":${variables}}`)
  ).body.execution;
  const { open } = await person(t);
  const page = await open(`${path(made)}?tab=inputs`, keys.read);
  const code = page.getByRole("region", { name: "variables" });
  await code.waitFor();
  for (const number of ["1e400", "1.0", "1234567890123456789012345678901234567890"])
    await code.getByText(number, { exact: true }).waitFor();
  const closed = code.getByRole("button", { expanded: false });
  assert.match((await closed.textContent()) ?? "", /\[\s*1 item\s*\]/);
  await closed.click();
  await page.getByRole("button", { name: "Copy variables" }).click();
  await copied(page, variables);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download variables" }).click(),
  ]);
  assert.equal(download.suggestedFilename(), `${made.id}.variables.json`);
  const saved = readFileSync(await download.path(), "utf8");
  assert.equal(saved.replace(/\s/g, ""), variables);
  assert.ok(saved.includes('\n  "exact": 1.0,\n'), saved);
  for (const [button, text] of [
    ["Copy id", made.id],
    ["Copy curl", `curl '${address()}/api/v1/flows/executions/${made.id}' -H 'x-api-key: ${keys.read}'`],
  ]) {
    await page.getByRole("button", { name: button }).click();
    await copied(page, text);
  }
});

test("a large output is cut in the page, and whole in the download", async (t) => {
  const { api, keys } = organization();
  const output = { list: Array.from({ length: 30_000 }, (_, index) => index), text: "x".repeat(150_000) };
  const made = await execution(api, { flow_id: "large" }, "completed", { final_output: output });
  const { open } = await person(t);
  const page = await open(path(made), keys.all);
  const code = page.getByRole("region", { name: "final_output" });
  await code.getByRole("button", { name: /30000 items/ }).click();
  await says(page, /These are the first 2000 lines/);
  assert.ok((await code.locator("> div").count()) <= 2000);
  assert.ok(((await page.locator("body").textContent()) ?? "").length < 100_000);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download final_output" }).click(),
  ]);
  assert.deepEqual(JSON.parse(readFileSync(await download.path(), "utf8")), output);
});

test("the tabs of the data work by keyboard, and the back button leads back to the list as it was", async (t) => {
  const { api, keys } = organization();
  const made = [];
  for (let index = 0; index < 45; index += 1) made.push(await execution(api, { flow_id: "report" }));
  const { open } = await person(t);
  const page = await open("/console?trigger_type=api", keys.all);
  await rows(page).first().waitFor();
  await row(page, made[2]).getByRole("link").scrollIntoViewIfNeeded();
  const top = await page.evaluate(() => scrollY);
  assert.ok(top > 0);
  await row(page, made[2]).locator(".c-trigger").click();
  await page.getByRole("tab", { selected: true }).press("ArrowRight");
  await until(
    async () => (await page.getByRole("tab", { selected: true }).textContent()) === "Metadata",
    "the next tab",
  );
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Metadata");
  await page.goBack();
  await row(page, made[2]).waitFor();
  await until(async () => (await page.evaluate(() => scrollY)) === top, "scrolled to where it was");
});
