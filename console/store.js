// A value that several components show: who is signed in, where the page is, what was announced.

import { useEffect, useState } from "preact/hooks";

/**
 * A value with readers that are told of each change.
 * @template T
 */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<() => void>} */
    this.readers = new Set();
  }

  /** @param {T} value */
  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const read of [...this.readers]) read();
  }

  /**
   * @param {() => void} read
   * @returns {() => void} ends the subscription
   */
  subscribe(read) {
    this.readers.add(read);
    return () => {
      this.readers.delete(read);
    };
  }
}

/**
 * The value of a store; the component renders again when it changes.
 * @template T
 * @param {Store<T>} store
 * @returns {T}
 */
export function useStore(store) {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    // It may have changed between the rendering and now.
    setValue(() => store.value);
    return store.subscribe(() => setValue(() => store.value));
  }, [store]);
  return value;
}
