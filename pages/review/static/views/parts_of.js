// The parts of a group that is split: their names, and the decisions that make them groups.

import { placing } from "../parts/decide.js";
import { nameOf } from "../parts/merge_with.js";

/** "cluster 3 · a", "cluster 3 · b"; a category keeps its name for the first part. */
export const partNames = (group, parts) =>
  parts.map((_, i) => (group.name && i === 0 ? group.name : `${nameOf(group)} · ${"abcdefghi"[i]}`));

/** @param {number[][]} parts @param {string[]} [names] @returns {Promise<string[]|null>} the names */
export async function placeParts(app, group, parts, names = partNames(group, parts)) {
  const placed = parts.map((rows, i) => names[i] !== group.name && rows.length && placing(rows, "cluster", names[i]));
  return (await app.decide.together(placed.filter(Boolean))) && names;
}
