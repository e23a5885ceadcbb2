// Signing in: a key, and what the service says of it.

import { useRef, useState } from "preact/hooks";
import { Problem, call } from "../api.js";
import { html } from "../html.js";
import { Heading, ProblemBox } from "../parts/basics.js";
import { useKey } from "../session.js";

/** What can be sent as a header: anything else was not copied from where keys are made. */
const LEGAL = /^[\x21-\x7e]+$/;

const CREATE = `cargo run -q -p keys -- create --org acme --name "Anna, console" \\
  --scopes read,write --expires-in 12h`;

/** What is wrong with what somebody has typed; null if it may be a key. @param {string} key */
function wrongWith(key) {
  if (key === "") return new Problem("invalid", "Paste a key first.");
  if (LEGAL.test(key)) return null;
  return new Problem("invalid", "This is no API key: a key has letters, digits, hyphens and underscores, and no spaces.");
}

/** What a failure says to somebody who signs in. @param {Problem} problem */
function explain(problem) {
  if (problem.kind !== "signed-out") return problem;
  const words = "The service does not know this key. It may be mistyped, revoked, expired, or of another stack.";
  return new Problem("signed-out", words, { id: problem.id ?? undefined });
}

/** @param {{ reason: string | null }} props why the last key does not work any more */
export function SignInPage({ reason }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [memoryOnly, setMemoryOnly] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(/** @type {Problem | null} */ (null));

  const signIn = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    const wrong = wrongWith(key);
    setProblem(wrong);
    if (wrong) return;
    setBusy(true);
    try {
      const caller = (await call("GET", "/me", { key })).json;
      useKey(key, caller, !memoryOnly);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(explain(error));
      setBusy(false);
      field.current?.select();
    }
  };

  return html`
    <div class="sign-in">
      <${Heading}>Sign in with an API key</${Heading}>
      ${reason && !problem && html`<p class="notice warn" role="alert">${reason}</p>`}
      ${problem && html`<${ProblemBox} problem=${problem} />`}
      <form onSubmit=${signIn}>
        <label class="block">
          API key
          <input type="password" ref=${field} autocomplete="off" autofocus spellcheck=${false} required />
        </label>
        <label>
          <input type="checkbox" checked=${memoryOnly} onChange=${() => setMemoryOnly(!memoryOnly)} />
          ${" Forget it on reload "}
          <span class="muted">(otherwise when the tab is closed)</span>
        </label>
        <p>
          <button type="submit" class="primary" disabled=${busy}>${busy ? "Signing in …" : "Sign in"}</button>
        </p>
      </form>
      <${WhereFrom} />
    </div>`;
}

function WhereFrom() {
  return html`
    <details>
      <summary>Where to get a key</summary>
      <p>
        ${"Whoever operates the service makes keys with the tool "}<code>keys</code>
        ${". One for the console should have a name, which stands in the history of what you do, and an end:"}
      </p>
      <pre tabindex="0" role="region" aria-label="The command that makes a key"><code>${CREATE}</code></pre>
      <p>
        ${"With "}<code>read</code>${" alone the console shows everything, and can change nothing. The development server prints"}
        ${" a link that signs in by itself."}
      </p>
    </details>`;
}
