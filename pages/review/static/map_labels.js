// The names of groups on the map: at their medians, the largest first, none on another.

const DRAWN = 2000;  // points of a group whose median is taken, evenly

// Of each category how many of its points are visible, and their median: {count: Uint32Array,
// middle: [[x, y] or null]}; what has no category is counted last.
export function groupsOf(value, categories, x, y, visible = null) {
  const count = new Uint32Array(categories + 1), of = (i) => Math.min(value[i], categories);
  for (let i = 0; i < value.length; i++) if (!visible || visible[i]) count[of(i)]++;
  const step = Uint32Array.from(count, (n) => Math.max(1, Math.floor(n / DRAWN)));
  const seen = new Uint32Array(categories + 1), xs = [], ys = [];
  for (let c = 0; c < categories; c++) { xs.push([]); ys.push([]); }
  for (let i = 0; i < value.length; i++) {
    const c = of(i);
    if (c === categories || (visible && !visible[i]) || seen[c]++ % step[c]) continue;
    xs[c].push(x[i]); ys[c].push(y[i]);
  }
  const middle = (list) => Float64Array.from(list).sort()[list.length >> 1];
  return {count, middle: xs.map((list, c) => list.length ? [middle(list), middle(ys[c])] : null)};
}

// Labels that fit on a screen: [{text, own, x, y, width}] with x, y the middle in pixels.
export function placeLabels(names, {count, middle}, view, width, height, widthOf, high = 18) {
  const order = names.map((_, own) => own).filter((own) => middle[own]).sort((a, b) => count[b] - count[a] || a - b);
  const kept = [];
  for (const own of order) {
    const x = middle[own][0] * view.scale + view.left, y = middle[own][1] * view.scale + view.top;
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const text = names[own].length > 32 ? `${names[own].slice(0, 31)}…` : names[own], wide = widthOf(text) + 10;
    const free = kept.every((other) =>
      Math.abs(other.x - x) > (other.width + wide) / 2 || Math.abs(other.y - y) > high);
    if (free) kept.push({text, own, x, y, width: wide});
  }
  return kept;
}
