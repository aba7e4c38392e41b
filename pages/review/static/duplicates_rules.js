// What goes when the largest of a group is kept, and how it is written down.

// The rows of a group beside the first, which is the largest. Those that a chain of pairs joined, less
// like the first than the threshold, stay: nobody has said that they are like it.
export const dropped = (group, threshold) =>
  group.rows.filter((_, at) => at > 0 && (group.kind === "exact" || group.similarity[at] >= threshold));

// One a line, by their names where these are known.
export const listed = (rows, name) =>
  [...rows].sort((a, b) => a - b).map((row) => name?.(row) ?? String(row)).join("\n");

export function inBytes(bytes) {
  const units = ["B", "kB", "MB", "GB"], step = Math.min(3, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** step;
  return `${step && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}
