"""Leave out of a search the rows that come after too many equal ones."""

import numpy as np

from cluster.vectors.rows import Rows

READ = 2**22  # numbers compared at once


def limit_equal_rows(rows: Rows, code: np.ndarray, most: int) -> np.ndarray:
    """The rows without those that come after `most` equal rows: int64 [kept], sorted. code: uint64
    [image], a hash, equal for equal vectors.

    Ties of similarity go to the lower row, so a row after k equal ones is nobody's k nearest
    neighbour. Without them a thousand equal images cost no more than k.
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
    equal = np.ones(len(order), bool)  # once in 2^64, different vectors have one code
    step = max(1, READ // rows.dim)
    for start in range(0, len(many), step):
        some = many[start : start + step]
        same = rows.take(order[some]) == rows.take(leader[some])
        equal[some] = same.all(1)
    sound = np.repeat(np.minimum.reduceat(equal, first), size)
    return np.sort(order[~(sound & (before >= most))])
