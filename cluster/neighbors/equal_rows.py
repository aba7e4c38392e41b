"""Which rows can be left out of a search because too many equal ones come before them."""

import numpy as np

from cluster.vectors.rows import Rows

READ = 2**22  # numbers compared at once


def limit_equal_rows(rows: Rows, code: np.ndarray, most: int) -> np.ndarray:
    """int64 [kept], rising: all rows but those with `most` equal rows before them. code: uint64
    [image], equal for equal vectors.

    Ties go to the lower row, so a row with k equal ones before it is no one's k nearest neighbour;
    without it, a thousand equal images cost no more than k of them.
    """
    order = np.argsort(code, kind="stable")
    new = np.r_[True, code[order[1:]] != code[order[:-1]]][: len(order)]
    first = np.flatnonzero(new)
    size = np.diff(first, append=len(order))
    before = np.arange(len(order)) - np.repeat(first, size)
    leader = order[np.repeat(first, size)]
    many = np.flatnonzero(np.repeat(size > most, size))
    if not len(many):
        return np.arange(len(order))
    equal = np.ones(len(order), bool)  # equal codes may, once in 2^64, be of other vectors
    step = max(1, READ // rows.dim)
    for start in range(0, len(many), step):
        part = many[start : start + step]
        same = rows.take(order[part]) == rows.take(leader[part])
        equal[part] = same.all(1)
    sound = np.repeat(np.minimum.reduceat(equal, first), size)
    return np.sort(order[~(sound & (before >= most))])
