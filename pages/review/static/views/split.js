// A group in two parts, side by side, before anything is decided.

import { post } from "../parts/api.js";
import { button, el, pictures } from "../parts/element.js";
import { nameOf } from "../parts/merge_with.js";
import { nameField } from "../parts/name_field.js";
import { go, groupRoute } from "../parts/router.js";
import { say } from "../parts/status.js";
import { createGrid } from "../grid/grid.js";
import { open } from "../grid/bar.js";
import { listed } from "../grid/source.js";
import { partNames, placeParts } from "./parts_of.js";

/** @returns {Promise<import("../main.js").View>} */
export async function splitPanel(container, app, group) {
  container.append(el("p", { class: "empty", text: "Splitting…" }));
  const { parts } = await post("api/split", { key: group.key, parts: 2 });
  const names = partNames(group, parts);
  const cancel = () => go(groupRoute(group.key));
  const accept = async () => {
    if (new Set(names).size < names.length) return say("Both parts have the same name.");
    if (!(await placeParts(app, group, parts, names))) return;
    go(group.name && names.includes(group.name) ? groupRoute(group.key) : "#/clusters");
  };
  /** Picked ones go to the other part. */
  const swap = () => {
    grids.forEach((grid, i) => {
      const away = grid.picked.rows;
      const other = (i + 1) % parts.length;
      parts[other] = [...parts[i].filter((row) => away.has(row)), ...parts[other]];
      parts[i] = parts[i].filter((row) => !away.has(row));
    });
    draw();
  };
  const grids = parts.map((_, i) => {
    const grid = createGrid(app, { label: names[i], open: (row) => open(app, grid, row), changed: () => (over.disabled = !picked()) });
    return grid;
  });
  const picked = () => grids.some((grid) => grid.picked.size);
  const over = button("To the other part", swap, { key: "m", disabled: true });
  const facts = parts.map(() => el("span", { class: "facts" }));
  container.replaceChildren(
    el("div", { class: "tools" }, el("h1", { text: `Split ${nameOf(group)}` }), el("span", { class: "fill" }), over,
      button("Cancel", cancel, { key: "Escape" }), button("Split so", accept, { key: "Enter", class: "main" })),
    el("div", { class: "halves" }, ...grids.map((grid, i) =>
      el("section", { "aria-label": `Part ${i + 1}` },
        el("div", { class: "tools" },
          nameField({ name: names[i], fallback: names[i], words: app.categories() }, (name) => (names[i] = name)), facts[i]),
        grid.element))),
  );
  function draw() {
    grids.forEach((grid, i) => {
      grid.setSource(listed(parts[i]));
      facts[i].textContent = pictures(parts[i].length);
    });
  }
  draw();
  grids[0].element.focus({ preventScroll: true });
  return {
    key(event) {
      const grid = grids.find((one) => one.element.contains(document.activeElement)) ?? grids[0];
      if (grid.key(event)) return true;
      const act = { Enter: accept, Escape: cancel, m: swap }[event.key];
      if (act) act();
      return Boolean(act);
    },
    close: () => grids.forEach((grid) => grid.close()),
  };
}
