// What to do where there is nothing yet: lines that work as they are printed.

import { shellQuote } from "../format.js";
import { html } from "../html.js";
import { isOwnMachine, session } from "../session.js";
import { Command } from "./basics.js";

/**
 * The header that has the key, for a line of curl. Elsewhere than on this machine, the key itself stays off the screen, and out of
 * the clipboard and the shell's history.
 */
export function keyHeader() {
  const key = session.value.state === "in" ? session.value.key : "";
  return isOwnMachine() ? `-H ${shellQuote(`x-api-key: ${key}`)}` : '-H "x-api-key: $RATCHET_API_KEY"';
}

export function FirstExecution() {
  const body = JSON.stringify({ flow_id: "hello", trigger_type: "manual" });
  const lines = [
    `curl ${location.origin}/api/v1/flows/execute ${keyHeader()}`,
    "  -H 'content-type: application/json'",
    `  -d ${shellQuote(body)}`,
  ];
  return html`
    <div class="empty">
      <h2>No executions yet</h2>
      <p>Start one. It appears here by itself, within a few seconds.</p>
      <${Command} command=${lines.join(" \\\n")} what="the command that starts an execution" />
      ${!isOwnMachine() && html`
        <p class="muted">
          <code>RATCHET_API_KEY</code>${" must have a key with the scope write; "}
          <code>read -rs RATCHET_API_KEY</code>${" asks for it without showing it."}
        </p>`}
      <p class="muted">Workers, schedulers and wrappers report the same way: one request when a run begins, one when it ends.</p>
    </div>`;
}
