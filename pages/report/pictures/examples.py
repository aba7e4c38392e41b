"""Sheets of example images: what the clusters of each backbone look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from pages.report.charts.chart import sizes
from pages.report.pictures.album import AWAY, Album
from pages.report.pictures.sheet import Card, draw, is_empty, pick
from pages.report.tables.best import away, best, place
from pages.report.tables.settings import Setting
from pipeline.io.clusters import run_files, seed_of_lowest_loss


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
    out = []
    for number, s in enumerate(chosen):
        if s is not None:
            found = _read(place(clusters, s), s.setting)
            choice = _choice(s, found.seed)
            out.append(_sheet(found, *choice, album, shown, number, f"{name}-b{number}"))
    return out


def discovered(
    clusters: Path,
    dataset: str,
    runs: Sequence[str],
    album: Album | str,
    shown: Shown,
    backbones: Sequence[str],
    name: str,
    own: Sequence[str],
) -> list[Sheet]:
    """What category discovery made of the unlabelled images, for each of the backbones `own` by the
    first of `runs` that there is; clusters bear the names of the known classes."""
    out = []
    for number, backbone in enumerate(backbones):
        found_there = run_files(clusters / "discovered" / dataset / backbone)
        of_it = found_there if backbone in own else []
        there = [path for run in runs for path in of_it if path.stem == run]
        found = _read(there[0], 0) if there else None
        if found and found.old:
            old, new = len(found.old), found.k - len(found.old)
            title = f"{backbone} · {there[0].stem}: {old} known classes, {new} new"
            choice = (
                f"The first exported run, of its seeds the one of lowest loss, {found.seed}. Images"
                " whose class was known are left out where the method says how sure it is."
            )
            out.append(_sheet(found, title, choice, album, shown, number, f"{name}-k{number}"))
    return out


class Found(NamedTuple):
    """The images of train in one setting of a file of kind clusters, by the seed of lowest loss:
    row of the index, cluster, and how untypical each is of that, [image]; k; old: the names of the
    known classes, of category discovery."""

    row: np.ndarray
    assignment: np.ndarray
    away: np.ndarray
    k: int
    old: list[str]
    seed: int


def _read(path: Path, setting: int) -> Found:
    with store.read(path, "clusters") as file:
        attrs, at = file.attrs, seed_of_lowest_loss(file, setting)
        old, k = attrs.get("old", []), int(file["k"][setting])
        here = file["split"] == attrs["splits"].index("train")
        assignment, untypical = file[f"{setting}/assignment"][at], away(file, setting)[at]
        if old:
            here &= untypical > 0  # labelled images have a probability of 1
        row, seed = file["row"][here], attrs["seeds"][at]
        return Found(row, assignment[here], untypical[here], k, old, seed)


def _sheet(
    found: Found,
    title: str,
    choice: str,
    album: Album | str,
    shown: Shown,
    number: int,
    name: str,
) -> Sheet:
    assignment = found.assignment
    picks = [
        p._replace(typical=found.row[p.typical], untypical=found.row[p.untypical])
        for p in pick(assignment, found.away, shown.clusters, shown.per_cluster)
    ]
    svg = sizes(np.bincount(assignment, minlength=found.k), number, name)
    if isinstance(album, str):
        return Sheet(title, choice, svg, album, [])
    names = dict(enumerate(found.old))
    cards = [
        card._replace(title=names.get(card.cluster, f"New: cluster {card.cluster}"))
        if names
        else card
        for card in draw(picks, album, shown.side)
    ]
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
