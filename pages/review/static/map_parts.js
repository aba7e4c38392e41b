// The elements of a map: two canvases, buttons, a preview of what the pointer is on, and the legend.

import {fromCss} from "./map_colors.js";

const SHAPES = {
  "Zoom in": "M10 4v12M4 10h12", "Zoom out": "M4 10h12", "Show all": "M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4",
  "Select by a lasso": "M10 3c4 0 7 2 7 5s-3 5-7 5-7-2-7-5 3-5 7-5M6 12c-2 1-1 4 1 3 2-1 0-3-1-3",
};
const element = (name, className) => Object.assign(document.createElement(name), {className});

// on: {zoom(factor), fit(), lasso(wanted)}
export function mapParts(container, on) {
  styled();
  container.classList.add("map");
  const stage = element("div", "map-stage"), legend = element("div", "map-legend"), tools = element("div", "map-tools");
  const points = element("canvas", "map-points"), over = element("canvas", "map-over");
  points.setAttribute("aria-hidden", "true");
  over.tabIndex = 0;
  over.setAttribute("role", "img");
  legend.setAttribute("role", "group");
  legend.setAttribute("aria-label", "Legend of the map");
  const lasso = button("Select by a lasso", () => {
    const wanted = stage.classList.toggle("lassoing");
    lasso.setAttribute("aria-pressed", String(wanted));
    on.lasso(wanted);
  });
  lasso.setAttribute("aria-pressed", "false");
  tools.append(button("Zoom in", () => on.zoom(1.5)), button("Zoom out", () => on.zoom(1 / 1.5)),
    button("Show all", () => on.fit()), lasso);
  const card = element("div", "map-preview"), picture = element("img", ""), name = element("span", "");
  picture.alt = "";
  card.append(picture, name);
  card.hidden = true;
  stage.append(points, over, tools, card);
  container.replaceChildren(stage, legend);

  return {
    stage, points, over, legend,
    // What the style sheet of the page says now
    theme() {
      const probe = element("span", ""), named = ["--bg, Canvas", "--fg, CanvasText", "--accent, #0b5cad"];
      stage.append(probe);
      const [background, ink, accent] = named.map((name) => {
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
      });
      probe.remove();
      return {background: fromCss(background), css: background, ink, accent};
    },
    // A picture and a name beside the pointer; url null: none
    preview(url, text, x, y) {
      card.hidden = url === null;
      stage.classList.toggle("on-point", url !== null && !stage.classList.contains("lassoing"));
      if (url === null) return;
      if (picture.getAttribute("src") !== url) picture.src = url;
      name.textContent = text;
      const right = x > stage.clientWidth / 2, low = y > stage.clientHeight / 2;
      const [across, down] = [x + (right ? -16 : 16), y + (low ? -16 : 16)];
      card.style.transform = `translate(${across}px, ${down}px) translate(${right ? -100 : 0}%, ${low ? -100 : 0}%)`;
    },
  };
}

function button(title, use) {
  const made = element("button", ""), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.type = "button"; made.title = title;
  made.setAttribute("aria-label", title);
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", SHAPES[title]);
  svg.append(line);
  made.append(svg);
  made.addEventListener("click", use);
  return made;
}

function styled() {
  const href = new URL("map.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  document.head.append(Object.assign(document.createElement("link"), {rel: "stylesheet", href}));
}
