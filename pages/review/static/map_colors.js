// The colours of the map. Of categories: ten that stay apart on light and on dark for people with any
// one kind of colour blindness (at least .1 in OKLab, simulated after Machado et al. 2009); further
// ones repeat them, far from one another. Of numbers: viridis, which ends at the far side of the
// background, so that high values stand out.

export const NONE = 65535;  // the category of a point that has none
export const LIGHT = [
  "#0863b1", "#f25608", "#15a470", "#b163ff", "#8a0808", "#56beff", "#f28abe", "#b1be70", "#56227d", "#975670",
];
export const DARK = [
  "#56a4e5", "#f2b108", "#08e597", "#8a08ff", "#cb0808", "#cbbeff", "#f263a4", "#8a9749", "#a43c97", "#227049",
];
const SCALE = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"];
const DIMMED = .16;  // what remains of the colour of a point that is set back

// Texts, one a point (null or "" for none), as categories for setColors, in natural order.
export function byCategory(texts, title) {
  const has = (text) => text !== null && text !== undefined && text !== "";
  const compare = new Intl.Collator(undefined, {numeric: true}).compare;
  const names = [...new Set(Array.from(texts).filter(has).map(String))].sort(compare);
  const number = new Map(names.map((name, at) => [name, at]));
  const value = Uint16Array.from(texts, (text) => has(text) ? Math.min(number.get(String(text)), NONE - 1) : NONE);
  return {value, palette: {title, names}};
}

// Numbers, one a point (NaN for none), for setColors.
export function byNumber(numbers, title, low = "", high = "") {
  return {value: Float32Array.from(numbers), palette: {title, low, high}};
}

// For each category the number of its colour: those of categories whose middles are near differ.
// middles: [[x, y] or null]; largest: categories by falling size.
export function spreadColors(middles, largest, colors) {
  const chosen = new Array(middles.length).fill(-1);
  for (const [rank, own] of largest.entries()) {
    if (rank < colors || !middles[own]) { chosen[own] = rank % colors; continue; }
    const nearest = new Array(colors).fill(Infinity);
    for (const other of largest.slice(0, rank)) {
      if (!middles[other]) continue;
      const far = Math.hypot(middles[own][0] - middles[other][0], middles[own][1] - middles[other][1]);
      nearest[chosen[other]] = Math.min(nearest[chosen[other]], far);
    }
    chosen[own] = nearest.indexOf(Math.max(...nearest));
  }
  return chosen;
}

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
const mixed = (one, other, share) => one.map((value, at) => Math.round(value * share + other[at] * (1 - share)));

// 256 steps of the scale from its lowest to its highest, as [r, g, b]
export function scaleColors(dark) {
  const stops = (dark ? SCALE : [...SCALE].reverse()).map(channels), last = stops.length - 1;
  return Array.from({length: 256}, (_, at) => {
    const place = at / 255 * last, low = Math.min(last - 1, Math.floor(place));
    return mixed(stops[low + 1], stops[low], place - low);
  });
}

export const css = (rgb) => `rgb(${rgb.join(" ")})`;
export const fromCss = (text) => (text.match(/[\d.]+/g) ?? [255, 255, 255]).slice(0, 3).map(Number);

// The table of colours of a colouring and how points find theirs.
// → {rgb: [[r, g, b]], plain, back: Uint32Array as in an image's memory; at(point): number in these}
export function colorTable({value, palette}, colorOf, dark, background) {
  const grey = dark ? [120, 126, 134] : [150, 156, 164];
  let rgb, at;
  if (palette.names) {
    const list = (palette.colors ?? (dark ? DARK : LIGHT)).map(channels), none = palette.names.length;
    rgb = [...palette.names.map((_, own) => list[(colorOf[own] ?? own) % list.length]), grey];
    at = (i) => value[i] < none ? value[i] : none;
  } else {
    const [low, high] = rangeOf(value);
    rgb = [...scaleColors(dark), grey];
    at = (i) => Number.isNaN(value[i]) ? 256 : high > low ? Math.round((value[i] - low) / (high - low) * 255) : 128;
  }
  const plain = Uint32Array.from(rgb, packed);
  const back = Uint32Array.from(rgb, (one) => packed(mixed(one, background, DIMMED)));
  return {rgb, plain, back, at};
}

export function rangeOf(value) {
  let low = Infinity, high = -Infinity;
  for (const one of value) {
    if (one < low) low = one;
    if (one > high) high = one;
  }
  return low <= high ? [low, high] : [0, 0];
}
export const packedColor = packed;
