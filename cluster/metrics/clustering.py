"""Scores of clusterings, with labels and without.

Scores by labels have the values of scikit-learn; the accuracies are those of kmeans_selfsuper
(arXiv 2008.10312) with a strict one-to-one mapping (see cluster.metrics.matching). purity is
majority_acc and v_measure is nmi, by definition; papers report them under either name."""

import numpy as np

from cluster.metrics.agreement import (
    adjusted_rand,
    adjusted_rand_index,
    count_pairs,
    fowlkes_mallows,
    normalized_mutual_information,
)
from cluster.metrics.ami import adjusted_mutual_information, entropy
from cluster.metrics.matching import (
    ClusterMeaning,
    accuracy,
    contingency_table,
    learn_meaning,
    one_to_one,
)

NAN = float("nan")
COLUMNS = 512  # clusters whose sums of distances are one product
LABEL_SCORES = (
    *("acc", "acc_train_map", "majority_acc", "majority_acc_train_map"),
    *("nmi", "ami", "ari", "v_measure", "fowlkes_mallows", "purity"),
)


def label_scores(counts: np.ndarray, train: ClusterMeaning | None) -> dict[str, float]:
    """LABEL_SCORES, all in 0..1 (ami and ari may be a little below 0), from the contingency table.

    `counts`: int [cluster, class] of the images that are scored; without images all scores are nan.
    `train`: the class of each cluster, learned from other images; without it the `_train_map`
    scores are nan. The other accuracies learn it from `counts`, the images that are scored.
    """
    if not counts.sum():
        return dict.fromkeys(LABEL_SCORES, NAN)
    here = learn_meaning(counts)
    most = accuracy(counts, here.majority)
    nmi = normalized_mutual_information(counts)
    pairs = count_pairs(counts[counts > 0], counts.sum(axis=1), counts.sum(axis=0))
    return {
        "acc": accuracy(counts, here.one_to_one),
        "acc_train_map": accuracy(counts, train.one_to_one) if train else NAN,
        "majority_acc": most,
        "majority_acc_train_map": accuracy(counts, train.majority) if train else NAN,
        "nmi": nmi,
        "ami": adjusted_mutual_information(counts),
        "ari": adjusted_rand(pairs),
        "v_measure": nmi,
        "fowlkes_mallows": fowlkes_mallows(pairs),
        "purity": most,
    }


def accuracies(assignments: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The one-to-one accuracy of each of many assignments of the same images: float64 [...].

    assignments: int [..., image]; label: int [image], one at least. Each is matched
    separately. Empty clusters are left out, so that their number costs no time.
    """
    classes, label = np.unique(label, return_inverse=True)
    each = assignments.reshape(-1, len(label))
    out = np.empty(len(each))
    for number, assignment in enumerate(each):
        clusters, own = np.unique(assignment, return_inverse=True)
        counts = contingency_table(own, label, len(clusters), len(classes))
        out[number] = accuracy(counts, one_to_one(counts))
    return out.reshape(assignments.shape[:-1])


def size_scores(sizes: np.ndarray) -> dict[str, float]:
    """Scores of the cluster sizes: `sizes` int [cluster].

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
    distance = _distances(vectors.astype(np.float64))
    each = [np.unique(own, return_inverse=True, return_counts=True) for own in assignments]
    split = [
        seed for seed, (clusters, _, _) in enumerate(each) if 2 <= len(clusters) < len(vectors)
    ]
    group = max(1, COLUMNS // max((len(each[seed][2]) for seed in split), default=1))
    for at in range(0, len(split), group):
        some = split[at : at + group]
        # Sums over clusters, in one matrix product: [image, clusters of all these seeds]
        chosen = np.hstack([np.eye(len(each[seed][2]))[each[seed][1]] for seed in some])
        ends = np.cumsum([len(each[seed][2]) for seed in some])
        sums = np.split(distance @ chosen, ends[:-1], axis=1)
        for seed, to in zip(some, sums, strict=True):
            out[seed] = _silhouette_of_images(to, *each[seed][1:]).mean()
    return out


def _distances(x: np.ndarray) -> np.ndarray:
    """Euclidean, of all pairs: float64 [image, image]."""
    squares, distance = np.einsum("ij,ij->i", x, x), x @ x.T
    distance *= -2  # in place: allocating memory takes longer than the sums
    distance += squares
    distance += squares[:, None]
    np.sqrt(np.maximum(distance, 0, out=distance), out=distance)
    np.fill_diagonal(distance, 0)
    return distance


def _silhouette_of_images(to: np.ndarray, own: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The silhouette of each image, float64 [image]; 0 for one that is alone in its cluster.

    to: float64 [image, cluster], the sums of the distances to the images of each cluster; it is
    overwritten. own: int [image], of 0..cluster-1; size: int [cluster], none empty.
    """
    image = np.arange(len(own))
    within = to[image, own] / np.maximum(size[own] - 1, 1)
    to /= size
    to[image, own] = np.inf
    nearest = to.min(axis=1)
    larger = np.maximum(within, nearest)
    width = np.divide(nearest - within, larger, out=np.zeros(len(own)), where=larger > 0)
    return np.where(size[own] > 1, width, 0)


def stability(assignments: np.ndarray) -> np.ndarray:
    """The agreement of each seed's clusters with the other seeds': mean ARI, float64 [seed].

    assignments: int [seed, image]. The mean over seeds is the mean over all pairs of seeds. nan
    where there is one seed only, or no image.
    """
    seeds, images = assignments.shape
    if seeds < 2 or not images:
        return np.full(seeds, NAN)
    agree = np.zeros((seeds, seeds))
    for one in range(seeds):
        for other in range(one):
            agree[one, other] = agree[other, one] = adjusted_rand_index(
                assignments[one], assignments[other]
            )
    return agree.sum(axis=1) / (seeds - 1)
