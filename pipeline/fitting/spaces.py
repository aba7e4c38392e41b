"""Which columns of a store's vectors are a space of their own.

The vectors of a fused backbone are those of several networks side by side; the attribute `parts` of
its features.h5 holds their widths. All other vectors are one space.
"""

from itertools import pairwise

import store
from pipeline.params import StageError


def spaces_of(run: str, found: store.Features, dims: int) -> list[slice]:
    """The columns of each space, in their order; one space where vectors are projected to `dims`
    principal components, which mix the columns (told in a line). Raises StageError when the parts
    are not all columns."""
    with store.read(found.path / "features.h5", "store") as file:
        widths = [int(width) for width in file.attrs.get("parts", [found.dim])]
    if min(widths) < 1 or sum(widths) != found.dim:
        raise StageError(
            f"{found.path} has parts of {widths} columns, {found.dim} in all were expected: embed "
            "it again"
        )
    if dims and len(widths) > 1:
        print(f"{run} dims={dims}: components mix the {len(widths)} spaces, which are one here")
    if dims:
        return [slice(0, dims)]
    ends = [sum(widths[:n]) for n in range(len(widths) + 1)]
    return [slice(low, high) for low, high in pairwise(ends)]
