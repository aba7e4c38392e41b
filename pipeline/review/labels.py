"""The label of every image: what a person said of it, else the name of its cluster."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipeline.review.clustering import Clustering
from pipeline.review.replay import Said

# Codes of `status`. Of `cluster` are all images with a label that nobody said of them one by one;
# `none`: no label at all
DECIDED, CLUSTER, UNKNOWN, JUNK, NONE = range(5)
STATUS = ("decided", "cluster", "unknown", "junk", "none")


class Labels(NamedTuple):
    """label: int32 [image] in `categories`, -1 for none; status: uint8 [image], in STATUS;
    categories: their names, sorted; of_cluster: the category of each named cluster, by number."""

    label: np.ndarray
    status: np.ndarray
    categories: list[str]
    of_cluster: dict[int, str]


def label_images(said: Said, clustering: Clustering) -> Labels:
    """Every image of the clustering, in its order."""
    of_cluster = names_of_clusters(said, clustering)
    placed = [said.placed.get(digest) for digest in clustering.digest]
    used = {one.category for one in placed if one and one.category}
    found = by_cluster(of_cluster, used, clustering)
    number = {name: i for i, name in enumerate(found.categories)}
    at = np.flatnonzero([one is not None for one in placed])
    ones = [placed[i] for i in at]
    found.label[at] = [number[one.category] if one and one.category else -1 for one in ones]
    found.status[at] = [STATUS.index(one.status) for one in ones if one]
    return found


def by_cluster(of_cluster: dict[int, str], used: set[str], clustering: Clustering) -> Labels:
    """The labels as far as clusters have names; used: other categories that there are."""
    categories = sorted(used | set(of_cluster.values()))
    number = {name: i for i, name in enumerate(categories)}
    of = np.full(clustering.k, -1, np.int32)
    for cluster, name in of_cluster.items():
        of[cluster] = number[name]
    label = of[clustering.assignment]
    status = np.where(label >= 0, CLUSTER, NONE).astype(np.uint8)
    return Labels(label, status, categories, of_cluster)


def names_of_clusters(
    said: Said, clustering: Clustering, at: Mapping[str, int] | None = None
) -> dict[int, str]:
    """The name of each named cluster, by number.

    A name given to a cluster of this very clustering is that cluster's. One that was given in
    another clustering goes to the cluster which more than half of its typical images now lie in;
    where several names come to one cluster, to that of most typical images, the later one of two
    with equally many. Clusters that are known classes have these as names until they are renamed.
    at: the place of each digest, where the caller knows it.
    """
    own = {number: _now(name, said) for number, name in clustering.names.items()}
    if at is None:
        at = {digest: i for i, digest in enumerate(clustering.digest)} if said.named else {}
    carried: dict[int, tuple[int, str]] = {}
    for cluster, name in said.named:
        if cluster.of == clustering.fingerprint:
            if 0 <= cluster.number < clustering.k:  # else somebody wrote it by hand
                own[cluster.number] = name
            continue
        found = [clustering.assignment[at[d]] for d in cluster.typical if d in at]
        if not found:
            continue
        (most, votes), *_ = Counter(int(c) for c in found).most_common(1)
        if 2 * votes > len(found) and votes >= carried.get(most, (0, ""))[0]:
            carried[most] = (votes, name)
    names = {number: name for number, (_, name) in carried.items()} | own
    return {number: name for number, name in sorted(names.items()) if name}


def _now(name: str, said: Said) -> str:
    """What a known class is called by now."""
    for old, new in said.renamed:
        name = new if name == old else name
    return name
