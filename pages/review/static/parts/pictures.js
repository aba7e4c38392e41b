// A few pictures in a row, such as the typical ones of a card.

import { el } from "./element.js";
import { imageRoute } from "./router.js";
import { spoken } from "./rows.js";

/** @param {any} app @param {number} row @param {string} [alt] */
export function thumbnail(app, row, alt = "") {
  const img = el("img", { alt, loading: "lazy", decoding: "async", draggable: false, src: app.thumb(row) });
  img.addEventListener("load", () => img.classList.toggle("small", img.naturalWidth < 48));
  img.addEventListener("error", () => img.classList.add("gone"));
  return img;
}

/** Pictures as a part of something that is named already. */
export const strip = (app, rows, name) =>
  el("span", { class: "strip" }, ...rows.map((row, i) => thumbnail(app, row, `${name}, picture ${i + 1}`)));

/** Pictures each of which opens; their names are learnt when they are there. */
export function linkedStrip(app, rows, label) {
  const links = rows.map((row) => el("a", { href: imageRoute(row), "aria-label": spoken(undefined, row) }, thumbnail(app, row)));
  app.known.learn(rows).then(() => links.forEach((link, i) => {
    const known = app.known.of(rows[i]);
    link.setAttribute("aria-label", spoken(known, rows[i]));
    link.title = known ? `${known.path}${known.label ? `: ${known.label}` : ""}` : "";
  }), () => {});
  return el("div", { class: "strip", role: "group", "aria-label": label }, ...links);
}
