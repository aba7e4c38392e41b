// Let Cairn sort the rest: what it would move, by what was decided. Nothing moves before one accepts it.

import { post } from "../parts/api.js";
import { placing } from "../parts/decide.js";
import { button, el, percent, pictures } from "../parts/element.js";
import { leave, moveCard, moveKeys } from "../parts/moves.js";
import { fail } from "../parts/status.js";

/** @returns {Promise<import("../main.js").View>} */
export async function sortedRest(container, app) {
  const title = el("h1", { text: "Sort the rest" });
  const facts = el("span", { class: "facts", text: "what people decided teaches a classifier, which proposes the rest" });
  const start = button("Let Cairn sort the rest", () => run(), { class: "main", autofocus: true });
  const all = button("Accept all", () => acceptAll(), { class: "main", hidden: true });
  const list = el("div", { class: "moves" });
  container.append(el("div", { class: "tools" }, title, facts, el("span", { class: "fill" }), start, all), el("div", { class: "scroll" }, list));
  let left = new Map();

  const accept = (move) => app.decide.place(move.rows, "cluster", move.to);
  async function run() {
    start.disabled = true;
    facts.textContent = "sorting…";
    try {
      const { moves, share_changed: share } = await post("api/sort_rest");
      const many = moves.reduce((sum, move) => sum + move.rows.length, 0);
      facts.textContent = moves.length ? `${pictures(many)} would move, ${percent(share)} of all` : "";
      title.textContent = moves.length ? "Should these move?" : "Nothing would move.";
      left = new Map(moves.map((move) => [moveCard(app, move, [
        { text: "Accept", key: "y", class: "main", run: async (card) => (await accept(move)) && drop(card) },
        { text: "Dismiss", key: "d", run: (card) => drop(card) },
      ]), move]));
      list.replaceChildren(...left.keys());
      all.hidden = !moves.length;
      start.textContent = "Sort again";
      list.firstElementChild?.focus();
    } catch (error) {
      facts.textContent = "";
      fail(error);
    } finally {
      start.disabled = false;
    }
  }
  function drop(card) {
    left.delete(card);
    leave(card);
    all.hidden = !left.size;
    if (!left.size) title.textContent = "Each move is answered.";
  }
  async function acceptAll() {
    const moves = [...left.values()];
    if (!(await app.decide.together(moves.map(({ rows, to }) => placing(rows, "cluster", to))))) return;
    for (const card of [...left.keys()]) drop(card);
  }
  return { scroller: list.parentNode, key: (event) => moveKeys(event, list) };
}
