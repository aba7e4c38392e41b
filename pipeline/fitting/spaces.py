"""Which columns of a store's vectors are a space of their own.

The vectors of a fused backbone are those of several networks side by side. All other vectors are
one space.
"""

from itertools import pairwise

import store


def spaces_of(found: store.Features, dims: int) -> list[slice]:
    """The columns of each space, in their order; one space where vectors are projected to `dims`
    principal components, which mix the columns."""
    widths = found.widths
    if dims:
        return [slice(0, dims)]
    ends = [sum(widths[:n]) for n in range(len(widths) + 1)]
    return [slice(low, high) for low, high in pairwise(ends)]
