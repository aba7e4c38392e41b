// Everything by keyboard. A view brings its own keys; `?` lists all.

import { button, el } from "./element.js";
import { go, routeTo } from "./router.js";

const GO = { c: "clusters", m: "map", d: "duplicates", s: "search", n: "next", a: "audit", o: "moved" };
const LIST = [
  ["Anywhere", [
    ["?", "this list"], ["u, Ctrl+Z", "undo"], ["Shift+U, Ctrl+Shift+Z", "redo"], ["/", "search"],
    ["g then c, m, d, s, n, a, o", "go to clusters, map, duplicates, search, next, audit, moved"],
    ["Backspace", "back"],
  ]],
  ["Clusters", [
    ["arrows", "another card"], ["Enter", "open it"], ["r", "name it"], ["y", "accept it"], ["m", "merge it with…"],
    ["s", "split it"], ["q, x", "all of it is unknown, junk"], ["y, d", "on a suggestion: accept, dismiss"],
  ]],
  ["Pictures", [
    ["arrows, Home, End", "another picture"], ["Space", "pick it"], ["Shift+arrows", "pick all in between"],
    ["a, Escape", "pick all, none"], ["m", "move to…"], ["n", "new category"], ["q, x", "unknown, junk"],
    ["Enter", "right: accept them"], ["o", "open it"], ["l", "others like it"], ["+, -", "larger, smaller"],
    ["r, s, y, m", "with none picked: rename the group, split it, accept the rest, merge it"],
  ]],
  ["Questions", [["1 to 9", "this answer"], ["m, n", "another category, a new one"], ["k", "later"]]],
];

/**
 * @param {{undo: () => void, redo: () => void}} decide
 * @param {() => {key?: (event: KeyboardEvent) => boolean|void}|null} view the one that is shown; its
 *   `key` answers true where it took the key
 */
export function listenToKeys(decide, view) {
  let going = -Infinity;
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]") || typing(event.target)) return;
    if (run(event)) event.preventDefault();
  });

  function run(event) {
    const { key } = event;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && key.toLowerCase() === "z") {
      event.shiftKey ? decide.redo() : decide.undo();
      return true;
    }
    if (event.altKey || event.metaKey || (event.ctrlKey && key !== "a")) return false;
    const went = performance.now() - going < 1500 && GO[key];
    going = -Infinity;
    if (went) return go(routeTo(went)), true;
    if (ofControl(event)) return false;
    if (view()?.key?.(event)) return true;
    const one = GLOBAL[key];
    if (one) one();
    return Boolean(one);
  }

  const GLOBAL = {
    "?": showKeys,
    u: decide.undo,
    U: decide.redo,
    g: () => (going = performance.now()),
    "/": () => (document.getElementById("words")?.offsetParent ? document.getElementById("words").focus() : go(routeTo("search"))),
    Backspace: () => history.back(),
  };
}

/** Where letters are text. */
const typing = (target) => target.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");

/** Keys that the focused control itself answers. */
function ofControl(event) {
  const on = event.target;
  if (on.matches?.("button, a, summary")) return event.key === "Enter" || (event.key === " " && !on.matches("a"));
  return Boolean(on.matches?.("input")) && /^Arrow|^Home|^End|^ $/.test(event.key);
}

export function showKeys() {
  const dialog = el("dialog", { class: "keys", "aria-label": "Keys" });
  dialog.append(
    el("div", { class: "tools" }, el("h2", { text: "Keys" }), el("span", { class: "fill" }), button("Close", () => dialog.close(), { autofocus: true })),
    ...LIST.map(([title, keys]) =>
      el("section", {}, el("h3", { text: title }),
        el("dl", {}, ...keys.flatMap(([key, what]) => [el("dt", { text: key }), el("dd", { text: what })])))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
