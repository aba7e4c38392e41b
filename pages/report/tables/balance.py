"""How even the classes are in a collection and in what stage curate has chosen of it."""

from typing import NamedTuple

import numpy as np

from pages.report.tables.rows import read_rows
from pipeline.io.absent import read_mark
from pipeline.io.cell import Cell
from pipeline.io.whole import as_written, facts_in

COLUMNS = ("class", "images", "chosen", "at_random")
SHOWN = 20  # classes, evenly from the most frequent to the rarest


class Balance(NamedTuple):
    """rows: class, images of it in the collection, chosen, as many at random."""

    caption: str
    rows: list[tuple[str, str, str, str]]
    whole: str


def read_balance(cell: Cell) -> Balance | None:
    """What stage evaluate_curated has counted; None where it has not run, or found no labels."""
    facts_path = cell.metric(f"evaluate_curated_{cell.run}.json")
    path = facts_path.with_suffix(".csv")
    if not facts_path.exists() or not path.exists() or read_mark(facts_path) is not None:
        return None
    with facts_in(facts_path) as facts:
        if facts["classes"] < 2 or not {"before", "after"} <= facts.keys():
            return None
        before, after = (
            f"{facts[when]['balance']:.2f} (entropy {facts[when]['entropy']:.2f} nats)"
            for when in ("before", "after")
        )
        caption = (
            f"With labels: the balance of {facts['classes']:,} classes is {before} in the "
            f"collection and {after} in what is chosen, of {facts['after']['live']:,} classes. "
            "1: all as frequent."
        )
    with as_written(path):
        rows = [
            (row["class"], int(row["images"]), int(row["chosen"]), float(row["at_random"]))
            for row in read_rows(path, COLUMNS)
        ]
    rows.sort(key=lambda row: -row[1])
    at = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)
    if len(rows) > SHOWN:
        caption += f" {SHOWN} classes, evenly from the most frequent to the rarest:"
    texts = [(name, f"{n:,}", f"{m:,}", f"{r:.1f}") for name, n, m, r in (rows[i] for i in at)]
    return Balance(caption, texts, str(path))
