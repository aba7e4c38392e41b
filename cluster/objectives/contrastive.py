"""Contrastive losses: InfoNCE between views of an image, SupCon between images of a class.

`info_nce` is NT-Xent, after Chen et al. (SimCLR, arXiv:2002.05709, eq. 1): each view of each image
is an anchor, its positives are the other views of the image, its candidates all other vectors.
`sup_con` is L_out, after Khosla et al. (arXiv:2004.11362, eq. 2): the positives are all vectors of
the anchor's class. But: images without a label (-1) take no part in the latter, neither as anchors
nor as candidates, as in GCD (arXiv:2201.02609).

Both call `from_similarity`, which other objectives may call with a similarity of their own, such as
minus a distance: `from_similarity(-distance / temperature, by_class(label, slots))`. For targets
other than a uniform mean over positives, the loss is minus the sum of target x `log_share`.

Vectors are z [slot, image, width], of length 1; the number of an anchor is `slot x images + image`.
"""

from typing import Literal, NamedTuple

import torch

from cluster.errors import ClusterError


class PairMasks(NamedTuple):
    """Of anchors (rows) and vectors (columns), bool [anchor, anchor]. positive: pairs to be pulled
    together; candidate: pairs in the softmax, among them all positives. An anchor is never paired
    with itself."""

    positive: torch.Tensor
    candidate: torch.Tensor


def info_nce(
    z: torch.Tensor, temperature: float, anchors: Literal["all", "first"] = "all"
) -> torch.Tensor:
    """z: float32 [slot, image, width], of length 1, two slots or more → scalar.

    anchors: "all" vectors, or those of the "first" slot, as in SCAN's code (arXiv:2005.12320). In
    both cases the candidates are all other vectors of all slots. Raises ClusterError for one slot.
    """
    slots, images = z.shape[:2]
    if slots < 2:
        raise ClusterError(f"InfoNCE needs 2 views of each image or more, found {slots}")
    pairs, similarity = by_image(slots, images, z.device), inner(z) / temperature
    if anchors == "first":
        similarity, pairs = similarity[:images], PairMasks(*(mask[:images] for mask in pairs))
    return from_similarity(similarity, pairs)


def sup_con(z: torch.Tensor, label: torch.Tensor, temperature: float) -> torch.Tensor:
    """z: float32 [slot, image, width], of length 1; label: int64 [image], -1 where unlabelled →
    scalar, the mean over labelled anchors; 0, still part of the graph, if none is labelled."""
    return from_similarity(inner(z) / temperature, by_class(label, len(z)))


def from_similarity(similarity: torch.Tensor, pairs: PairMasks) -> torch.Tensor:
    """similarity: float32 [anchor, anchor], divided by its temperature → scalar: minus the mean of
    log_share over the positives of an anchor, then over the anchors that have any; 0, still part of
    the graph, if none has. There may be fewer rows than columns, in `pairs` as well."""
    positives = pairs.positive.sum(1)
    total = (log_share(similarity, pairs.candidate) * pairs.positive).sum(1)
    each = -total / positives.clamp(min=1)
    return each.sum() / (positives > 0).sum().clamp(min=1)


def log_share(similarity: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """The log-softmax over the candidates of each row: float32 [anchor, anchor], 0 where
    `candidate` (bool, same shape) is False, so that a target of 0 adds 0 there, not nan."""
    similarity = similarity.float()
    # In a row without candidates the logsumexp is -inf and its gradient nan; `where` replaces both
    # by 0, in the forward and the backward pass.
    total = similarity.masked_fill(~candidate, -torch.inf).logsumexp(1, keepdim=True)
    return torch.where(candidate, similarity - total, 0.0)


def inner(z: torch.Tensor) -> torch.Tensor:
    """Inner products of all pairs of vectors: [slot, image, width] → float32 [anchor, anchor]."""
    flat = z.flatten(0, 1).float()
    with torch.autocast(z.device.type, enabled=False):  # else it would be bfloat16
        return flat @ flat.T


def by_image(slots: int, images: int, device: torch.device | str) -> PairMasks:
    """The positives of an anchor are the other slots of its image."""
    return _pairs(torch.arange(images, device=device).repeat(slots))


def by_class(label: torch.Tensor, slots: int) -> PairMasks:
    """The positives of an anchor are all vectors of its class; label: int64 [image]. Images of
    label -1 have no positives and are nobody's candidates."""
    return _pairs(label.repeat(slots))


def _pairs(group: torch.Tensor) -> PairMasks:
    known = group >= 0
    same = torch.eye(len(group), dtype=torch.bool, device=group.device)
    candidate = known[:, None] & known & ~same
    return PairMasks((group[:, None] == group) & candidate, candidate)
