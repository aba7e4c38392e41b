// A grid of any number of pictures in which only those that can be seen are elements.

import { el } from "../parts/element.js";
import { fail } from "../parts/status.js";
import { cells } from "./cells.js";
import { gridKeys } from "./grid_keys.js";
import { pointing } from "./pointing.js";
import { selection } from "./selection.js";

const GAP = 4;
const SIZES = [48, 64, 80, 96, 128, 176, 240];
let grids = 0;

const remembered = () => Number(localStorage.getItem("cairn-cell")) || (innerWidth < 600 ? 80 : 96);

/**
 * @param {any} app
 * @param {{label: string, open?: (row: number) => void, changed?: () => void, fit?: boolean}} settings
 *   changed: what is picked or active is another; fit: as high as its rows, not as its room
 */
export function createGrid(app, { label, open, changed = () => {}, fit = false }) {
  const id = `grid${(grids += 1)}`;
  const room = el("div", { class: "room" });
  const scroller = el("div", {
    class: `grid ${fit ? "fit" : ""}`, role: "listbox", tabIndex: 0, "aria-multiselectable": "true", "aria-label": label,
  }, room);
  const all = cells(app, id);
  /** @type {import("./source.js").Source} */
  let source = { size: 0, row: () => -1, mark: () => null, fetch: () => null, all: async () => [] };
  let target = remembered();
  let [columns, cell, active, last, timer, frame] = [1, target, -1, 0, 0, 0];
  const picked = selection(() => {
    render();
    changed();
  });

  function measure() {
    const width = scroller.clientWidth - 2 * GAP;
    columns = Math.max(1, Math.floor((width + GAP) / (target + GAP)));
    cell = Math.floor((width + GAP) / columns) - GAP;
    if (source.size < columns) cell = Math.min(cell, Math.round(1.3 * target));
    room.style.height = `${Math.ceil(source.size / columns) * (cell + GAP) + GAP}px`;
  }

  function render() {
    const step = cell + GAP;
    const top = Math.max(0, Math.floor(scroller.scrollTop / step) - 1);
    const bottom = Math.ceil((scroller.scrollTop + scroller.clientHeight) / step) + 1;
    const [from, to] = [top * columns, Math.min(source.size, bottom * columns)];
    all.release(from, to);
    for (let position = from; position < to; position += 1) {
      const row = source.row(position);
      all.put(all.take(position, room), {
        position, row, x: GAP + (position % columns) * step, y: GAP + Math.floor(position / columns) * step, size: cell,
        mark: source.mark(position), picked: picked.has(row), active: position === active, total: source.size,
      });
    }
    scroller.setAttribute("aria-activedescendant", active >= from && active < to ? `${id}-${active}` : "");
    const fast = Math.abs(scroller.scrollTop - last) > 2 * scroller.clientHeight;
    last = scroller.scrollTop;
    clearTimeout(timer);
    if (!fast) all.load();
    timer = setTimeout(() => settle(from, to), fast ? 80 : 40);
  }

  /** Where scrolling rests: pictures, then their names. */
  async function settle(from, to) {
    all.load();
    const shown = source;
    const fetching = source.fetch(from, to);
    if (fetching) await fetching.then(() => shown === source && render(), fail);
    const rows = Array.from({ length: to - from }, (_, i) => source.row(from + i));
    await app.known.learn(rows).catch(fail);
    for (const [position, one] of all.shown) all.describe(one, source.mark(position));
  }

  const soon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(render);
  };
  scroller.addEventListener("scroll", soon, { passive: true });
  const observer = new ResizeObserver(() => {
    measure();
    render();
  });
  observer.observe(scroller);

  const grid = {
    element: scroller,
    picked,
    get active() {
      return active >= 0 ? source.row(active) : -1;
    },
    get at() {
      return active;
    },
    get columns() {
      return columns;
    },
    get source() {
      return source;
    },
    /** The rows that an action is about: those picked, else the one under the keys. */
    targets: () => (picked.size ? [...picked.rows] : grid.active >= 0 && scroller.matches(":focus") ? [grid.active] : []),
    /** Others, or in another order; `keep`: the place stays and so do picked ones that are still there. */
    async setSource(next, { keep = false } = {}) {
      source = next;
      active = keep ? Math.min(active, next.size - 1) : -1;
      if (!keep) scroller.scrollTop = last = 0;
      measure();
      if (keep && picked.size) {
        const there = new Set(await next.all());
        picked.set([...picked.rows].filter((row) => there.has(row)));
      } else picked.set([]);
    },
    activate(position, { focus = true } = {}) {
      if (!source.size) return;
      active = Math.max(0, Math.min(source.size - 1, position));
      const [top, step] = [Math.floor(active / columns) * (cell + GAP), cell + 2 * GAP];
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      else if (top + step > scroller.scrollTop + scroller.clientHeight)
        scroller.scrollTop = top + step - scroller.clientHeight;
      if (focus) scroller.focus({ preventScroll: true });
      render();
      changed();
    },
    /** The rows from one place to another, fetched where they are not there yet. */
    async between(a, b) {
      const [from, to] = a < b ? [a, b + 1] : [b, a + 1];
      await source.fetch(from, to);
      return Array.from({ length: to - from }, (_, i) => source.row(from + i));
    },
    /** The place at a point of the room, -1 for none; clamp: the nearest one. */
    column: (x) => Math.floor((x - GAP / 2) / (cell + GAP)),
    line: (y) => Math.floor((y - GAP / 2) / (cell + GAP)),
    resize(steps) {
      const near = SIZES.reduce((best, size, i) => (Math.abs(size - target) < Math.abs(SIZES[best] - target) ? i : best), 0);
      target = SIZES[Math.max(0, Math.min(SIZES.length - 1, near + steps))];
      localStorage.setItem("cairn-cell", String(target));
      measure();
      render();
    },
    open: () => {
      if (grid.active >= 0) open?.(grid.active);
    },
    refresh: render,
    close() {
      observer.disconnect();
      clearTimeout(timer);
    },
  };
  pointing(grid, room);
  return Object.assign(grid, { key: gridKeys(grid) });
}
