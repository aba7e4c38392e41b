// Shows groups as a server would give them, and keeps what is asked and posted.

import {showDuplicates} from "/duplicates.js";

export function show(groups) {
  const said = window.said = {asked: [], posted: [], opened: []};
  const api = async (path, body) => {
    if (body && window.broken) throw new Error("the disk is full");
    if (body) { said.posted.push([path, body]); return {}; }
    said.asked.push(path);
    const query = new URLSearchParams(path.split("?")[1]), [threshold, start, most] =
      ["threshold", "start", "most"].map((name) => Number(query.get(name)));
    const kept = groups.filter((one) => one.kind === "exact" || one.similarity[1] >= threshold);
    const count = (kind) => kept.filter((one) => one.kind === kind).length;
    return {
      threshold, lowest: .9, total: kept.length, exact: count("exact"), near: count("near"),
      spare: kept.reduce((sum, one) => sum + one.rows.length - 1, 0),
      groups: kept.slice(start, start + (window.part ?? most)),
    };
  };
  const actions = {open: (row) => said.opened.push(row), name: (row) => `${row}.jpg`};
  showDuplicates(document.getElementById("at"), {api, thumb: (row) => `thumb/${row}`, actions});
}
