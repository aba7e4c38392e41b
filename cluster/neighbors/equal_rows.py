"""Equal rows: those that a search leaves out, how many distinct ones there are, and which is which.

Rows are equal when all their numbers are; a hash finds them, and a comparison confirms it.
"""

from typing import NamedTuple

import numpy as np

from cluster.kernels.similarity import code_weights, row_codes
from cluster.vectors.rows import TILE, Rows

READ = 2**22  # numbers compared at once


class Distinct(NamedTuple):
    """The distinct vectors among some rows, in an order that does not depend on that of the rows.

    first: int64 [vector], the first row of each; vector: int64 [image], which each row has."""

    first: np.ndarray
    vector: np.ndarray


def limit_equal_rows(rows: Rows, code: np.ndarray, most: int) -> np.ndarray:
    """The rows without those that come after `most` equal rows: int64 [kept], sorted. code: uint64
    [image], a hash, equal for equal vectors.

    Ties of similarity go to the lower row, so a row after k equal ones is nobody's k nearest
    neighbour. Without them a thousand equal images cost no more than k.
    """
    order, first, size = _groups(code)
    before = np.arange(len(order)) - np.repeat(first, size)
    if not (size > most).any():
        return np.arange(len(order))
    sound = np.repeat(_are_equal(rows, order, first, size, size > most), size)
    return np.sort(order[~(sound & (before >= most))])


def distinct_rows(rows: Rows, code: np.ndarray) -> Distinct:
    """The distinct vectors of all rows, ordered by their hash `code` (uint64 [image])."""
    order, first, size = _groups(code)
    sound = np.repeat(_are_equal(rows, order, first, size, size > 1), size)
    begins = ~sound  # of a group that holds different vectors each row stands for itself
    begins[first] = True
    vector = np.empty(len(order), np.int64)
    vector[order] = np.cumsum(begins) - 1
    return Distinct(order[begins], vector)


def count_distinct(rows: Rows, enough: int) -> int:
    """How many distinct vectors there are, or `enough`, where there are that many or more.

    Reads no further than it has to, which of most collections is one block.
    """
    weights, seen = code_weights(rows.dim), np.empty(0, np.uint64)
    for start in range(0, len(rows), TILE):
        block = rows.block(start, min(start + TILE, len(rows)))
        seen = np.unique(np.concatenate([seen, row_codes(block, weights)]))
        if len(seen) >= enough:
            return enough
    return len(seen)


def zeros_first(
    near: tuple[np.ndarray, np.ndarray],
    queries: np.ndarray,
    targets: np.ndarray,
    own: np.ndarray,
) -> None:
    """Have vectors of zeros be each other's nearest neighbours, with a cosine of 1; in place.

    Their cosine to all others is 0, so that the order of the rows would choose their neighbours.
    near: neighbours, int [query, neighbor], and similarities, float32. queries, targets: x·x,
    float64 [query] and [target]; own: int64 [query], which target the query itself is, or -1.
    """
    neighbor, similarity = near
    zero, k = np.flatnonzero(targets == 0), neighbor.shape[1]
    asking = np.flatnonzero(queries == 0) if len(zero) else zero
    for low in range(0, len(asking), step := max(1, READ // k)):
        some = asking[low : low + step]
        first = np.tile(zero[: k + 1], (len(some), 1))
        found = np.concatenate([first, neighbor[some]], 1)
        value = np.concatenate([np.ones(first.shape, np.float32), similarity[some]], 1)
        taken = found != own[some, None]
        taken[:, first.shape[1] :] &= targets[neighbor[some]] > 0
        order = np.argsort(~taken, axis=1, kind="stable")[:, :k]
        neighbor[some] = np.take_along_axis(found, order, 1)
        similarity[some] = np.take_along_axis(value, order, 1)


def _groups(code: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows by their code: the rows in that order (int64 [image]; of one code by number), and where
    each code begins and how many rows it has, both int64 [code]."""
    order = np.argsort(code, kind="stable")
    new = np.r_[True, code[order[1:]] != code[order[:-1]]][: len(order)]
    first = np.flatnonzero(new)
    return order, first, np.diff(first, append=len(order))


def _are_equal(
    rows: Rows, order: np.ndarray, first: np.ndarray, size: np.ndarray, of: np.ndarray
) -> np.ndarray:
    """Whether all rows of a group equal its first: bool [group], true of those not asked `of`."""
    leader = order[np.repeat(first, size)]
    many = np.flatnonzero(np.repeat(of, size))
    equal = np.ones(len(order), bool)  # once in 2^64, different vectors have one code
    step = max(1, READ // rows.dim)
    for start in range(0, len(many), step):
        some = many[start : start + step]
        same = rows.take(order[some]) == rows.take(leader[some])
        equal[some] = same.all(1)
    return np.minimum.reduceat(equal, first) if len(first) else equal
