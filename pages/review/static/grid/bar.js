// What can be done with the pictures that are picked: a bar at the foot of a grid, and its keys.

import { placing } from "../parts/decide.js";
import { button, count, el } from "../parts/element.js";
import { go, imageRoute, routeTo } from "../parts/router.js";
import { say } from "../parts/status.js";

/**
 * @param {any} app
 * @param {() => any} grid the one in use
 * @param {{category?: () => string|null, placed?: (rows: number[]) => void, wrong?: boolean}} [settings]
 *   category: that of the group which is shown, for "right"; without it each picture keeps its own label;
 *   wrong: only wrong ones are picked, so none is right
 */
export function selectionBar(app, grid, { category, placed = () => {}, wrong = false } = {}) {
  const place = async (rows, status, name) => {
    const done = rows.length && (await app.decide.place(rows, status, name));
    if (!done) return;
    grid().picked.clear();
    placed(rows);
  };
  const run = {
    m: async (rows) => {
      const name = await app.category(`Move ${count(rows.length)} to…`);
      if (name) await place(rows, "decided", name);
      grid().element.focus();
    },
    n: async (rows) => {
      const name = await app.newCategory(`A new category of ${count(rows.length)}`);
      if (name) await place(rows, "decided", name);
      grid().element.focus();
    },
    q: (rows) => place(rows, "unknown"),
    x: (rows) => place(rows, "junk"),
    Enter: (rows) => accept(rows),
    l: ([row]) => go(routeTo("search", [], { like: row })),
    o: ([row]) => open(app, grid(), row),
    Delete: (rows) => place(rows, "undecided"),
  };
  /** Right as they are: each picture keeps its label, and a person says so. */
  async function accept(rows) {
    const named = category?.();
    if (category && named === null) return say("Give it a name first (r).");
    if (named) return place(rows, "decided", named);
    await app.known.learn(rows);
    const by = Map.groupBy(rows, (row) => app.known.of(row)?.label ?? "");
    if (by.has("")) say(`${count(by.get("").length)} of them have no name yet: move them (m).`);
    by.delete("");
    const done = by.size && (await app.decide.together([...by].map(([name, those]) => placing(those, "decided", name))));
    if (!done) return;
    grid().picked.clear();
    placed([...by.values()].flat());
  }
  const told = el("b");
  const act = (key, text, title, shown = key) => button(text, () => run[key](targets()), { key: shown, title });
  const one = [act("o", "Open", "Open the picture"), act("l", "Like this", "Others like it")];
  const element = el("div", { class: "bar", role: "toolbar", "aria-label": "With the picked pictures", hidden: true },
    told,
    ...(wrong ? [] : [act("Enter", "Right", "They are right: accept them")]),
    act("m", "Move to…", "Move to another category"),
    act("n", "New…", "New category"),
    act("q", "Unknown", "Nobody can say what they are"),
    act("x", "Junk", "They belong to nothing"),
    ...(wrong ? [] : [act("Delete", "Undecide", "As their cluster is called")]),
    ...one,
    button("None", () => grid().picked.clear(), { key: "Escape", title: "Pick none" }),
  );
  const targets = () => (grid().picked.size ? [...grid().picked.rows] : grid().targets());
  return {
    element,
    changed() {
      const { size } = grid().picked;
      element.hidden = !size;
      told.textContent = `${count(size)} picked`;
      for (const each of one) each.hidden = size !== 1;
    },
    /** @param {KeyboardEvent} event */
    key(event) {
      if (!Object.hasOwn(run, event.key)) return false;
      const rows = targets();
      if (rows.length) run[event.key](rows);
      return rows.length > 0;
    },
  };
}

/** The large view, in which the arrows walk along this grid. */
export function open(app, grid, row) {
  const rows = Array.from({ length: Math.min(grid.source.size, 20000) }, (_, i) => grid.source.row(i));
  app.walk = rows.filter((one) => one >= 0);
  go(imageRoute(row));
}
