"""What the report shows of the map of a cell, coloured by its clustering that ranks highest."""

from typing import Annotated

from pydantic import Field

from pages.report.chosen.map import save_on_map
from pipeline.io.cell import Cell
from pipeline.io.space import Count
from pipeline.params import Section
from stages import run


class Params(Section):
    points: Count  # images that are drawn, at most
    pictures: Annotated[int, Field(ge=0)]  # at dense places, at most
    across: Annotated[int, Field(ge=4, le=100)]  # pictures that would fit side by side
    seed: Annotated[int, Field(ge=0)]  # of the draw


def main(cell: Cell, params: Params) -> dict[str, int]:
    """Draw images of train on the map, and choose pictures at dense places.

    The map is that of 2 dims; the colours are to be the clusters of the cell's clustering that
    ranks highest, as stage examples says. Where there is none of either, nothing is shown, with a
    line. No label is read.
    """
    found = save_on_map(cell, **params.model_dump())
    return {"images": found.images, "points": len(found.place), "pictures": len(found.picture)}


if __name__ == "__main__":
    run(main, "map_examples")
