"""Images at dense places of a map, so far from one another that their pictures do not overlap."""

import numpy as np


def dense(place: np.ndarray, across: int, most: int) -> np.ndarray:
    """At most `most` images, densest places first: int64 [picture].

    place: float [image, axis], 0 to 1. A grid of `across` by `across` fields lies over the map.
    Fields are taken by falling number of images, none beside or diagonal to another, and of each
    the image nearest to the mean of its images. So two of them are more than a field apart along
    one axis, and pictures as wide as a field and centred on them have room.
    """
    at = np.minimum((place * across).astype(np.int64), across - 1)
    field = at[:, 0] * across + at[:, 1]
    order = np.argsort(field, kind="stable")
    fields, first, count = np.unique(field[order], return_index=True, return_counts=True)
    taken = np.zeros((across + 2, across + 2), bool)  # with a rim
    out: list[int] = []
    for n in np.argsort(-count, kind="stable"):
        x, y = divmod(int(fields[n]), across)
        if len(out) < most and not taken[x : x + 3, y : y + 3].any():
            taken[x + 1, y + 1] = True
            own = order[first[n] : first[n] + count[n]]
            away = np.square(place[own] - place[own].mean(axis=0, dtype=np.float64)).sum(axis=1)
            out.append(int(own[away.argmin()]))
    return np.array(out, np.int64)
