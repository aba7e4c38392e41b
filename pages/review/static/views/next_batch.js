// Pictures that should all be of one category: pick the wrong ones, accept the others.

import { get } from "../parts/api.js";
import { button, count, el, pictures } from "../parts/element.js";
import { fail, say } from "../parts/status.js";
import { gridPanel } from "../grid/panel.js";

/** @returns {Promise<import("../main.js").View>} */
export async function batch(container, app) {
  let category = "";
  let rows = [];
  let wrong = false; // those that are left are none of the category
  const title = el("h1");
  const facts = el("span", { class: "facts" });
  const accept = button("Accept the others", () => acceptOthers(), { key: "Enter", class: "main" });
  const panel = gridPanel(app, { label: "A batch to check", wrong: true, placed: (those) => take(those) });
  const again = button("Another batch", () => load().catch(fail), { key: "k" });
  container.append(el("div", { class: "tools" }, title, facts, el("span", { class: "fill" }), again, accept), panel.element);

  async function load() {
    const told = await get("api/next", { kind: "batch" });
    ({ category, rows } = { rows: [], ...told });
    wrong = false;
    await draw();
  }
  async function draw() {
    const some = rows.length > 0;
    title.textContent = !some ? "There is nothing left to check."
      : wrong ? `What are these ${count(rows.length)}?` : `Is each of these “${category}”?`;
    facts.textContent = !some ? "" : wrong ? "say what they are (m), or Unknown (q), Junk (x)"
      : `${pictures(rows.length)}: click the wrong ones, and say what they are (m)`;
    accept.disabled = !some || wrong;
    panel.element.hidden = !some;
    await panel.show(rows);
    if (wrong) panel.grid.picked.set(rows);
    panel.grid.element.focus({ preventScroll: true });
  }
  /** What was decided leaves the batch. */
  function take(those) {
    const gone = new Set(those);
    rows = rows.filter((row) => !gone.has(row));
    (rows.length ? draw() : load()).catch(fail);
  }
  async function acceptOthers() {
    if (wrong || !rows.length) return;
    const picked = panel.grid.picked.rows;
    const right = rows.filter((row) => !picked.has(row));
    if (right.length && !(await app.decide.place(right, "decided", category))) return;
    rows = rows.filter((row) => picked.has(row));
    if (!rows.length) return load().catch(fail);
    wrong = true;
    await draw();
    say(`${pictures(right.length)} accepted. Say what the others are.`);
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
