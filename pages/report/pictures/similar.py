"""What a target collection found in a large one: a sheet of images and the similarities."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pages.report.charts.bins import Binned
from pages.report.charts.chart import Chart, histogram
from pages.report.chosen.similar import Similar, read_similar
from pages.report.pictures.album import AWAY, Album, Albums
from pages.report.pictures.sheet import Tile, missing, tiles
from pipeline.io import cell as data
from pipeline.io.absent import read_h5_mark, read_mark

DEFAULT = "similar"  # the section of params.yaml that needs no mention


class Asked(NamedTuple):
    """A target image and the most similar of what it found. facts: how similar those are."""

    target: Tile
    facts: str
    found: list[Tile]


class Sheet(NamedTuple):
    """One backbone; without cards `note` says why. per_row: images that a row has room for; whole:
    the folder of all that was found."""

    title: str
    facts: str
    chart: Chart
    caption: str
    note: str
    whole: str
    per_row: int
    cards: list[Asked]


class Pair(NamedTuple):
    """All that the page says of one target and one large collection."""

    id: str
    title: str
    sheets: list[Sheet]


def pairs(
    asked_for: Sequence[tuple[str, str, str]], backbones: Sequence[str], albums: Albums, side: int
) -> list[Pair]:
    """Those pairs of `asked_for` (section of params.yaml, target, large collection) that stage
    similar has compared; side: pixels of an image, twice so many of a target."""
    out: list[Pair] = []
    for section, target, among in asked_for:
        cells = [
            data.Pair(*(data.Cell(dataset, backbone, section) for dataset in (target, among)))
            for backbone in backbones
        ]
        id = f"s{len(out)}"
        sheets = [
            _sheet(read_similar(pair.examples), str(pair.similar), albums, side, number)
            for number, pair in enumerate(cells)
            if not any(read_mark(cell.metric("embed.json")) for cell in pair)
            and pair.examples.exists()
            and read_h5_mark(pair.examples) is None
        ]
        if sheets:
            by = "" if section == DEFAULT else f" ({section})"
            out.append(Pair(id, f"What looks like {target} in {among}{by}", sheets))
    return out


def _sheet(found: Similar, whole: str, albums: Albums, side: int, number: int) -> Sheet:
    attrs: Mapping[str, Any] = found.facts
    counts = (f"{n:,} for k = {k}" for k, n in zip(attrs["k"], attrs["found"], strict=True))
    facts = (
        f"{attrs['targets']:,} images of {attrs['target']} asked, near-duplicates left out. "
        f"Found in {attrs['among']}: {', '.join(counts)}."
    )
    title = f"{attrs['backbone']} · k = {', '.join(map(str, attrs['k']))}"
    blank = Sheet(title, facts, *_histogram(found, number), "", whole, attrs["images"], [])
    both = albums.of(attrs["target"]), albums.of(attrs["among"])
    pictures = [album for album in both if not isinstance(album, str)]
    if len(pictures) < 2:
        why = next(a for a in both if isinstance(a, str))
        return blank._replace(note=why)
    cards = _cards(found, pictures, side)
    shown = [tile for card in cards for tile in (card.target, *card.found)]
    if cards and not any(tile.source for tile in shown):
        return blank._replace(note=AWAY)
    every = "All targets" if len(cards) == attrs["targets"] else f"{len(cards)} targets, evenly"
    note = (
        f"{every} from the best matched to the worst, each with the most similar that it found. "
        "Above it their cosines, from the nearest to the last."
    )
    return blank._replace(note=note + missing(shown) if cards else "", cards=cards)


def _cards(found: Similar, albums: Sequence[Album], side: int) -> list[Asked]:
    (wanted, large), of = albums, found.arrays
    asking = tiles(of["name"], of["digest"], wanted, 2 * side)
    every = tiles(of["found_name"], of["found_digest"], large, side)
    every = [one._replace(name=f"{one.name} · {like:.3f}")
             for one, like in zip(every, of["found_similarity"], strict=True)]  # fmt: skip
    cards = []
    for target, asked in enumerate(asking):
        own = [every[at] for at in np.flatnonzero(of["found_target"] == target)]
        most, least = (f"{of[which][target]:.3f}" for which in ("most", "least"))
        facts = f"{most} to {least}" if most != least else most
        cards.append(Asked(asked, facts if own else "nothing found", own))
    return cards


def _histogram(found: Similar, number: int) -> tuple[Chart, str]:
    """The chart, and what it says in words."""
    attrs: Mapping[str, Any] = found.facts
    edges, nearest, every = (found.arrays[what] for what in ("edge", "nearest", "every"))
    series = {"nearest": Binned(nearest, edges, attrs["median_nearest"])}
    words = f"Median of the nearest {attrs['median_nearest']:.3f}"
    many = every.sum() // nearest.sum()  # images that each target found
    if many > 1:
        series[f"all {many}"] = Binned(every, edges, attrs["median_every"])
        words += f", of all {many} {attrs['median_every']:.3f}"
    below = attrs["below"]
    cut = f" {below:.1%} of the pairs are below the minimum of {attrs['minimum']:g}." * (below > 0)
    return histogram(series, "cosine to the target image", number), f"{words}.{cut}"
