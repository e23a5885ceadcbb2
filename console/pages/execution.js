// One execution: what it is, what happened to it and why, what went in and came out, and what can be done.

import { useEffect, useState } from "preact/hooks";
import { useNow } from "../clock.js";
import { relative, rough, shellQuote } from "../format.js";
import { html } from "../html.js";
import { useKeys } from "../keyboard.js";
import { isTerminal, nameOf } from "../model.js";
import { ActionDialog } from "../parts/action-dialogs.js";
import { Copy, Heading, Loading, ProblemBox } from "../parts/basics.js";
import { DataTabs } from "../parts/data-tabs.js";
import { Facts } from "../parts/facts.js";
import { keyHeader } from "../parts/first-execution.js";
import { By, History } from "../parts/history.js";
import { StatusBadge } from "../parts/status.js";
import { StepsSection } from "../parts/steps.js";
import { Timeline } from "../parts/timeline.js";
import { HOME, go } from "../router.js";
import { mayWrite, session } from "../session.js";
import { settings } from "../settings.js";
import { useStore } from "../store.js";
import { Foreign, plainly } from "../text.js";
import { useHeartbeat } from "./live-heartbeat.js";
import { useSteps } from "./live-steps.js";
import { useExecution } from "./live.js";

/** @typedef {import("../model.js").Execution} Execution */
/** @typedef {import("../model.js").Transition} Transition */
/** @typedef {import("../parts/action-dialogs.js").Action} Action */

/** @param {{ id: string }} props */
export function ExecutionPage({ id }) {
  const { live, problem, refresh } = useExecution(id);
  useKeys({ r: refresh, u: () => go(HOME) });
  if (live) return html`<${Shown} live=${live} problem=${problem} refresh=${refresh} />`;
  if (problem) return html`<${Missing} problem=${problem} id=${id} retry=${refresh} />`;
  return html`
    <${Heading}>Execution</${Heading}>
    <${Loading}>Reading the execution …</${Loading}>`;
}

/**
 * @param {{ live: import("./live.js").Live, problem: import("../api.js").Problem | null, refresh: () => void }} props
 *   `problem` of the last look: what is shown is from one before
 */
function Shown({ live, problem, refresh }) {
  const { execution, transitions } = live;
  const steps = useSteps(live);
  const heartbeat = useHeartbeat(execution);
  const [action, setAction] = useState(/** @type {Action | null} */ (null));
  const isOpen = !isTerminal(execution.status);
  const writes = mayWrite();
  useKeys({
    c: () => writes && isOpen && setAction("cancel"),
    f: () => writes && isOpen && setAction("fail"),
    t: () => writes && setAction("retry"),
  });
  const ofFlow = `${HOME}?flow_id=${encodeURIComponent(execution.flow_id)}`;
  const title = `${plainly(nameOf(execution))} ${execution.status} · Ratchet`;
  useEffect(() => {
    document.title = title;
  }, [title]);

  return html`
    <article class="execution">
      <nav aria-label="Where this is" class="crumbs">
        <a href=${HOME}>Executions</a>${" / "}
        <a href=${ofFlow}><${Foreign} text=${execution.flow_id} limit=${60} /></a>
      </nav>
      <${Head} execution=${execution} act=${writes ? setAction : null} />
      ${problem && html`
        <${ProblemBox} problem=${problem} retry=${refresh}>
          ${problem.passes && html`<p class="muted">What is shown is from before. The console tries again by itself.</p>`}
        </${ProblemBox}>`}
      <${Notices} execution=${execution} transitions=${transitions} force=${heartbeat?.force ?? null} />
      <${Facts} execution=${execution} lastHeard=${heartbeat?.last ?? null} />
      <${Picture} execution=${execution} transitions=${transitions} steps=${steps.steps ?? []} />
      <${StepsSection} steps=${steps} />
      <${History} execution=${execution} transitions=${transitions} />
      <${DataTabs} live=${live} />
      ${action && html`
        <${ActionDialog}
          key=${action}
          action=${action}
          execution=${execution}
          record=${live.record}
          close=${() => setAction(null)}
          done=${refresh} />`}
    </article>`;
}

/**
 * What it is, with what identifies it, and what can be done.
 * @param {{ execution: Execution, act: ((action: Action) => void) | null }} props `act`: null where the key may do nothing
 */
function Head({ execution, act }) {
  const { id, flow_id, execution_number, status } = execution;
  const isOpen = !isTerminal(status);
  const curl = `curl ${shellQuote(`${location.origin}/api/v1/flows/executions/${id}`)} ${keyHeader()}`;
  return html`
    <header class="head">
      <${Heading}>
        <${Foreign} text=${flow_id} limit=${160} />
        <span class="number">${` #${execution_number}`}</span>
      </${Heading}>
      <${StatusBadge} status=${status} large />
      <span class="row id">
        <code>${id}</code>
        <${Copy} text=${id} what="the id">Copy id</${Copy}>
        <${Copy} text=${curl} what="a curl command that reads it">Copy curl</${Copy}>
      </span>
      ${act && html`
        <span class="row actions">
          ${isOpen && html`
            <button type="button" class="danger" onClick=${() => act("cancel")}>Cancel …</button>
            <button type="button" onClick=${() => act("fail")}>Mark failed …</button>`}
          <button type="button" class=${isOpen ? "" : "primary"} onClick=${() => act("retry")}>Retry as new …</button>
        </span>`}
    </header>`;
}

/**
 * What a person must not miss.
 * @param {{ execution: Execution, transitions: Transition[], force: number | null }} props `force`: when a cancel is forced, as
 *   far as that is known
 */
function Notices({ execution, transitions, force }) {
  const { error_message, status } = execution;
  const isOpen = !isTerminal(status);
  const end = transitions.findLast((transition) => isTerminal(transition.to));
  const reason = transitions.at(-1)?.reason ?? null;
  return html`
    ${execution.cancel_requested_at && isOpen && html`
      <${CancelRequested} at=${Date.parse(execution.cancel_requested_at)} force=${force} />`}
    ${status === "interrupted" && html`
      <div class="notice warn">
        <p>
          <strong>The worker has not been heard from.</strong>
          ${reason && ` ${reason}.`}
          ${` It may still be alive: a heartbeat takes the execution back to running, and a`}
          ${" result is taken, too."}
        </p>
      </div>`}
    ${error_message !== null && html`
      <div class=${`notice ${status === "completed" ? "" : "bad"}`}>
        <p class="error-text"><${Foreign} text=${error_message} limit=${3000} /></p>
      </div>`}
    ${error_message === null && end?.reason && html`
      <div class="notice">
        <p>${end.to} by <${By} transition=${end} />: <${Foreign} text=${end.reason} /></p>
      </div>`}`;
}

/** @param {{ at: number, force: number | null }} props `at`: when the cancel was requested */
function CancelRequested({ at, force }) {
  const now = useNow();
  const end = force === null ? "" : ` ${force > now ? `In ${rough(force - now)}` : "Within a minute"} it is cancelled in any case.`;
  return html`
    <div class="notice">
      <p>
        <strong>A cancel was requested ${relative(at, now)}.</strong>
        ${` The worker learns it with its next heartbeat or report of a step.${end}`}
      </p>
    </div>`;
}

/** @param {{ execution: Execution, transitions: Transition[], steps: import("../model.js").Step[] }} props */
function Picture({ execution, transitions, steps }) {
  const now = useNow(!isTerminal(execution.status));
  const utc = useStore(settings).times === "utc";
  return html`
    <section aria-label="Timeline">
      <${Timeline} execution=${execution} transitions=${transitions} steps=${steps} now=${now} utc=${utc} />
    </section>`;
}

/**
 * Instead of an execution: there is none, or it cannot be read now.
 * @param {{ problem: import("../api.js").Problem, id: string, retry: () => void }} props
 */
function Missing({ problem, id, retry }) {
  const caller = session.value.state === "in" ? session.value.caller : null;
  const unknown = problem.kind === "not-found" || problem.kind === "invalid";
  return html`
    <div class="empty">
      <${Heading}>${unknown ? "No such execution" : "The execution cannot be shown"}</${Heading}>
      ${unknown && html`
        <p>
          ${"Organization "}<strong><${Foreign} text=${caller?.organization_id ?? "of this key"} /></strong>
          ${" has no execution "}<code><${Foreign} text=${id} limit=${80} /></code>
          ${". If somebody gave you this link, it may be of another organization: sign in with a key of that one."}
        </p>`}
      <${ProblemBox} problem=${problem} retry=${unknown ? undefined : retry} />
      <p><a class="button" href=${HOME}>All executions</a></p>
    </div>`;
}
