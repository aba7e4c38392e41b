// All groups as cards, and what could be merged or split.

import { get } from "../parts/api.js";
import { button, count, el } from "../parts/element.js";
import { go, groupRoute, routeTo } from "../parts/router.js";
import { fail } from "../parts/status.js";
import { cardKeys, groupCard } from "./card.js";
import { suggestions } from "./suggestions.js";

const SORTS = [["size", "largest first"], ["doubt", "most doubtful first"]];

/** `held`, in which one types, is not touched: to be moved takes away the focus. */
function arrange(cards, elements, held) {
  const at = elements.indexOf(held);
  if (at < 0) {
    if (elements.some((element, i) => cards.children[i] !== element) || cards.children.length !== elements.length)
      cards.replaceChildren(...elements);
    return;
  }
  const kept = new Set(elements);
  for (const card of [...cards.children]) if (!kept.has(card)) card.remove();
  held.before(...elements.slice(0, at));
  held.after(...elements.slice(at + 1));
}

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app, { params }) {
  const sort = params.sort === "doubt" ? "doubt" : "size";
  const title = el("h1");
  const choice = el("div", { class: "choice", role: "group", "aria-label": "Order" }, ...SORTS.map(([key, text]) =>
    button(text, () => go(routeTo("clusters", [], { sort: key === "size" ? undefined : key })), { "aria-pressed": String(key === sort) })));
  const proposed = suggestions(app);
  const cards = el("div", { class: "cards" });
  const scroller = el("div", { class: "scroll" }, el("div", { class: "tools" }, title, choice), proposed.element, cards);
  container.append(scroller);
  /** @type {Map<string, {told: string, element: HTMLElement}>} */
  let shown = new Map();

  async function load() {
    const { groups } = await get("api/groups", { sort });
    const focused = cards.contains(document.activeElement) ? document.activeElement.closest(".card")?.dataset.key : null;
    const place = [...cards.children].findIndex((card) => card.dataset.key === focused);
    const typing = document.activeElement?.matches("input") ? focused : null; // that card stays as it is
    const next = new Map();
    const words = app.categories();
    for (const group of groups) {
      const told = JSON.stringify(group);
      const old = shown.get(group.key);
      next.set(group.key, old && (old.told === told || group.key === typing) ? old : { told, element: groupCard(app, group, words) });
    }
    shown = next;
    const elements = [...next.values()].map((card) => card.element);
    arrange(cards, elements, next.get(typing)?.element);
    if (focused && !document.activeElement?.closest(".card"))
      (next.get(focused)?.element ?? cards.children[Math.min(place, cards.children.length - 1)])?.focus();
    const named = groups.filter((group) => group.key.startsWith("n:")).length;
    const clusters = groups.filter((group) => group.key.startsWith("c:")).length;
    title.textContent = [named && `${count(named)} named`, clusters && `${count(clusters)} without a name`].filter(Boolean).join(", ");
    return groups;
  }
  const groups = await load();
  proposed.load(groups).catch(fail);
  return {
    scroller,
    async reload() {
      await proposed.load(await load());
    },
    key: (event) => proposed.key(event) || cardKeys(event, cards, (key) => go(groupRoute(key))),
  };
}
