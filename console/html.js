// Markup in JavaScript, without a build step: html`<p>${text}</p>` makes virtual nodes for Preact.
//
// Whatever stands in ${...} becomes a text node or an attribute, never markup. Nothing in the console uses innerHTML, and
// the page's Trusted Types policy would stop it.

import htm from "htm";
import { h } from "preact";

/** @type {(strings: TemplateStringsArray, ...values: unknown[]) => import("preact").VNode<any>} */
export const html = /** @type {any} */ (htm.bind(/** @type {any} */ (h)));
