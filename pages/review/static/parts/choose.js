// Choose a category by typing a part of its name: a combobox in a dialog (WAI-ARIA, "list autocomplete").

import { button, el } from "./element.js";
import { oneLine } from "./name_field.js";

const recent = [];

/**
 * @typedef {{value: string, text: string, note?: string}} Option
 * @param {string} title
 * @param {Option[]} options
 * @param {{fresh?: boolean, typed?: string}} [settings] fresh: a new name may be typed; typed: what
 *   stands there at first
 * @returns {Promise<string|null>} the option's value, or what was typed
 */
export function choose(title, options, { fresh = true, typed: first = "" } = {}) {
  return new Promise((resolve) => {
    let shown = [];
    let at = 0;
    const list = el("ul", { id: "choices", role: "listbox", "aria-label": title });
    const input = el("input", {
      type: "text", value: first, role: "combobox", autocomplete: "off", maxLength: 200, "aria-controls": "choices",
      "aria-expanded": "true", "aria-label": title, placeholder: options.length ? "type a name" : "its name",
    });
    const dialog = el("dialog", { class: "choose", "aria-label": title },
      el("h2", { text: title }), input, list,
      el("div", { class: "buttons" }, button("Cancel", () => dialog.close())));

    function render() {
      const typed = oneLine(input.value);
      shown = matching(options, typed);
      if (fresh && typed && !options.some((option) => option.text === typed))
        shown.push({ value: typed, text: typed, note: "new" });
      at = 0;
      list.replaceChildren(...shown.map((option, i) =>
        el("li", { id: `choice${i}`, role: "option", onclick: () => take(i) },
          el("span", { text: option.text }), option.note && el("small", { text: option.note }))));
      mark();
    }
    function mark() {
      [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
      input.setAttribute("aria-activedescendant", shown.length ? `choice${at}` : "");
      list.children[at]?.scrollIntoView({ block: "nearest" });
    }
    function take(i) {
      const option = shown[i];
      if (!option) return;
      recent.unshift(option.value);
      dialog.returnValue = "taken";
      dialog.close();
      resolve(option.value);
    }
    input.addEventListener("input", render);
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (step) at = Math.max(0, Math.min(shown.length - 1, at + step));
      else if (event.key === "Enter" && !event.isComposing) take(at);
      else return;
      event.preventDefault();
      mark();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(null);
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    render();
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
    input.select();
  });
}

/** Those that begin so, then those that contain it; without a word, those used last come first. */
function matching(options, typed) {
  const word = typed.toLowerCase();
  const place = (option) => {
    if (!word) return recent.includes(option.value) ? recent.indexOf(option.value) - 1e6 : 0;
    const text = option.text.toLowerCase();
    return text === word ? 0 : text.startsWith(word) ? 1 : text.includes(word) ? 2 : -1;
  };
  const found = options.map((option) => [place(option), option]);
  return found.filter(([at]) => !word || at >= 0).sort((a, b) => a[0] - b[0]).map(([, option]) => option);
}
