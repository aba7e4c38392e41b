"""The clusterings of a cell, and its nearest neighbours, in one file for stage rank."""

from typing import Any

from pipeline.io.cell import Cell
from pipeline.ranking.candidates import place_of, save_candidates
from pipeline.ranking.settings import RankSettings
from stages import run


def main(cell: Cell, rank: RankSettings) -> dict[str, Any]:
    """Put every clustering of the cell beside its lists of neighbours, for the split `train`.

    Runs that were fitted on the dataset itself, each setting and seed; none of category discovery,
    which knows classes. Features are read for the silhouettes, on a sample. The section is `rank`.
    """
    count = save_candidates(cell, rank)
    print(f"candidates: {count} clusterings of {cell.dataset} by {cell.backbone}")
    return {"candidates": count}


if __name__ == "__main__":
    run(main, lambda cell: [place_of(cell)])
