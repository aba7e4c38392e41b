// A random audit: right or wrong, one picture at a time, and the share of right labels with its interval.

import { get } from "../parts/api.js";
import { button, count, el, percent } from "../parts/element.js";
import { question } from "../parts/question.js";
import { fail } from "../parts/status.js";

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app) {
  let told = null;
  let now = null;
  let busy = false;
  const later = new Set();
  const soFar = el("div", { class: "tools", role: "group", "aria-label": "So far" });
  const body = el("div", { class: "body" });
  container.append(soFar, body);

  function renderShare() {
    const { size, answered, right, interval, note } = told;
    const share = told.share ?? (answered ? right / answered : null); // of all labels
    const [low, high] = interval ?? [0, 1];
    const band = el("span", { class: "band", "aria-hidden": "true" }, el("i"), el("b"));
    Object.assign(band.children[0].style, { left: `${100 * low}%`, width: `${100 * (high - low)}%` });
    band.children[1].style.left = `${100 * (share ?? 0.5)}%`;
    soFar.replaceChildren(
      el("h1", { text: answered ? `${percent(share)} right` : "Audit" }),
      ...(answered ? [band] : []),
      el("span", { class: "facts", text: answered
        ? `between ${percent(low)} and ${percent(high)} (95 %), from ${count(answered)} of ${count(size)} answers`
        : `${count(size)} pictures drawn at random tell how many labels are right` }),
      el("span", { class: "note", text: note ?? "" }));
  }
  async function load() {
    told = await get("api/audit");
    renderShare();
  }
  async function next() {
    const row = told.sample.find((each) => !later.has(each));
    if (row === undefined) {
      now = null;
      const put = later.size && told.sample.length;
      body.replaceChildren(el("div", { class: "empty" },
        el("p", { text: put ? `${count(told.sample.length)} were put off.` : told.size ? "Each picture of the sample is answered." : "There is no picture with a label yet: name some clusters first." }),
        put ? button("Show them", () => (later.clear(), next().catch(fail)), { class: "main" }) : ""));
      return;
    }
    const one = await get("api/image", { row });
    const { label } = one;
    const second = one.second_key?.startsWith("n:") ? one.second : null;
    const say = (status, category) => () => answer(row, status, category);
    const ask = (asking) => async () => {
      const name = await asking();
      if (name) answer(row, "decided", name);
    };
    const wrong = [second, ...app.categories()].filter((name, i, all) => name && name !== label && all.indexOf(name) === i);
    now = question(app, row, {
      title: label ? `Is this “${label}”?` : "What is this?",
      why: label ? "If not, choose what it is." : "It has no label: choose what it is.",
      guesses: [
        ...(label ? [{ text: `Right: ${label}`, class: "main", run: say("decided", label) }] : []),
        ...wrong.slice(0, label ? 8 : 9).map((name) => ({ text: name, run: say("decided", name) })),
      ],
      others: [
        ...(label ? [{ text: "Right", key: "Enter", run: say("decided", label) }] : []),
        { text: label ? "Wrong: it is…" : "Another…", key: "m", run: ask(() => app.category("What is it?", { without: label ?? "" })) },
        { text: "New…", key: "n", run: ask(() => app.newCategory("A new category")) },
        { text: "Unknown", key: "q", run: say("unknown") },
        { text: "Junk", key: "x", run: say("junk") },
        { text: "Later", key: "k", run: () => (later.add(row), next().catch(fail)) },
      ],
    });
    body.replaceChildren(now.element);
  }
  async function answer(row, status, category) {
    if (busy) return;
    busy = true;
    try {
      if (!(await app.decide.audit(row, status, category))) return;
      await load();
      await next();
    } catch (error) {
      fail(error);
    } finally {
      busy = false;
    }
  }
  await load();
  await next();
  return {
    async reload() {
      if (busy) return;
      const before = told.sample.find((one) => !later.has(one));
      await load();
      if (told.sample.find((one) => !later.has(one)) !== before || !now) await next();
    },
    key: (event) => now?.key(event) ?? false,
  };
}
