// Requests to the server that served this page. An error has one line to show as its message.

import { say } from "./status.js";

const PATIENCE = 120; // seconds
const BASE = new URL(".", document.baseURI);

export class ApiError extends Error {
  /** @param {string} message @param {number} status 0: no answer */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @param {string} path such as "api/group" @param {Object<string, any>} [query] */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  return url.href;
}

async function ask(url, options) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch {
    throw new ApiError("The server does not answer. Is `make review` still running?", 0);
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(told?.error ?? `The server answered ${answer.status}.`, answer.status);
  return told;
}

/** What the server still prepares (503) is asked for again. */
async function patiently(url, options) {
  for (let left = PATIENCE; ; left -= 1) {
    try {
      return await ask(url, options);
    } catch (error) {
      if (error.status !== 503 || !left) throw error;
      if (left === PATIENCE) say(error.message);
      await new Promise((again) => setTimeout(again, 1000));
    }
  }
}

/** @returns {Promise<any>} */
export const get = (path, query) => patiently(address(path, query), { headers: { Accept: "application/json" } });

/** @returns {Promise<any>} */
export const post = (path, body = {}) =>
  patiently(address(path), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** The bytes of a file, as they are. */
export const postFile = (path, file) =>
  ask(address(path), { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
