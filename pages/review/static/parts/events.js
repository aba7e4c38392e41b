// What other tabs do. The server tells every tab; one that lost the connection asks what it missed.

import { address, get } from "./api.js";
import { fail, say } from "./status.js";

/**
 * @param {(version: number, said?: string) => void} changed
 * @param {() => void} opened another clustering
 */
export function listen(changed, opened) {
  const source = new EventSource(address("api/events"));
  let lost = false;
  source.addEventListener("changed", (event) => {
    const { version, said } = JSON.parse(event.data);
    changed(version, said);
  });
  source.addEventListener("opened", opened);
  source.addEventListener("error", () => {
    if (!lost) fail("The server does not answer. Is `make review` still running? The page tries again.");
    lost = true;
  });
  source.addEventListener("open", async () => {
    if (!lost) return;
    lost = false;
    say("The server answers again.");
    await get("api/progress").then((now) => changed(now.version), fail);
  });
  addEventListener("pagehide", () => source.close());
}
