// Pictures that should all be of one category: pick the wrong ones, accept the others.

import { get } from "../parts/api.js";
import { button, count, el, pictures } from "../parts/element.js";
import { fail, say } from "../parts/status.js";
import { gridPanel } from "../grid/panel.js";

/** @returns {Promise<import("../main.js").View>} */
export async function batch(container, app) {
  let category = "";
  let rows = [];
  const title = el("h1");
  const facts = el("span", { class: "facts" });
  const accept = button("Accept the others", () => acceptOthers(), { key: "Enter", class: "main" });
  const panel = gridPanel(app, { label: "A batch to check", wrong: true, placed: (those) => take(those) });
  const again = button("Another batch", () => load().catch(fail), { key: "k" });
  container.append(el("div", { class: "tools" }, title, facts, el("span", { class: "fill" }), again, accept), panel.element);

  async function load() {
    const told = await get("api/next", { kind: "batch" });
    ({ category, rows } = { rows: [], ...told });
    await draw();
  }
  async function draw() {
    const some = rows.length > 0;
    title.textContent = some ? `Is each of these “${category}”?` : "There is nothing left to check.";
    facts.textContent = some ? `${pictures(rows.length)}: click the wrong ones, and say what they are` : "";
    accept.disabled = !some;
    panel.element.hidden = !some;
    await panel.show(rows);
    panel.grid.element.focus({ preventScroll: true });
  }
  /** What was decided leaves the batch. */
  function take(those) {
    const gone = new Set(those);
    rows = rows.filter((row) => !gone.has(row));
    (rows.length ? draw() : load()).catch(fail);
  }
  async function acceptOthers() {
    const wrong = panel.grid.picked.rows;
    const right = rows.filter((row) => !wrong.has(row));
    if (right.length && !(await app.decide.place(right, "decided", category))) return;
    if (!wrong.size) return load().catch(fail);
    const left = [...wrong];
    rows = left;
    await draw();
    panel.grid.picked.set(left);
    title.textContent = `What are these ${count(left.length)}?`;
    say(`${pictures(right.length)} accepted. Say what the others are (m), or Unknown (q), Junk (x).`);
  }
  await load();
  return {
    scroller: panel.grid.element,
    key(event) {
      if (event.key === "Enter" || event.key === "k") {
        event.key === "Enter" ? acceptOthers() : load().catch(fail);
        return true;
      }
      return panel.key(event);
    },
    close: panel.close,
  };
}
