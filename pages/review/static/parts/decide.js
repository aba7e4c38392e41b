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
  const place = (rows, status, category) => send(placing(rows, status, category));

  /** Give a group another name; that of another group merges them. */
  const call = (key, category) => send(calling(key, category));

  /** Several at once, taken back as one. @param {object[]} of what placing and calling give */
  const together = (of) => send(of.length === 1 ? of[0] : { do: "together", of });

  /** All pictures of a group that nobody decided one by one. */
  const placeRest = async (key, status, category) => {
    const rows = await restOf(key).catch(fail);
    if (!rows) return null;
    if (rows.length) return place(rows, status, category);
    say("Each picture here is decided.");
    return null;
  };

  return {
    place, placeRest, call, name, together, send,
    undo: () => send({ do: "undo" }),
    redo: () => send({ do: "redo" }),
    audit: (row, status, category = "") => send({ row, status, category }, "api/audit"),
  };
}

/** Pictures to a category, or marked. @param {Iterable<number>} rows */
export const placing = (rows, status, category = "") =>
  ({ do: "place", rows: [...rows], status, ...(category && { category }) });

/** A group of that name. */
export const calling = (key, category) =>
  key.startsWith("n:") ? { do: "rename", category: key.slice(2), to: category } : { do: "name", groups: [key], category };

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
