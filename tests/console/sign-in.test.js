import assert from "node:assert/strict";
import { test } from "node:test";
import { execution } from "./seed.js";
import { address, keysTool, organization, person, rows, says, settled, until, useWorld } from "./world.js";

useWorld();

const FIELD = "input[type=password]";

/** @param {import("playwright-core").Page} page @param {string} key */
async function signIn(page, key) {
  await page.fill(FIELD, key);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("a wrong key is told, and the right one shows the list", async (t) => {
  const { api, keys, name } = organization();
  await execution(api, { flow_id: "report" });
  const { open } = await person(t, { allow: [403] });
  const page = await open("/console");
  await page.getByRole("button", { name: "Sign in" }).click();
  assert.equal(await rows(page).count(), 0, "an empty field signs nobody in");
  assert.equal(await page.locator(".starting").count(), 0, "what a page without its scripts says is gone");
  await signIn(page, "two words");
  await says(page, /This is no API key/);
  await signIn(page, "wrong");
  await says(page, /does not know this key/);
  await signIn(page, `  ${keys.all}\n`);
  await rows(page).first().waitFor();
  await says(page, name);
});

test("a key in the address signs in, leaves the address, and lasts over a reload", async (t) => {
  const { api, keys } = organization();
  await execution(api, { flow_id: "report" });
  const { open } = await person(t);
  const page = await open("/console?status=pending", keys.all);
  await rows(page).first().waitFor();
  assert.equal(page.url(), `${address()}/console?status=pending`);
  await page.reload();
  await rows(page).first().waitFor();
  assert.equal(await page.evaluate(() => history.length), 2, "the history has no entry with the key");
});

test("from another host a key in the address is refused", async (t) => {
  const { keys } = organization();
  // Where a browser does not trust the way, it says that it leaves a header aside.
  const { context } = await person(t, { allow: [/^The Cross-Origin-Opener-Policy header has been ignored/] });
  const page = await context.newPage();
  await page.goto(`http://ratchet.example:${new URL(address()).port}/console#key=${keys.all}`);
  await says(page, /A link must not carry a key/);
  assert.ok(!page.url().includes("key"));
  // The page works there all the same, though the browser does not count plain HTTP as secure.
  await signIn(page, keys.all);
  await says(page, "No executions yet");
  const command = await page.locator(".command code").textContent();
  assert.ok(
    command?.includes("$RATCHET_API_KEY") && !command.includes(keys.all),
    "a key of a deployed service stays off the screen",
  );
});

test("a key that is to be forgotten on reload is", async (t) => {
  const { keys } = organization();
  const { context, open } = await person(t);
  const page = await open("/console");
  await page.getByLabel("Forget it on reload").check();
  await signIn(page, keys.all);
  await says(page, "No executions yet");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  const other = await context.newPage();
  await other.goto(`${address()}/console`);
  await other.waitForSelector(FIELD);
  await page.reload();
  await page.waitForSelector(FIELD);
});

test("a new tab asks the other for the key, and signing out in one signs out both", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" });
  const { context, open } = await person(t);
  const page = await open("/console", keys.all);
  await rows(page).first().waitFor();
  const tab = await context.newPage();
  await tab.goto(`${address()}/console/x/${made.id}`);
  await says(tab, "report");
  await tab.getByRole("button", { name: "Sign out" }).click();
  await tab.waitForSelector(FIELD);
  await says(page, "Signed out in another tab.");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("a tab that is busy answers late, and its key is taken all the same", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" });
  const { context, open } = await person(t);
  const page = await open("/console", keys.all);
  await rows(page).first().waitFor();
  // The first tab says nothing until the second one has given up waiting, and shows its form.
  await page.evaluate(() => {
    const post = BroadcastChannel.prototype.postMessage;
    /** @param {unknown} message @this {BroadcastChannel} */
    BroadcastChannel.prototype.postMessage = function (message) {
      /** @type {any} */ (globalThis).answer = () => post.call(this, message);
    };
  });
  const tab = await context.newPage();
  await tab.goto(`${address()}/console/x/${made.id}`);
  await tab.waitForSelector(FIELD);
  await until(() => page.evaluate(() => "answer" in globalThis), "the first tab was asked");
  await page.evaluate(() => /** @type {any} */ (globalThis).answer());
  await tab.getByRole("heading", { name: "report #1" }).waitFor();
});

test("where whose key it is cannot be told at first, what it may do is offered later", async (t) => {
  const { api, keys, name } = organization();
  const made = await execution(api, { flow_id: "report" }, "running");
  const { context, open } = await person(t, { allow: [503] });
  let refused = 0;
  await context.route("**/api/v1/me", async (route) => {
    refused += 1;
    const json = { detail: "DynamoDB is away", error_code: "STORE_UNAVAILABLE", correlation_id: "c", timestamp: "" };
    if (refused > 2) await route.continue();
    else await route.fulfill({ status: 503, headers: { "retry-after": "1" }, json });
  });
  const page = await open(`/console/x/${made.id}`, keys.all);
  await says(page, "History");
  await page.getByRole("button", { name: "Cancel …" }).waitFor();
  await says(page, name);
  assert.equal(refused, 3);
});

test("a key that may read sees everything, and is offered nothing else", async (t) => {
  const { api, keys } = organization();
  const made = await execution(api, { flow_id: "report" }, "running");
  const { open } = await person(t);
  const page = await open("/console", keys.read);
  await says(page, "read only");
  await rows(page).first().waitFor();
  assert.equal(await page.locator("input[type=checkbox]").count(), 0);
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  assert.equal(await page.getByText("1 selected").count(), 0, "nor by a key");
  await page.keyboard.press("Enter");
  await says(page, "History");
  await settled(page);
  assert.ok(page.url().endsWith(made.id));
  assert.equal(await page.getByRole("button", { name: /Cancel|Mark failed|Retry/ }).count(), 0);
  for (const key of ["c", "f", "t"]) await page.keyboard.press(key);
  assert.equal(await page.locator("dialog").count(), 0);
});

test("a key that may only report is told so", async (t) => {
  const { keys } = organization();
  const { open } = await person(t, { allow: [403] });
  const page = await open("/console", keys.write);
  await says(page, "This key may report, and not read");
});

test("another organization's key shows nothing of the first one's", async (t) => {
  const [first, second] = [organization(), organization()];
  await execution(first.api, { flow_id: "secret-plan" });
  await execution(second.api, { flow_id: "report" });
  const { open } = await person(t);
  const page = await open("/console", first.keys.all);
  await rows(page).first().waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForSelector(FIELD);
  // Whatever is on the screen in any frame from here on.
  await page.evaluate(() => {
    const seen = /** @type {any} */ (globalThis);
    seen.leaked = false;
    new MutationObserver(() => {
      seen.leaked ||= document.body.innerHTML.includes("secret-plan");
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  await signIn(page, second.keys.all);
  await says(page, "report");
  assert.equal(await page.evaluate(() => /** @type {any} */ (globalThis).leaked), false);
  assert.ok(!(await page.content()).includes("secret-plan"));
});

test("a key that is revoked while the page is open brings back the sign-in, and then the same page", async (t) => {
  const { api, keys, name } = organization();
  const made = await execution(api, { flow_id: "report" }, "running");
  const key = keysTool("create", "--org", name, "--name", "Anna", "--scopes", "read,write");
  const { open } = await person(t, { allow: [403] });
  const page = await open(`/console/x/${made.id}`, key);
  await says(page, "Anna");
  keysTool("revoke", key);
  await says(page, /it was revoked, or has expired/);
  await signIn(page, keys.all);
  await says(page, "History");
  assert.ok(page.url().endsWith(`/console/x/${made.id}`));
});

test("a key that has expired is told to have expired, and says before that it will", async (t) => {
  const { api, name } = organization();
  await execution(api, { flow_id: "report" });
  const key = keysTool("create", "--org", name, "--scopes", "read", "--expires-in", "20s");
  const { open } = await person(t, { allow: [403] });
  const page = await open("/console", key);
  await says(page, /key ends in \d+ s/);
  await until(() => page.getByText("This key has expired.").count(), "it has expired");
});
