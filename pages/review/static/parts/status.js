// One line at the foot of the page: what was done, or what went wrong. Screen readers read it out.

const bar = document.getElementById("status");
let timer = 0;

function show(text, kind, seconds) {
  bar.textContent = text;
  bar.className = `shown ${kind}`;
  clearTimeout(timer);
  timer = setTimeout(() => (bar.className = kind), 1000 * seconds);
}

/** @param {string} text */
export const say = (text) => text && show(text, "said", 6);

/** @param {unknown} error */
export function fail(error) {
  show(error instanceof Error ? error.message : String(error), "failed", 20);
  if (!(error instanceof Error) || !("status" in error)) console.error(error);
}
