// What tests/pages/review/test_map_in_browser.py asks of the map and of its parts.

import {createMap} from "/map.js";
import {byCategory, byNumber, DARK, LIGHT} from "/map_colors.js";
import {gridIndex, nearest, within} from "/map_index.js";
import {chooseThumbnails, MOST, placed} from "/map_thumbnails.js";

const frame = () => new Promise(requestAnimationFrame);
// Places that fill a square evenly
const spread = (count) => [.618034, .754878].map((step) => Float32Array.from({length: count}, (_, i) => (i * step) % 1));

// Four groups of points at the corners of a square; rows are 10 times the position.
export function show({count, url}) {
  let state = 7;
  const drawn = () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) / 2 ** 32;
  const x = new Float32Array(count), y = new Float32Array(count), row = Uint32Array.from(x, (_, i) => 10 * i);
  const group = [];
  for (let i = 0; i < count; i++) {
    const g = i % 4;
    x[i] = .8 * (g % 2) + .2 * drawn();
    y[i] = .8 * (g >> 1) + .2 * drawn();
    group.push(["north-west", "north-east", "south-west", "south-east"][g]);
  }
  const said = {hover: [], click: [], lasso: []};
  const map = createMap(document.getElementById("at"), {
    onHover: (row, xy) => said.hover.push([row, xy]), onClick: (row) => said.click.push(row),
    onLasso: (rows) => said.lasso.push([rows instanceof Uint32Array, Array.from(rows)]),
  });
  map.setPoints({x, y, row});
  map.setColors(byCategory(group, "place"));
  if (url) map.setThumbnailUrl((row) => `thumb/${row}`);
  Object.assign(window, {map, x, y, said, byNumber, LIGHT, DARK});
}

// The colour of the points alone at a pixel of the page: [r, g, b]
export function colorAt([x, y]) {
  const canvas = document.querySelector(".map-points"), box = canvas.getBoundingClientRect();
  return [...canvas.getContext("2d").getImageData(x - box.left, y - box.top, 1, 1).data].slice(0, 3);
}

function pointers() {
  const over = document.querySelector(".map-over");
  over.setPointerCapture = () => {};  // of no real pointer
  return (kind, pointerId, clientX, clientY) => over.dispatchEvent(new PointerEvent(kind,
    {pointerId, pointerType: "touch", clientX, clientY, bubbles: true, button: 0}));
}

// Two fingers, 40 pixels apart about (x, y), go three times as far apart.
export function pinch([x, y]) {
  const send = pointers();
  send("pointerdown", 1, x - 20, y); send("pointerdown", 2, x + 20, y);
  for (let n = 1; n <= 10; n++) {
    send("pointermove", 1, x - 20 - 4 * n, y); send("pointermove", 2, x + 20 + 4 * n, y);
  }
  send("pointerup", 1, x - 60, y); send("pointerup", 2, x + 60, y);
}

// Milliseconds of a frame while the map is dragged
export async function dragged(frames) {
  const send = pointers();
  await frame();
  const begin = performance.now();
  send("pointerdown", 1, 300, 300);
  for (let n = 0; n < frames; n++) { send("pointermove", 1, 300 + 5 * (n % 20), 300 + n); await frame(); }
  return (performance.now() - begin) / frames;
}

// The positions in a star, which crosses itself, and those that a plain even-odd rule finds
export function star() {
  const [x, y] = spread(2000), corner = (at) => [.5 + .49 * Math.cos(at * 2.5133), .5 + .49 * Math.sin(at * 2.5133)];
  const corners = [0, 1, 2, 3, 4].map(corner);
  const inside = (px, py) => corners.reduce((odd, [ax, ay], at) => {
    const [bx, by] = corners[(at + 1) % 5];
    return (ay > py) !== (by > py) && px < ax + (py - ay) / (by - ay) * (bx - ax) ? !odd : odd;
  }, false);
  return [Array.from(within(gridIndex(x, y), corners.flat())), [...x.keys()].filter((i) => inside(x[i], y[i]))];
}

// How often the nearest visible point is another than a plain search finds
export function searches() {
  const [x, y] = spread(500), index = gridIndex(x, y), visible = Uint8Array.from(x, (_, i) => i % 3 ? 1 : 0);
  let differing = 0;
  for (let n = 0; n < 300; n++) {
    const px = (n * .569840) % 1.2 - .1, py = (n * .731210) % 1.2 - .1, radius = .02 + .1 * (n % 3);
    let best = -1, least = radius;
    for (let i = 0; i < x.length; i++) {
      const far = Math.hypot(x[i] - px, y[i] - py);
      if (visible[i] && far <= least) { least = far; best = i; }
    }
    if (nearest(index, px, py, radius, visible) !== best) differing++;
  }
  return differing;
}

// Pictures of 46 pixels, ever closer: how many lie on another, how many there may be, how many there are
export function closer() {
  const index = gridIndex(...spread(2000)), counts = [];
  let overlaps = 0;
  for (const zoom of [1, 1.3, 1.9, 2.7, 4, 11]) {
    const view = {scale: 560 * zoom, left: 40 - 30 * zoom, top: 20 - 10 * zoom};
    const chosen = chooseThumbnails(index, view, 900, 600, {cell: 54, zoom});
    const at = chosen.map((one) => placed(one, view, index, 46));
    counts.push(chosen.length);
    for (const [n, [x0, y0]] of at.entries()) {
      for (const [x1, y1] of at.slice(n + 1)) if (Math.abs(x0 - x1) < 46 && Math.abs(y0 - y1) < 46) overlaps++;
    }
  }
  return [overlaps, MOST, counts];
}

// The pictures before and after the map is moved by 37 pixels: by their cells
export function moved() {
  const index = gridIndex(...spread(2000));
  return [0, -37].map((left) => {
    const chosen = chooseThumbnails(index, {scale: 3000, left, top: 0}, 900, 600, {cell: 54, zoom: 9});
    return Object.fromEntries(chosen.map(({column, line, point}) => [`${column} ${line}`, point]));
  });
}
