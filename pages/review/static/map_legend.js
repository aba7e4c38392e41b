// The legend of the map: of categories a list with their counts, each to be switched on and off, which is
// also what the map says to those who cannot see it; of numbers a bar from low to high.

import {css} from "./map_colors.js";

const LISTED = 400;
const node = (name, className, text = "") => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
};

// on: {switched(Set of categories that are off), pointed(category or null)}
export function legend(at, on) {
  let off = new Set(), buttons = new Map();
  const switchTo = (changed) => {
    off = changed;
    for (const [own, button] of buttons) button.setAttribute("aria-pressed", String(!off.has(own)));
    on.switched(off);
  };

  function head(title, ...tools) {
    const made = node("div", "map-legend-head");
    made.append(node("strong", "", title ?? ""), ...tools);
    return made;
  }
  function tool(text, title, use) {
    const made = node("button", "map-legend-tool", text);
    made.type = "button"; made.title = title;
    made.addEventListener("click", use);
    return made;
  }

  function categories(palette, rgb, count) {
    const none = palette.names.length;
    const every = [...palette.names.keys()].filter((own) => count[own]).sort((a, b) => count[b] - count[a] || a - b);
    if (count[none]) every.push(none);
    const list = node("ul", "map-legend-list");
    for (const own of every.slice(0, LISTED)) {
      const item = node("li"), button = node("button", "map-legend-entry"), dot = node("span", "map-dot");
      const name = own === none ? palette.none ?? "none" : palette.names[own];
      button.type = "button";
      button.setAttribute("aria-pressed", String(!off.has(own)));
      dot.style.background = css(rgb[own]);
      button.append(dot, node("span", "map-legend-name", name), node("span", "map-count", count[own].toLocaleString()));
      button.addEventListener("click", () => {
        const changed = new Set(off);
        if (!changed.delete(own)) changed.add(own);
        switchTo(changed);
      });
      const only = tool("only", `Show only ${name}`, () => switchTo(new Set(every.filter((other) => other !== own))));
      for (const kind of ["pointerenter", "focusin"]) item.addEventListener(kind, () => on.pointed(own));
      for (const kind of ["pointerleave", "focusout"]) item.addEventListener(kind, () => on.pointed(null));
      item.append(button, only);
      list.append(item);
      buttons.set(own, button);
    }
    const rest = every.length - LISTED;
    if (rest > 0) list.append(node("li", "map-legend-rest", `and ${rest.toLocaleString()} more`));
    at.append(head(palette.title, tool("all", "Show all", () => switchTo(new Set())),
      tool("none", "Show none", () => switchTo(new Set(every)))), list);
  }

  function numbers(palette, rgb, [low, high]) {
    const bar = node("div", "map-bar"), ends = node("div", "map-ends"), said = (value) => value.toPrecision(3);
    const stops = [0, 51, 102, 153, 204, 255].map((step) => css(rgb[step]));
    bar.style.background = `linear-gradient(to right, ${stops.join()})`;
    ends.append(node("span", "", `${palette.low ?? ""} ${said(low)}`),
      node("span", "", `${said(high)} ${palette.high ?? ""}`));
    at.append(head(palette.title), bar, ends);
  }

  return {
    // All is switched on again: the categories are others
    show(palette, rgb, facts) {
      off = new Set(); buttons = new Map();
      this.update(palette, rgb, facts);
    },
    // The same ones, with other colours or counts
    update(palette, rgb, facts) {
      const focused = [...buttons].find(([, button]) => button === document.activeElement)?.[0];
      const down = at.querySelector("ul")?.scrollTop ?? 0;
      at.replaceChildren(); buttons = new Map();
      (palette.names ? categories : numbers)(palette, rgb, facts);
      buttons.get(focused)?.focus();
      at.querySelector("ul")?.scrollTo(0, down);
    },
  };
}
