// Whether everybody can use it: axe-core on every page and dialog, in both schemes, and the widths that people have.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { company, execution } from "./seed.js";
import { OUT, address, organization, person, row, rows, says, settled, until, useWorld } from "./world.js";

useWorld();

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Asserts that axe-core finds nothing, and keeps a picture.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @param {{ loading?: boolean }} [options] `loading`: the page is still loading, and is to be looked at as it is
 */
async function isAccessible(page, name, { loading = false } = {}) {
  if (!loading) await settled(page);
  // Through the debugger, which the page's policy does not bind.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const results = await /** @type {any} */ (globalThis).axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return results.violations.map(
      (/** @type {any} */ violation) =>
        `${violation.id}: ${violation.help}: ${violation.nodes
          .slice(0, 3)
          .map((/** @type {any} */ node) => node.html)
          .join(" ")}`,
    );
  });
  assert.deepEqual(found, [], name);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px wider than the window`);
  await page.screenshot({ path: `${OUT}/${name}.png` });
}

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  for (const [width, height] of /** @type {const} */ ([
    [1280, 800],
    [360, 740],
  ])) {
    test(`every page and dialog is accessible, ${scheme}, ${width} px wide`, async (t) => {
      const { api, keys } = organization();
      const { open } = await person(t, { scheme, width, height, allow: [403, 404, 500] });
      const name = (/** @type {string} */ what) => `${what}-${width}-${scheme}`;
      const page = await open("/console");
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      await page.getByText("Where to get a key").click();
      await isAccessible(page, name("sign-in"));
      await page.fill("input[type=password]", "wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await says(page, /does not know this key/);
      await isAccessible(page, name("wrong-key"));
      await page.fill("input[type=password]", keys.all);
      await page.getByRole("button", { name: "Sign in" }).click();
      await says(page, "No executions yet");
      await isAccessible(page, name("empty"));

      await company(api, 40);
      const made = await execution(
        api,
        { flow_id: "invoice-extraction", agent_id: "w1", variables: { list: [1, [2, [3]]] }, metadata: { team: "x" } },
        "running",
      );
      await page.goto(`${address()}/console`);
      await row(page, made).waitFor();
      if (width < 800) assert.ok(await row(page, made).locator(".c-duration").isVisible());
      await isAccessible(page, name("list"));
      await row(page, made).getByRole("checkbox").click();
      await page.getByRole("button", { name: /^Cancel 1/ }).click();
      await page.getByRole("dialog", { name: "Cancel 1 execution" }).waitFor();
      await isAccessible(page, name("bulk"));
      await page.keyboard.press("Escape");
      await until(async () => (await page.getByRole("dialog").count()) === 0, "the dialog is closed");
      await page.getByLabel("Created").selectOption("between …");
      await page.getByLabel("from", { exact: true }).waitFor();
      await page.getByLabel("Flow").fill("nothing");
      await page.getByLabel("Flow").press("Enter");
      await says(page, "No execution matches");
      await isAccessible(page, name("no-match"));

      await page.goto(`${address()}/console?flow_id=nightly-report`);
      await page.locator("section.summary").waitFor();
      await isAccessible(page, name("flow"));
      await page.goto(`${address()}/console/flows`);
      await page.getByRole("table").waitFor();
      await isAccessible(page, name("flows"));

      await page.goto(`${address()}/console/x/${made.id}`);
      await page.getByRole("tabpanel").waitFor();
      await isAccessible(page, name("execution"));
      assert.equal(
        await page.getByRole("button", { name: "Cancel …" }).count(),
        1,
        "what the key may do is known by now",
      );
      for (const [key, title] of [
        ["c", "Cancel this execution"],
        ["f", "Mark this execution as failed"],
        ["t", "Run it again"],
        ["?", "Keys"],
      ]) {
        await page.keyboard.press(String(key));
        await page.getByRole("dialog", { name: title }).waitFor();
        await isAccessible(page, name(`dialog-${key === "?" ? "help" : key}`));
        await page.keyboard.press("Escape");
        await until(async () => (await page.getByRole("dialog").count()) === 0, "the dialog is closed");
      }
      await page.goto(`${address()}/console/x/00000000-0000-4000-8000-000000000000`);
      await says(page, "No such execution");
      await isAccessible(page, name("missing"));
    });
  }
}

for (const scheme of /** @type {const} */ (["light", "dark"])) {
  test(`a page is accessible while it is loading, and says that it is, ${scheme}`, async (t) => {
    const { api, keys } = organization();
    const made = await execution(api, { flow_id: "report" }, "running");
    const { context, open } = await person(t, { scheme, allow: ["ERR_ABORTED"] });
    // A service that does not answer: nothing comes before the test is over.
    await context.route("**/api/v1/**", () => {});
    for (const [path, words, heading] of [
      ["/console", "Reading executions …", "Executions"],
      ["/console/flows", "Reading the last 100 executions …", "Flows"],
      [`/console/x/${made.id}`, "Reading the execution …", "Execution"],
    ]) {
      const page = await open(String(path), keys.all);
      await page.getByText(String(words)).waitFor();
      assert.equal(await page.locator("main [aria-busy=true]").textContent(), words);
      assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), heading);
      await isAccessible(page, `loading-${heading}-${scheme}`, { loading: true });
      await page.close();
    }
    // Nor has it a heading or a landmark by the scripts alone: they may come late, too.
    await context.route("**/app.js", () => {});
    const page = await context.newPage();
    await page.goto(`${address()}/console`, { waitUntil: "commit" });
    await page.getByText("The console does not load").waitFor();
    await isAccessible(page, `starting-${scheme}`, { loading: true });
  });
}

test("from a phone to a wall no page scrolls sideways, and rows stay rows", async (t) => {
  const { api, keys } = organization();
  await company(api, 30);
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await rows(page).first().waitFor();
  for (const width of [320, 360, 480, 700, 761, 900, 1024, 1181, 1440, 1920, 2560, 3840]) {
    await page.setViewportSize({ width, height: 900 });
    const { wide, tall } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      tall: Math.max(
        ...[...document.querySelectorAll("tr[data-id]")].map((each) => each.getBoundingClientRect().height),
      ),
    }));
    assert.ok(wide <= 0, `${wide} px too wide at ${width}`);
    assert.ok(tall <= (width <= 760 ? 84 : 40), `a row of ${tall} px at ${width}`);
  }
  await page.setViewportSize({ width: 3840, height: 2160 });
  await page.screenshot({ path: `${OUT}/list-3840.png` });
});

test("the focus goes where the attention goes", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "queued");
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await row(page, made).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "To the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  await row(page, made).getByRole("link").focus();
  await page.keyboard.press("Enter");
  await page.getByRole("tabpanel").waitFor();
  await until(
    async () => (await page.evaluate(() => document.activeElement?.textContent)) === "report #1",
    "the heading of the new page",
  );
  const button = page.getByRole("button", { name: "Mark failed …" });
  await button.focus();
  await page.keyboard.press("Enter");
  await until(async () => (await page.evaluate(() => document.activeElement?.tagName)) === "TEXTAREA", "the reason");
  await page.keyboard.press("Escape");
  await until(
    async () => (await page.evaluate(() => document.activeElement?.textContent)) === "Mark failed …",
    "the button that opened the dialog",
  );
});
