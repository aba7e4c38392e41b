// Decisions: each is in the review file before the page says so, and each can be taken back.

import { get, post } from "./api.js";
import { fail, say } from "./status.js";

/**
 * @param {(answer: {version: number, said: string}) => void} done called after each one
 * @returns what the views call; each resolves to the server's answer, or to null where it failed
 */
export function decisions(done) {
  const send = async (body, path = "api/decisions") => {
    try {
      const answer = await post(path, body);
      say(answer.said);
      done(answer);
      return answer;
    } catch (error) {
      fail(error);
      return null;
    }
  };
  const name = (keys, category) => send({ do: "name", groups: keys, category });
  const rename = (category, to) => send({ do: "rename", category, to });
  const place = (rows, status, category = "") =>
    send({ do: "place", rows: [...rows], status, ...(category && { category }) });

  /** Give a group another name; that of another group merges them. */
  const call = (key, category) =>
    key.startsWith("n:") ? rename(key.slice(2), category) : name([key], category);

  /** Two groups become one, named as the second one, else as the first one. */
  const merge = (key, into) => {
    if (into.startsWith("n:")) return call(key, into.slice(2));
    if (key.startsWith("n:")) return name([into], key.slice(2));
    return name([into, key], `cluster ${into.slice(2)} + ${key.slice(2)}`);
  };

  /** All pictures of a group that nobody decided one by one. */
  const placeRest = async (key, status, category) => {
    const rows = await restOf(key).catch(fail);
    if (!rows) return null;
    if (rows.length) return place(rows, status, category);
    say("Each picture here is decided.");
    return null;
  };

  return {
    place, placeRest, call, merge, send,
    undo: () => send({ do: "undo" }),
    redo: () => send({ do: "redo" }),
    audit: (row, status, category = "") => send({ row, status, category }, "api/audit"),
  };
}

/** Rows of a group without those that are decided. */
async function restOf(key) {
  const rows = [];
  for (let offset = 0, size = 1; offset < size; ) {
    const page = await get("api/group", { key, offset, limit: 2000 });
    page.rows.forEach((row, i) => page.status[i] === "d" || rows.push(row));
    if (!page.rows.length) break;
    [offset, size] = [offset + page.rows.length, page.size];
  }
  return rows;
}
