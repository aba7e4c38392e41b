// The head of the page: what is reviewed, how far it is, where to go, undo and redo, search.

import { get, post } from "./api.js";
import { button, count, el, percent } from "./element.js";
import { showKeys } from "./keys.js";
import { go, routeTo } from "./router.js";
import { fail } from "./status.js";

const NAV = [
  ["clusters", "Clusters", "g c"], ["map", "Map", "g m"], ["duplicates", "Duplicates", "g d"], ["next", "Next", "g n"],
  ["audit", "Audit", "g a"], ["moved", "Moved", "g o"], ["search", "Search", "g s"],
];
const PARTS = [
  ["decided", "decided"], ["cluster", "named by their cluster"], ["unknown", "unknown"], ["junk", "junk"],
  ["none", "without a name"],
];

/** @returns {{progress: (now?: any) => Promise<void>, at: (route: any) => void, categories: () => string[]}} */
export function header(container, app) {
  const { about } = app;
  let categories = about.categories ?? [];
  const links = NAV.map(([name, text, key]) =>
    el("a", { href: routeTo(name), text, title: `${text} (${key})`, class: name === "search" && about.has?.text ? "narrow" : "" }));
  const undo = button("Undo", () => app.decide.undo(), { key: "u" });
  const redo = button("Redo", () => app.decide.redo(), { key: "Shift+U" });
  const words = el("input", {
    id: "words", type: "search", autocomplete: "off", "aria-label": "Search",
    placeholder: "search by words",
  });
  const search = el("form", { role: "search", onsubmit: (event) => {
    event.preventDefault();
    go(routeTo("search", [], { text: words.value.trim() }));
    words.blur();
  } }, words);
  const bar = el("div", { class: "progress", role: "img" }, ...PARTS.map(([name]) => el("i", { class: name })));
  const said = el("span", { class: "said" });
  container.append(
    chooser(about),
    el("nav", { "aria-label": "Views" }, ...links),
    ...(about.has?.text ? [search] : []),
    el("div", { class: "do" }, said, undo, redo, button("?", showKeys, { key: "?", title: "Keys", "aria-label": "Keys" })),
    bar,
  );

  function render(now) {
    const share = (name) => (now.images ? now[name] / now.images : 0);
    PARTS.forEach(([name], i) => (bar.children[i].style.width = `${100 * share(name)}%`));
    const text = PARTS.map(([name, what]) => `${count(now[name])} ${what}`).join(", ");
    bar.setAttribute("aria-label", `Of ${count(now.images)} pictures: ${text}`);
    bar.title = text;
    said.textContent = `${percent(share("decided"))} decided`;
    said.title = text;
  }
  async function progress(answer) {
    if (answer) render(answer.progress);
    const now = await get("api/progress").catch(fail);
    if (!now) return;
    render(now);
    categories = now.categories ?? categories;
    undo.disabled = !now.can_undo;
    redo.disabled = !now.can_redo;
  }
  progress();
  return {
    progress,
    categories: () => categories,
    at(route) {
      NAV.forEach(([name], i) => {
        const here = name === route.name || (name === "clusters" && route.name === "group");
        here ? links[i].setAttribute("aria-current", "page") : links[i].removeAttribute("aria-current");
      });
      words.value = route.name === "search" ? (route.params.text ?? "") : "";
    },
  };
}

/** Which clustering is reviewed, and another one to review. */
function chooser(about) {
  const run = el("select", { "aria-label": "Clustering" }, ...(about.runs ?? []).map((one) =>
    el("option", { value: one.key, text: one.rank ? `${one.label} (rank ${one.rank})` : one.label, selected: one.current })));
  const backbone = el("select", { "aria-label": "Backbone" }, ...(about.backbones ?? []).map((name) =>
    el("option", { value: name, text: name, selected: name === about.backbone })));
  const open = () => post("api/open", { backbone: backbone.value, run: run.value }).catch(fail);
  run.addEventListener("change", open);
  backbone.addEventListener("change", open);
  return el("details", { class: "about" },
    el("summary", { title: "What is reviewed" }, el("b", { text: about.dataset }), ` ${about.run}`),
    el("div", { class: "panel" },
      el("label", {}, "Clustering ", run), el("label", {}, "Backbone ", backbone),
      el("p", { text: `${count(about.images)} pictures, ${about.k} clusters. Decisions are kept in ${about.review_file}.` }),
      ...(about.notes ?? []).map((note) => el("p", { class: "note", text: note }))));
}
