// What the service under test can do. The console works with older services, too: it finds out what they lack as it goes, and
// tests of what this one does not have yet would say nothing.

import { readFileSync } from "node:fs";

const document = JSON.parse(readFileSync(`${process.env.RATCHET_ROOT ?? "."}/openapi/openapi.json`, "utf8"));

/** Whether the service has a path, as the OpenAPI document writes it. @param {string} path */
export const serves = (path) => Object.hasOwn(document.paths, `/api/v1${path}`);

export const HAS_WAIT = serves("/flows/executions/{execution_id}/wait");
export const HAS_STEPS = serves("/executions/{execution_id}/steps");

/** For tests that need steps. */
export const STEPS = { skip: !HAS_STEPS && "the service has no steps yet" };
