// Which points lie where: a grid over the points, after a counting sort of them by cell.
// Positions are places in the arrays x and y. `visible` (Uint8Array, or null for all) leaves out
// points where it is 0.

import {boundsOf} from "./map_view.js";

const PER_CELL = 4;  // points, on average

export function gridIndex(x, y) {
  const {x0, y0, x1, y1} = boundsOf(x, y), count = x.length;
  const side = Math.min(1024, Math.max(1, Math.ceil(Math.sqrt(count / PER_CELL))));
  const extent = Math.max(x1 - x0, y1 - y0, 1e-9), per = side / extent;
  const clamp = (at) => at < 0 ? 0 : at >= side ? side - 1 : at;
  const column = (px) => clamp(Math.floor((px - x0) * per)), line = (py) => clamp(Math.floor((py - y0) * per));
  const cell = new Uint32Array(count), start = new Uint32Array(side * side + 1);
  for (let i = 0; i < count; i++) start[(cell[i] = line(y[i]) * side + column(x[i])) + 1]++;
  for (let at = 0; at < side * side; at++) start[at + 1] += start[at];
  const order = new Uint32Array(count), next = start.slice(0, -1);
  for (let i = 0; i < count; i++) order[next[cell[i]]++] = i;
  return {x, y, side, extent, start, order, column, line};
}

// Call use(position) for all points in cells that the rectangle touches, some beside it too; of more
// than `most` for an even sample, every 2nd, 4th, ... in the order of the grid.
export function visit(index, x0, y0, x1, y1, use, most = Infinity) {
  const {side, start, order, column, line} = index;
  const first = column(x0), last = column(x1), top = line(y0), bottom = line(y1);
  let count = 0, step = 1;
  for (let row = top; row <= bottom; row++) count += start[row * side + last + 1] - start[row * side + first];
  while (count > most * step) step *= 2;
  for (let row = top; row <= bottom; row++) {
    const end = start[row * side + last + 1], begin = start[row * side + first];
    for (let at = Math.ceil(begin / step) * step; at < end; at += step) use(order[at]);
  }
}

// The position of the point nearest to (px, py) within `radius`, -1 where there is none.
export function nearest(index, px, py, radius, visible = null) {
  let best = -1, least = radius * radius;
  visit(index, px - radius, py - radius, px + radius, py + radius, (i) => {
    const dx = index.x[i] - px, dy = index.y[i] - py, far = dx * dx + dy * dy;
    if (far <= least && (!visible || visible[i])) { least = far; best = i; }
  });
  return best;
}

// Whether a point lies in a polygon [x, y, x, y, ...], by the even-odd rule.
export function inPolygon(px, py, polygon) {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const yi = polygon[i + 1], yj = polygon[j + 1];
    if ((yi > py) !== (yj > py) && px < (polygon[j] - polygon[i]) * (py - yi) / (yj - yi) + polygon[i]) {
      inside = !inside;
    }
  }
  return inside;
}

// The positions of the points in a polygon, ascending: Uint32Array.
export function within(index, polygon, visible = null) {
  if (polygon.length < 6) return new Uint32Array(0);
  const xs = polygon.filter((_, at) => at % 2 === 0), ys = polygon.filter((_, at) => at % 2);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  visit(index, x0, y0, x1, y1, (i) => {
    const px = index.x[i], py = index.y[i];
    if (px < x0 || px > x1 || py < y0 || py > y1 || (visible && !visible[i])) return;
    if (inPolygon(px, py, polygon)) found.push(i);
  });
  return Uint32Array.from(found).sort();
}
