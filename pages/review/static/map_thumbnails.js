// Which points are shown as pictures. Cells of a grid over the data, whose side is a power of two so
// that about `cell` pixels are a cell, are filled with a picture each, those with most points first;
// in a cell it is the point nearest to its densest place. The grid lies still in the data: panning
// changes no picture, and zooming only every doubling. A picture lies within its cell, so that none
// lies on another.

import {visit} from "./map_index.js";
import {shown} from "./map_view.js";

export const MOST = 150;
const FINE = 4;  // parts of a side in which a densest place is looked for
const LOOKED_AT = 1e5;  // points in sight, a sample of more
const SHARE = .35;  // of the occupied cells that have a picture when all points are shown

// zoom: how many times closer than where all are shown. → [{point, column, line, side}], at most MOST
export function chooseThumbnails(index, view, width, height, {cell, zoom, visible = null}) {
  const side = 2 ** -Math.floor(Math.log2(view.scale / cell));
  const [x0, y0, x1, y1] = shown(view, width, height);
  const left = Math.floor(x0 / side), top = Math.floor(y0 / side);
  const columns = Math.floor(x1 / side) - left + 1, lines = Math.floor(y1 / side) - top + 1;
  const cells = columns * lines, parts = FINE * FINE;
  const count = new Uint32Array(cells), fine = new Uint32Array(cells * parts);
  const sumX = new Float64Array(cells * parts), sumY = new Float64Array(cells * parts);
  const {x, y} = index, per = 1 / side;
  const cellOf = (i) => {
    const column = Math.floor(x[i] * per) - left, line = Math.floor(y[i] * per) - top;
    return column < 0 || line < 0 || column >= columns || line >= lines ? -1 : line * columns + column;
  };
  const each = (use) => visit(index, left * side, top * side, (left + columns) * side, (top + lines) * side, (i) => {
    if (visible && !visible[i]) return;
    const at = cellOf(i);
    if (at >= 0) use(i, at);
  }, LOOKED_AT);
  each((i, at) => {
    const px = x[i] * per * FINE, py = y[i] * per * FINE;
    const part = at * parts + (Math.floor(py) & FINE - 1) * FINE + (Math.floor(px) & FINE - 1);
    count[at]++; fine[part]++; sumX[part] += x[i]; sumY[part] += y[i];
  });
  const taken = inOrder(count, columns, lines);
  const occupied = taken.length, share = Math.min(1, SHARE * zoom);
  taken.length = Math.min(MOST, Math.max(Math.min(occupied, 6), Math.round(occupied * share)), occupied);
  const place = new Int32Array(cells).fill(-1), wanted = taken.map((at, n) => {
    place[at] = n;
    let densest = at * parts;
    for (let part = densest; part < (at + 1) * parts; part++) if (fine[part] > fine[densest]) densest = part;
    return [sumX[densest] / fine[densest], sumY[densest] / fine[densest]];
  });
  const best = new Int32Array(taken.length), least = new Float64Array(taken.length).fill(Infinity);
  each((i, at) => {
    const n = place[at];
    if (n < 0) return;
    const far = (x[i] - wanted[n][0]) ** 2 + (y[i] - wanted[n][1]) ** 2;
    if (far < least[n]) { least[n] = far; best[n] = i; }
  });
  return taken.map((at, n) =>
    ({point: best[n], column: left + at % columns, line: top + Math.floor(at / columns), side}));
}

// Cells that hold points: first those with no fuller one around them, so that pictures are spread
// over all dense places, then the others; each by falling number of points.
function inOrder(count, columns, lines) {
  const cells = [], peak = new Uint8Array(count.length);
  for (let at = 0; at < count.length; at++) {
    if (!count[at]) continue;
    cells.push(at);
    const column = at % columns, line = Math.floor(at / columns);
    peak[at] = 1;
    for (let l = Math.max(0, line - 1); l <= Math.min(lines - 1, line + 1); l++) {
      for (let c = Math.max(0, column - 1); c <= Math.min(columns - 1, column + 1); c++) {
        const other = l * columns + c;
        if (count[other] > count[at] || (count[other] === count[at] && other < at)) peak[at] = 0;
      }
    }
  }
  return cells.sort((a, b) => peak[b] - peak[a] || count[b] - count[a] || a - b);
}

// Where such a picture of `size` pixels lies on the screen: at its point, moved to be within its cell.
export function placed(thumbnail, view, index, size) {
  const {point, column, line, side} = thumbnail, gap = 1;
  const within = (at, first, offset) => {
    const low = first * side * view.scale + offset + gap, high = low + side * view.scale - size - 2 * gap;
    return Math.min(high, Math.max(low, at * view.scale + offset - size / 2));
  };
  return [within(index.x[point], column, view.left), within(index.y[point], line, view.top)];
}
