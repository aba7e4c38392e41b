"""Sheets of example images: what the clusters of each backbone look like."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import images
from pages.report.asked import Asked
from pages.report.charts.chart import Chart, sizes
from pages.report.chosen.clusters import Chosen, read_chosen
from pages.report.chosen.given import Given, given
from pages.report.chosen.map import read_on_map
from pages.report.chosen.names import proposed
from pages.report.pictures.album import AWAY, Album
from pages.report.pictures.map import Map, draw_map
from pages.report.pictures.sheet import Card, draw, is_empty, missing
from pages.report.tables.spaces import space
from pipeline.io.cell import Cell

WORDS = " The words are proposals of stage names, each with its mean probability in the cluster."
GIVEN = " Names in place of numbers were given by a person."
NOBODY = Given({}, "")


class Sheet(NamedTuple):
    """The clusters of one clustering of a backbone, so many images (`per_cluster`) of each sort;
    without cards `note` says why. said: what a person has decided; whole: where all images of the
    run lie as a table, and the command that writes it; map: of the first sheet alone."""

    title: str
    choice: str
    said: str
    chart: Chart
    note: str
    whole: tuple[str, str]
    per_cluster: int
    cards: list[Card]
    map: Map | None = None


def sheets(
    cells: Sequence[Cell],
    album: Album | str,
    side: int,
    backbones: Sequence[str],
    asked: Asked,
) -> list[Sheet]:
    """The clusters of each cell's best clustering, as stage examples has chosen it, the best cell
    first, with its map; none where nothing is of the split `train`.

    `album`: the dataset's images, or why there are none; `backbones`: all of the page, so that each
    has one colour everywhere; `asked`: whether the map is on, and which runs have words that are
    proposed and names that are given.
    """
    shown = [(found, cell) for cell in cells if (found := read_chosen(cell.examples))]
    out = list[Sheet]()
    for found, cell in sorted(shown, key=lambda one: one[0].rank):
        choice, number = _choice(cell, found, first=not out), backbones.index(cell.backbone)
        whole = _whole(cell, f"clusters/{found.run}")
        words = proposed(cell, found) if found.run in asked.named else []
        by_hand = given(cell, found) if found.run in asked.reviewed else NOBODY
        sheet = _sheet(found, *choice, whole, album, side, number, words, by_hand)
        if asked.mapped and not out and (on := read_on_map(cell, found)):
            sheet = sheet._replace(map=draw_map(on, found, by_hand.names, album, side))
        out.append(sheet)
    return out


def discovered(
    cells: Sequence[Cell],
    album: Album | str,
    side: int,
    backbones: Sequence[str],
    asked: Asked,
) -> list[Sheet]:
    """What category discovery made of the unlabelled images of each cell, as stage
    evaluate_discovery has chosen it; clusters bear the names of the known classes."""
    out = []
    for cell in cells:
        found, number = read_chosen(cell.found_examples), backbones.index(cell.backbone)
        if found:
            old, new = len(found.old), found.k - len(found.old)
            title = f"{cell.backbone} · {found.run}: {old} known classes, {new} new"
            choice = (
                f"The first exported run, of its seeds the one of lowest loss, {found.seed}. Images"
                " whose class was known are left out where the method says how sure it is. Known: "
                f"{images.few(found.old)}."
            )
            whole = _whole(cell, f"discovered/{found.run}")
            by_hand = given(cell, found) if found.run in asked.reviewed else NOBODY
            out.append(_sheet(found, title, choice, whole, album, side, number, by_hand=by_hand))
    return out


def _sheet(
    found: Chosen,
    title: str,
    choice: str,
    whole: tuple[str, str],
    album: Album | str,
    side: int,
    number: int,
    words: Sequence[list[str]] = (),
    by_hand: Given = NOBODY,
) -> Sheet:
    chart = sizes(found.size, number)
    blank = Sheet(title, choice, by_hand.said, chart, "", whole, found.images, [])
    if isinstance(album, str):
        return blank._replace(note=album)
    names = dict(enumerate(found.old))
    cards = [
        card._replace(title=names.get(card.cluster, f"New: cluster {card.cluster}"))
        if names and card.cluster not in by_hand.names
        else card
        for card in draw(found, album, side, words, by_hand.names)
    ]
    live = int((found.size > 0).sum())
    which = "All clusters" if len(cards) == live else (
        f"{len(cards)} of {live} clusters, evenly from the largest to the smallest")  # fmt: skip
    note = f"{which}: the images of train most typical of each, and those least so."
    note += WORDS * any(card.words for card in cards)
    note += GIVEN * bool(by_hand.names)
    if not cards:
        return blank
    if is_empty(cards):
        return blank._replace(note=AWAY)
    shown = [tile for card in cards for tile in card.typical + card.untypical]
    return blank._replace(note=note + missing(shown), cards=cards)


def _whole(cell: Cell, clusters: str) -> tuple[str, str]:
    """Stage export names its table by the run alone."""
    table = cell.file(f"tables/{clusters.partition('/')[2]}.csv")
    command = ("python", "-m", "stages.export", cell.dataset, cell.backbone, clusters)
    return str(table), shlex.join(command)


def _choice(cell: Cell, s: Chosen, *, first: bool) -> tuple[str, str]:
    """Which clustering it is, and why. first: of the dataset."""
    title = f"Best clustering: {s.run} on {cell.backbone}, k = {s.k}" if first else (
        f"Best of {cell.backbone}: {s.run}, k = {s.k}, ranked {s.rank} of {s.among}")  # fmt: skip
    why = f"Ranked {s.rank} of {s.among} clusterings of {cell.dataset}, without labels"
    why += f"; of its {s.seeds} seeds, seed {s.seed} ranks highest" * (s.seeds > 1)
    said = space(*cell[:2], s.run)
    dims = f"{s.dims} dimensions" if s.dims else "all dimensions"
    return title, f"{why}. Clustered in {dims}{f' ({said})' * bool(said)}."
