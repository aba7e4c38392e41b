// What moved since the last clustering that was reviewed.

import { get } from "../parts/api.js";
import { el, pictures } from "../parts/element.js";
import { moveCard, moveKeys } from "../parts/moves.js";

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app) {
  const title = el("h1", { text: "Moved" });
  const facts = el("span", { class: "facts" });
  const list = el("div", { class: "moves" });
  const scroller = el("div", { class: "scroll" }, el("div", { class: "tools" }, title, facts), list);
  container.append(scroller);

  async function load() {
    const { since, moves } = await get("api/moved");
    const many = moves.reduce((sum, move) => sum + move.rows.length, 0);
    const when = since && new Date(since.when);
    facts.textContent = since
      ? `${pictures(many)} since ${since.run}${Number.isNaN(+when) ? "" : `, ${when.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}`}`
      : "";
    if (!moves.length)
      list.replaceChildren(el("p", { class: "empty", text: since ? "Nothing moved." : "There is nothing to compare with: no other clustering was looked at before this one." }));
    else
      list.replaceChildren(...moves.map((move) => moveCard(app, move, [
        { text: "Right", key: "y", run: () => move.to && app.decide.place(move.rows, "decided", move.to) },
        { text: "Back", key: "d", run: () => move.from && app.decide.place(move.rows, "decided", move.from) },
      ].filter(({ key }) => (key === "y" ? named(move.to) : named(move.from))))));
  }
  await load();
  return { scroller, reload: load, key: (event) => moveKeys(event, list) };
}

/** Whether pictures may be decided to be that. */
const named = (label) => Boolean(label) && !/^[cs]:/.test(label);
