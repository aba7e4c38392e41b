// What is shown is in the address: #/group/n%3Ashirt?order=doubt. So back, reload and bookmarks work.

/**
 * @typedef {{name: string, path: string[], params: Object<string, string>, hash: string}} Route
 * @returns {Route}
 */
export function parseRoute(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, ...rest] = path.split("/").map(decode);
  return { name: name || "clusters", path: rest, params: Object.fromEntries(new URLSearchParams(query)), hash };
}

/** @param {string} name @param {(string|number)[]} [path] @param {Object<string, any>} [params] */
export function routeTo(name, path = [], params = {}) {
  const said = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(said).toString();
  return `#/${[name, ...path].map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

export const groupRoute = (key, params) => routeTo("group", [key], params);
export const imageRoute = (row) => routeTo("image", [row]);

/** Go there; `replace`: the place we leave is no step of its own for the back button. */
export function go(hash, { replace = false } = {}) {
  if (hash === location.hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = hash;
}

/** @param {(route: Route) => void} show */
export function onRoute(show) {
  addEventListener("hashchange", () => {
    if (location.hash === "" || location.hash.startsWith("#/")) show(parseRoute());
  });
  show(parseRoute());
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
