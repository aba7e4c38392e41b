"""What clusters are called: by the known class, else by the word that is proposed, else by number.

Names of clusters become classes of other programs, which know a class by its name alone. So no two
clusters are called the same: where words meet, the number of the cluster is added.
"""

from collections import Counter
from collections.abc import Sequence


def cluster_labels(k: int, classes: Sequence[str], words: Sequence[str]) -> list[str]:
    """The label of each of k clusters, no two alike.

    classes: the known ones, which the first clusters are; words: of each cluster, "" or missing
    where there is none.
    """
    first = [*classes, *[""] * k][:k]
    second = [*words, *[""] * k][:k]
    plain = [f"cluster {number}" for number in range(k)]
    said = [a or b or c for a, b, c in zip(first, second, plain, strict=True)]
    count = Counter(said)
    return [
        label if count[label] == 1 else f"{label} (cluster {number})"
        for number, label in enumerate(said)
    ]
