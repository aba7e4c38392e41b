"""Give every undecided image a label, from those that are decided and the names of clusters.

Two classifiers that err differently, multiplied. Label spreading on the graph of neighbours (Zhou
et al., NeurIPS 2004: F = (1 - a) (I - a S)^-1 Y, by iterating F <- a S F + (1 - a) Y), which is the
better one with few decided images; and kernel ridge regression on one-hot labels (the least-squares
SVM of Suykens and Vandewalle 1999) on Nyström features, with many. Its scores become probabilities
by a softmax whose temperature is fitted by leave-one-out, in closed form, on the decided images.
But: a label that only a cluster's name says weighs less in both: the name is one answer about many
images, and weighs as half a decided one that is spread over all of them.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.suggest.groups import NONE
from cluster.suggest.space import Space
from cluster.vectors.rows import TILE

ALPHA, STEPS = 0.9, 30  # of label spreading: the share that comes from neighbours; a^30 = 0.04
FLOOR = 0.1  # added to what is spread: no neighbour alone can forbid a class
PENALTY = 0.1  # of the ridge
ANSWER = 0.5  # decided images that the name of a cluster weighs as
SHARPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)  # 1 / temperature, of which one is taken
FEW = 20  # with fewer decided images the named ones fit it too


class Sorted(NamedTuple):
    """label, second: int32 [image], the most and second most probable (-1: only one label known);
    first_probability, second_probability: float32 [image]; margin: their difference."""

    label: np.ndarray
    second: np.ndarray
    first_probability: np.ndarray
    second_probability: np.ndarray
    margin: np.ndarray


def sort_rest(
    space: Space, decided: np.ndarray, named: np.ndarray, names: int | None = None
) -> Sorted:
    """The most probable labels of every image; a decided one keeps its label with probability 1.

    decided, named: int [image], the label that a person gave the image, or its cluster; -1 where
    there is none; names: how many clusters were named, None: one for each label that occurs. Raises
    ClusterError when none has a label, or there are other images.
    """
    return top_two(class_probabilities(space, decided, named, names))


def top_two(probability: np.ndarray) -> Sorted:
    """The two most probable of float [image, class]; ties: the lower class."""
    order = np.argsort(-probability, axis=1, kind="stable")[:, :2].astype(np.int32)
    best = np.take_along_axis(probability, order, axis=1).astype(np.float32)
    if probability.shape[1] == 1:
        nobody = np.full(len(order), NONE, np.int32)
        return Sorted(order[:, 0], nobody, best[:, 0], 0 * best[:, 0], best[:, 0])
    return Sorted(order[:, 0], order[:, 1], best[:, 0], best[:, 1], best[:, 0] - best[:, 1])


def class_probabilities(
    space: Space, decided: np.ndarray, named: np.ndarray, names: int | None = None
) -> np.ndarray:
    """float64 [image, class]; classes up to the highest label, those without an image have 0."""
    _require(space, decided, named)
    label = np.where(decided >= 0, decided, named)
    names = len(np.unique(named[named >= 0])) if names is None else names
    weak = min(1.0, ANSWER * names / max(1, int((named >= 0).sum())))
    weight = np.where(decided >= 0, 1.0, np.where(named >= 0, weak, 0.0))
    fitted = np.flatnonzero(label >= 0)
    known, place = np.unique(label[fitted], return_inverse=True)
    target = np.zeros((len(label), len(known)))
    target[fitted, place.reshape(-1)] = weight[fitted]
    spread = spread_labels(space, target) + FLOOR
    judged = np.flatnonzero(decided[fitted] >= 0)
    if len(judged) < FEW:
        judged = np.arange(len(fitted))
    found = spread * ridge_probabilities(space, target, fitted, judged)
    out = np.zeros((len(label), int(known[-1]) + 1))
    out[:, known] = found / found.sum(axis=1, keepdims=True)
    said = np.flatnonzero(decided >= 0)
    out[said] = 0
    out[said, decided[said]] = 1
    return out


def spread_labels(space: Space, target: np.ndarray) -> np.ndarray:
    """Each image's shares of the labels that come to it over the graph, float64 [image, class]; 0
    where nothing comes. target: float64 [image, class]."""
    at = start = (1 - ALPHA) * target
    for _ in range(STEPS):
        at = ALPHA * (space.spread @ at) + start
    total = at.sum(axis=1, keepdims=True)
    return at / np.where(total > 0, total, 1)


def ridge_probabilities(
    space: Space, target: np.ndarray, fitted: np.ndarray, judged: np.ndarray
) -> np.ndarray:
    """Probabilities float64 [image, class] by kernel ridge regression. target: float64 [image,
    class], weights at the labels; fitted: int64 [fitted], those with one; judged: int64, the places
    among them by which the temperature is fitted."""
    from scipy.linalg import cho_factor, cho_solve

    weight = target[fitted].sum(axis=1)
    prior = target.sum(axis=0) / weight.sum()
    truth = target[fitted] / weight[:, None]
    features = space.kernel.shape[1]
    gram, moved = PENALTY * np.eye(features), np.zeros((features, len(prior)))
    for start in range(0, len(fitted), TILE):  # a block at a time, to copy no more than that
        here = slice(start, start + TILE)
        x, w = space.kernel[fitted[here]], weight[here, None]
        gram += (x * w.astype(np.float32)).T @ x
        moved += x.T.astype(np.float64) @ (w * (truth[here] - prior))
    factor = cho_factor(gram, lower=True)
    score = space.kernel @ cho_solve(factor, moved).astype(np.float32) + prior
    leverage = np.empty(len(judged))
    for start in range(0, len(judged), TILE):
        some = space.kernel[fitted[judged[start : start + TILE]]].astype(np.float64)
        leverage[start : start + TILE] = (some * cho_solve(factor, some.T).T).sum(axis=1)
    leverage *= weight[judged]
    own = score[fitted[judged]]
    without = own - (truth[judged] - own) * (leverage / np.maximum(1 - leverage, 1e-3))[:, None]
    right = truth[judged].argmax(axis=1)
    loss = [_cross_entropy(sharp * without, right, weight[judged]) for sharp in SHARPNESS]
    return np.exp(_log_softmax(SHARPNESS[int(np.argmin(loss))] * score))


def _cross_entropy(logit: np.ndarray, right: np.ndarray, weight: np.ndarray) -> float:
    return -float(weight @ _log_softmax(logit)[np.arange(len(right)), right])


def _log_softmax(logit: np.ndarray) -> np.ndarray:
    logit = logit - logit.max(axis=1, keepdims=True)
    return logit - np.log(np.exp(logit).sum(axis=1, keepdims=True))


def _require(space: Space, decided: np.ndarray, named: np.ndarray) -> None:
    images = len(space.vectors)
    if not len(decided) == len(named) == images:
        raise ClusterError(
            f"{len(decided)} images may be decided and {len(named)} named: expected {images} each"
        )
    if not ((decided >= 0) | (named >= 0)).any():
        raise ClusterError("no image has a label yet: name a cluster or answer for a picture first")
