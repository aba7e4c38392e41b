"""Sheets of example images: what the clusters of each backbone look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from stages.files.clusters import seed_of_lowest_loss
from stages.page.album import AWAY, Album
from stages.page.best import away, best, place
from stages.page.chart import sizes
from stages.page.settings import Setting
from stages.page.sheet import Card, draw, is_empty, pick


class Shown(NamedTuple):
    """How much of the clusters is shown."""

    clusters: int
    per_cluster: int
    side: int


class Sheet(NamedTuple):
    """The clusters of one backbone's best clustering; without cards `note` says why."""

    title: str
    choice: str
    svg: str
    note: str
    cards: list[Card]


def sheets(
    settings: Sequence[Setting],
    clusters: Path,
    album: Album | str,
    shown: Shown,
    backbones: Sequence[str],
    name: str,
) -> list[Sheet]:
    """The clusters of each backbone's best clustering; none where nothing is of the split `train`.

    `album`: the dataset's images, or why there are none.
    """
    chosen = [best([s for s in settings if s.backbone == backbone]) for backbone in backbones]
    return [
        _sheet(s, clusters, album, shown, number, f"{name}-b{number}")
        for number, s in enumerate(chosen)
        if s is not None
    ]


def _sheet(
    s: Setting, clusters: Path, album: Album | str, shown: Shown, number: int, name: str
) -> Sheet:
    with store.read(place(clusters, s), "clusters") as file:
        row, attrs, at = file["row"], file.attrs, seed_of_lowest_loss(file, s.setting)
        here = np.flatnonzero(file["split"] == attrs["splits"].index("train"))
        assignment = file[f"{s.setting}/assignment"][at, here]
        untypical = away(file, s.setting)[at, here]
    picks = [
        p._replace(typical=row[here[p.typical]], untypical=row[here[p.untypical]])
        for p in pick(assignment, untypical, shown.clusters, shown.per_cluster)
    ]
    svg = sizes(np.bincount(assignment, minlength=s.k), number, name)
    title, choice = _choice(s, attrs["seeds"][at])
    if isinstance(album, str):
        return Sheet(title, choice, svg, album, [])
    cards = draw(picks, album, shown.side)
    live = len(np.unique(assignment))
    which = "All clusters" if len(picks) == live else (
        f"{len(picks)} of {live} clusters, evenly from the largest to the smallest")  # fmt: skip
    note = f"{which}: the images of train most typical of each, and those least so."
    if not picks:
        return Sheet(title, choice, svg, "", [])
    return Sheet(title, choice, svg, *((AWAY, []) if is_empty(cards) else (note, cards)))


def _choice(s: Setting, seed: int) -> tuple[str, str]:
    """Which clustering it is, and why."""
    value = s.mean["silhouette"]
    why = "the first run, as no silhouette is known" if np.isnan(value) else (
        f"highest mean silhouette on train ({value:.3f}) among the first settings of "
        "this backbone's runs")  # fmt: skip
    of = f"; of its {len(s.seeds)} seeds the one of lowest loss, {seed}" * (len(s.seeds) > 1)
    dims = f"{s.dims} dimensions" if s.dims else "all dimensions"
    return f"{s.backbone} · {s.run}, k = {s.k}, {dims}", f"Chosen without labels: {why}{of}."
