// One picture, large, with what is known of it.

import { get } from "../parts/api.js";
import { button, el, percent } from "../parts/element.js";
import { labelOf } from "../parts/moves.js";
import { linkedStrip } from "../parts/pictures.js";
import { go, groupRoute, imageRoute, routeTo } from "../parts/router.js";
import { STATUS } from "../parts/rows.js";


/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app, { path: [asked] }) {
  const row = Number(asked);
  let one = await get("api/image", { row });
  const img = el("img", { class: "large", src: app.full(row), alt: one.path });
  img.addEventListener("load", () => img.classList.toggle("small", img.naturalWidth < 200));
  img.addEventListener("error", () => img.replaceWith(el("p", { class: "empty", text: `${one.path} cannot be shown: is the file gone?` })));
  const side = el("aside", { "aria-label": "What is known of it" });
  container.append(el("figure", { class: "stage" }, img), side);

  const place = (status, category) => app.decide.place([row], status, category);
  const act = {
    async m() {
      const name = await app.category("Move to…");
      if (name) await place("decided", name);
    },
    async n() {
      const name = await app.newCategory("New category");
      if (name) await place("decided", name);
    },
    Enter: () => one.label && place("decided", one.label),
    q: () => place("unknown"),
    x: () => place("junk"),
    Delete: () => place("undecided"),
    l: () => go(routeTo("search", [], { like: row })),
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    Escape: () => history.back(),
  };
  function step(by) {
    const next = app.walk?.[app.walk.indexOf(row) + by];
    if (app.walk?.includes(row) && next !== undefined) go(imageRoute(next), { replace: true });
  }

  function render() {
    const facts = [
      ["Path", one.path], ["Split", one.split], ["Label", el("a", { href: groupRoute(one.group), text: one.label ?? STATUS[one.status] })],
      ["Status", STATUS[one.status]], ["Cluster", String(one.cluster)],
      ["Doubt", percent(one.doubt)], ["Second guess", one.second_key && labelOf(one.second_key)], ["Size", one.width ? `${one.width} × ${one.height}` : one.note],
    ];
    side.replaceChildren(
      el("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)])),
      el("div", { class: "buttons" },
        one.label && one.status === "c" && button("Right", act.Enter, { key: "Enter", class: "main" }),
        one.second_key?.startsWith("n:") && one.second !== one.label && button(one.second, () => place("decided", one.second), { title: "It is its second guess" }),
        button("Move to…", act.m, { key: "m" }), button("New…", act.n, { key: "n" }),
        button("Unknown", act.q, { key: "q" }), button("Junk", act.x, { key: "x" }),
        "duj".includes(one.status) && button("Undecide", act.Delete, { key: "Delete" }),
        button("Like this", act.l, { key: "l" })),
      one.neighbors?.length ? el("h2", { text: "Its neighbours" }) : "",
      one.neighbors?.length ? linkedStrip(app, one.neighbors, "Its neighbours") : "",
    );
  }
  render();
  return {
    scroller: container,
    async reload() {
      one = await get("api/image", { row });
      render();
    },
    key(event) {
      const run = act[event.key];
      if (run) run();
      return Boolean(run);
    },
  };
}
