// Keys in a grid: move, pick, extend, all, none.

import { fail } from "../parts/status.js";

/** @param {any} grid @returns {(event: KeyboardEvent) => boolean} whether the key was the grid's */
export function gridKeys(grid) {
  let anchor = -1;
  return (event) => {
    const { key, shiftKey } = event;
    const page = grid.columns * Math.max(1, Math.floor(grid.element.clientHeight / 110));
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.columns, ArrowUp: -grid.columns, PageDown: page, PageUp: -page,
      Home: -Infinity, End: Infinity,
    };
    if (key in steps) {
      const from = grid.at;
      const to = from < 0 && key !== "End" ? 0 : from + steps[key];
      if (from >= 0 && (to < 0 || to >= grid.source.size) && Math.abs(steps[key]) === grid.columns) return true;
      if (shiftKey && anchor < 0) anchor = Math.max(0, from);
      if (!shiftKey) anchor = -1;
      grid.activate(to);
      if (shiftKey) grid.between(anchor, grid.at).then((rows) => grid.picked.add(rows), fail);
      return true;
    }
    if (key === " ") {
      if (grid.at < 0) grid.activate(0);
      if (grid.active >= 0) grid.picked.toggle(grid.active);
      return true;
    }
    if (key === "a") {
      grid.source.all().then((rows) => grid.picked.set(rows), fail);
      return true;
    }
    if (key === "Escape") return grid.picked.clear();
    if (key === "+" || key === "-") {
      grid.resize(key === "+" ? 1 : -1);
      return true;
    }
    if (key === "o" && grid.active >= 0) {
      grid.open();
      return true;
    }
    return false;
  };
}
