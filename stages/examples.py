"""The images that the report shows of a cell: of its clustering that ranks highest."""

from pages.report.chosen.clusters import save_best
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Cell
from stages import run


def main(cell: Cell, params: Examples) -> None:
    """Choose the most typical images of the clusters and the least so, by stage rank's table.

    Of the clusterings of the cell the one that ranks highest, none where it has none in the table.
    No label is read.
    """
    save_best(cell, params)


if __name__ == "__main__":
    run(main, "examples")
