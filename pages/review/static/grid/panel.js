// A grid with its bar, as views use it.

import { el } from "../parts/element.js";
import { selectionBar, open } from "./bar.js";
import { createGrid } from "./grid.js";
import { listed } from "./source.js";

/**
 * @param {any} app
 * @param {{label: string, fit?: boolean, category?: () => string|null, placed?: (rows: number[]) => void, wrong?: boolean}} settings
 */
export function gridPanel(app, { label, fit, category, placed, wrong }) {
  const grid = createGrid(app, { label, fit, open: (row) => open(app, grid, row), changed: () => bar.changed() });
  const bar = selectionBar(app, () => grid, { category, placed, wrong });
  return {
    grid,
    element: el("div", { class: `gridpanel ${fit ? "fit" : ""}` }, grid.element, bar.element),
    /** @param {number[]} rows */
    show: (rows, settings) => grid.setSource(listed(rows), settings),
    key: (event) => bar.key(event) || grid.key(event),
    close: grid.close,
  };
}
