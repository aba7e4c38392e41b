"""What stage curate has chosen of a collection and dropped: sheets of images and a table."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pages.report.chosen.curated import Curated, read_curated
from pages.report.pictures.album import AWAY, Album
from pages.report.pictures.sheet import Tile, missing, tiles
from pages.report.tables.balance import Balance, read_balance
from pipeline.io.absent import read_h5_mark
from pipeline.io.cell import Cell
from pipeline.io.whole import facts_in


class Group(NamedTuple):
    """A kept image and what was dropped for it, the least similar first. facts: how similar these
    are."""

    kept: Tile
    facts: str
    dropped: list[Tile]


class Curation(NamedTuple):
    """One run of one backbone. lines: what was done; groups, strange: without any, their notes say
    why; per_row: images that a row has room for; whole: the table of all images."""

    title: str
    lines: list[str]
    balance: Balance | None
    groups: list[Group]
    groups_note: str
    strange: list[Tile]
    strange_note: str
    per_row: int
    whole: str


def curations(
    cells: Sequence[Cell], runs: Sequence[str], album: Album | str, side: int
) -> list[Curation]:
    """Of the cells of a dataset those that stage curate has finished. `album`: its images, or why
    there are none; side: pixels of an image, twice so many of a kept one."""
    each = [cell._replace(run=run) for cell in cells for run in runs]
    return [
        _curation(cell, read_curated(cell), album, side)
        for cell in each
        if cell.curated_examples.exists() and read_h5_mark(cell.curated_examples) is None
    ]


def _curation(cell: Cell, found: Curated, album: Album | str, side: int) -> Curation:
    with facts_in(cell.metric(f"{cell.run}.json")) as facts:
        lines, counts = _lines(facts), (facts["duplicate"], facts["outlier"])
    of, per_row = found.arrays, int(str(found.facts["images"]))
    title = f"{cell.backbone} · {cell.run}"
    blank = Curation(title, lines, read_balance(cell), [], "", [], "", per_row,
                     str(cell.curated.with_suffix(".csv")))  # fmt: skip
    if isinstance(album, str):
        return blank._replace(groups_note=album)
    groups = _groups(of, album, side)
    strange = tiles(of["strange_name"], of["strange_digest"], album, side)
    strange = [one._replace(name=f"{one.name} · {score:.1f}")
               for one, score in zip(strange, of["strange_score"], strict=True)]  # fmt: skip
    shown = [tile for group in groups for tile in (group.kept, *group.dropped)] + strange
    if shown and not any(tile.source for tile in shown):
        return blank._replace(groups_note=AWAY)
    out = blank
    if groups:
        note = (
            f"{len(groups)} groups, evenly from the largest to the smallest: the image that was "
            "kept, and those dropped for it, the least similar first. Above them their cosines to "
            f"it.{missing([t for g in groups for t in (g.kept, *g.dropped)])}"
        )
        out = out._replace(groups=groups, groups_note=note)
    if strange:
        note = (
            f"The {len(strange)} strangest images, the strangest first; {counts[1]:,} are dropped "
            f"as outliers.{missing(strange)}"
        )
        out = out._replace(strange=strange, strange_note=note)
    return out


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """What was done, in words."""
    levels, share = " and ".join(f"{k:,}" for k in facts["k"]), facts["coverage"]
    balance = facts["balance"]
    return [
        f"{facts['kept']:,} of {facts['images']:,} images are chosen, evenly over the clusters of "
        f"{len(facts['k'])} level{'s' * (len(facts['k']) > 1)} ({levels}). "
        f"{facts['duplicate']:,} near-duplicates and {facts['outlier']:,} outliers are dropped, "
        f"{facts['not drawn']:,} are not drawn.",
        f"Within a {DISTANCE[facts['metric']]} of {facts['radius']:.3g} of a chosen image lie "
        f"{share['chosen']:.1%} of the collection; of one of as many drawn at random "
        f"{share['random']:.1%}. Balance over the {facts['k'][-1]:,} clusters of the coarsest "
        f"level: {balance['chosen']:.2f}, at random {balance['random']:.2f} (1: all alike).",
    ]


DISTANCE = {
    "cosine": "cosine distance",
    "euclidean": "Euclidean distance",
    "inner_product": "negative inner product",
}


def _groups(of: Mapping[str, np.ndarray], album: Album, side: int) -> list[Group]:
    kept = tiles(of["name"], of["digest"], album, 2 * side)
    every = tiles(of["dropped_name"], of["dropped_digest"], album, side)
    every = [one._replace(name=f"{one.name} · {like:.3f}")
             for one, like in zip(every, of["dropped_similarity"], strict=True)]  # fmt: skip
    out = []
    for number, tile in enumerate(kept):
        here = np.flatnonzero(of["dropped_group"] == number)
        like, size = of["dropped_similarity"][here], int(of["size"][number])
        most, least = f"{like.max():.3f}", f"{like.min():.3f}"
        more = f" of {size:,}" * (size > len(here))
        said = f"{len(here)}{more} dropped, {least}" + f" to {most}" * (most != least)
        out.append(Group(tile, said, [every[at] for at in here]))
    return out
