// A name that is edited in place: Enter keeps it, Escape takes back what was typed.

import { el } from "./element.js";

let fields = 0;

/**
 * @param {{name: string|null, fallback: string, words: string[], label?: string}} of words: proposals
 * @param {(name: string) => void} keep
 */
export function nameField({ name, fallback, words, label = "Name" }, keep) {
  const id = `words${(fields += 1)}`;
  const input = el("input", {
    class: "name", type: "text", value: name ?? "", placeholder: `${fallback}: name it`, maxLength: 200, autocomplete: "off",
    list: undefined, "aria-label": `${label} of ${name ?? fallback}`, spellcheck: false,
  });
  input.setAttribute("list", id);
  const list = el("datalist", { id });
  const field = el("span", { class: "namefield" }, input, list);
  let kept = name;
  input.addEventListener("focus", () => {
    kept = name;
    list.replaceChildren(...words.map((word) => el("option", { value: word })));
  });
  const commit = () => {
    const typed = oneLine(input.value);
    if (!typed) input.value = name ?? "";
    else if (typed !== kept) keep((kept = typed));
  };
  input.addEventListener("change", commit);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.value = name ?? "";
    if (event.key !== "Escape" && event.key !== "Enter") return;
    event.preventDefault();
    if (event.key === "Enter") commit(); // no "change" comes of what was typed before the focus
    input.blur();
    (field.closest("[tabindex]") ?? document.body).focus?.();
  });
  return field;
}

/** A name as the server keeps it, so that the address of its group is right. */
export const oneLine = (typed) => typed.normalize("NFC").trim().replace(/\s+/gu, " ");
