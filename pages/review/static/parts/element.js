// Elements of the page. Text goes in as text, never as HTML: names come from people and from files.

/**
 * @param {string} tag
 * @param {Object<string, any>} [props] `class`, `text`, `on…` listeners, properties of the element,
 *   and attributes (`aria-…`, `role`, or where the value is a string that is no property)
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value || "";
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-")) element[name] = value;
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A button with its key, which `?` lists too. */
export function button(text, onclick, { key, title, ...props } = {}) {
  const hint = key ? `${title ?? text} (${key})` : title;
  return el("button", { type: "button", text, onclick, title: hint, "aria-keyshortcuts": key, ...props });
}

/** 12345 → "12,345" */
export const count = (number) => number.toLocaleString("en");
export const pictures = (number) => `${count(number)} ${number === 1 ? "picture" : "pictures"}`;
export const percent = (share) => `${Math.round(100 * share)} %`;
