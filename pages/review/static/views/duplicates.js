// Exact and near duplicates.

import { get, post } from "../parts/api.js";
import { el } from "../parts/element.js";
import { go, imageRoute } from "../parts/router.js";
import { showDuplicates } from "../duplicates.js";

/** @returns {Promise<import("../main.js").View>} */
export async function show(container, app) {
  const place = el("div", { class: "scroll" });
  container.append(place);
  let own = false; // what is set aside here is shown already
  const shown = showDuplicates(place, {
    api: (path, body) => (body === undefined ? get(path) : body.do ? decide(body) : post(path, body)),
    thumb: app.thumb,
    actions: { open: (row) => go(imageRoute(row)) },
  });
  async function decide(body) {
    own = true;
    try {
      const answer = await app.decide.send(body);
      if (!answer) throw new Error("That could not be kept.");
      return answer;
    } finally {
      own = false;
    }
  }
  return {
    scroller: place,
    reload: () => (own ? undefined : shown.reload()),
    close: shown.destroy,
  };
}
