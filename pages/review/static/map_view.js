// Where the map is looked at: a place (x, y) of the data lies at (x * scale + left, y * scale + top)
// pixels of the screen. A view is {scale, left, top}; functions give a new one.

const MARGIN = 28;  // pixels around the points when all are shown
const DEEPEST = 4000, FARTHEST = .4;  // scales, as multiples of the one at which all are shown

// What encloses the points: {x0, y0, x1, y1}; of none the unit square.
export function boundsOf(x, y) {
  const bounds = {x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity};
  for (let i = 0; i < x.length; i++) {
    if (x[i] < bounds.x0) bounds.x0 = x[i];
    if (x[i] > bounds.x1) bounds.x1 = x[i];
    if (y[i] < bounds.y0) bounds.y0 = y[i];
    if (y[i] > bounds.y1) bounds.y1 = y[i];
  }
  return x.length ? bounds : {x0: 0, y0: 0, x1: 1, y1: 1};
}

export function fit(bounds, width, height) {
  const wide = Math.max(bounds.x1 - bounds.x0, 1e-3), high = Math.max(bounds.y1 - bounds.y0, 1e-3);
  const room = (length) => Math.max(length - 2 * MARGIN, length / 2, 1);
  const scale = Math.min(room(width) / wide, room(height) / high);
  return {
    scale,
    left: width / 2 - scale * (bounds.x0 + bounds.x1) / 2,
    top: height / 2 - scale * (bounds.y0 + bounds.y1) / 2,
  };
}

export const panned = (view, dx, dy) => ({...view, left: view.left + dx, top: view.top + dy});

// Closer by a factor; the place at the pixel (px, py) stays where it is. fitted: the scale at which
// all is shown, which limits how close and how far one can go.
export function zoomed(view, factor, px, py, fitted) {
  const scale = Math.min(fitted * DEEPEST, Math.max(fitted * FARTHEST, view.scale * factor));
  const k = scale / view.scale;
  return {scale, left: px - (px - view.left) * k, top: py - (py - view.top) * k};
}

// With (x, y) of the data in the middle
export const centred = (x, y, scale, width, height) =>
  ({scale, left: width / 2 - x * scale, top: height / 2 - y * scale});

// The same place in the middle after the screen has changed its size
export const resized = (view, width, height, before) =>
  panned(view, (width - before.width) / 2, (height - before.height) / 2);

// The part of the data on a screen: [x0, y0, x1, y1]
export const shown = (view, width, height) => [
  -view.left / view.scale, -view.top / view.scale,
  (width - view.left) / view.scale, (height - view.top) / view.scale,
];
