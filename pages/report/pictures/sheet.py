"""Cards of example images, each as a small picture in the page."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from PIL import Image

from images import ImagesError, decode, decoding_memory, digest
from pages.report.chosen.clusters import Chosen
from pages.report.pictures.album import Album

SMALL = 32  # pixels; smaller pictures keep every pixel, and the page enlarges them


class Tile(NamedTuple):
    """One image: its name, and a data address, or "" with the reason why it is not shown.

    small: it has fewer pixels than the page gives it.
    """

    name: str
    source: str
    reason: str
    small: bool


class Card(NamedTuple):
    """title: the name of the cluster, or its number; number: the same beside a name; words: that
    are proposed for the cluster."""

    title: str
    number: str
    cluster: int
    size: int
    typical: list[Tile]
    untypical: list[Tile]
    words: list[str]


def draw(
    chosen: Chosen,
    album: Album,
    side: int,
    words: Sequence[list[str]] = (),
    named: Mapping[int, str] = MappingProxyType({}),
) -> list[Card]:
    """The chosen images as small pictures, a card a cluster; words: that are proposed for each
    cluster, or for none; named: those that a person gave a name, who needs no proposal."""

    every = tiles(chosen.name, chosen.digest, album, side)

    def of(here: np.ndarray) -> list[Tile]:
        return [every[at] for at in np.flatnonzero(here)]

    cards = []
    for cluster in dict.fromkeys(chosen.cluster.tolist()):
        own, typical = chosen.cluster == cluster, chosen.typical == 1
        size, most, least = int(chosen.size[cluster]), of(own & typical), of(own & ~typical)
        given = cluster in named
        title = named[cluster] if given else f"Cluster {cluster}"
        number = f"cluster {cluster}" if given else ""
        proposed = words[cluster] if words and not given else []
        cards.append(Card(title, number, cluster, size, most, least, proposed))
    return cards


def tiles(names: np.ndarray, expected: np.ndarray, album: Album, side: int) -> list[Tile]:
    """Images as small pictures, made in threads; names: object [image]; expected: the digests
    of their bytes, uint8 [image, 16]."""
    with ThreadPoolExecutor(album.threads, thread_name_prefix="decode") as pool:
        return list(pool.map(lambda name, id: _tile(name, id, album, side), names, expected))


def _tile(name: str, expected: np.ndarray, album: Album, side: int) -> Tile:
    try:
        raw = album.read(name)
        if digest(raw) != expected.tobytes():
            return Tile(name, "", "changed since it was indexed", False)
        with album.memory.held(decoding_memory(raw)):
            picture = decode(raw)
            return Tile(name, thumbnail(picture, side), "", min(picture.size) < side)
    except (ImagesError, OSError):
        return Tile(name, "", "not on this machine, or not readable", False)


def missing(tiles: Sequence[Tile]) -> str:
    """How many are not shown and why, as the end of a note."""
    why = Counter(tile.reason for tile in tiles if tile.reason)
    return "".join(f" Not shown: {n}, {reason}." for reason, n in sorted(why.items()))


def is_empty(cards: list[Card]) -> bool:
    """Whether not one image could be shown."""
    return not any(tile.source for card in cards for tile in card.typical + card.untypical)


def thumbnail(picture: Image.Image, side: int) -> str:
    """The centre square of an RGB picture, `side` pixels or its own size, as a data address."""
    short, side = min(picture.size), min(side, *picture.size)
    left, top = ((length - short) / 2 for length in picture.size)
    box = (left, top, left + short, top + short)
    # A camera's picture is halved some times first, which takes a tenth of the time
    square = picture.resize((side, side), Image.Resampling.LANCZOS, box, reducing_gap=3)
    out = io.BytesIO()
    square.save(out, "WEBP", lossless=side <= SMALL, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
