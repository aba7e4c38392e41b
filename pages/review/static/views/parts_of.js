// The parts of a group that is split: their names, and the decisions that make them groups.

import { nameOf } from "../parts/merge_with.js";

/** "cluster 3 · a", "cluster 3 · b"; a category keeps its name for the first part. */
export const partNames = (group, parts) =>
  parts.map((_, i) => (group.name && i === 0 ? group.name : `${nameOf(group)} · ${"abcdefghi"[i]}`));

/** @param {number[][]} parts @param {string[]} [names] @returns {Promise<string[]|null>} the names */
export async function placeParts(app, group, parts, names = partNames(group, parts)) {
  for (let i = 0; i < parts.length; i += 1)
    if (names[i] !== group.name && !(await app.decide.place(parts[i], "cluster", names[i]))) return null;
  return names;
}
