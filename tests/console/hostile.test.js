import assert from "node:assert/strict";
import { test } from "node:test";
import { NAMES, hostile } from "./seed.js";
import { address, organization, person, row, rows, says, settled, until, useWorld } from "./world.js";

useWorld();

/**
 * Nothing that others wrote has become markup, a script or an address.
 * @param {import("playwright-core").Page} page
 */
async function isInert(page) {
  const found = await page.evaluate(() => ({
    title: document.title,
    images: [...document.images]
      .map((image) => image.src)
      .filter((source) => !/\/console\/[0-9a-f]+\/icon\.svg$/.test(source)),
    scripts: document.querySelectorAll("body script").length,
    hrefs: [...document.querySelectorAll("[href]")]
      .map((element) => element.getAttribute("href") ?? "")
      .filter((href) => !href.startsWith("/console") && href !== "#main"),
    handlers: [...document.querySelectorAll("*")]
      .flatMap((element) => element.getAttributeNames())
      .filter((name) => name.startsWith("on") || name === "style" || name === "srcdoc"),
    polluted: "polluted" in {},
  }));
  assert.deepEqual(
    { ...found, title: "" },
    { title: "", images: [], scripts: 0, hrefs: [], handlers: [], polluted: false },
  );
  assert.ok(!/^owned/.test(found.title), found.title);
}

test("hostile content in every field does nothing, and is shown as what it is", async (t) => {
  const { api, keys } = organization();
  const made = await hostile(api);
  const { open } = await person(t, { width: 1600 });
  const page = await open("/console", keys.all);
  await until(async () => (await rows(page).count()) === Object.keys(made).length, "the rows");
  await isInert(page);
  assert.ok((await row(page, made.markup).textContent())?.includes(NAMES.markup.slice(0, 60)));
  // What nobody would see, and what turns the text around, is shown by its code.
  assert.ok((await row(page, made.turned).textContent())?.includes("invoiceU+202Egnp.exe"));
  assert.ok((await row(page, made.nul).textContent())?.includes("aU+0000b"));
  const list = await page
    .locator("main")
    .evaluate((main) =>
      [
        main.textContent,
        ...[...main.querySelectorAll("[title], [aria-label]")].flatMap((each) => [
          each.getAttribute("title"),
          each.getAttribute("aria-label"),
        ]),
      ].join(),
    );
  assert.ok(!/[\u0000-\u0008\u202a-\u202e\u2066-\u2069\u200b]/.test(list), "a character that nobody sees");
  for (const [name, record] of Object.entries(made)) {
    for (const tab of ["output", "error", "inputs", "metadata", "json"]) {
      await page.goto(`${address()}/console/x/${record.id}?tab=${tab}`);
      await page.getByRole("tabpanel").waitFor();
      await settled(page);
      await isInert(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.ok(!wide, `${name} is wider than the page`);
    }
    await page.goto(`${address()}/console?flow_id=${encodeURIComponent(record.flow_id)}`);
    await row(page, record).waitFor();
    await isInert(page);
  }
  await page.goto(`${address()}/console/flows`);
  await page.getByRole("link", { name: "exact" }).waitFor();
  await isInert(page);
});

test("hostile content in the address does nothing", async (t) => {
  const { keys } = organization();
  const { open } = await person(t, { allow: [404, 422] });
  for (const path of [
    `/console?flow_id=${encodeURIComponent(NAMES.markup)}&status=${encodeURIComponent("<script>")}`,
    `/console?within=__proto__&status=constructor`,
    `/console/flows?flow_id=${encodeURIComponent(NAMES.quote)}`,
    `/console/x/${encodeURIComponent(NAMES.markup)}`,
    "/console?cursor=%00&created_after=<b>",
    "/console?status=failed&status=queued&status=,,",
  ]) {
    const page = await open(path, keys.all);
    await page.locator("header.top").waitFor();
    await settled(page);
    await isInert(page);
    await page.close();
  }
});

test("an address that the console does not have is told, with a way back", async (t) => {
  const { keys } = organization();
  const { open } = await person(t, { allow: [404] });
  const page = await open("/console", keys.all);
  await says(page, "No executions yet");
  await page.evaluate(() => {
    history.pushState(null, "", "/console/nowhere");
    dispatchEvent(new PopStateEvent("popstate"));
  });
  await says(page, "There is no such page");
  await page.getByRole("link", { name: "Executions" }).last().click();
  await says(page, "No executions yet");
});
