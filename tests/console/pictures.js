// The pictures of the README: the console with what a real service answers, at a time that is always the same. What the service
// answers is changed in one thing: its times, which are those of a working day and not of the second in which this ran.

import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { client, company, execution, steps } from "./seed.js";
import { STEPS } from "./service.js";
import { OUT, address, organization, person, rows, settled, until, useWorld } from "./world.js";

useWorld();

const NOW = Date.parse("2026-11-21T18:30:12Z");
const FOLDER = `${OUT}/pictures`;

/** @param {number} ms */
const iso = (ms) => new Date(ms).toISOString();

/**
 * Gives the executions of a list the times of a day, the newest first.
 * @param {any[]} executions
 */
function spread(executions) {
  let at = NOW - 9000;
  executions.forEach((each, index) => {
    at -= 1000 * (7 + ((index * 37) % 91) + (index > 5 ? 140 : 0));
    const begun = at + 1400;
    const ended = each.completed_at !== null ? begun + (each.duration_ms ?? 0) : null;
    Object.assign(each, {
      created_at: iso(at),
      started_at: iso(each.attempt > 0 ? begun : at),
      updated_at: iso(ended ?? begun),
      completed_at: ended && iso(ended),
    });
  });
}

/**
 * Stretches the times of one execution, its transitions and steps: a millisecond becomes many.
 * @param {number} origin when it was created
 * @param {number} factor
 */
const stretched = (origin, factor) => (/** @type {any} */ name, /** @type {any} */ value) =>
  name === "duration_ms" && value !== null
    ? value * factor
    : typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)
      ? iso(NOW - 252_000 + (Date.parse(value) - origin) * factor)
      : value;

test("the pictures are made", STEPS, async (t) => {
  mkdirSync(FOLDER, { recursive: true });
  const { keys, api } = organization();
  await company(api, 60, 27);
  const rich = await execution(
    api,
    {
      flow_id: "invoice-extraction",
      agent_id: "claude-worker-2",
      trigger_type: "webhook",
      priority: "high",
      timeout_seconds: 900,
      heartbeat_timeout_seconds: 600,
      variables: { customer: "ACME GmbH", rate: 1.5, documents: ["4711.pdf", "4712.pdf"] },
      trigger_data: { mailbox: "billing@example.com" },
      metadata: { team: "finance" },
    },
    "queued",
  );
  await steps(client(address(), keys.all), rich.id);

  for (const scheme of /** @type {const} */ (["light", "dark"])) {
    const { context, open } = await person(t, { width: 1280, height: 760, scheme, scale: 1.5, allow: [404] });
    await context.clock.setFixedTime(NOW);
    await context.route("**/api/v1/**", async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers(), date: new Date(NOW).toUTCString() };
      const text = await response.text();
      if (text === "") return route.fulfill({ response, headers });
      let body = JSON.parse(text);
      if (body.executions) spread(body.executions);
      else if (body.id === rich.id || body.execution_id === rich.id)
        body = JSON.parse(JSON.stringify(body), stretched(Date.parse(rich.created_at), 60));
      const me = body.key_id ? { organization_id: "acme", key_name: "Anna" } : {};
      return route.fulfill({ response, headers, json: { ...body, ...me } });
    });
    const list = await open("/console", keys.all);
    await until(async () => (await rows(list).count()) > 20, "the list");
    await settled(list);
    await list.evaluate(() => document.fonts.ready);
    await list.screenshot({ path: `${FOLDER}/console-list-${scheme}.png` });
    const page = await open(`/console/x/${rich.id}`, keys.all);
    await page.getByRole("tabpanel").waitFor();
    await settled(page);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: `${FOLDER}/console-execution-${scheme}.png` });
    await context.unrouteAll({ behavior: "ignoreErrors" });
  }
});
