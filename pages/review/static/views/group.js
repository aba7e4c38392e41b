// All pictures of one group: a cluster without a name, a category, or those marked as unknown or junk.

import { button, el, percent, pictures } from "../parts/element.js";
import { mergeWith, nameOf } from "../parts/merge_with.js";
import { nameField } from "../parts/name_field.js";
import { go, groupRoute } from "../parts/router.js";
import { say } from "../parts/status.js";
import { gridPanel } from "../grid/panel.js";
import { groupSource } from "../grid/source.js";
import { splitPanel } from "./split.js";

const ORDERS = [["typical", "most typical first"], ["doubt", "most doubtful first"], ["like", "by likeness"]];

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app, { path: [key], params }) {
  const order = params.order ?? "typical";
  const marked = key.startsWith("s:");
  let source = await groupSource(key, order);
  let { group } = source;
  if (params.split && !marked) return splitPanel(container, app, group);

  const head = el("div", { class: "tools" });
  const panel = gridPanel(app, { label: nameOf(group), category: () => (marked ? "" : group.name) });
  container.append(head, panel.element);
  const { grid } = panel;

  const reorder = (value) => {
    if (value !== "like") return go(groupRoute(key, { order: value === "typical" ? undefined : value }));
    const [row] = grid.targets().length ? grid.targets() : [group.typical?.[0] ?? source.row(0)];
    go(groupRoute(key, { order: `like:${row}` }));
  };
  const orders = el("select", { "aria-label": "Order", onchange: (event) => reorder(event.target.value) },
    ...ORDERS.map(([value, text]) => el("option", { value, text, selected: order.startsWith(value) })));
  let leaving = false; // its key ends by what is done here
  const leave = async (doing) => {
    leaving = true;
    const into = await doing;
    leaving = false;
    if (into) go(groupRoute(into, params), { replace: true });
  };
  const renamed = (to) => leave(app.decide.call(key, to).then((answer) => answer && `n:${to}`));
  const act = {
    r: () => head.querySelector("input.name")?.select(),
    s: () => go(groupRoute(key, { split: 2 })),
    async y() {
      if (!group.name) return say("Give it a name first (r)."), act.r();
      await app.decide.placeRest(key, "decided", group.name);
    },
    m: () => leave(mergeWith(app, group)),
  };

  function renderHead() {
    const name = nameOf(group);
    const words = [...new Set([...(group.proposals ?? []), ...app.categories()])];
    const left = group.decided === undefined ? 1 : group.size - group.decided;
    const facts = [pictures(group.size)];
    if (!marked && group.sure !== undefined) facts.push(`${percent(group.sure)} sure`);
    if (!marked && group.decided) facts.push(`${percent(group.decided / group.size)} decided`);
    head.replaceChildren(
      marked ? el("h1", { text: name }) : el("h1", { class: "edit" }, nameField({ name: group.name, fallback: name, words }, renamed)),
      el("span", { class: "facts", text: facts.join(" · ") }),
      ...(group.name || marked ? [] : (group.proposals ?? []).slice(0, 3).map((word) =>
        button(word, () => renamed(word), { class: "chip", title: `Call it ${word}` }))),
      el("span", { class: "fill" }), orders,
      button("−", () => grid.resize(-1), { key: "-", title: "Smaller pictures", "aria-label": "Smaller pictures" }),
      button("+", () => grid.resize(1), { key: "+", title: "Larger pictures", "aria-label": "Larger pictures" }),
      ...(marked ? [] : [
        button("Merge…", act.m, { key: "m", title: "Merge with another one" }),
        button("Split", act.s, { key: "s", title: "Split it in two" }),
        button("Accept the rest", act.y, { key: "y", class: "main", disabled: !left, title: "All that nobody decided is right" }),
      ]),
    );
  }
  /** An emptied group may come back by undo. */
  const gone = el("div", { class: "empty", hidden: true }, el("p"), el("a", { href: "#/clusters", text: "To the clusters" }));
  container.append(gone);
  const showGroup = (there) => {
    [head.hidden, panel.element.hidden, gone.hidden] = [!there, !there, there];
  };
  renderHead();
  await grid.setSource(source);
  grid.element.focus({ preventScroll: true });

  return {
    scroller: grid.element,
    async reload() {
      if (leaving) return;
      try {
        source = await groupSource(key, order);
      } catch (error) {
        if (error.status !== 404) throw error;
        gone.firstChild.textContent = error.message;
        return showGroup(false);
      }
      showGroup(true);
      ({ group } = source);
      if (!head.contains(document.activeElement) || !document.activeElement.matches("input")) renderHead();
      await grid.setSource(source, { keep: true });
    },
    key(event) {
      if (panel.key(event)) return true;
      if (marked || !Object.hasOwn(act, event.key)) return false;
      act[event.key]();
      return true;
    },
    close: panel.close,
  };
}
