// All pictures in two dimensions, and a grid of those inside a lasso.

import { address, get, ApiError } from "../parts/api.js";
import { button, el, pictures } from "../parts/element.js";
import { go, imageRoute, routeTo } from "../parts/router.js";
import { fail } from "../parts/status.js";
import { gridPanel } from "../grid/panel.js";
import { createMap } from "../map.js";
import { NONE } from "../map_colors.js";

const COLORS = [["name", "name"], ["cluster", "cluster"], ["doubt", "doubt"], ["split", "split"]];
const TRUE_LABEL = ["label", "true label"]; // where the dataset came with labels

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app, { params }) {
  const colors = [...COLORS, ...(app.about.has.labels ? [TRUE_LABEL] : [])];
  const by = colors.some(([name]) => name === params.color) ? params.color : app.categories().length ? "name" : "cluster";
  const choose = el("select", { "aria-label": "Colour", onchange: () => go(routeTo("map", [], { color: choose.value }), { replace: true }) },
    ...colors.map(([value, text]) => el("option", { value, text: `coloured by ${text}`, selected: value === by })));
  const facts = el("span", { class: "note" });
  const place = el("div", { class: "themap" });
  const found = el("span", { class: "facts" });
  const panel = gridPanel(app, { label: "Pictures inside the lasso" });
  const none = button("Close", () => lasso([]), { key: "Escape", title: "Forget the lasso" });
  const side = el("section", { class: "lassoed", "aria-label": "Inside the lasso", hidden: true },
    el("div", { class: "tools" }, el("h2", { text: "Inside the lasso" }), found, el("span", { class: "fill" }), none), panel.element);
  container.append(
    el("div", { class: "tools" }, el("h1", { text: "Map" }), choose, facts), el("div", { class: "mapview" }, place, side));

  const told = await points();
  facts.textContent = told.note;
  const map = createMap(place, {
    onClick: (row) => go(imageRoute(row)),
    onLasso: (rows) => lasso(rows).catch(fail),
  });
  map.setPoints(told.points);
  map.setThumbnailUrl(app.thumb);
  await paint();

  async function paint() {
    const values = await get("api/colors", { by });
    map.setColors(by === "doubt" ? ofNumbers(values, told.points.row) : ofNames(values, told.points.row));
  }
  async function lasso(rows) {
    app.lassoed = [...rows];
    side.hidden = !rows.length;
    if (!rows.length) map.setSelection(null);
    found.textContent = pictures(rows.length);
    await panel.show([...rows]);
    if (rows.length) panel.grid.element.focus({ preventScroll: true });
  }
  if (params.row) map.focus(Number(params.row));
  if (app.lassoed?.length) { // one came back from a picture
    map.setSelection(new Set(app.lassoed));
    await lasso(app.lassoed);
  }
  return {
    async reload() {
      await paint();
      panel.grid.refresh();
    },
    key(event) {
      if (side.hidden || place.contains(document.activeElement)) return false;
      if (panel.key(event)) return true;
      if (event.key !== "Escape") return false;
      lasso([]);
      return true;
    },
    close() {
      map.destroy();
      panel.close();
    },
  };
}

/** uint32 n, float32 x [n], float32 y [n], uint32 row [n], little-endian. */
async function points() {
  const answer = await fetch(address("api/map"));
  if (!answer.ok) throw new ApiError((await answer.json().catch(() => null))?.error ?? "There is no map.", answer.status);
  const bytes = await answer.arrayBuffer();
  const [n] = new Uint32Array(bytes, 0, 1);
  return {
    note: answer.headers.get("x-note") ?? "",
    points: {
      x: new Float32Array(bytes, 4, n), y: new Float32Array(bytes, 4 + 4 * n, n), row: new Uint32Array(bytes, 4 + 8 * n, n),
    },
  };
}

const ofNames = ({ title, names, value }, rows) => ({
  value: Uint16Array.from(rows, (row) => (value[row] < 0 ? NONE : value[row])),
  palette: { title, names, none: "without a name" },
});
const ofNumbers = ({ title, low, high, value }, rows) => ({
  value: Float32Array.from(rows, (row) => low + ((high - low) * value[row]) / 255),
  palette: { title, low, high },
});
