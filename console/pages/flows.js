// Flows: which ones ran last, and how one of them does.

import { useState } from "preact/hooks";
import { call } from "../api.js";
import { listPath, readFilters } from "../filters.js";
import { compact, counted, dollars, duration, exactSum } from "../format.js";
import { html } from "../html.js";
import { Heading, Loading, ProblemBox, Time } from "../parts/basics.js";
import { FirstExecution } from "../parts/first-execution.js";
import { FlowSummary } from "../parts/flow-summary.js";
import { StatusBadge } from "../parts/status.js";
import { usePolling } from "../polling.js";
import { HOME, useParameters } from "../router.js";
import { byFlow, summarize } from "../statistics.js";
import { Foreign } from "../text.js";
import { seenFlows } from "./list.js";

/** How many executions are looked at: the most that one request returns. */
const RUNS = 100;

/** @typedef {import("../model.js").Execution} Execution */

export function FlowsPage() {
  const flow = useParameters().get("flow_id") ?? "";
  const [seen, setSeen] = useState(/** @type {{ flow: string, runs: Execution[] } | null} */ (null));
  const { problem, refresh } = usePolling(async (signal) => {
    const filters = readFilters(new URLSearchParams(flow && { flow_id: flow }));
    /** @type {import("../model.js").ExecutionPage} */
    const page = (await call("GET", listPath(filters, { rows: RUNS, count: 0 }), { signal })).json;
    for (const { flow_id } of page.executions) seenFlows.add(flow_id);
    setSeen({ flow, runs: page.executions });
    // A summary of a hundred runs changes slowly.
    return 30_000;
  }, [flow]);
  const runs = seen?.flow === flow ? seen.runs : null;
  return html`
    <${Heading}>
      ${flow ? html`<a href=${`${HOME}/flows`}>Flows</a>${" / "}<${Foreign} text=${flow} limit=${160} />` : "Flows"}
    </${Heading}>
    ${problem && html`<${ProblemBox} problem=${problem} retry=${refresh} />`}
    ${!runs && !problem && html`<${Loading}>Reading the last ${RUNS} executions …</${Loading}>`}
    ${runs && flow && html`<${OneFlow} flow=${flow} runs=${runs} />`}
    ${runs && !flow && (runs.length === 0 ? html`<${FirstExecution} />` : html`<${AllFlows} runs=${runs} />`)}`;
}

/** @param {{ flow: string, runs: Execution[] }} props */
function OneFlow({ flow, runs }) {
  if (runs.length === 0) {
    return html`
      <div class="empty">
        <h2>This flow has no executions</h2>
        <p>Names of flows must be written exactly, capital letters included.</p>
      </div>`;
  }
  const executions = `${HOME}?flow_id=${encodeURIComponent(flow)}`;
  return html`
    <${FlowSummary} runs=${runs} />
    <p class="row">
      <a class="button" href=${executions}>Executions of this flow</a>
      <a class="button" href=${`${executions}&status=failed,timeout,interrupted`}>Those that went wrong</a>
    </p>`;
}

/** @param {{ runs: Execution[] }} props */
function AllFlows({ runs }) {
  return html`
    <p class="muted">
      The flows of the last ${counted(runs.length, "execution")}, with those of their runs that are among them. Choose one to see
      ${` its own last ${RUNS} runs.`}
    </p>
    <table class="flows">
      <thead>
        <tr>
          <th scope="col">Flow</th>
          <th scope="col" class="figure-cell c-runs">Runs</th>
          <th scope="col" class="figure-cell">Completed</th>
          <th scope="col" class="figure-cell c-median">Median</th>
          <th scope="col" class="figure-cell c-tokens">Tokens</th>
          <th scope="col" class="figure-cell c-cost">Cost</th>
          <th scope="col">Last</th>
        </tr>
      </thead>
      <tbody>
        ${[...byFlow(runs)].map(([flow, own]) => html`<${Row} key=${flow} flow=${flow} runs=${own} />`)}
      </tbody>
    </table>`;
}

/** @param {{ flow: string, runs: Execution[] }} props newest first */
function Row({ flow, runs }) {
  const { ended, completed, median, tokens, costs } = summarize(runs);
  const [last] = runs;
  const sum = tokens.reduce((total, each) => total + each, 0);
  const none = html`<span class="none">–</span>`;
  return html`
    <tr>
      <th scope="row">
        <a href=${`${HOME}/flows?flow_id=${encodeURIComponent(flow)}`}><${Foreign} text=${flow} limit=${80} /></a>
      </th>
      <td class="figure-cell c-runs">${runs.length}</td>
      <td class="figure-cell">${ended === 0 ? none : `${completed} of ${ended}`}</td>
      <td class="figure-cell c-median">${median === null ? none : duration(median)}</td>
      <td class="figure-cell c-tokens">${tokens.length === 0 ? none : compact(sum)}</td>
      <td class="figure-cell c-cost">${costs.length === 0 ? none : dollars(Number(exactSum(costs)))}</td>
      <td>
        ${last && html`<${StatusBadge} status=${last.status} />`}
        ${last && html`<span class="muted beside"><${Time} at=${last.created_at} /></span>`}
      </td>
    </tr>`;
}
