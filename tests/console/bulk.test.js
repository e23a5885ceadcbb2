import assert from "node:assert/strict";
import { test } from "node:test";
import { execution } from "./seed.js";
import { organization, person, row, rows, settled, until, useWorld } from "./world.js";

useWorld();

test("a cancel of many says of each what became of it", async (t) => {
  const { api, keys } = organization();
  const made = [];
  for (let index = 0; index < 8; index += 1)
    made.push(await execution(api, { flow_id: "batch" }, index === 7 ? "running" : "pending"));
  const [late, broken, lost, ...rest] = made;
  const { calls, context, open } = await person(t, { allow: [400, 500, "ERR_CONNECTION_RESET"] });
  const page = await open("/console", keys.all);
  await until(async () => (await rows(page).count()) === 8, "the rows");
  // From the newest to the oldest by shift.
  await row(page, made[7]).getByRole("checkbox").click();
  await row(page, made[0])
    .getByRole("checkbox")
    .click({ modifiers: ["Shift"] });
  await page.getByText("8 selected").waitFor();
  await api("PATCH", `/flows/executions/${late.id}`, { status: "completed" });
  // The first six wait for each other, so that they are under way at once however slow the machine is.
  let atOnce = 0;
  let most = 0;
  /** @type {(value: null) => void} */
  let openGate = () => {};
  const gate = new Promise((resolve) => {
    openGate = resolve;
  });
  await context.route("**/api/v1/executions/*/cancel", async (route) => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    if (atOnce === 6) openGate(null);
    await gate;
    atOnce -= 1;
    if (route.request().url().includes(broken.id))
      await route.fulfill({
        status: 500,
        json: { detail: "Internal error", error_code: "INTERNAL", correlation_id: "trace-me", timestamp: "" },
      });
    else if (route.request().url().includes(lost.id)) await route.abort("connectionreset");
    else await route.continue();
  });
  await page.getByRole("button", { name: "Cancel 8 executions …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/Reason/).fill("wrong input");
  await dialog.getByRole("button", { name: "Cancel 8 executions" }).click();
  const summary = dialog.getByRole("status");
  await until(
    async () => (await summary.textContent()) === "4 cancelled, 1 asked to stop, 1 too late, 1 unknown, 1 failed",
    "the sum",
  );
  assert.equal(most, 6, "at once");
  const outcome = (/** @type {{ execution_number: number }} */ { execution_number }) =>
    dialog
      .getByRole("row")
      .filter({ has: page.getByRole("rowheader", { name: `batch #${execution_number}`, exact: true }) })
      .textContent();
  assert.match((await outcome(late)) ?? "", /too late.*completed won/);
  assert.match((await outcome(broken)) ?? "", /failedInternal error.*trace-me/);
  assert.match((await outcome(lost)) ?? "", /unknown.*repeating it is safe/);
  assert.match((await outcome(made[7])) ?? "", /asked to stop/);
  // Those that may succeed yet are tried again, and nothing happens twice.
  await context.unroute("**/api/v1/executions/*/cancel");
  await dialog.getByRole("button", { name: "Try 2 again" }).click();
  await until(
    async () => (await summary.textContent()) === "6 cancelled, 1 asked to stop, 1 too late",
    "the sum after another try",
  );
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await row(page, rest[0]).getByText("cancelled").waitFor();
  for (const { id } of rest.slice(0, 4)) {
    const { transitions } = (await api("GET", `/executions/${id}/transitions`)).body;
    assert.deepEqual(
      transitions.map((/** @type {any} */ each) => [each.to, each.reason]),
      [["cancelled", "wrong input"]],
    );
  }
  assert.ok(calls().filter((call) => call.endsWith("/cancel")).length >= 10);
});

test("what has ended cannot be selected, and all that has not is selected at once", async (t) => {
  const { api, keys } = organization();
  const ended = await execution(api, { flow_id: "a" }, "completed");
  const notEnded = [await execution(api, { flow_id: "a" }), await execution(api, { flow_id: "a" }, "interrupted")];
  const { open } = await person(t);
  const page = await open("/console", keys.all);
  await row(page, ended).waitFor();
  await settled(page);
  assert.equal(await row(page, ended).getByRole("checkbox").count(), 0);
  await page.getByLabel("Select all that have not ended").click();
  await page.getByText("2 selected").waitFor();
  assert.ok(await row(page, notEnded[0]).getByRole("checkbox").isChecked());
  await page.getByRole("button", { name: "Clear selection" }).click();
  await until(async () => (await page.locator("input:checked").count()) === 0, "nothing is selected");
});
