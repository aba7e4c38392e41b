"""The first few of each group in an order, and the middle of each: whole arrays, no loop."""

import numpy as np


def by_group(group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The rows by group, within one by `key`, ties by the row: int64 [image]. group: int [image],
    key: float [image]."""
    return np.lexsort((np.arange(len(group)), key, group))


def first_of_each(group: np.ndarray, key: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The `number` (int [group]) rows of lowest `key` of each group, or all that it has: int64
    [taken], sorted."""
    order = by_group(group, key)
    size = np.bincount(group, minlength=len(number))
    rank = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    return np.sort(order[rank < np.repeat(number, size)])


def medians(value: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """The median of each group, nan of an empty one: float64 [group]."""
    size = np.bincount(group, minlength=groups)
    ordered = value[by_group(group, value)].astype(np.float64)
    first = np.cumsum(size) - size
    there = size > 0
    out = np.full(groups, np.nan)
    low, high = (first + (size - 1) // 2)[there], (first + size // 2)[there]
    out[there] = (ordered[low] + ordered[high]) / 2
    return out
