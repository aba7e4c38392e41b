// The elements of the pictures that can be seen. There are only as many as fit on the screen: one
// that scrolls out comes in again at the other end with another picture.

import { el } from "../parts/element.js";
import { DOUBTFUL, spoken } from "../parts/rows.js";

/** @param {{thumb: (row: number) => string, known: any}} app @param {string} id of the grid */
export function cells(app, id) {
  /** @type {Map<number, HTMLElement>} */
  const shown = new Map();
  const free = [];

  function make() {
    const img = el("img", { alt: "", draggable: false, decoding: "async" });
    img.addEventListener("load", () => {
      img.classList.add("here");
      img.classList.toggle("small", img.naturalWidth < 48);
    });
    img.addEventListener("error", () => img.getAttribute("src") && img.parentNode.classList.add("gone"));
    return el("div", { role: "option", class: "cell" }, img);
  }

  /** Show a row at a place; without its picture yet where one scrolls past quickly. */
  function put(cell, { position, row, x, y, size, mark, picked, active, total }) {
    cell.style.transform = `translate(${x}px, ${y}px)`;
    cell.style.width = cell.style.height = `${size}px`;
    if (cell.row !== row) {
      cell.row = row;
      cell.classList.remove("gone");
      cell.firstChild.classList.remove("here");
      cell.firstChild.removeAttribute("src");
    }
    cell.id = `${id}-${position}`;
    cell.setAttribute("aria-posinset", String(position + 1));
    cell.setAttribute("aria-setsize", String(total));
    cell.setAttribute("aria-selected", String(picked));
    cell.classList.toggle("active", active);
    describe(cell, mark);
  }

  function describe(cell, mark) {
    const known = app.known.of(cell.row);
    const { status = "", doubt = 0 } = known ?? mark ?? {};
    cell.dataset.status = status;
    cell.classList.toggle("doubtful", status !== "d" && doubt >= DOUBTFUL);
    cell.setAttribute("aria-label", spoken(known, cell.row));
    cell.title = known ? known.path : "";
  }

  return {
    shown,
    put,
    describe,
    /** The element of a position, taken from those that are free. @param {HTMLElement} into */
    take(position, into) {
      let cell = shown.get(position);
      if (!cell) {
        cell = free.pop() ?? make();
        shown.set(position, cell);
        if (!cell.isConnected) into.append(cell);
        cell.hidden = false;
      }
      return cell;
    },
    release(from, to) {
      for (const [position, cell] of shown)
        if (position < from || position >= to) {
          shown.delete(position);
          cell.hidden = true;
          cell.id = "";
          free.push(cell);
        }
    },
    load() {
      for (const cell of shown.values()) {
        const img = cell.firstChild;
        if (cell.row >= 0 && !img.hasAttribute("src")) img.src = app.thumb(cell.row);
      }
    },
  };
}
