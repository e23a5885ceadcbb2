// The address of the page is its state: filters, places in lists and tabs are in the URL, so that a reload, a link and the back
// button show what was there.

import { useEffect } from "preact/hooks";
import { Store, useStore } from "./store.js";

/** Where the console is served. */
export const HOME = "/console";

/** @typedef {{ path: string, search: string }} Place `path` is below HOME, without a slash at its end; "" is the list */

/** @returns {Place} */
const here = () => ({
  path: location.pathname.slice(HOME.length).replace(/\/+$/, ""),
  search: location.search,
});

/** @type {Store<Place>} */
export const place = new Store(here());

/** Whether the page has changed since it was loaded. */
let moved = false;

export const hasMoved = () => moved;

/** The path whose page has taken note of being the new one. */
let arrivedAt = place.value.path;

/** Whether this is the first call since the address leads to another page. */
export function arrive() {
  const isNew = arrivedAt !== place.value.path;
  arrivedAt = place.value.path;
  return isNew;
}

// Where the page was scrolled to is kept in the history's entries: the browser would restore it before the list is there.
history.scrollRestoration = "manual";

addEventListener("popstate", () => {
  moved = true;
  place.set(here());
  const top = history.state?.top ?? 0;
  requestAnimationFrame(() => scrollTo(0, top));
});

/**
 * Goes to another address of the console.
 * @param {string} href
 * @param {{ replace?: boolean }} [options] `replace`: the back button does not come back to the present address
 */
export function go(href, { replace = false } = {}) {
  moved = true;
  if (replace) {
    history.replaceState(history.state, "", href);
  } else {
    history.replaceState({ ...history.state, top: scrollY }, "");
    history.pushState(null, "", href);
  }
  const before = place.value.path;
  place.set(here());
  if (place.value.path !== before) scrollTo(0, 0);
}

/** The same page with other parameters; null takes one out. @param {Record<string, string | null>} change */
export function withParameters(change) {
  const parameters = new URLSearchParams(place.value.search);
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  // Commas and colons are legal in a query, and lists of statuses and times are easier to read with them.
  const text = parameters.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return HOME + place.value.path + (text && `?${text}`);
}

/** The address of an execution. @param {string} id */
export const executionHref = (id) => `${HOME}/x/${encodeURIComponent(id)}`;

/** Follows links of the console without loading the page anew. */
export function useLinks() {
  useEffect(() => {
    /** @param {MouseEvent} event */
    const follow = (event) => {
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
      if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
      const own = link.origin === location.origin && (link.pathname === HOME || link.pathname.startsWith(`${HOME}/`));
      if (!own || link.hash) return;
      event.preventDefault();
      go(link.pathname + link.search);
    };
    document.addEventListener("click", follow);
    return () => document.removeEventListener("click", follow);
  }, []);
}

/** The parameters of the address. */
export const useParameters = () => new URLSearchParams(useStore(place).search);
