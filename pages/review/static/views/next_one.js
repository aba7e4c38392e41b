// Questions one at a time: the pictures whose answer helps most.

import { get } from "../parts/api.js";
import { calling, placing } from "../parts/decide.js";
import { count, el } from "../parts/element.js";
import { likely, question } from "../parts/question.js";
import { fail } from "../parts/status.js";

/** @returns {Promise<import("../main.js").View>} */
export async function askedOneByOne(container, app) {
  const seen = new Set(); // answered or put off in this visit
  let waiting = [];
  let typical = new Map(); // pictures of each group, beside its name
  let now = null;
  let answered = 0;
  let busy = false;

  async function more() {
    const [{ items }, { groups }] = await Promise.all([
      get("api/next", { n: Math.min(500, 12 + seen.size), kind: "ask" }), get("api/groups", { sort: "size" })]);
    typical = new Map(groups.map((group) => [group.key, group.typical]));
    waiting = items.filter(({ row }) => !seen.has(row));
  }
  async function next() {
    if (!waiting.length) await more();
    const one = waiting.shift();
    if (!one) {
      now = null;
      container.replaceChildren(el("div", { class: "empty" }, el("p", { text: "There is nothing left to ask." })));
      return;
    }
    if (waiting.length) new Image().src = app.full(waiting[0].row);
    const { row, guesses = [], why } = one;
    const known = new Set(guesses.map(({ category }) => category)); // or of clusters without a name
    const more9 = app.categories().filter((name) => !known.has(name)).slice(0, Math.max(0, 9 - guesses.length));
    now = question(app, row, {
      title: "What is this?", why,
      guesses: [
        ...guesses.map(({ category, key, p }) => key?.startsWith("c:")
          ? { text: `as ${category}…`, note: likely(p), rows: typical.get(key), run: () => nameBoth(row, key, category) }
          : { text: category, note: likely(p), rows: typical.get(`n:${category}`), run: () => answer(row, "decided", category) }),
        ...more9.map((category) => ({ text: category, rows: typical.get(`n:${category}`), run: () => answer(row, "decided", category) })),
      ],
      others: [
        { text: "Another…", key: "m", run: () => named(row, app.category("What is it?")) },
        { text: "New…", key: "n", run: () => named(row, app.newCategory("A new category")) },
        { text: "Unknown", key: "q", run: () => answer(row, "unknown") },
        { text: "Junk", key: "x", run: () => answer(row, "junk") },
        { text: "Later", key: "k", run: () => pass(row) },
      ],
    });
    container.replaceChildren(now.element, el("p", { class: "note", text: answered ? `${count(answered)} answered` : "" }));
  }
  async function named(row, asking) {
    const name = await asking;
    if (name) await answer(row, "decided", name);
  }
  /** It is what that cluster is, which has no name yet. */
  async function nameBoth(row, key, cluster) {
    const name = await app.category(`What is ${cluster}, and this?`);
    if (name) await answer(row, "decided", name, [calling(key, name)]);
  }
  async function answer(row, status, category, before = []) {
    if (busy) return;
    busy = true;
    try {
      if (!(await app.decide.together([...before, placing([row], status, category)]))) return;
      answered += 1;
      // Every dozen answers the order is asked for anew, with what they taught
      if (answered % 12 === 0) waiting = [];
      pass(row);
    } finally {
      busy = false;
    }
  }
  function pass(row) {
    seen.add(row);
    next().catch(fail);
  }
  await next();
  return { key: (event) => now?.key(event) ?? false };
}
