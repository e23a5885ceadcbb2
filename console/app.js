// The console's beginning: who is signed in, which page the address names, and what stands around it.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LiveRegion } from "./announce.js";
import { call } from "./api.js";
import { useNow } from "./clock.js";
import { exact, rough } from "./format.js";
import { html } from "./html.js";
import { useKeys } from "./keyboard.js";
import { ExecutionPage } from "./pages/execution.js";
import { ExecutionsPage } from "./pages/executions.js";
import { FlowsPage } from "./pages/flows.js";
import { forgetLists } from "./pages/list.js";
import { SignInPage } from "./pages/sign-in.js";
import { Heading } from "./parts/basics.js";
import { Help } from "./parts/help.js";
import { usePolling } from "./polling.js";
import { HOME, go, place, useLinks } from "./router.js";
import { session, setCaller, signOut, start } from "./session.js";
import { prefer, settings } from "./settings.js";
import { useStore } from "./store.js";
import { Foreign } from "./text.js";

/** @typedef {import("./model.js").Caller} Caller */

const ICON = new URL("./icon.svg", import.meta.url).href;

/** How times can be shown. @type {[value: "relative" | "local" | "utc", words: string][]} */
const TIMES = [["relative", "relative times"], ["local", "local times"], ["utc", "UTC"]];

/** From when on the end of a key is told, in milliseconds before it. */
const SOON = 36e5;

start();
const root = document.getElementById("app");
if (root) {
  // What the page says until its scripts are there. Preact leaves what it has not made where it is.
  root.replaceChildren();
  render(html`<${App} />`, root);
}

function App() {
  const signedIn = useStore(session);
  const { path } = useStore(place);
  const [isHelping, setIsHelping] = useState(false);
  const help = () => setIsHelping(true);
  useLinks();
  useKeys({ "?": help, e: () => go(HOME), l: () => go(`${HOME}/flows`) });

  const key = signedIn.state === "in" ? signedIn.key : null;
  const caller = signedIn.state === "in" ? signedIn.caller : null;
  useEffect(forgetLists, [key]);
  // Beside the first list, not before it, and until it is known: without it nothing is offered. If it fails, so does the list,
  // which says why.
  usePolling(async (signal) => {
    if (key !== null && caller === null) setCaller((await call("GET", "/me", { signal })).json);
    return null;
  }, [key]);

  const title = `${key === null ? "Sign in" : nameOf(path)} · Ratchet`;
  useEffect(() => {
    document.title = title;
  }, [title]);

  if (signedIn.state === "asking") return html`<main id="main" aria-busy="true"><${Heading} quiet>Ratchet</${Heading}></main>`;
  if (signedIn.state === "out") {
    return html`
      <main id="main"><${SignInPage} reason=${signedIn.reason} /></main>
      <${LiveRegion} />`;
  }
  const mayRead = caller === null || caller.scopes.some((scope) => scope !== "write");
  return html`
    <${ToContent} />
    <${TopBar} caller=${caller} path=${path} help=${help} />
    <main id="main" tabindex="-1">${mayRead ? html`<${Page} path=${path} />` : html`<${WriteOnly} />`}</main>
    ${isHelping && html`<${Help} close=${() => setIsHelping(false)} />`}
    <${LiveRegion} />`;
}

/** What a page is called, until it knows better. @param {string} path */
function nameOf(path) {
  if (path === "/flows") return "Flows";
  return path.startsWith("/x/") ? "Execution" : "Executions";
}

/** @param {{ path: string }} props */
function Page({ path }) {
  if (path === "") return html`<${ExecutionsPage} />`;
  if (path === "/flows") return html`<${FlowsPage} />`;
  const [, id] = /^\/x\/([^/]+)$/.exec(path) ?? [];
  if (id) return html`<${ExecutionPage} key=${id} id=${decode(id)} />`;
  return html`
    <div class="empty">
      <${Heading}>There is no such page</${Heading}>
      <p><a class="button" href=${HOME}>Executions</a></p>
    </div>`;
}

/** A part of a path as text; unchanged where it is not encoded well. @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Instead of a page, for a key that may see nothing. */
function WriteOnly() {
  return html`
    <div class="empty">
      <${Heading}>This key may report, and not read</${Heading}>
      <p>The console needs a key with the scope <code>read</code>.</p>
      <p><button type="button" class="primary" onClick=${signOut}>Sign in with another key</button></p>
    </div>`;
}

/** A link by which those who use the keyboard pass what is the same on every page. */
function ToContent() {
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>To the content</a>`;
}

/** @param {{ caller: Caller | null, path: string, help: () => void }} props */
function TopBar({ caller, path, help }) {
  const { times } = useStore(settings);
  const isExecutions = path === "" || path.startsWith("/x/");
  const chooseTimes = (/** @type {any} */ event) => prefer({ times: event.target.value });
  return html`
    <header class="top">
      <a class="brand" href=${HOME}><img src=${ICON} width="20" height="20" alt="" />Ratchet</a>
      <nav aria-label="Pages">
        <a href=${HOME} aria-current=${isExecutions ? "page" : undefined}>Executions</a>
        <a href=${`${HOME}/flows`} aria-current=${path === "/flows" ? "page" : undefined}>Flows</a>
      </nav>
      <span class="space"></span>
      <${Account} caller=${caller} />
      <label class="times">
        <span class="for-readers">Times</span>
        <select value=${times} onChange=${chooseTimes}>
          ${TIMES.map(([value, words]) => html`<option value=${value}>${words}</option>`)}
        </select>
      </label>
      <button type="button" class="quiet" onClick=${help} aria-label="Keys" title="Keys (?)">?</button>
      <button type="button" class="quiet" onClick=${signOut}>Sign out</button>
    </header>`;
}

/** Whose key it is, and how long it lasts. @param {{ caller: Caller | null }} props */
function Account({ caller }) {
  const end = caller?.expires_at ? Date.parse(caller.expires_at) : null;
  const now = useNow(end !== null);
  if (!caller) {
    return html`<span class="account" aria-busy="true"><span class="for-readers">Asking whose key this is …</span></span>`;
  }
  const isReadOnly = !caller.scopes.some((scope) => scope !== "read");
  return html`
    <span class="account">
      <strong title="The organization of this key"><${Foreign} text=${caller.organization_id} /></strong>
      <span class="muted key-name" title=${`Key ${caller.key_id}, with ${caller.scopes.join(", ")}`}>
        <${Foreign} text=${caller.key_name ?? caller.key_id} limit=${40} />
      </span>
      ${isReadOnly && html`<span class="tag">read only</span>`}
      ${end !== null && end - now < SOON && html`
        <span class="tag warn" title=${exact(end, false)}>key ends in ${rough(Math.max(0, end - now))}</span>`}
    </span>`;
}
