// The pictures of a grid in their order: a list, or a group whose pages are fetched as one scrolls.

import { get } from "../parts/api.js";

const PAGE = 2000;

/**
 * @typedef {Object} Source
 * @property {number} size
 * @property {(position: number) => number} row -1: not fetched yet
 * @property {(position: number) => {status: string, doubt: number}|null} mark
 * @property {(from: number, to: number) => Promise<void>|null} fetch null: all of these are there
 * @property {() => Promise<number[]>} all
 */

/** @param {number[]} rows @returns {Source} */
export const listed = (rows) => ({
  size: rows.length,
  row: (position) => rows[position] ?? -1,
  mark: () => null,
  fetch: () => null,
  all: async () => rows,
});

/**
 * The first page is there when it resolves.
 * @param {string} key @param {string} order
 * @returns {Promise<Source & {group: any}>}
 */
export async function groupSource(key, order) {
  const ask = (offset, limit) => get("api/group", { key, order, offset, limit });
  const group = await ask(0, 500);
  const rows = new Int32Array(group.size).fill(-1);
  const doubt = new Uint8Array(group.size);
  const status = new Array(group.size).fill("n");
  const pages = new Map();
  const keep = (page, offset) => {
    rows.set(page.rows.slice(0, Math.max(0, group.size - offset)), offset);
    page.rows.forEach((_, i) => {
      status[offset + i] = page.status[i];
      doubt[offset + i] = page.doubt[i];
    });
  };
  keep(group, 0);
  const load = (page) => {
    if (!pages.has(page)) {
      const loading = ask(page * PAGE, PAGE).then((told) => keep(told, page * PAGE));
      loading.catch(() => pages.delete(page));
      pages.set(page, loading);
    }
    return pages.get(page);
  };
  const fetch = (from, to) => {
    const missing = new Set();
    for (let i = Math.max(0, from); i < Math.min(to, group.size); i += 1)
      if (rows[i] < 0) missing.add(Math.floor(i / PAGE));
    return missing.size ? Promise.all([...missing].map(load)).then(() => undefined) : null;
  };
  return {
    group,
    size: group.size,
    row: (position) => rows[position] ?? -1,
    mark: (position) => ({ status: status[position], doubt: doubt[position] }),
    fetch,
    async all() {
      for (let from = 0; from < group.size; from += PAGE) await fetch(from, from + PAGE);
      return [...rows].filter((row) => row >= 0);
    },
  };
}
