"""How probable each word is in each cluster: the mean over its images.

The probabilities of an image are those of a classifier, softmax(W x + b), or, with a text tower,
softmax(cos(x, t) / temperature) over the words (TAC, arXiv:2310.11989, section 3.2). But: TAC mixes
the texts of an image by them into a vector; here they are averaged over a cluster.
"""

from collections.abc import Iterator

import numpy as np
import torch

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import tiles


def cluster_means(rows: Rows, assignment: np.ndarray, k: int, *, device: str = "cpu") -> np.ndarray:
    """float32 [cluster, dim]: of the images scaled to length 1; of a cluster without images zeros.

    assignment: int [image], from 0 to k - 1."""
    parts = ((here, x.cpu().numpy()) for here, x in tiles(rows, device, unit=True))
    return _means(parts, assignment, k, rows.dim).astype(np.float32)


def word_probabilities(
    rows: Rows,
    assignment: np.ndarray,
    k: int,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    temperature: float = 1.0,
    unit: bool = False,
    device: str = "cpu",
) -> np.ndarray:
    """float64 [cluster, word]: rows sum to 1, but those of clusters without images, which are 0.

    weight: float32 [word, dim]; bias: float32 [word]; unit: scale images and words to length 1.
    """
    columns = torch.from_numpy(np.ascontiguousarray(weight, np.float32)).to(device)
    if unit:
        columns = torch.nn.functional.normalize(columns, dim=1)
    shift = 0 if bias is None else torch.from_numpy(bias).to(device)

    def each() -> Iterator[tuple[slice, np.ndarray]]:
        for here, x in tiles(rows, device, unit=unit):
            logits = (x @ columns.T + shift) / temperature
            yield here, logits.softmax(dim=1).cpu().numpy()

    return _means(each(), assignment, k, len(weight))


def _means(
    parts: Iterator[tuple[slice, np.ndarray]], assignment: np.ndarray, k: int, wide: int
) -> np.ndarray:
    """float64 [cluster, wide]."""
    total = np.zeros((k, wide))
    for here, values in parts:
        order = np.argsort(assignment[here], kind="stable")
        there, start = np.unique(assignment[here][order], return_index=True)
        total[there] += np.add.reduceat(values[order], start, axis=0, dtype=np.float64)
    size = np.bincount(assignment, minlength=k)
    return total / np.maximum(size, 1)[:, None]
