// A map of all pictures as points, with pictures at its dense places: pan by dragging, zoom by wheel or
// two fingers, a lasso by dragging with shift or its button; arrows, + and -, 0 for all, Escape.
//
//   const map = createMap(container, {onHover(row or null, [x, y]), onClick(row), onLasso(rows)});
//   map.setPoints({x, y, row});                  Float32Array in 0 to 1, Uint32Array
//   map.setColors(byCategory(names, "cluster")); or byNumber(doubts, "doubt"): map_colors.js
//   map.setThumbnailUrl((row) => `thumb/${row}`);
//
// value: Uint16Array of numbers of palette.names (NONE for none), or Float32Array (NaN for none).
// palette: {title, names, colors?, none?} or {title, low, high}. setSelection takes a Set of rows, or as setVisible
// a Uint8Array in the order of the points; null ends it. onLasso gets no rows when Escape ends a selection.

import {NONE, packedColor} from "./map_colors.js";
import {gestures} from "./map_gestures.js";
import {gridIndex, nearest, within} from "./map_index.js";
import {legend} from "./map_legend.js";
import {drawLabels, drawLasso, drawPictures, drawRing} from "./map_over.js";
import {painted} from "./map_paint.js";
import {mapParts} from "./map_parts.js";
import {pictures} from "./map_pictures.js";
import {disc, drawPoints, shuffled} from "./map_pixels.js";
import {chooseThumbnails} from "./map_thumbnails.js";
import {boundsOf, centred, fit, panned, resized, zoomed} from "./map_view.js";

const REACH = 12;  // pixels from the pointer to a point that is meant
const REST = 130;  // milliseconds between two choices of pictures, and until a map at rest is whole
const MOVING = 250_000;  // points that are drawn while the map moves, a sample of more
const FINE = 400_000;  // so many points are drawn as finely as the screen can; more at its CSS pixels
const CELL = 54, CLOSE = 104;  // pixels of a cell that holds a picture, and where few points are in sight
const FEW = 60;

export function createMap(container, {onHover, onClick, onLasso} = {}) {
  const parts = mapParts(container, {
    zoom: (factor) => zoom(factor, size.width / 2, size.height / 2), fit: () => all(),
    lasso: (wanted) => input.lassoing(wanted),
  });
  const context = parts.points.getContext("2d", {alpha: false}), over = parts.over.getContext("2d");
  const dark = matchMedia("(prefers-color-scheme: dark)"), leaving = new AbortController();
  let points = {x: new Float32Array(0), y: new Float32Array(0), row: new Uint32Array(0)};
  let index = gridIndex(points.x, points.y), order = new Uint32Array(0);
  let coloring = {value: new Uint16Array(0), palette: {names: []}}, picture = null;
  let asked = null, off = new Set(), chosen = null, pointed = null;
  let view = null, whole = null, moved = false, moving = false, resting = 0;
  let size = {width: 0, height: 0}, sharpness = 1, image = null, pixels = null;
  let hovered = -1, marked = -1, path = null, theme = null;
  let thumbnails = [], drawn = [], chosenAt = 0, cell = CELL, stale = true, waiting = 0, frame = 0;
  let rows = null, cache = pictures(() => "", () => {}), thumbnailUrl = null;

  const ask = () => { frame ||= requestAnimationFrame(draw); };
  const shape = () => { stale = true; ask(); };

  // After anything that changes colours, order, or what is to be seen
  function paint() {
    theme = parts.theme();
    const {background} = theme;
    picture = painted({points, order, coloring, asked, off, chosen, pointed, background, dark: dark.matches});
    shape();
  }
  function repaint() {
    paint();
    key.update(coloring.palette, picture.table.rgb, picture.facts);
  }
  function describe() {
    const {names, title} = coloring.palette, count = points.x.length.toLocaleString();
    const by = title ? `, coloured by ${title}` : "", groups = names ? `; ${names.length} groups, listed beside` : "";
    parts.over.setAttribute("aria-label", `Map of ${count} pictures${by}${groups}. Similar ones lie together. `
      + "Arrows move, plus and minus zoom, 0 shows all, Enter opens the picture in the middle, "
      + "Escape ends the selection.");
  }

  function draw() {
    frame = 0;
    if (!view || !size.width) return;
    const ratio = image.width / size.width, {scale, left, top} = view, {cloud, table, groups} = picture;
    const count = cloud.x.length;
    pixels.fill(packedColor(theme.background));
    const small = count > 2e5 ? 1 : count > 5e4 ? 1.5 : count > 5e3 ? 2.2 : 3;
    const close = Math.min(7, small * (scale / whole.scale) ** .3);
    const at = {scale: scale * ratio, left: left * ratio, top: top * ratio};
    const {width, height} = image, first = moving ? Math.min(picture.first, MOVING) : picture.first;
    drawPoints(pixels, width, height, cloud, at, disc(close * ratio, width), 0, first);
    drawPoints(pixels, width, height, cloud, at, disc((close + 1) * ratio, width), picture.first, count);
    context.putImageData(image, 0, 0);
    pick();
    const sharp = parts.over.width / size.width;
    over.setTransform(sharp, 0, 0, sharp, 0, 0);
    over.clearRect(0, 0, size.width, size.height);
    const look = {...theme, view, index, ...size, size: cell - 8, chosen, imageOf: (point) => cache.get(point),
      rgbOf: (point) => table.rgb[table.at(point)], background: theme.css};
    drawn = thumbnailUrl ? drawPictures(over, thumbnails, look) : [];
    if (groups) drawLabels(over, coloring.palette.names, groups, look);
    for (const one of [marked, hovered]) {
      if (one >= 0) drawRing(over, points.x[one] * scale + left, points.y[one] * scale + top, close + 5, theme.accent);
    }
    if (path) drawLasso(over, path, theme.accent);
    if (parts.over.matches(":focus-visible")) drawRing(over, size.width / 2, size.height / 2, REACH, theme.accent);
  }
  // Which points are pictures. That takes a look at all points in sight, so not in every frame.
  function pick() {
    if (!stale || !thumbnailUrl) return;
    const now = performance.now(), left = chosenAt + REST - now;
    if (left > 0) { waiting ||= setTimeout(() => { waiting = 0; ask(); }, left); return; }
    const about = {zoom: view.scale / whole.scale, visible: picture.visible};
    thumbnails = chooseThumbnails(index, view, size.width, size.height, {...about, cell: CELL});
    cell = CELL;
    if (about.zoom > 4 && thumbnails.length < FEW) {
      thumbnails = chooseThumbnails(index, view, size.width, size.height, {...about, cell: CLOSE});
      cell = CLOSE;
    }
    chosenAt = now; stale = false;
  }

  function pointAt(x, y) {
    const on = drawn.findLast((one) => x >= one.x && y >= one.y && x < one.x + cell - 8 && y < one.y + cell - 8);
    const {scale, left, top} = view;
    return on ? on.point : nearest(index, (x - left) / scale, (y - top) / scale, REACH / scale, picture.visible);
  }
  function hover(x, y) {
    const found = x === null ? -1 : pointAt(x, y);
    const url = found >= 0 && thumbnailUrl ? thumbnailUrl(points.row[found]) : null;
    parts.preview(url, url && nameOf(found), x, y);
    if (found === hovered) return;
    hovered = found;
    ask();
    onHover?.(found < 0 ? null : points.row[found], found < 0 ? null : [x, y]);
  }
  function nameOf(i) {
    const {value, palette: {names, title}} = coloring;
    return names ? names[value[i]] ?? "" : `${title} ${value[i].toPrecision(3)}`;
  }
  function look(next) {
    view = next; moved = moving = true;
    clearTimeout(resting);
    resting = setTimeout(() => { moving = false; ask(); }, REST);
    shape();
  }
  const zoom = (factor, x, y) => { if (view) look(zoomed(view, factor, x, y, whole.scale)); };
  function all() { view = whole; moved = false; shape(); }
  function select(mask) { chosen = mask; paint(); }

  const input = gestures(parts.over, {
    pan: (dx, dy) => { if (view) look(panned(view, dx, dy)); },
    zoom, fit: all, hover: (x, y) => { if (view) hover(x, y); },
    click(x, y) { const found = view ? pointAt(x, y) : -1; if (found >= 0) onClick?.(points.row[found]); },
    lasso(drawnPath, done) {
      path = done ? null : drawnPath;
      ask();
      if (!done || !drawnPath) return;
      const {scale, left, top} = view;
      const polygon = drawnPath.map((at, n) => n % 2 ? (at - top) / scale : (at - left) / scale);
      const inside = within(index, polygon, picture.visible);
      const mask = new Uint8Array(points.x.length);
      for (const i of inside) mask[i] = 1;
      select(inside.length ? mask : null);
      onLasso?.(inside.map((i) => points.row[i]));
    },
    end() { if (chosen) { select(null); onLasso?.(new Uint32Array(0)); } },
  });
  const key = legend(parts.legend, {
    switched(changed) { off = changed; paint(); },
    pointed(own) { if (own !== pointed) { pointed = own; paint(); } },
  });

  function resize() {
    const {clientWidth: width, clientHeight: height} = parts.stage, ratio = devicePixelRatio || 1;
    if (!width || !height || (image && width === size.width && height === size.height && ratio === sharpness)) return;
    for (const [canvas, per] of [[parts.points, points.x.length > FINE ? 1 : ratio], [parts.over, ratio]]) {
      canvas.width = Math.round(width * per); canvas.height = Math.round(height * per);
    }
    sharpness = ratio;
    image = context.createImageData(parts.points.width, parts.points.height);
    pixels = new Uint32Array(image.data.buffer);
    const before = size;
    size = {width, height};
    whole = fit(boundsOf(points.x, points.y), width, height);
    view = moved && view ? resized(view, width, height, before) : whole;
    shape();
  }
  const watching = new ResizeObserver(resize);
  watching.observe(parts.stage);
  dark.addEventListener("change", () => repaint(), {signal: leaving.signal});
  for (const kind of ["focus", "blur"]) parts.over.addEventListener(kind, ask, {signal: leaving.signal});

  const map = {
    setPoints(given) {
      const count = given.x.length, same = count === points.x.length;
      points = {x: given.x, y: given.y, row: given.row};
      index = gridIndex(points.x, points.y); order = shuffled(count);
      rows = null; hovered = marked = -1; thumbnails = []; drawn = []; chosenAt = 0;
      if (!same) {
        asked = chosen = null; off = new Set();
        coloring = {value: new Uint16Array(count).fill(NONE), palette: {names: []}};
      }
      cache.clear();
      image = null; moved = false;
      paint(); describe(); resize();
    },
    setColors({value, palette}) {
      if (value.length !== points.x.length) throw new Error(`${value.length} colours for ${points.x.length} points`);
      coloring = {value, palette}; off = new Set(); pointed = null;
      paint();
      key.show(palette, picture.table.rgb, picture.facts);
      describe();
    },
    setThumbnailUrl(url) {
      cache.clear();
      thumbnailUrl = url;
      cache = pictures((point) => url(points.row[point]), ask);
      chosenAt = 0; shape();
    },
    setSelection(wanted) {
      const mask = wanted instanceof Uint8Array ? wanted
        : Uint8Array.from(points.row, (row) => wanted?.has(row) ? 1 : 0);
      select(mask.includes(1) ? mask : null);
    },
    setVisible(mask) { asked = mask; repaint(); },
    focus(row) {
      rows ??= new Map(Array.from(points.row, (one, i) => [one, i]));
      marked = rows.get(row) ?? -1;
      if (marked < 0 || !view) return ask();
      const scale = Math.max(view.scale, 6 * whole.scale);
      look(centred(points.x[marked], points.y[marked], scale, size.width, size.height));
    },
    resize,
    destroy() {
      cancelAnimationFrame(frame); clearTimeout(waiting); clearTimeout(resting);
      watching.disconnect(); leaving.abort(); input.remove(); cache.clear();
      container.classList.remove("map"); container.replaceChildren();
    },
  };
  return map;
}
