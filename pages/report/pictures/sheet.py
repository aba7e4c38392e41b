"""Example images of clusters: the most typical of each and the least so."""

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from images import ImagesError, decode, digest
from pages.report.pictures.album import Album

SMALL = 32  # pixels; smaller pictures keep every pixel, and the page enlarges them


class Pick(NamedTuple):
    """A cluster, its number of images, and which images to show (int [image])."""

    cluster: int
    size: int
    typical: np.ndarray
    untypical: np.ndarray


class Tile(NamedTuple):
    """One image: its name, and a data address, or "" with the reason why it is not shown.

    small: it has fewer pixels than the page gives it.
    """

    name: str
    source: str
    reason: str
    small: bool


class Card(NamedTuple):
    title: str
    cluster: int
    size: int
    typical: list[Tile]
    untypical: list[Tile]


def pick(assignment: np.ndarray, away: np.ndarray, shown: int, per_cluster: int) -> list[Pick]:
    """Which images to show, of at most `shown` clusters.

    assignment: int [image]; away: float [image], how untypical each is (pages.report.tables.best).
    Of more clusters those are taken that lie evenly between the largest and the smallest. The most
    typical first, and of the rest the least typical first; no image twice."""
    order = np.lexsort((away, assignment))  # stable: equals in index order
    clusters, first, size = np.unique(assignment[order], return_index=True, return_counts=True)
    by_size = np.argsort(-size, kind="stable")
    at = np.linspace(0, len(by_size) - 1, min(shown, len(by_size))).round().astype(int)
    out = []
    for c in by_size[at].tolist():
        members = order[first[c] : first[c] + size[c]]
        typical, rest = members[:per_cluster], members[per_cluster:]
        out.append(Pick(int(clusters[c]), int(size[c]), typical, rest[::-1][:per_cluster]))
    return out


def draw(picks: list[Pick], album: Album, side: int) -> list[Card]:
    """The picked images (rows of the index) as small pictures."""

    def tiles(rows: np.ndarray) -> list[Tile]:
        return [tile(row, album, side) for row in rows.tolist()]

    return [
        Card(f"Cluster {p.cluster}", p.cluster, p.size, tiles(p.typical), tiles(p.untypical))
        for p in picks
    ]


def tile(row: int, album: Album, side: int) -> Tile:
    """One image (a row of the index) as a small picture."""
    name = str(album.names[row])
    try:
        raw = album.read(name)
        if digest(raw) != album.digests[row].tobytes():
            return Tile(name, "", "changed since it was indexed", False)
        picture = decode(raw)
        return Tile(name, thumbnail(picture, side), "", min(picture.size) < side)
    except (ImagesError, OSError):
        return Tile(name, "", "not on this machine, or not readable", False)


def is_empty(cards: list[Card]) -> bool:
    """Whether not one image could be shown."""
    return not any(tile.source for card in cards for tile in card.typical + card.untypical)


def thumbnail(picture: Image.Image, side: int) -> str:
    """The centre square of an RGB picture, `side` pixels or its own size, as a data address."""
    side = min(side, *picture.size)
    square = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    square.save(out, "WEBP", lossless=side <= SMALL, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
