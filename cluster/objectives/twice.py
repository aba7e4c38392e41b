"""What a step learns from where both slots show the same images: all alike, or half labelled."""

import numpy as np

from cluster.heads.half_labelled import HalfLabelled
from cluster.objectives import Drawn
from cluster.objectives.sampler import Everyone


def all_alike(stream: Everyone, step: int) -> Drawn:
    """The images of a step, none with a label."""
    images = stream.at(step)
    return Drawn(np.stack([images, images]), np.full(len(images), -1))


def half_labelled(stream: HalfLabelled, step: int) -> Drawn:
    """What a stream of one seed draws: the labelled half first."""
    found = stream.at(step)
    label = np.full(found.images.shape[1], -1)
    label[: found.label.shape[1]] = found.label[0]
    return Drawn(np.repeat(found.images, 2, axis=0), label)
