"""The change of all cluster sums on a GPU, without waiting for it."""

import torch

BAG = 64  # vectors that are summed in float32; sums are updated, so their rounding remains


def dense_sums(
    x: torch.Tensor, image: torch.Tensor, group: torch.Tensor, sign: torch.Tensor, groups: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of x[image[i]] (float32 [image, dim]) times sign[i] over group[i] < `groups` (all int64
    [pair]): float64 [group, dim], and the sums of signs, int64 [group].

    The vectors of a group are summed in float32 in bags, in their order, and bags in float64.
    """
    group, order = torch.sort(group, stable=True)
    size = torch.zeros(groups, dtype=torch.int64, device=x.device)
    count = size.clone()
    size.index_add_(0, group, torch.ones_like(group))
    image, sign = image[order], sign[order]
    count.index_add_(0, group, sign)
    pieces = (size + BAG - 1) // BAG
    end, first = pieces.cumsum(0), size.cumsum(0) - size
    begin = end - pieces
    # As many bags as there can be at most; those after the last are empty
    bag = torch.arange(len(image) // BAG + min(len(image), groups), device=x.device)
    owner = torch.searchsorted(end, bag, right=True).clamp_(max=groups - 1)
    starts = first[owner] + (bag - begin[owner]) * BAG
    starts = torch.where(bag < end[-1], starts, len(image))
    sum_bags = torch.nn.functional.embedding_bag
    bags = sum_bags(image, x, starts, mode="sum", per_sample_weights=sign.to(x.dtype))
    return sum_bags(bag, bags.double(), begin, mode="sum"), count
