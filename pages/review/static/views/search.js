// Pictures by words, by another picture, or by a file.

import { get } from "../parts/api.js";
import { button, el, pictures } from "../parts/element.js";
import { searchByFile } from "../parts/drop.js";
import { thumbnail } from "../parts/pictures.js";
import { go, imageRoute, routeTo } from "../parts/router.js";
import { gridPanel } from "../grid/panel.js";

const MANY = 500; // of at most 2000

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app, { params }) {
  const has = app.about.has ?? {};
  const file = el("input", { type: "file", accept: "image/*", hidden: true, onchange: () => searchByFile(app, file.files[0]) });
  const words = el("input", {
    type: "search", value: params.text ?? "", "aria-label": "Words", placeholder: "such as: a red dress", disabled: !has.text,
  });
  const form = el("form", { class: "tools", onsubmit: (event) => {
    event.preventDefault();
    if (words.value.trim()) go(routeTo("search", [], { text: words.value.trim() }));
  } });
  const title = el("h1");
  form.append(title, el("span", { class: "fill" }), ...(has.text ? [words, el("button", { text: "Search" })] : []), file,
    button("A picture…", () => file.click(), { title: "Search by a file; it may also be dropped on the page" }));
  const panel = gridPanel(app, { label: "Found pictures" });
  container.append(form, panel.element);

  const found = await search(app, params);
  if (!found) {
    title.textContent = "Search";
    panel.element.replaceWith(el("div", { class: "empty" },
      el("p", { text: params.file ? "Drop the file again: the page keeps it only until it is loaded anew."
        : "Drop or paste a picture anywhere on the page, or press l on one of the collection." }),
      !has.text && el("p", { class: "note", text: "This backbone has no text tower, so there is no search by words." })));
    return { key: () => false };
  }
  title.append(...found.title);
  form.insertBefore(el("span", { class: "facts", text: pictures(found.rows.length) }), title.nextSibling);
  await panel.show(found.rows);
  panel.grid.element.focus({ preventScroll: true });
  return {
    scroller: panel.grid.element,
    reload: () => panel.grid.refresh(),
    key: panel.key,
    close: panel.close,
  };
}

async function search(app, { like, text, file }) {
  if (text) return { ...(await get("api/search", { text, n: MANY })), title: [`“${text}”`] };
  if (like) {
    const title = [el("a", { class: "asked", href: imageRoute(like) }, thumbnail(app, like, "the picture asked for")), "Like this"];
    return { ...(await get("api/search", { like, n: MANY })), title };
  }
  if (!file || app.dropped?.name !== file) return null;
  return { ...app.dropped, title: [el("img", { class: "asked", src: app.dropped.url, alt: file }), `Like ${file}`] };
}
