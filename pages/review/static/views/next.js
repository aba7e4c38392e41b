// What to look at next: one question at a time, a batch to check, or the rest sorted by Cairn.

import { button, el } from "../parts/element.js";
import { go, routeTo } from "../parts/router.js";
import { askedOneByOne } from "./next_one.js";
import { batch } from "./next_batch.js";
import { sortedRest } from "./next_rest.js";

const KINDS = [
  ["ask", "One by one", askedOneByOne, "The pictures whose answer helps most"],
  ["batch", "Check a batch", batch, "Pictures that should all be of one category"],
  ["rest", "Sort the rest", sortedRest, "What Cairn would move, after what was decided"],
];

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app, { params }) {
  const [kind, , open, said] = KINDS.find(([name]) => name === params.kind) ?? KINDS[0];
  const tabs = KINDS.map(([name, text]) =>
    button(text, () => go(routeTo("next", [], { kind: name === "ask" ? undefined : name })), { "aria-pressed": String(name === kind) }));
  const body = el("div", { class: "body" });
  container.append(el("div", { class: "tools" },
    el("div", { class: "choice", role: "group", "aria-label": "Kind" }, ...tabs), el("span", { class: "note", text: said })), body);
  return open(body, app);
}
