"""The map of a clustering: a dot an image, coloured by cluster, pictures where the map is dense.

As SVG with few paths, so that 20,000 dots take some 150 KB, in the colours of the page; what users
named is escaped by the page. Units: the longer side of the map is SIDE.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pages.report.charts.svg import COLOURS, colour
from pages.report.chosen.clusters import Chosen
from pages.report.chosen.map import OnMap
from pages.report.pictures.album import Album
from pages.report.pictures.sheet import Tile, missing, tiles

SIDE = 1000
DOTS = (3, 9)  # of a dense map and of one of few images
LETTER = (16.0, 30.0)  # room of a letter of a label, width and height
LONGEST = 24  # letters of a label
# Where a label may stand, in its heights from the middle of its cluster: the nearest first
BESIDE = sorted(
    ((x, y / 2) for x in range(-3, 4) for y in range(-6, 7)),
    key=lambda step: (step[0] ** 2 + step[1] ** 2, step),
)


class Picture(NamedTuple):
    """A tile at its left and upper corner, framed in the colour of its cluster."""

    x: float
    y: float
    tile: Tile
    colour: str


class Label(NamedTuple):
    """Of a cluster, at its median place."""

    x: float
    y: float
    text: str


class Map(NamedTuple):
    """As the page puts it together. dots: paths by colour; room: side of a picture."""

    width: float
    height: float
    dot: float
    dots: list[tuple[str, str]]
    room: float
    pictures: list[Picture]
    labels: list[Label]
    caption: str


def draw_map(
    found: OnMap, shown: Chosen, names: Mapping[int, str], album: Album | str, side: int
) -> Map:
    """The map of the clustering that is `shown`, whose clusters have `names` or numbers; album:
    its pictures, or why there are none, as wide as `side` pixels."""
    room = SIDE / (found.across + 1)  # the outermost stand out by half of it
    high = found.place.max(axis=0, initial=0) * (SIDE - room) + room

    def at(place: np.ndarray) -> np.ndarray:
        """From places, axis 1 upwards, to units, downwards."""
        x, y = (place * (SIDE - room) + room / 2).T
        return np.stack([x, high[1] - y], axis=1)

    tone = tones(found.center, shown.size)
    place, own = at(found.place), tone[found.cluster]
    pictures, lost = [], ""
    if not isinstance(album, str):
        drawn = tiles(found.name, found.digest, album, side)
        corner = place[found.picture] - room / 2
        pictures = [
            Picture(round(float(x), 1), round(float(y), 1), tile, colour(int(own[which])))
            for (x, y), tile, which in zip(corner, drawn, found.picture, strict=True)
            if tile.source
        ]
        lost = missing(drawn)
    corners = np.array([(one.x, one.y) for one in pictures]).reshape(-1, 2)
    boxes = np.hstack([corners, corners + room])
    labels = _labels(at(found.center), shown.size, names, boxes, high)
    dots = [(colour(t), path(place[own == t])) for t in range(COLOURS) if (own == t).any()]
    dot = round(float(np.clip(380 / max(len(place), 1) ** 0.5, *DOTS)), 1)
    left = int((shown.size > 0).sum()) - len(labels)
    return Map(
        round(float(high[0]), 1), round(float(high[1]), 1), dot, dots, round(room, 1), pictures,
        labels, _caption(found, len(pictures), left) + lost,
    )  # fmt: skip


def tones(center: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A colour a cluster, int64 [cluster], so that near clusters differ: the largest first, each
    takes the colour whose nearest cluster is farthest away.

    center: float [cluster, axis], nan where there is no image.
    """
    out = np.zeros(len(size), np.int64)
    nearest = np.full((COLOURS, len(size)), np.inf)  # distance to the colour, of each cluster
    for c in np.argsort(-size, kind="stable"):
        if size[c]:
            out[c] = nearest[:, c].argmax()
            away = np.linalg.norm(center - center[c], axis=1)
            nearest[out[c]] = np.fmin(nearest[out[c]], away)
    return out


def path(place: np.ndarray) -> str:
    """Dots as one path of SVG: places [image, axis] in whole units, each once, by steps."""
    whole = np.unique(place.round().astype(int), axis=0)
    order = np.lexsort((whole[:, 1], whole[:, 0] // 12))  # in strips: small steps are short
    steps = np.diff(whole[order], axis=0, prepend=0).tolist()
    return "".join(f"m{x}{y}h0" if y < 0 else f"m{x} {y}h0" for x, y in steps)


def _labels(
    center: np.ndarray,
    size: np.ndarray,
    names: Mapping[int, str],
    pictures: np.ndarray,
    high: np.ndarray,
) -> list[Label]:
    """The largest clusters first, each near its middle where it covers neither a label nor one of
    the `pictures`, boxes [picture, left top right bottom], or if that cannot be, no label; those
    that would cover one are left out. high: width and height of the map."""
    out, boxes = list[Label](), np.zeros((0, 4))
    step = LETTER[1] * np.array(BESIDE)
    for c in np.argsort(-size, kind="stable").tolist():
        if not size[c]:
            continue
        text = names.get(c, str(c))
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        half = np.array([len(text) * LETTER[0], LETTER[1]]) / 2
        low = np.minimum(half, high / 2)
        at = np.clip(center[c] + step, low, high - low)  # within the map
        tried = np.hstack([at - half, at + half])
        free = ~_cover(tried, boxes)
        best = free & ~_cover(tried, pictures)
        if free.any():
            box = tried[(best if best.any() else free).argmax()]
            boxes = np.append(boxes, [box], axis=0)
            x, y = (box[:2] + box[2:]) / 2
            out.append(Label(round(float(x), 1), round(float(y), 1), text))
    return out


def _cover(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which boxes cover any of the others, bool [box]."""
    left, right = some[:, None], others[None]
    meet = (left[..., :2] < right[..., 2:]) & (right[..., :2] < left[..., 2:])
    return np.asarray(np.any(np.all(meet, axis=2), axis=1))


def _caption(found: OnMap, pictures: int, left: int) -> str:
    many = f"{len(found.place):,}" if len(found.place) < found.images else "All"
    drawn = f"{many} of {found.images:,}" if many != "All" else f"All {found.images:,}"
    text = f"{drawn} images of train, {'drawn at random, ' * (many != 'All')}a dot each, coloured "
    text += "by cluster; its label stands near its middle."
    text += f" {left} labels have no room." * (left > 1) + " One label has no room." * (left == 1)
    text += " Pictures: where the map is dense, framed in the colour of their cluster." * bool(
        pictures
    )
    return text + (
        " Near images are alike to the backbone (UMAP of its neighbours); how far apart groups "
        "lie, and how large they are, says little."
    )
