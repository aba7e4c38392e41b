"""The words that are proposed for the clusters that the page shows."""

from pages.report.chosen.clusters import Chosen
from pipeline.io.absent import Absent
from pipeline.io.cell import Cell
from pipeline.naming.proposals import facts_place, read_proposals


def proposed(cell: Cell, found: Chosen) -> list[list[str]]:
    """Of each cluster its words, most probable first, each with its share in %; none where stage
    names has not run, can name nothing there, or has named another seed."""
    path = facts_place(cell, found.run)
    if not path.exists():
        return []
    try:
        said = read_proposals(path)
    except Absent:
        return []
    if (said.seed, said.k) != (found.seed, found.k) or found.setting:
        return []
    return [[f"{word} {100 * share:.0f} %" for word, share in words] for words in said.words]
