"""Of a large vocabulary the words that tell the clusters apart.

After TAC (Li et al., arXiv:2310.11989, section 3.2): a word t belongs to the centre l where
exp(cos(t, s_l)) / sum over j of exp(cos(t, s_j)) is largest, and each centre keeps the few words of
which it has most. But: TAC's centres come of a k-means of about 300 images each, which is to find
words for a k-means yet to come; here the clusters are there, and their own means are the centres.
Of equal shares the more similar word is kept, then the one that stands first.
"""

import numpy as np

BLOCK = 16_384  # words at once


def filter_words(centers: np.ndarray, words: np.ndarray, keep: int) -> np.ndarray:
    """The words that are kept, int64, in the order of the vocabulary; at most `keep` a centre.

    centers: float32 [cluster, dim]; words: float32 [word, dim]; both of any length, in the space
    that images and texts share.
    """
    directions = _unit(centers).T
    own = np.empty(len(words), np.int64)
    share, cosine = np.empty(len(words)), np.empty(len(words))
    for start in range(0, len(words), BLOCK):
        here = slice(start, start + BLOCK)
        similarity = (_unit(words[here]) @ directions).astype(np.float64)
        own[here] = best = similarity.argmax(axis=1)
        cosine[here] = most = np.take_along_axis(similarity, best[:, None], 1)[:, 0]
        share[here] = 1 / np.exp(similarity - most[:, None]).sum(axis=1)
    order = np.lexsort((np.arange(len(words)), -cosine, -share, own))
    first = np.searchsorted(own[order], np.arange(len(centers)))
    place = np.arange(len(words)) - first[own[order]]  # among the words of the same centre
    return np.sort(order[place < keep])


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    return (x / np.maximum(length, 1e-12)).astype(np.float32)
