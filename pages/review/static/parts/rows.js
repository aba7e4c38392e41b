// What is known of single pictures (path, label, status, doubt), asked for together and kept until
// something changes.

import { get } from "./api.js";

export const STATUS = { d: "decided", c: "named by its cluster", u: "unknown", j: "junk", n: "without a name" };
export const DOUBTFUL = 128; // of 255

/** @typedef {{path: string, label: string|null, status: string, doubt: number}} Known */

export function knownRows() {
  /** @type {Map<number, Known>} */
  let known = new Map();
  return {
    of: (row) => known.get(row),
    forget: () => (known = new Map()),
    /** @param {number[]} rows @returns {Promise<void>} */
    async learn(rows) {
      const into = known;
      const left = rows.filter((row) => row >= 0 && !into.has(row));
      for (let i = 0; i < left.length; i += 500) {
        const told = await get("api/rows", { rows: left.slice(i, i + 500).join(",") });
        told.rows.forEach((row, at) => {
          const one = { path: told.path[at], label: told.label[at], status: told.status[at], doubt: told.doubt[at] };
          into.set(row, one);
        });
      }
    },
  };
}

/** What a screen reader says of a picture. @param {Known|undefined} one @param {number} row */
export function spoken(one, row) {
  if (!one) return `picture ${row}`;
  const doubt = one.status !== "d" && one.doubt >= DOUBTFUL ? ", doubtful" : "";
  const status = one.status === "d" || !one.label ? `, ${STATUS[one.status] ?? ""}` : "";
  return `${one.path}, ${one.label ?? ""}${status}${doubt}`.replace(", ,", ",");
}
