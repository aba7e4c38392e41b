// What could be done, with the evidence: two groups that look alike, one that falls apart.

import { get, post } from "../parts/api.js";
import { button, el } from "../parts/element.js";
import { merged, nameOf } from "../parts/merge_with.js";
import { strip } from "../parts/pictures.js";
import { groupRoute } from "../parts/router.js";
import { fail } from "../parts/status.js";
import { placeParts } from "./parts_of.js";

const DISMISSED = "cairn-dismissed";

export function suggestions(app) {
  const kept = JSON.parse(localStorage.getItem(DISMISSED) ?? "[]");
  const dismissed = new Set(kept);
  const list = el("div", { class: "proposals" });
  const element = el("section", { class: "suggestions", "aria-label": "Suggestions", hidden: true },
    el("h2", { text: "Suggestions" }), list);

  function panel({ id, question, evidence, sides, verb, accept }) {
    const close = () => {
      dismissed.add(id);
      localStorage.setItem(DISMISSED, JSON.stringify([...dismissed].slice(-2000)));
      const next = one.nextElementSibling ?? one.previousElementSibling;
      one.remove();
      element.hidden = !list.children.length;
      next?.focus();
    };
    const one = el("article", { class: "card proposal", tabIndex: 0, "aria-label": `${question} ${evidence}` },
      el("h3", { text: question }), el("p", { class: "note", text: evidence }), sides,
      el("div", { class: "buttons" },
        button(verb, accept, { key: "y", class: "main" }), button("Dismiss", close, { key: "d" })));
    one.act = { y: accept, d: close };
    return one;
  }

  const side = (group, rows) =>
    el("a", { class: "side", href: groupRoute(group.key), tabIndex: -1, "aria-label": `Open ${nameOf(group)}` },
      el("span", { class: "facts", text: `${nameOf(group)} · ${group.size}` }), strip(app, rows.slice(0, 6), nameOf(group)));

  function merge({ groups: [a, b], evidence }, of) {
    const pair = [of.get(a), of.get(b)];
    if (!pair[0] || !pair[1]) return null;
    // The smaller one becomes a part of the larger one, unless only the smaller one has a name
    pair.sort((one, other) => Boolean(one.name) - Boolean(other.name) || one.size - other.size);
    const [small, large] = pair;
    return panel({
      id: `${app.about.rows} merge ${[a, b].sort().join(" ")}`,
      question: `Are ${nameOf(large)} and ${nameOf(small)} the same?`, evidence, verb: "Merge",
      sides: el("div", { class: "sides" }, side(large, large.typical), side(small, small.typical)),
      accept: () => merged(app, small, large),
    });
  }

  function split({ group: key, evidence, parts }, of) {
    const group = of.get(key);
    if (!group) return null;
    const sides = el("div", { class: "sides" });
    let halves = null;
    const ask = () => (halves ??= post("api/split", { key, parts: 2 }).then((told) => told.parts));
    const draw = (some) => sides.replaceChildren(...some.map((rows, i) =>
      el("span", { class: "side" }, el("span", { class: "facts", text: "ab"[i] ?? "" }), strip(app, rows.slice(0, 6), `part ${i + 1}`))));
    if (parts) draw(parts);
    else new IntersectionObserver(([seen], observer) => {
      if (!seen.isIntersecting) return;
      observer.disconnect();
      ask().then(draw, fail);
    }).observe(sides);
    return panel({
      id: `${app.about.rows} split ${key}`,
      question: `Does ${nameOf(group)} fall apart in two?`, evidence, sides, verb: "Split",
      accept: () => ask().then((rows) => placeParts(app, group, rows), fail),
    });
  }

  return {
    element,
    async load(groups) {
      const told = await get("api/suggestions");
      const of = new Map(groups.map((group) => [group.key, group]));
      const fresh = (kind) => (one) =>
        !dismissed.has(`${app.about.rows} ${kind} ${kind === "merge" ? [...one.groups].sort().join(" ") : one.group}`);
      const at = [...list.children].indexOf(document.activeElement?.closest?.(".proposal"));
      const panels = [
        ...told.merges.filter(fresh("merge")).map((one) => merge(one, of)),
        ...told.splits.filter(fresh("split")).map((one) => split(one, of)),
      ].filter(Boolean);
      list.replaceChildren(...panels);
      element.hidden = !panels.length;
      if (at >= 0) panels[Math.min(at, panels.length - 1)]?.focus();
    },
    key(event) {
      const here = document.activeElement?.closest?.(".proposal");
      if (!here) return false;
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        const next = event.key === "ArrowRight" ? here.nextElementSibling : here.previousElementSibling;
        next?.focus();
        next?.scrollIntoView({ block: "nearest", inline: "nearest" });
        return true;
      }
      const act = here.act[event.key];
      if (act) act();
      return Boolean(act);
    },
  };
}
