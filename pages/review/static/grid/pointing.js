// Mouse and touch in a grid: a click picks, shift-click picks all in between, a drag picks a rectangle,
// a double click opens.

import { el } from "../parts/element.js";
import { fail } from "../parts/status.js";

export function pointing(grid, room) {
  const { element } = grid;
  let anchor = -1;
  /** @type {{x: number, y: number, before: Set<number>, box: HTMLElement|null, away: boolean}|null} */
  let drag = null;
  let suppressed = false; // the click that ends a drag

  const placed = (event) => {
    const rect = room.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  };
  const positionAt = ({ x, y }) => {
    const column = grid.column(x);
    const position = grid.line(y) * grid.columns + column;
    return column < 0 || column >= grid.columns || position < 0 || position >= grid.source.size ? -1 : position;
  };

  element.addEventListener("click", (event) => {
    if (suppressed) return void (suppressed = false);
    const position = positionAt(placed(event));
    if (position < 0) return;
    grid.activate(position);
    if (event.shiftKey && anchor >= 0) grid.between(anchor, position).then((rows) => grid.picked.add(rows), fail);
    else if (grid.active >= 0) grid.picked.toggle(grid.active);
    anchor = position;
  });
  element.addEventListener("dblclick", (event) => {
    if (positionAt(placed(event)) >= 0) grid.open();
  });

  element.addEventListener("pointerdown", (event) => {
    suppressed = false;
    const onBar = event.offsetX > element.clientWidth && event.target === element;
    if (event.pointerType !== "mouse" || event.button !== 0 || event.shiftKey || onBar) return;
    drag = { ...placed(event), before: new Set(grid.picked.rows), box: null, away: event.altKey };
  });
  element.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const now = placed(event);
    if (!drag.box) {
      if (Math.hypot(now.x - drag.x, now.y - drag.y) < 6) return;
      drag.box = room.appendChild(el("div", { class: "drag" }));
      element.setPointerCapture(event.pointerId);
    }
    const edge = element.getBoundingClientRect(); // a drag past the edge scrolls
    if (event.clientY > edge.bottom - 24) element.scrollTop += 24;
    if (event.clientY < edge.top + 24) element.scrollTop -= 24;
    const [left, right] = [Math.min(drag.x, now.x), Math.max(drag.x, now.x)];
    const [top, bottom] = [Math.min(drag.y, now.y), Math.max(drag.y, now.y)];
    Object.assign(drag.box.style, {
      transform: `translate(${left}px, ${top}px)`, width: `${right - left}px`, height: `${bottom - top}px`,
    });
    take(drag, left, right, top, bottom);
  });
  const end = () => {
    if (drag?.box) {
      drag.box.remove();
      suppressed = true;
    }
    drag = null;
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);

  function take({ before, away }, left, right, top, bottom) {
    const rows = new Set(before);
    const clamp = (column) => Math.max(0, Math.min(grid.columns - 1, column));
    for (let line = Math.max(0, grid.line(top)); line <= grid.line(bottom); line += 1)
      for (let column = clamp(grid.column(left)); column <= clamp(grid.column(right)); column += 1) {
        const row = grid.source.row(line * grid.columns + column);
        if (row >= 0) away ? rows.delete(row) : rows.add(row);
      }
    grid.picked.set(rows);
  }
}
