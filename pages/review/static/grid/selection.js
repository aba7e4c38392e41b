// Which pictures are picked. They are rows, not places, so that another order keeps them.

/** @param {() => void} changed */
export function selection(changed) {
  const rows = new Set();
  return {
    rows,
    get size() {
      return rows.size;
    },
    has: (row) => rows.has(row),
    toggle(row, on = !rows.has(row)) {
      on ? rows.add(row) : rows.delete(row);
      changed();
    },
    add(more) {
      for (const row of more) if (row >= 0) rows.add(row);
      changed();
    },
    /** @param {Iterable<number>} these */
    set(these) {
      rows.clear();
      this.add(these);
    },
    clear() {
      if (!rows.size) return false;
      rows.clear();
      changed();
      return true;
    },
  };
}
