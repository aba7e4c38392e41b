// Ask which group another one becomes a part of.

import { get } from "./api.js";
import { choose } from "./choose.js";
import { pictures } from "./element.js";
import { fail } from "./status.js";

/** @param {{key: string, name: string|null}} group */
export const nameOf = (group) =>
  ({ "s:unknown": "unknown", "s:junk": "junk" })[group.key] ?? group.name ?? `cluster ${group.key.slice(2)}`;

/** @param {any} app @param {{key: string, name: string|null}} group @returns {Promise<string|null>} its key then */
export async function mergeWith(app, group) {
  const told = await get("api/groups", { sort: "size" }).catch(fail);
  if (!told) return null;
  const others = told.groups.filter((other) => other.key !== group.key && !other.key.startsWith("s:"));
  const options = others.map((other) => ({ value: other.key, text: nameOf(other), note: pictures(other.size) }));
  const into = await choose(`Merge ${nameOf(group)} with…`, options, { fresh: false });
  return into && (await merged(app, group.key, into));
}

/** @returns {Promise<string|null>} the key of both */
export async function merged(app, key, into) {
  if (!(await app.decide.merge(key, into))) return null;
  if (into.startsWith("n:")) return into;
  return key.startsWith("n:") ? key : `n:cluster ${into.slice(2)} + ${key.slice(2)}`;
}
