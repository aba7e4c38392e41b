// Groups of pictures that are the same, or nearly: look, and set aside all but the largest of each.
//
//   showDuplicates(container, {api, thumb, actions});
//
// api(path, body): the parsed answer to a GET, or with a body to a POST; thumb(row): the address of its picture.
// actions (each may be missing): open(row) of a picture that is clicked, decided(rows) after pictures are
// set aside, name(row) what the list of dropped ones says. → {reload(), destroy()}

import {dropped, listed, inBytes} from "./duplicates_rules.js";

const PART = 60, SHOWN = 24;  // groups that are asked for at once, pictures of a group at first
const LOWEST = .9, FIRST = .98;
const TIERS = {
  exact: ["Exact", "Files with the same bytes."],
  near: ["Near", "Different files whose vectors are alike. Cosines are to the first, which is the largest."],
};
const counted = (count, what) => `${count.toLocaleString()} ${what}${count === 1 ? "" : "s"}`;
const node = (name, className, text = "") => Object.assign(document.createElement(name), {className, textContent: text});

export function showDuplicates(container, {api, thumb, actions = {}}) {
  styled();
  const top = node("div", "dup-top"), say = node("p", "dup-said"), body = node("div", "dup-body");
  const slider = node("input", ""), shown = node("output", "dup-threshold");
  const label = node("label", "dup-slider", "Alike from a cosine of");
  Object.assign(slider, {type: "range", min: LOWEST, max: 1, step: .005, value: FIRST});
  label.append(slider, shown);
  say.setAttribute("role", "status");
  const drops = {rows: new Set(), list: node("textarea", "dup-list")};
  let threshold = FIRST, groups = [], found = null, asked = 0, gone = false, timer = 0;

  const keepAll = button("Keep the largest of all groups", "dup-primary", () => keepEvery());
  const copy = button("Copy the list", "", async () => {
    try { await navigator.clipboard.writeText(drops.list.value); say.textContent = "The list is on the clipboard."; }
    catch {
      drops.list.select();
      say.textContent = "The browser keeps the clipboard closed: the list is selected, copy it by hand.";
    }
  });
  const download = button("Download", "", () => {
    const list = new Blob([`${drops.list.value}\n`], {type: "text/plain"});
    const link = node("a", ""), address = URL.createObjectURL(list);
    Object.assign(link, {href: address, download: "dropped.txt"});
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  const dropping = node("details", "dup-drops"), summary = node("summary", ""), tools = node("div", "dup-tools");
  drops.list.readOnly = true;
  drops.list.rows = 6;
  drops.list.setAttribute("aria-label", "Pictures that were dropped");
  tools.append(copy, download);
  dropping.append(summary, drops.list, tools);
  dropping.hidden = true;
  top.append(label, keepAll);
  container.classList.add("dup");
  container.replaceChildren(top, say, dropping, body);

  slider.addEventListener("input", () => {
    shown.textContent = Number(slider.value).toFixed(3);
    clearTimeout(timer);
    timer = setTimeout(() => { threshold = Number(slider.value); load(); }, 250);
  });
  shown.textContent = FIRST.toFixed(3);

  const fetchPart = (start) => api(`api/duplicates?threshold=${threshold}&start=${start}&most=${PART}`);
  const alone = async (work) => {
    const own = ++asked;
    container.setAttribute("aria-busy", "true");
    try { await work(() => gone || own !== asked); }
    catch (error) { if (own === asked) say.textContent = `${error.message ?? error}`; }
    finally { if (own === asked) container.removeAttribute("aria-busy"); }
  };
  const load = () => alone(async (late) => {
    const answer = await fetchPart(0);
    if (late()) return;
    found = answer; groups = answer.groups;
    slider.min = answer.lowest ?? LOWEST;
    draw();
  });
  const more = () => alone(async (late) => {
    const answer = await fetchPart(groups.length);
    if (late()) return;
    groups = groups.concat(answer.groups);
    draw();
  });
  const keepEvery = () => alone(async (late) => {
    while (groups.length < found.total) {
      const {groups: next} = await fetchPart(groups.length);
      if (late()) return;
      if (!next.length) break;
      groups = groups.concat(next);
    }
    await drop(groups.flatMap((group) => dropped(group, threshold)));
  });
  async function drop(rows) {
    const wanted = [...new Set(rows)].filter((row) => !drops.rows.has(row));
    if (!wanted.length) return;
    await api("api/decisions", {do: "place", rows: wanted, status: "junk"});
    for (const row of wanted) drops.rows.add(row);
    actions.decided?.(wanted);
    draw();
    say.textContent = `Set aside as junk: ${counted(wanted.length, "picture")}; undo brings back.`;
  }

  function draw() {
    say.textContent = found.total
      ? `${counted(found.total, "group")}; ${counted(found.spare, "picture")} beside the first of each.`
      : "No pictures are that much alike.";
    const left = (group) => dropped(group, threshold).some((row) => !drops.rows.has(row));
    keepAll.disabled = groups.length >= found.total && !groups.some(left);
    dropping.hidden = !drops.rows.size;
    summary.textContent = `Dropped here: ${counted(drops.rows.size, "picture")}`;
    drops.list.value = listed(drops.rows, actions.name);
    body.replaceChildren();
    for (const [kind, [title, meaning]] of Object.entries(TIERS)) {
      const tier = groups.filter((group) => group.kind === kind);
      if (!found[kind] && !tier.length) continue;
      const section = node("section", "dup-tier");
      const count = (found[kind] ?? tier.length).toLocaleString();
      section.append(node("h2", "", `${title} (${count})`), node("p", "dup-note", meaning));
      for (const group of tier) section.append(row(group));
      body.append(section);
    }
    const rest = found.total - groups.length;
    if (rest > 0) body.append(button(`Show more (${rest.toLocaleString()})`, "", more));
  }

  function row(group) {
    const made = node("div", "dup-group"), strip = node("div", "dup-strip"), spare = dropped(group, threshold);
    made.setAttribute("role", "group");
    made.setAttribute("aria-label", `${group.rows.length} ${group.kind === "exact" ? "equal" : "similar"} pictures`);
    const show = (from, to) =>
      strip.append(...group.rows.slice(from, to).map((_, at) => picture(group, from + at)));
    show(0, SHOWN);
    if (group.rows.length > SHOWN) {
      const rest = button(`+ ${group.rows.length - SHOWN}`, "dup-rest", () => { rest.remove(); show(SHOWN); });
      strip.append(rest);
    }
    made.append(strip);
    const left = spare.filter((one) => !drops.rows.has(one)).length;
    if (left) made.append(button("Keep the largest", "", () => alone(() => drop(spare))));
    else if (spare.length) made.append(node("span", "dup-note", "the largest is kept"));
    return made;
  }
  function picture(group, at) {
    const own = group.rows[at], away = drops.rows.has(own);
    const figure = node("figure", away ? "dup-gone" : ""), image = node("img", "");
    const [wide, high, bytes] = group.sizes[at], like = group.similarity[at];
    const lazy = {loading: "lazy", decoding: "async", width: 104, height: 104};
    Object.assign(image, {...lazy, src: thumb(own), alt: `picture ${own}`});
    const open = button("", "dup-open", () => actions.open?.(own));
    open.setAttribute("aria-label", `Open picture ${own}`);
    open.append(image);
    const text = node("figcaption", "");
    const cosine = at === 0 ? "kept" : group.kind === "exact" ? "equal" : like.toFixed(3);
    text.append(node("b", at && like < threshold ? "dup-chained" : "", away ? "dropped" : cosine));
    if (at && like < threshold) text.title = "Joined by a picture between the two: it stays";
    text.append(node("span", "", wide ? `${wide} × ${high}` : "away"), node("span", "", bytes ? inBytes(bytes) : ""));
    figure.append(open, text);
    return figure;
  }

  load();
  return {
    reload: load,
    destroy() {
      gone = true;
      clearTimeout(timer);
      container.classList.remove("dup");
      container.replaceChildren();
    },
  };
}

function button(text, className, use) {
  const made = node("button", className, text);
  made.type = "button";
  made.addEventListener("click", use);
  return made;
}

function styled() {
  const href = new URL("duplicates.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(Object.assign(document.createElement("link"), {rel: "stylesheet", href}));
}
