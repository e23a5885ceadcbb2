// Which rows of the list are selected, to be cancelled together.

import { useEffect, useRef, useState } from "preact/hooks";
import { isTerminal } from "../model.js";

/**
 * @typedef {import("../model.js").Execution} Execution
 * @typedef {object} Selection
 * @property {Set<string>} ids
 * @property {Execution[]} chosen the selected rows
 * @property {Execution[]} open the rows that can be selected: those that have not ended
 * @property {(id: string, range: boolean) => void} select selects a row, or takes it out; `range`: and all from the last one to it
 * @property {(on: boolean) => void} selectAll
 */

/**
 * @param {Execution[]} executions the rows, in their order
 * @param {string} list which list it is: another one begins with nothing selected
 * @returns {Selection}
 */
export function useSelection(executions, list) {
  const [ids, setIds] = useState(/** @type {Set<string>} */ (new Set()));
  const last = useRef("");
  useEffect(() => setIds(new Set()), [list]);

  const open = executions.filter((execution) => !isTerminal(execution.status));
  const select = (/** @type {string} */ id, /** @type {boolean} */ range) => {
    const order = executions.map((execution) => execution.id);
    const [from = -1, to = -1] = [order.indexOf(last.current), order.indexOf(id)].sort((a, b) => a - b);
    const changed = range && from >= 0 ? order.slice(from, to + 1) : [id];
    const isOn = !ids.has(id);
    const next = new Set(ids);
    for (const each of changed) {
      if (!isOn) next.delete(each);
      else if (open.some((execution) => execution.id === each)) next.add(each);
    }
    last.current = id;
    setIds(next);
  };

  return {
    ids,
    chosen: executions.filter((execution) => ids.has(execution.id)),
    open,
    select,
    selectAll: (on) => setIds(new Set(on ? open.map((execution) => execution.id) : [])),
  };
}
