"""How good a clustering is: against labels, and by itself.

Label scores after scikit-learn, and the accuracies of kmeans_selfsuper (arXiv 2008.10312) with a
strict one-to-one (see cluster.matching). purity is majority_acc and v_measure is nmi, by
definition; papers report them under either name.
"""

import numpy as np

from cluster.chance import adjusted_mutual_information, entropy
from cluster.matching import Meaning, accuracy, count, learn, one_to_one

NAN = float("nan")
LABEL_SCORES = (
    *("acc", "acc_train_map", "majority_acc", "majority_acc_train_map"),
    *("nmi", "ami", "ari", "v_measure", "fowlkes_mallows", "purity"),
)


def label_scores(counts: np.ndarray, train: Meaning | None) -> dict[str, float]:
    """LABEL_SCORES, all in 0..1 (ami and ari may be a little below 0), from the contingency table.

    `counts`: int [cluster, class] of the images that are scored; without images all scores are nan.
    `train`: what each cluster stands for, learned elsewhere; without it the `_train_map` scores
    are nan. The other accuracies learn it from `counts`, from the very images that are scored.
    """
    if not counts.sum():
        return dict.fromkeys(LABEL_SCORES, NAN)
    here = learn(counts)
    most = accuracy(counts, here.majority)
    shared = _pairs(counts)
    return {
        "acc": accuracy(counts, here.one_to_one),
        "acc_train_map": accuracy(counts, train.one_to_one) if train else NAN,
        "majority_acc": most,
        "majority_acc_train_map": accuracy(counts, train.majority) if train else NAN,
        "ami": adjusted_mutual_information(counts),
        **shared,
        "v_measure": shared["nmi"],
        "purity": most,
    }


def accuracies(assignments: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The one-to-one accuracy of each of many assignments of the same images: float64 [...].

    assignments: int [..., image]; label: int [image], one at least. Each is matched by itself. As
    fast for any number of clusters: those without images take no part.
    """
    classes, label = np.unique(label, return_inverse=True)
    each = assignments.reshape(-1, len(label))
    out = np.empty(len(each))
    for number, assignment in enumerate(each):
        clusters, own = np.unique(assignment, return_inverse=True)
        counts = count(own, label, len(clusters), len(classes))
        out[number] = accuracy(counts, one_to_one(counts))
    return out.reshape(assignments.shape[:-1])


def _pairs(counts: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import (
        adjusted_rand_score,
        fowlkes_mallows_score,
        normalized_mutual_info_score,
    )

    cluster, label = np.nonzero(counts)
    times = counts[cluster, label]
    cluster, label = np.repeat(cluster, times), np.repeat(label, times)
    return {
        "nmi": float(normalized_mutual_info_score(label, cluster)),
        "ari": float(adjusted_rand_score(label, cluster)),
        "fowlkes_mallows": float(fowlkes_mallows_score(label, cluster)),
    }


def size_scores(sizes: np.ndarray) -> dict[str, float]:
    """How the images are spread over the clusters: `sizes` int [cluster].

    live: clusters that have images; entropy of the sizes in nats; balance: the entropy as a share
    of log k, the entropy of k equal clusters; largest and smallest: images in a cluster.
    """
    live = sizes[sizes > 0]
    if not len(live):
        return {"live": 0, "entropy": NAN, "balance": NAN, "largest": 0, "smallest": 0}
    nats = entropy(live)
    return {
        "live": len(live),
        "entropy": nats,
        "balance": nats / np.log(len(sizes)) if len(sizes) > 1 else NAN,
        "largest": int(sizes.max()),
        "smallest": int(sizes.min()),
    }


def silhouettes(vectors: np.ndarray, assignments: np.ndarray) -> np.ndarray:
    """Mean silhouette (Rousseeuw 1987), Euclidean, of each seed's clusters: float64 [seed].

    vectors: float [image, dim], a sample small enough for all its pairs of distances at once;
    assignments: int [seed, image]. nan where the sample has fewer than 2 clusters, or no two
    images in one cluster. A sample should hold several images a cluster.
    """
    out = np.full(len(assignments), NAN)
    if len(vectors) < 3:
        return out
    x = vectors.astype(np.float64)
    square = np.square(x).sum(1)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * (x @ x.T), 0))
    np.fill_diagonal(distance, 0)
    for seed, assignment in enumerate(assignments):
        names, own, size = np.unique(assignment, return_inverse=True, return_counts=True)
        if 2 <= len(names) < len(assignment):
            out[seed] = _silhouette(distance, own, size)
    return out


def _silhouette(distance: np.ndarray, own: np.ndarray, size: np.ndarray) -> float:
    """Of all distances (float64 [image, image]), clusters from 0 on (int [image]) and their sizes;
    one product for all sums. An image that is alone in its cluster counts 0."""
    image = np.arange(len(own))
    total = distance @ np.eye(len(size))[own]
    inside = total[image, own] / np.maximum(size[own] - 1, 1)
    mean = total / size
    mean[image, own] = np.inf
    outside = mean.min(1)
    most = np.maximum(inside, outside)
    each = np.divide(outside - inside, most, out=np.zeros(len(own)), where=most > 0)
    return float(np.where(size[own] > 1, each, 0).mean())


def stability(assignments: np.ndarray) -> np.ndarray:
    """How well each seed's clusters agree with the other seeds': mean ARI, float64 [seed].

    assignments: int [seed, image]. The mean over seeds is the mean over all pairs of seeds. nan
    where there is one seed only, or no image.
    """
    seeds, images = assignments.shape
    if seeds < 2 or not images:
        return np.full(seeds, NAN)
    agree = np.zeros((seeds, seeds))
    for one in range(seeds):
        for other in range(one):
            agree[one, other] = agree[other, one] = _adjusted_rand(
                assignments[one], assignments[other]
            )
    return agree.sum(axis=1) / (seeds - 1)


def _adjusted_rand(one: np.ndarray, other: np.ndarray) -> float:
    """The adjusted Rand index (Hubert and Arabie 1985) of two assignments (int [image], from 0 on),
    in whole numbers; scikit-learn's takes milliseconds to look at its arguments."""
    counts = count(one, other, int(one.max()) + 1, int(other.max()) + 1)
    n, same = len(one), int(np.square(counts).sum())
    rows, columns = (int(np.square(counts.sum(axis)).sum()) for axis in (1, 0))
    apart, split, joined, both = n**2 + same - rows - columns, rows - same, columns - same, same - n
    if not split and not joined:
        return 1.0
    chance = (both + split) * (split + apart) + (both + joined) * (joined + apart)
    return 2 * (both * apart - split * joined) / chance
