"""Batches whose two slots show the same images: all unlabelled, or half of them labelled."""

import numpy as np

from cluster.heads.half_labelled import HalfLabelled
from cluster.objectives import Drawn
from cluster.objectives.sampler import ShuffledSampler


def unlabelled(sampler: ShuffledSampler, step: int) -> Drawn:
    """The images of a step, all without a label."""
    images = sampler.at(step)
    return Drawn(np.stack([images, images]), np.full(len(images), -1))


def half_labelled(stream: HalfLabelled, step: int) -> Drawn:
    """The batch of a stream of one seed; the labelled half comes first."""
    found = stream.at(step)
    label = np.full(found.images.shape[1], -1)
    label[: found.label.shape[1]] = found.label[0]
    return Drawn(np.repeat(found.images, 2, axis=0), label)
