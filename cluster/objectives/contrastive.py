"""What views of one image, or of one class, have in common: InfoNCE and its supervised form.

`info_nce` is NT-Xent, after Chen et al. (SimCLR, arXiv:2002.05709, eq. 1): each view of each image
is an anchor, its positives are the other views of the image, and all other vectors are compared.
`sup_con` is L_out, after Khosla et al. (arXiv:2004.11362, eq. 2): the positives are all vectors of
the anchor's class. But: images without a label (-1) take no part in the latter, neither as anchors
nor as what is compared, as in GCD (arXiv:2201.02609).

Both are `from_similarity` of pairs, which another objective may have with a similarity of its own,
such as minus a distance: `from_similarity(-distance / temperature, by_class(label, slots))`. With
targets that are no plain mean over positives, the loss is minus the sum of target x `log_share`.

Vectors are z [slot, image, width], length 1; anchor number `slot x images + image`.
"""

from typing import Literal, NamedTuple

import torch

from cluster.errors import ClusterError


class Compared(NamedTuple):
    """Of anchors (rows) and vectors (columns), bool [anchor, anchor]: positive, those to be alike;
    other, all that share the softmax. Never an anchor with itself; `positive` is within `other`."""

    positive: torch.Tensor
    other: torch.Tensor


def info_nce(
    z: torch.Tensor, temperature: float, anchors: Literal["all", "first"] = "all"
) -> torch.Tensor:
    """z: float32 [slot, image, width], of length 1, two slots or more → scalar.

    anchors: "all" vectors, or those of the "first" slot, as in SCAN's code (arXiv:2005.12320). Both
    compare an anchor with all other vectors of all slots. Raises ClusterError for one slot.
    """
    slots, images = z.shape[:2]
    if slots < 2:
        raise ClusterError(f"{slots} view of each image is here: InfoNCE compares 2 or more")
    pairs, similarity = by_image(slots, images, z.device), inner(z) / temperature
    if anchors == "first":
        similarity, pairs = similarity[:images], Compared(*(mask[:images] for mask in pairs))
    return from_similarity(similarity, pairs)


def sup_con(z: torch.Tensor, label: torch.Tensor, temperature: float) -> torch.Tensor:
    """z: float32 [slot, image, width], of length 1; label: int64 [image], -1 where unlabelled →
    scalar, the mean over labelled anchors. 0, on the graph still, where none is labelled."""
    return from_similarity(inner(z) / temperature, by_class(label, len(z)))


def from_similarity(similarity: torch.Tensor, pairs: Compared) -> torch.Tensor:
    """similarity: float32 [anchor, anchor], divided by its temperature → scalar: minus the mean of
    log_share over an anchor's positives, then over the anchors that have one. 0, on the graph
    still, where none has. Rows may be fewer than columns, in `pairs` as well."""
    positives = pairs.positive.sum(1)
    total = (log_share(similarity, pairs.other) * pairs.positive).sum(1)
    each = -total / positives.clamp(min=1)
    return each.sum() / (positives > 0).sum().clamp(min=1)


def log_share(similarity: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The logarithm of the softmax over the others of each row: float32 [anchor, anchor], 0 where
    `other` (bool, same shape) is False, so that a target of 0 adds nothing there."""
    similarity = similarity.float()
    # Of a row without others the sum is -inf and its gradient not a number: neither gets past the
    # masks, which put a 0 in its place on the way forth and back.
    total = similarity.masked_fill(~other, -torch.inf).logsumexp(1, keepdim=True)
    return torch.where(other, similarity - total, 0.0)


def inner(z: torch.Tensor) -> torch.Tensor:
    """Inner products of all vectors: [slot, image, width] → float32 [anchor, anchor]."""
    flat = z.flatten(0, 1).float()
    with torch.autocast(z.device.type, enabled=False):  # which would make it bfloat16
        return flat @ flat.T


def by_image(slots: int, images: int, device: torch.device | str) -> Compared:
    """The positives of an anchor are the other slots of its image."""
    return _pairs(torch.arange(images, device=device).repeat(slots))


def by_class(label: torch.Tensor, slots: int) -> Compared:
    """The positives of an anchor are all vectors of its class, int64 [image]; images of label -1
    have none and are no one's other."""
    return _pairs(label.repeat(slots))


def _pairs(group: torch.Tensor) -> Compared:
    known = group >= 0
    same = torch.eye(len(group), dtype=torch.bool, device=group.device)
    other = known[:, None] & known & ~same
    return Compared((group[:, None] == group) & other, other)
