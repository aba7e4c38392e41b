// Starts the page: header, keys and events stand; the view changes with the address.

import { address, get } from "./parts/api.js";
import { choose } from "./parts/choose.js";
import { decisions } from "./parts/decide.js";
import { takeDroppedFiles } from "./parts/drop.js";
import { el } from "./parts/element.js";
import { listen } from "./parts/events.js";
import { header } from "./parts/header.js";
import { listenToKeys } from "./parts/keys.js";
import { go, onRoute } from "./parts/router.js";
import { knownRows } from "./parts/rows.js";
import { fail, say } from "./parts/status.js";

/**
 * A view shows itself in a container and answers what can be done with it.
 * @typedef {{reload?: (version: number) => Promise<void>|void, key?: (event: KeyboardEvent) => boolean|void,
 *   scroller?: HTMLElement, close?: () => void}} View
 */
const VIEWS = {
  clusters: () => import("./views/clusters.js"),
  group: () => import("./views/group.js"),
  map: () => import("./views/map.js"),
  duplicates: () => import("./views/duplicates.js"),
  search: () => import("./views/search.js"),
  next: () => import("./views/next.js"),
  audit: () => import("./views/audit.js"),
  moved: () => import("./views/moved.js"),
  image: () => import("./views/image.js"),
};

const main = document.getElementById("view");
/** @type {View|null} */
let view = null;
let hash = "";
let turn = 0;
const scrolled = new Map(); // where each view was left

async function start() {
  const about = await get("api/about");
  const app = { about, known: knownRows(), dropped: null, walk: null };
  let version = about.version;
  const changed = (now, answer) => {
    if (now <= version) return;
    version = now;
    app.known.forget();
    head.progress(answer?.progress ? answer : undefined);
    Promise.resolve(view?.reload?.(now)).catch(fail);
  };
  Object.assign(app, {
    decide: decisions((answer) => changed(answer.version, answer)),
    thumb: (row) => address(`thumb/${row}.webp`, { v: about.rows }),
    full: (row) => address(`full/${row}`, { v: about.rows }),
    /** Ask for a category. @returns {Promise<string|null>} */
    category: (title, { fresh = true, without = "", typed = "" } = {}) =>
      choose(title, head.categories().filter((name) => name !== without).map((name) => ({ value: name, text: name })), { fresh, typed }),
    categories: () => head.categories(),
    newCategory: (title) => choose(title, []),
  });
  document.title = `${about.dataset} · Cairn review`;
  const head = header(document.getElementById("header"), app);
  listen(
    (now, said) => {
      if (now > version && said) say(said);
      changed(now);
    },
    () => location.reload(),
  );
  listenToKeys(app.decide, () => view);
  takeDroppedFiles(app);
  onRoute((route) => show(route, app, head).catch(fail));
  setTimeout(() => Object.values(VIEWS).forEach((load) => load().catch(() => {})), 1000); // the other views, while one looks
}

async function show(route, app, head) {
  const mine = (turn += 1);
  if (view?.scroller) scrolled.set(hash, view.scroller.scrollTop);
  view?.close?.();
  for (const img of main.querySelectorAll("img")) if (!img.complete) img.removeAttribute("src"); // make way
  view = null;
  hash = route.hash;
  head.at(route);
  const container = el("div", { class: `view ${VIEWS[route.name] ? route.name : ""}` });
  if (!VIEWS[route.name]) {
    main.replaceChildren(container);
    container.append(el("p", { text: "There is no such view." }), el("a", { href: "#/clusters", text: "To the clusters" }));
    return;
  }
  try {
    const module = await VIEWS[route.name]();
    if (mine !== turn) return;
    main.replaceChildren(container);
    const shown = await module.show(container, app, route);
    if (mine !== turn) return shown.close?.();
    view = shown;
    if (shown.scroller && scrolled.has(hash)) shown.scroller.scrollTop = scrolled.get(hash);
  } catch (error) {
    if (mine !== turn) return;
    main.replaceChildren(container);
    const gone = error.status === 404;
    if (!gone) fail(error);
    container.replaceChildren(el("div", { class: "empty" },
      el("p", { text: error.message }), el("a", { href: "#/clusters", text: "To the clusters" })));
  }
}

if (!location.hash) go("#/clusters", { replace: true });
start().catch((error) => {
  fail(error);
  main.append(el("p", { class: "empty", text: error.message }));
});
