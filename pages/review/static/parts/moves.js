// Pictures that went, or would go, from one label to another: a card a move.

import { button, count, el, pictures } from "./element.js";
import { linkedStrip } from "./pictures.js";

/** "n:shirt", "c:3", "shirt" or nothing, as one reads it. */
export function labelOf(key) {
  if (!key) return "no name";
  if (key.startsWith("c:")) return `cluster ${key.slice(2)}`;
  return key.replace(/^[ns]:/, "");
}

/**
 * @param {any} app @param {{from: string|null, to: string|null, rows: number[]}} move
 * @param {{text: string, key?: string, class?: string, run: () => void}[]} actions
 */
export function moveCard(app, { from, to, rows }, actions) {
  const title = `${labelOf(from)} → ${labelOf(to)}`;
  const card = el("article", { class: "card move", tabIndex: 0, "aria-label": `${title}, ${pictures(rows.length)}` },
    el("div", { class: "cardhead" }, el("h2", { text: title }), el("span", { class: "facts", text: pictures(rows.length) })),
    linkedStrip(app, rows.slice(0, 24), title),
    rows.length > 24 && el("p", { class: "note", text: `and ${count(rows.length - 24)} more` }),
    el("div", { class: "buttons" }, ...actions.map(({ text, key, run, ...rest }) => button(text, () => run(card), { key, ...rest }))));
  card.act = Object.fromEntries(actions.map(({ key, run }) => [key, () => run(card)]));
  return card;
}

/** Arrow keys walk along the cards; a card has keys of its own. */
export function moveKeys(event, list) {
  const here = document.activeElement?.closest?.(".move");
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (step) {
    const all = [...list.querySelectorAll(".move")];
    all[Math.max(0, Math.min(all.length - 1, here ? all.indexOf(here) + step : 0))]?.focus();
    return true;
  }
  const act = here?.act[event.key];
  if (act) act();
  return Boolean(act);
}

export const leave = (card) => {
  const next = card.nextElementSibling ?? card.previousElementSibling;
  card.remove();
  next?.focus?.();
};

