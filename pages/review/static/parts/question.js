// One picture, large, and answers to choose from by click or by the keys 1 to 9.

import { get } from "./api.js";
import { button, el, percent } from "./element.js";
import { thumbnail } from "./pictures.js";
import { imageRoute } from "./router.js";

/**
 * @typedef {{text: string, run: () => void, key?: string, note?: string, class?: string, rows?: number[]}} Answer
 *   rows: pictures of that group
 * @param {any} app
 * @param {number} row
 * @param {{title: string, why?: string, guesses: Answer[], others: Answer[]}} asked
 */
export function question(app, row, { title, why, guesses, others }) {
  const img = el("img", { class: "large", src: app.full(row), alt: `picture ${row}` });
  img.addEventListener("load", () => img.classList.toggle("small", img.naturalWidth < 200));
  const path = el("a", { class: "note path", href: imageRoute(row), text: " " });
  get("api/image", { row }).then((told) => {
    img.alt = told.path;
    path.textContent = told.path;
  }, () => {});
  const numbered = guesses.slice(0, 9).map((answer, i) =>
    el("button", { type: "button", class: `guess ${answer.class ?? ""}`, onclick: answer.run, "aria-keyshortcuts": String(i + 1) },
      el("kbd", { text: String(i + 1) }), el("span", { text: answer.text }),
      answer.rows?.length && el("span", { class: "strip", "aria-hidden": "true" }, ...answer.rows.slice(0, 3).map((one) => thumbnail(app, one))), answer.note && el("small", { text: answer.note })));
  const element = el("div", { class: "question" },
    el("figure", { class: "stage" }, img, el("figcaption", {}, path)),
    el("div", { class: "answers" },
      el("h1", { text: title }), why && el("p", { class: "note", text: why }),
      el("div", { class: "guesses" }, ...numbered),
      el("div", { class: "buttons" }, ...others.map((answer) => button(answer.text, answer.run, { key: answer.key, class: answer.class })))));
  return {
    element,
    key(event) {
      const guess = /^[1-9]$/.test(event.key) ? guesses[event.key - 1] : null;
      const answer = guess ?? others.find((other) => other.key === event.key);
      if (answer) answer.run();
      return Boolean(answer);
    },
  };
}

export const likely = (p) => (p === undefined || p === null ? "" : percent(p));
