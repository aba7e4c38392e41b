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
  return into && (await merged(app, group, others.find((other) => other.key === into)));
}

/** Two groups become one, named as the second one, else as the first one, else as one says.
 * @returns {Promise<string|null>} the key of both */
export async function merged(app, group, into) {
  const [named, other] = into.name || !group.name ? [into, group] : [group, into];
  if (named.name) return (await app.decide.call(other.key, named.name)) && named.key;
  const typed = [...(into.proposals ?? []), ...(group.proposals ?? [])][0] ?? `cluster ${into.key.slice(2)} + ${group.key.slice(2)}`;
  const name = await app.category(`${nameOf(into)} and ${nameOf(group)} are…`, { typed });
  return name && (await app.decide.name([into.key, group.key], name)) && `n:${name}`;
}
