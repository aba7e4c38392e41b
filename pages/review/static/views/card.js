// One group on the page of clusters: its typical pictures, its name, how sure it is.

import { button, el, percent, pictures } from "../parts/element.js";
import { mergeWith, nameOf } from "../parts/merge_with.js";
import { nameField } from "../parts/name_field.js";
import { strip } from "../parts/pictures.js";
import { go, groupRoute } from "../parts/router.js";
import { say } from "../parts/status.js";

/** @param {any} app @param {any} group of api/groups @param {string[]} words categories there are */
export function groupCard(app, group, words) {
  const { key, size, decided, sure, proposals = [] } = group;
  const name = nameOf(group);
  const marked = key.startsWith("s:");
  const rename = (to) => app.decide.call(key, to);
  const title = marked
    ? el("h2", { class: "name", text: name })
    : nameField({ name: group.name, fallback: name, words: [...new Set([...proposals, ...words])] }, rename);
  const act = {
    y() {
      if (group.name) return app.decide.placeRest(key, "decided", group.name);
      say("Give it a name first (r).");
      title.querySelector("input")?.focus();
    },
    m: () => mergeWith(app, group),
    s: () => go(groupRoute(key, { split: 2 })),
    q: () => app.decide.placeRest(key, "unknown"),
    x: () => app.decide.placeRest(key, "junk"),
    r: () => title.querySelector("input")?.select(),
  };
  const facts = [pictures(size), !marked && `${percent(sure)} sure`];
  const told = [...facts, !marked && `${percent(decided / size)} decided`].filter(Boolean).join(", ");
  const card = el("article", { class: "card", tabIndex: 0, "aria-label": `${name}, ${told}` },
    el("div", { class: "cardhead" }, title, el("span", { class: "facts", title: told, text: facts.filter(Boolean).join(" · ") })),
    el("a", { class: "open", href: groupRoute(key), tabIndex: -1, "aria-label": `Open ${name}` }, strip(app, group.typical, name)),
    !marked && el("div", { class: "buttons" },
      ...(group.name ? [] : proposals.slice(0, 3).map((word) =>
        button(word, () => rename(word), { class: "chip", title: `Call it ${word}` }))),
      el("span", { class: "fill" }),
      group.name && decided < size && button("Accept", act.y, { key: "y", title: "All are right: accept them" }),
      button("Merge…", act.m, { key: "m", title: "Merge with another one" })),
  );
  if (!marked) card.append(meter(decided / size));
  card.dataset.key = key;
  card.act = marked ? {} : act;
  return card;
}

function meter(share) {
  const fill = el("i");
  fill.style.width = `${100 * share}%`;
  return el("div", { class: "meter", "aria-hidden": "true" }, fill);
}

/** Keys among cards. @param {(key: string) => void} openGroup */
export function cardKeys(event, cards, openGroup) {
  const card = document.activeElement?.closest?.(".cards > .card");
  const all = [...cards.children];
  const { key } = event;
  if (key.startsWith("Arrow") || key === "Home" || key === "End") {
    const at = all.indexOf(card);
    const top = all[0]?.offsetTop;
    const columns = Math.max(1, all.filter((one) => one.offsetTop === top).length);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: all.length - 1 }[key];
    const next = card ? all[Math.max(0, Math.min(all.length - 1, to))] : all[0];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
    return true;
  }
  if (!card) return false;
  if (key === "Enter" || key === "o") return openGroup(card.dataset.key), true;
  const act = card.act[key];
  if (act) act();
  return Boolean(act);
}
