// What is drawn in which colour and order, from what is chosen, switched off or pointed at.

import {colorTable, LIGHT, rangeOf, spreadColors} from "./map_colors.js";
import {groupsOf} from "./map_labels.js";

// points: {x, y}; order: positions, as they are drawn; asked, chosen: Uint8Array or null for all, none; off:
// Set of categories; pointed: the category that alone keeps its colour, or null.
// → {table: the colours, visible: Uint8Array or null, groups: counts and medians of what is seen, facts: the
// counts, or the range, of what was asked for, cloud: {x, y, color} in the order of drawing, of which those
// from `first` on are chosen}
export function painted({points, order, coloring, asked, off, chosen, pointed, dark, background}) {
  const {value, palette} = coloring, {x, y} = points, none = palette.names?.length;
  const of = (i) => Math.min(value[i], none);
  let visible = null;
  if (asked || off.size) {
    visible = Uint8Array.from(x, (_, i) => (!asked || asked[i]) && !(off.size && off.has(of(i))) ? 1 : 0);
  }
  // What is switched off in the legend keeps its colour and its count
  const every = none === undefined ? null : groupsOf(value, none, x, y, asked);
  const groups = every && off.size ? groupsOf(value, none, x, y, visible) : every;
  const table = colorTable(coloring, every ? colorsOf(every, palette) : [], dark, background);
  const seen = visible ? order.filter((i) => visible[i]) : order;
  const rest = chosen ? seen.filter((i) => !chosen[i]) : seen, last = chosen ? seen.filter((i) => chosen[i]) : [];
  const cloud = {
    x: new Float32Array(seen.length), y: new Float32Array(seen.length), color: new Uint32Array(seen.length),
  };
  const put = (i, n) => {
    const back = (chosen && !chosen[i]) || (pointed !== null && of(i) !== pointed);
    cloud.x[n] = x[i];
    cloud.y[n] = y[i];
    cloud.color[n] = (back ? table.back : table.plain)[table.at(i)];
  };
  rest.forEach(put);
  last.forEach((i, n) => put(i, rest.length + n));
  return {table, visible, groups, cloud, first: rest.length, facts: every ? every.count : rangeOf(value)};
}

function colorsOf({count, middle}, palette) {
  const largest = [...middle.keys()].sort((a, b) => count[b] - count[a] || a - b);
  return spreadColors(middle, largest, palette.colors?.length ?? LIGHT.length);
}
