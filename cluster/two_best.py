"""The two lowest scores of each image in each run, and who else may be lowest by their error."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.decide import FEW


class First(NamedTuple):
    """What products say: cluster, int64, and the two lowest scores, float32 [image, run]."""

    cluster: torch.Tensor
    best: torch.Tensor
    second: torch.Tensor


class Doubts(NamedTuple):
    """pair: int64 [doubt], image x runs + run; many: int64 [doubt], how many clusters may be the
    nearest; cluster: int64 [candidate], which, of doubts with up to FEW, doubt after doubt."""

    pair: torch.Tensor
    many: torch.Tensor
    cluster: torch.Tensor


def look_on_core(scores: torch.Tensor, gap: torch.Tensor, here: slice, first: First) -> Doubts:
    """Find the two lowest of scores [image, run x cluster] of the rows `here`; who is in doubt,
    where they are within `gap` [image, run]. In numpy, which takes a fraction of torch's time for
    the lowest, and lets other threads work."""
    runs = gap.shape[1]
    near = scores.numpy().reshape(len(gap) * runs, -1)
    each = np.arange(len(near))
    cluster = near.argmin(1)
    best = near[each, cluster]
    near[each, cluster] = np.inf
    second = torch.from_numpy(near).amin(1).numpy()
    for out, own in zip(first, (cluster, best, second), strict=True):
        out.numpy()[here] = own.reshape(-1, runs)
    most = best + gap.numpy().ravel()
    pair = np.flatnonzero(second <= most)
    near[pair, cluster[pair]] = best[pair]
    among = near.take(pair, 0) <= most[pair, None]
    many = among.sum(1)
    found = pair + here.start * runs, many, np.nonzero(among[many <= FEW])[1]
    return Doubts(*(torch.from_numpy(own) for own in found))


def look_on_gpu(scores: torch.Tensor, gap: torch.Tensor, here: slice, first: First) -> Doubts:
    """The same by torch."""
    near = scores.view(gap.numel(), -1)
    best, cluster = near.min(1)
    near.scatter_(1, cluster[:, None], torch.inf)
    second = near.amin(1)
    for out, own in zip(first, (cluster, best, second), strict=True):
        out[here] = own.view(gap.shape)
    most = best + gap.ravel()
    pair = torch.nonzero(second <= most).ravel()
    among = near[pair].scatter_(1, cluster[pair, None], -torch.inf) <= most[pair, None]
    many = among.sum(1)
    listed = torch.nonzero(among[many <= FEW])[:, 1]
    return Doubts(pair + here.start * gap.shape[1], many, listed)
