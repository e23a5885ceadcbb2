import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { execution } from "./seed.js";
import {
  address,
  copied,
  hide,
  look,
  organization,
  person,
  row,
  rows,
  says,
  settled,
  until,
  useWorld,
} from "./world.js";

useWorld();

/** @param {import("playwright-core").Page} page */
const names = async (page) => (await rows(page).locator("th").allTextContents()).map((name) => name.trim());

/** @param {string[]} calls */
const lists = (calls) => calls.filter((call) => call.startsWith("GET /flows/executions?"));

test("filters are in the address, and a reload and the back button show the same", async (t) => {
  const { api, keys } = organization();
  for (const [flow, agent, status] of [
    ["a", "w1", "completed"],
    ["a", "w2", "failed"],
    ["b", "w1", "failed"],
    ["b", "w1", "pending"],
  ])
    await execution(api, { flow_id: flow, agent_id: agent }, status);
  await execution(api, { flow_id: "a", trigger_type: "webhook" }, "failed");
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await until(async () => (await rows(page).count()) === 5, "all five");
  await page.getByRole("button", { name: "failed" }).click();
  await until(async () => (await names(page)).join() === "a #3,b #1,a #2", "the three that failed");
  await page.getByRole("button", { name: "pending" }).click();
  await until(async () => (await rows(page).count()) === 4, "two statuses");
  assert.equal(new URL(page.url()).search, "?status=pending,failed");
  await page.getByLabel("Flow").fill("a");
  await page.getByLabel("Flow").press("Enter");
  await until(async () => (await names(page)).join() === "a #3,a #2", "of flow a");
  await page.getByLabel("Trigger").selectOption("webhook");
  await until(async () => (await names(page)).join() === "a #3", "by webhook");
  await page.reload();
  await until(async () => (await names(page)).join() === "a #3", "the same after a reload");
  assert.equal(await page.getByRole("button", { name: "failed" }).getAttribute("aria-pressed"), "true");
  await page.goBack();
  await until(async () => (await names(page)).join() === "a #3,a #2", "one step back");
  assert.equal(await page.getByLabel("Trigger").inputValue(), "");
  await page.getByLabel("Agent").fill("w2");
  await page.getByLabel("Agent").press("Enter");
  await until(async () => (await names(page)).join() === "a #2", "of an agent");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await until(async () => (await rows(page).count()) === 5, "all again");
  assert.equal(new URL(page.url()).search, "");
});

test("a window of time is a filter, and one that is over shows nothing and says so", async (t) => {
  const { api, keys } = organization();
  await execution(api, { flow_id: "a" });
  const { calls, open } = await person(t);
  const page = await open("/console?within=1h", keys.all);
  await rows(page).first().waitFor();
  const after = new URLSearchParams(lists(calls())[0]?.split("?")[1]).get("created_after");
  assert.ok(Math.abs(Date.now() - 36e5 - Date.parse(after ?? "")) < 60_000, `${after} is an hour ago`);
  await page.getByLabel("Created").selectOption("between …");
  await page.getByLabel("to", { exact: true }).fill("2020-01-01T00:00");
  await page.getByLabel("to", { exact: true }).press("Tab");
  await says(page, "No execution matches these filters");
  await page.getByRole("link", { name: "Clear the filters" }).click();
  await rows(page).first().waitFor();
});

test("the first list takes one request of the API beside the question whose key it is", async (t) => {
  const { api, keys } = organization();
  for (let index = 0; index < 3; index += 1) await execution(api, { flow_id: "a" });
  const { calls, open } = await person(t, { hidden: true });
  const page = await open("/console", keys.all);
  await until(async () => (await rows(page).count()) === 3, "the rows");
  assert.deepEqual(
    calls()
      .map((call) => call.split("?")[0])
      .sort(),
    ["GET /flows/executions", "GET /me"],
  );
  const query = new URLSearchParams(lists(calls())[0]?.split("?")[1]);
  assert.equal(query.get("view"), "summary");
  await look(page);
  await until(() => lists(calls()).length > 1, "a second look");
  assert.equal(
    new URLSearchParams(lists(calls())[1]?.split("?")[1]).get("count_limit"),
    "0",
    "what was counted is not counted again",
  );
});

test("a known row changes in place, and a new one waits until it is asked for", async (t) => {
  const { api, keys } = organization();
  const first = await execution(api, { flow_id: "a" });
  const second = await execution(api, { flow_id: "a" });
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await until(async () => (await rows(page).count()) === 2, "two rows");
  await api("PATCH", `/flows/executions/${first.id}`, { status: "running" });
  const third = await execution(api, { flow_id: "b" });
  // By itself: nobody asks.
  await row(page, first).getByText("running").waitFor();
  const news = page.getByRole("button", { name: "1 new – show" });
  await news.waitFor();
  assert.deepEqual(await rows(page).evaluateAll((all) => all.map((each) => each.getAttribute("data-id"))), [
    second.id,
    first.id,
  ]);
  await until(async () => (await page.getByRole("status").textContent()) === "1 new execution", "readers are told");
  await news.click();
  await row(page, third).waitFor();
  assert.equal(await rows(page).count(), 3);
  await says(page, "3 executions");
});

test("a row that does not match any more stays where it is until the list is asked for again", async (t) => {
  const { api, keys } = organization();
  const first = await execution(api, { flow_id: "a" }, "running");
  const second = await execution(api, { flow_id: "a" }, "running");
  const { open } = await person(t);
  const page = await open("/console?status=running", keys.all);
  await until(async () => (await rows(page).count()) === 2, "two rows");
  await api("PATCH", `/flows/executions/${first.id}`, { status: "completed" });
  await look(page);
  await row(page, first).getByText("left").waitFor();
  await page.keyboard.press("r");
  await until(async () => (await rows(page).count()) === 1, "only what matches");
  await row(page, second).waitFor();
});

test("a hidden page asks nothing, and asks at once when it is seen again", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "a" });
  const { calls, context, open } = await person(t);
  const page = await open("/console", keys.all);
  await rows(page).first().waitFor();
  // Hidden while it waits, and, the second time, while a request is under way.
  /** @type {() => void} */
  let release = () => {};
  const underWay = new Promise((resolve) => {
    void context.route("**/api/v1/flows/executions?*", async (route) => {
      resolve(null);
      await new Promise((go) => {
        release = () => go(null);
      });
      await route.continue();
    });
  });
  await look(page);
  await underWay;
  await hide(page, true);
  const before = calls().length;
  release();
  await api("PATCH", `/flows/executions/${made.id}`, { status: "running" });
  await page.waitForTimeout(7000);
  assert.equal(calls().length, before);
  await context.unroute("**/api/v1/flows/executions?*");
  await hide(page, false);
  await row(page, made).getByText("running").waitFor();
});

test("the duration of what runs counts", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "a" }, "running");
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  const cell = row(page, made).locator(".c-duration");
  await cell.waitFor();
  const before = await cell.textContent();
  await until(async () => (await cell.textContent()) !== before, "another duration");
});

test("times are shown as people prefer, the exact one is in the title, and the choice is kept", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "a" });
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  const time = row(page, made).locator("time");
  await time.waitFor();
  assert.match((await time.textContent()) ?? "", /^(now|\d+ s ago)$/);
  await page.getByLabel("Times").selectOption("UTC");
  const utc = made.started_at.replace("T", " ").replace("Z", " UTC");
  await until(async () => (await time.textContent()) === utc, "in UTC");
  await page.reload();
  await until(async () => (await time.textContent()) === utc, "still in UTC");
});

test("pages lead to older executions and back, each once", async (t) => {
  const { api, keys } = organization();
  const made = [];
  for (let index = 0; index < 60; index += 1) made.push(await execution(api, { flow_id: `f${index % 3}` }));
  const { open } = await person(t);
  const page = await open("/console?within=24h", keys.all);
  await page.getByLabel("Rows").selectOption("25");
  await until(async () => (await rows(page).count()) === 25, "25 rows");
  const seen = new Set();
  const collect = async () => {
    for (const id of await rows(page).evaluateAll((all) => all.map((each) => each.getAttribute("data-id")))) {
      assert.ok(!seen.has(id), "twice");
      seen.add(id);
    }
  };
  await collect();
  await page.getByRole("link", { name: "Older" }).click();
  await until(async () => !seen.has(await rows(page).first().getAttribute("data-id")), "the second page");
  await collect();
  await page.keyboard.press("n");
  await until(async () => (await rows(page).count()) === 10, "the last page");
  await collect();
  assert.equal(seen.size, 60);
  await says(page, "The end of the list");
  await page.goBack();
  await until(async () => (await rows(page).count()) === 25, "one page back");
  await page.getByRole("link", { name: "Newest" }).click();
  await row(page, made.at(-1)).waitFor();
  assert.equal(new URL(page.url()).search, "?within=24h");
});

test("a place in the list that is not valid any more leads to the newest", async (t) => {
  const { api, keys } = organization();
  await execution(api, { flow_id: "a" });
  const { open } = await person(t, { allow: [422] });
  const page = await open("/console?cursor=of-another-service", keys.all);
  await page.getByRole("link", { name: "Show the newest" }).click();
  await rows(page).first().waitFor();
});

test("an address with a filter that does not exist says what is wrong, and how to go on", async (t) => {
  const { api, keys } = organization();
  await execution(api, { flow_id: "a" });
  const { open } = await person(t, { allow: [422] });
  const page = await open("/console?status=sleeping", keys.all);
  await says(page, /query status/);
  await page.getByRole("link", { name: "Clear the filters" }).click();
  await rows(page).first().waitFor();
});

test("of a hundred thousand executions the page has those of one page", async (t) => {
  const { api, keys } = organization();
  const model = await execution(api, { flow_id: "a" });
  const { calls, context, open } = await person(t, { hidden: true });
  const total = 100_000;
  await context.route("**/api/v1/flows/executions?*", async (route) => {
    const query = new URL(route.request().url()).searchParams;
    const [from, size] = [Number(query.get("cursor") ?? 0), Number(query.get("page_size"))];
    const executions = Array.from({ length: size }, (_, index) => ({
      ...model,
      id: `${from + index}`,
      execution_number: total - from - index,
      created_at: new Date(2e12 - (from + index) * 1000).toISOString(),
    }));
    await route.fulfill({
      json: {
        executions,
        total_count: query.get("count_limit") === "0" ? null : 1000,
        page: 1,
        page_size: size,
        has_more: true,
        next_cursor: String(from + size),
      },
    });
  });
  const page = await open("/console", keys.all);
  await says(page, "1,000+ executions");
  for (let step = 1; step <= 20; step += 1) {
    await page.getByRole("link", { name: "Older" }).click();
    await row(page, { id: String(step * 50) }).waitFor();
    assert.equal(await rows(page).count(), 50);
  }
  assert.equal(lists(calls()).length, 21, "one request for each page");
});

test("where the service searched its share and found nothing, the page searches on, and then asks", async (t) => {
  const { keys } = organization();
  const { calls, context, open } = await person(t, { hidden: true });
  await context.route("**/api/v1/flows/executions?*", (route) =>
    route.fulfill({
      json: {
        executions: [],
        total_count: null,
        page: 1,
        page_size: 50,
        has_more: true,
        next_cursor: `c${Math.random()}`,
      },
    }),
  );
  const page = await open("/console?status=failed&agent_id=w", keys.all);
  await says(page, "Nothing found yet");
  assert.equal(lists(calls()).length, 4);
  await page.getByRole("link", { name: "Search the older ones" }).click();
  await until(() => lists(calls()).length === 8, "it searches on");
});

test("nothing yet: the printed line works as it is printed, and the execution appears", async (t) => {
  const { keys } = organization();
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await says(page, "No executions yet");
  await page.getByRole("button", { name: "Copy the command that starts an execution" }).click();
  const command = (await page.locator(".command code").textContent()) ?? "";
  await copied(page, command);
  execFileSync("bash", ["-c", `${command} --silent --fail`]);
  await rows(page).first().waitFor();
  assert.deepEqual(await names(page), ["hello #1"]);
});

test("a service that is away, busy or not itself is told, what was there stays, and it comes back by itself", async (t) => {
  const { api, keys } = organization();
  await execution(api, { flow_id: "a" });
  const { context, open } = await person(t, {
    allow: [429, 503, 502, 500, "ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED"],
  });
  const page = await open("/console", keys.all);
  await rows(page).first().waitFor();
  const list = "**/api/v1/flows/executions?*";
  /** @type {[RegExp, Parameters<import("playwright-core").Route["fulfill"]>[0]][]} */
  const troubles = [
    [/Too many requests/, { status: 429, json: { message: "Too Many Requests" }, headers: { "retry-after": "1" } }],
    [
      /DynamoDB is away/,
      {
        status: 503,
        headers: { "retry-after": "1" },
        json: {
          detail: "DynamoDB is away",
          error_code: "STORE_UNAVAILABLE",
          correlation_id: "trace-503",
          timestamp: "",
        },
      },
    ],
    [
      /Something else than the service answered \(HTTP 502/,
      { status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" },
    ],
    [
      /Something else than the service answered \(HTTP 200/,
      { status: 200, contentType: "text/html", body: "<script>document.title = 'owned'</script>" },
    ],
    [
      /The service failed/,
      { status: 500, json: { message: "Internal Server Error" }, headers: { "apigw-requestid": "trace-500" } },
    ],
  ];
  for (const [words, answer] of troubles) {
    await context.route(list, (route) => route.fulfill(answer));
    await look(page);
    await says(page, words);
    await says(page, "What is shown is from before.");
    assert.equal(await rows(page).count(), 1);
    if (answer?.status === 503) await says(page, "trace-503");
    if (answer?.status === 500) await says(page, "trace-500");
    await context.unroute(list);
    await until(async () => (await page.getByRole("alert").count()) === 0, "it comes back by itself");
  }
  await context.route(list, (route) => route.abort("connectionrefused"));
  await look(page);
  await says(page, /The service does not answer/);
  await context.unroute(list);
  await context.setOffline(true);
  await look(page);
  await says(page, "This machine is offline.");
  await execution(api, { flow_id: "b" });
  await context.setOffline(false);
  await page.getByRole("button", { name: "1 new – show" }).waitFor();
  assert.equal(await page.title(), "Executions · Ratchet");
});

test("everything can be done by keyboard, and the keys can be turned off", async (t) => {
  const { api, keys } = organization();
  const older = await execution(api, { flow_id: "older" });
  const newer = await execution(api, { flow_id: "newer" }, "running");
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await row(page, older).waitFor();
  await settled(page);
  const focused = () =>
    page.evaluate(
      () => document.activeElement?.closest("tr")?.getAttribute("data-id") ?? document.activeElement?.tagName,
    );
  await page.keyboard.press("j");
  assert.equal(await focused(), newer.id);
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  assert.equal(await focused(), older.id);
  await page.keyboard.press("x");
  await says(page, "2 selected");
  await page.keyboard.press("c");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await until(async () => (await page.getByRole("dialog").count()) === 0, "the dialog is closed");
  await page.keyboard.press("k");
  await page.keyboard.press("/");
  assert.equal(await focused(), "INPUT");
  await page.keyboard.type("jx?");
  assert.equal(await page.getByRole("dialog").count(), 0, "letters in a field are letters");
  await page.getByLabel("Flow").fill("");
  await page.locator("h1").focus();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.getByLabel(/Single keys do this/).uncheck();
  await page.keyboard.press("Escape");
  await until(async () => (await page.getByRole("dialog").count()) === 0, "the dialog is closed");
  await page.locator("h1").focus();
  await page.keyboard.press("l");
  assert.equal(new URL(page.url()).pathname, "/console");
  await page.keyboard.press("?");
  await page.getByLabel(/Single keys do this/).check();
  await page.keyboard.press("Escape");
  await until(async () => (await page.getByRole("dialog").count()) === 0, "the dialog is closed");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await says(page, "History");
  await settled(page);
  await page.keyboard.press("u");
  await until(() => new URL(page.url()).pathname === "/console", "back in the list");
});

test("of one flow the list says what its last hundred runs say, without another request", async (t) => {
  const { api, keys } = organization();
  for (const [status, ms, cost] of [
    ["completed", 1000, 0.1],
    ["completed", 2000, 0.2],
    ["failed", 9000, null],
    ["completed", 3000, null],
    ["running", null, null],
  ]) {
    await execution(api, { flow_id: "nightly & co" }, String(status), {
      ...(ms !== null && { duration_ms: ms, tokens_used: ms }),
      ...(cost !== null && { cost_estimate: cost }),
    });
  }
  await execution(api, { flow_id: "other" });
  const { calls, open } = await person(t, { hidden: true });
  const page = await open("/console?flow_id=nightly%20%26%20co", keys.all);
  const summary = page.locator("section.summary");
  await summary.waitFor();
  assert.match(
    (await summary.textContent()) ?? "",
    /75\.0 % 3 of 4median2\.0 s95th percentile9\.0 stokens15Kcost\$0\.3000/,
  );
  assert.equal(await summary.getByText("$0.3000").count(), 1);
  assert.match(
    (await summary.locator(".figure").last().getAttribute("title")) ?? "",
    /^\$0\.3 in all, reported by 2 runs$/,
  );
  assert.equal(lists(calls()).length, 1);
  assert.equal(await summary.locator("svg a").count(), 5);
  await page.getByRole("link", { name: "Flows" }).click();
  await page.getByRole("link", { name: "nightly & co" }).click();
  await page.locator("section.summary").waitFor();
  assert.equal(page.url(), `${address()}/console/flows?flow_id=nightly%20%26%20co`);
});
