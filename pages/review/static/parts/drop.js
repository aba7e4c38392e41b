// A picture dropped or pasted anywhere on the page is searched for.

import { postFile } from "./api.js";
import { go, routeTo } from "./router.js";
import { fail, say } from "./status.js";

export function takeDroppedFiles(app) {
  const files = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!files(event)) return;
    event.preventDefault();
    searchByFile(app, event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) searchByFile(app, event.clipboardData.files[0]);
  });
}

/** @param {File|undefined} file */
export async function searchByFile(app, file) {
  if (!file) return;
  say(`Looking for pictures like ${file.name}…`);
  const found = await postFile("api/search", file).catch(fail);
  if (!found) return;
  if (app.dropped) URL.revokeObjectURL(app.dropped.url);
  app.dropped = { ...found, name: file.name, url: URL.createObjectURL(file) };
  const number = (app.drops = (app.drops ?? 0) + 1); // the same file twice is shown twice
  go(routeTo("search", [], { file: file.name, n: number > 1 ? number : undefined }));
}
