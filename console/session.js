// The API key of this tab: where it comes from, where it is kept, and how it ends.
//
// It is kept in sessionStorage, which ends with the tab, or in memory alone. Tabs of this console share it among themselves,
// so that a link in a new tab does not ask for it again. There is no cookie: another site's page can send nothing by it.

import { Store } from "./store.js";

const NAME = "ratchet.key";

/** How long another tab may take to answer before the form is there, in milliseconds. */
const ANSWER_TIME = 150;

/**
 * @typedef {{ state: "asking" }} Asking another tab may have a key
 * @typedef {{ state: "out", reason: string | null }} Out
 * @typedef {{ state: "in", key: string, caller: import("./model.js").Caller | null }} In
 *   `caller` is null until the service has said whose key it is
 */

/** @type {Store<Asking | Out | In>} */
export const session = new Store(/** @type {Asking | Out | In} */ ({ state: "asking" }));

/** Whether the key is in sessionStorage, and may be shared with other tabs. */
let kept = true;

/**
 * What other tabs were asked for their key by; empty once something has come of it. By it a tab knows the answer to its own
 * question, however late that comes.
 */
let question = "";

/** Other tabs. Null in a browser that has no channels. */
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("ratchet-console") : null;

/** @param {(storage: Storage) => void} use */
function storage(use) {
  try {
    use(sessionStorage);
  } catch {
    // A browser that keeps nothing: the key is in memory alone.
  }
}

/**
 * Uses a key from now on.
 * @param {string} key
 * @param {import("./model.js").Caller | null} caller
 * @param {boolean} keep in sessionStorage, and not in memory alone
 */
export function useKey(key, caller, keep) {
  question = "";
  kept = keep;
  storage((place) => (keep ? place.setItem(NAME, key) : place.removeItem(NAME)));
  session.set({ state: "in", key, caller });
}

/** Says whose key it is. @param {import("./model.js").Caller} caller */
export function setCaller(caller) {
  if (session.value.state === "in") session.set({ ...session.value, caller });
}

/** Forgets the key, in this tab. @param {string | null} reason for people; null if they asked for it */
export function forget(reason) {
  question = "";
  storage((place) => place.removeItem(NAME));
  session.set({ state: "out", reason });
}

/** Forgets the key in all tabs that share it. */
export function signOut() {
  if (kept) tabs?.postMessage({ forget: true });
  forget(null);
}

/** Whether this is a development server on this machine, whose key is no secret. */
export const isOwnMachine = () => ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);

/**
 * Takes a key out of the address, if there is one. The address must not show it, nor the history keep it. The development
 * server prints such links; from any other service a key in a link is refused, for links are kept and passed on.
 */
function takeFromAddress() {
  if (!location.hash.startsWith("#key=")) return false;
  const key = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get("key") ?? "";
  history.replaceState(history.state, "", location.pathname + location.search);
  if (isOwnMachine()) useKey(key, null, true);
  else
    forget(
      "A link must not carry a key: links are kept and passed on. Treat that key as known to others, and use another.",
    );
  return true;
}

/** Looks for a key: in the address, in this tab, in other tabs. */
export function start() {
  addEventListener("hashchange", takeFromAddress);
  tabs?.addEventListener("message", ({ data }) => {
    const current = session.value;
    if (data.ask && current.state === "in" && kept) tabs.postMessage({ answer: data.ask, key: current.key });
    // A late answer takes the place of the form.
    if (data.answer && data.answer === question) useKey(data.key, null, true);
    if (data.forget && current.state === "in" && kept) forget("Signed out in another tab.");
  });
  if (takeFromAddress()) return;
  storage((place) => {
    const key = place.getItem(NAME);
    if (key) useKey(key, null, true);
  });
  if (session.value.state === "in") return;
  question = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  tabs?.postMessage({ ask: question });
  setTimeout(
    () => {
      if (session.value.state === "asking") session.set({ state: "out", reason: null });
    },
    tabs ? ANSWER_TIME : 0,
  );
}

/** Whether the key may change executions. */
export const mayWrite = () =>
  session.value.state === "in" && !!session.value.caller?.scopes.some((scope) => scope !== "read");
