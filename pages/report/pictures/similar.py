"""What a target collection found in a large one: a sheet of images and the similarities."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import store
from pages.report.charts.chart import histogram
from pages.report.pictures.album import AWAY, Album, Albums
from pages.report.pictures.examples import Shown
from pages.report.pictures.sheet import Tile, tile

ROWS = 2  # of found images beside a target


class Asked(NamedTuple):
    """A target image and the most similar of what it found. facts: how similar those are."""

    target: Tile
    facts: str
    found: list[Tile]


class Sheet(NamedTuple):
    """One backbone; without cards `note` says why."""

    title: str
    facts: str
    svg: str
    caption: str
    note: str
    cards: list[Asked]


class Pair(NamedTuple):
    """All that the page says of one target and one large collection."""

    id: str
    title: str
    sheets: list[Sheet]


def pairs(
    folder: Path, asked_for: Mapping[str, Any], backbones: Sequence[str], albums: Albums,
    shown: Shown,
) -> list[Pair]:  # fmt: skip
    """Those pairs of `asked_for` (the section similar of params.yaml) that lie in the folder."""
    out: list[Pair] = []
    for target in dict.fromkeys(asked_for["target"]):
        for among in dict.fromkeys(asked_for["among"]):
            paths = [(b, folder / target / among / b / "found.h5") for b in backbones]
            id = f"s{len(out)}"
            sheets = [
                _sheet(path, albums, shown, number, f"{id}-b{number}")
                for number, (_, path) in enumerate(paths)
                if path.exists()
            ]
            if sheets:
                out.append(Pair(id, f"What looks like {target} in {among}", sheets))
    return out


def spread(similarity: np.ndarray, shown: int) -> np.ndarray:
    """At most `shown` targets, evenly from the best matched to the worst: int [target].

    similarity: float [target, neighbor], most similar first.
    """
    order = np.argsort(-similarity[:, 0], kind="stable")
    at = np.linspace(0, len(order) - 1, min(shown, len(order))).round().astype(int)
    return order[at]


def _sheet(path: Path, albums: Albums, shown: Shown, number: int, name: str) -> Sheet:
    with store.read(path, "similar") as file:
        attrs, target, found = file.attrs, file["target"], file["found"]
        similarity = file["similarity"]
    counts = (f"{len(_kept(found[:, :k], similarity, attrs)):,} for k = {k}" for k in attrs["k"])
    facts = (
        f"{len(target):,} images of {attrs['target']} asked, near-duplicates left out. "
        f"Found in {attrs['among']}: {', '.join(counts)}."
    )
    title = f"{attrs['backbone']} · k = {', '.join(map(str, attrs['k']))}"
    svg, caption = _histogram(similarity, attrs["minimum"], number, name)
    which = spread(similarity, shown.clusters)
    both = albums.of(attrs["target"]), albums.of(attrs["among"])
    pictures = [album for album in both if isinstance(album, Album)]
    if len(pictures) < 2:
        return Sheet(title, facts, svg, caption, next(a for a in both if isinstance(a, str)), [])
    cards = [
        _card(row, near, like[like >= np.float32(attrs["minimum"])], pictures, shown)
        for row, near, like in zip(target[which], found[which], similarity[which], strict=True)
    ]
    if cards and not any(t.source for card in cards for t in (card.target, *card.found)):
        return Sheet(title, facts, svg, caption, AWAY, [])
    every = "All targets" if len(cards) == len(target) else f"{len(cards)} targets, evenly"
    note = (
        f"{every} from the best matched to the worst, each with the most similar that it found. "
        "Above it their cosines, from the nearest to the last."
    )
    return Sheet(title, facts, svg, caption, note if cards else "", cards)


def _kept(found: np.ndarray, similarity: np.ndarray, attrs: Mapping[str, Any]) -> np.ndarray:
    return np.unique(found[similarity[:, : found.shape[1]] >= np.float32(attrs["minimum"])])


def _card(
    target: int, found: np.ndarray, similarity: np.ndarray, albums: Sequence[Album], shown: Shown
) -> Asked:
    """`similarity` [neighbor]: of those that are similar enough, which come first in `found`."""
    wanted, large = albums
    tiles = []
    for row, like in zip(found.tolist(), similarity[: ROWS * shown.per_cluster], strict=False):
        one = tile(row, large, shown.side)
        tiles.append(one._replace(name=f"{one.name} · {like:.3f}"))
    most, least = (f"{like:.3f}" for like in (similarity[[0, -1]] if len(similarity) else (0, 0)))
    facts = f"{most} to {least}" if most != least else most
    return Asked(tile(target, wanted, 2 * shown.side), facts if tiles else "nothing found", tiles)


def _histogram(similarity: np.ndarray, minimum: float, number: int, name: str) -> tuple[str, str]:
    """The chart, and what it says in words."""
    first, every = similarity[:, 0], similarity.ravel()
    series = {"nearest": first}
    words = f"Median of the nearest {np.median(first):.3f}"
    if similarity.shape[1] > 1:
        series[f"all {similarity.shape[1]}"] = every
        words += f", of all {similarity.shape[1]} {np.median(every):.3f}"
    below = float((every < np.float32(minimum)).mean())
    cut = f" {below:.1%} of the pairs are below the minimum of {minimum:g}." if below else ""
    return histogram(series, "cosine to the target image", number, name), f"{words}.{cut}"
