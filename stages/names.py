"""Propose words for the clusters of a run: what a person may call them.

By the text tower of a backbone that has one, from a vocabulary, or by the classifier of one that
was trained with the labels of ImageNet, from its classes. No label of the dataset is read. But:
they are proposals; a cluster that no word fits gets the words that fit it least badly.
"""

from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

import backbones
import store
from backbones.imagenet_classes import imagenet_classes
from cluster.naming.filter_words import filter_words
from cluster.naming.word_probabilities import cluster_means, word_probabilities
from cluster.vectors.rows import Rows, Subset
from pipeline.io.absent import Absent
from pipeline.io.cell import Cell
from pipeline.io.clusters import read_clusters, seed_of_lowest_loss
from pipeline.io.origin import read_origin
from pipeline.io.space import Count, train_rows
from pipeline.naming import proposals
from pipeline.naming.encoded import encoded
from pipeline.naming.vocabulary import file_of, is_file, read_words
from pipeline.params import Runtime, Section, StageError, torch_device
from stages import run


class Params(Section):
    vocabulary: str  # imagenet, wordnet or a file; stage vocabulary reads it
    keep: Count  # words that each cluster keeps of it
    temperature: Annotated[float, Field(gt=0)]  # of the probabilities of words, given an image
    words: Count  # of each cluster, at most


class Clusters(NamedTuple):
    """rows: the images of train; assignment: int [image of train]."""

    rows: Rows
    assignment: np.ndarray
    k: int
    seed: int


def main(cell: Cell, clusters_of: str, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Name the clusters of the run CLUSTERS_OF: its first setting, seed of lowest loss.

    Each word is given with its mean probability over the images of train in the cluster. A text
    tower chooses among the words that tell the clusters apart (TAC); a classifier among ImageNet's
    classes. Raises Absent for a backbone that has neither."""
    words = read_words(file_of(clusters_of))
    clusters = _read(cell, clusters_of)
    origin, device = read_origin(cell.backbone), torch_device(runtime.device)
    if isinstance(origin, backbones.Backbone) and _has_text(origin):
        by = f"text tower of {cell.backbone}"
        chosen, share = _by_text(origin, clusters, words, params, device)
    elif isinstance(origin, backbones.Backbone) and _has_classifier(origin):
        by = f"classifier of {cell.backbone}"
        if is_file(params.vocabulary) or params.vocabulary == "wordnet":
            print(
                f"names: {cell.backbone} has no text tower: ImageNet's classes, by its classifier"
            )
        chosen, share = imagenet_classes(), _by_classifier(origin, clusters, device)
    else:
        raise Absent(
            f"{cell.backbone} has neither a text tower nor a classifier: take a clip_… backbone, "
            "or a supervised one, to name clusters"
        )
    size = np.bincount(clusters.assignment, minlength=clusters.k)
    best = np.argsort(-share, axis=1, kind="stable")[:, : params.words]
    named = [
        [(chosen[w], round(float(share[c, w]), 4)) for w in best[c]] if size[c] else []
        for c in range(clusters.k)
    ]
    found = proposals.Proposals(clusters.seed, clusters.k, by, named)
    proposals.write_proposals(proposals.place(cell, clusters_of), found)
    print(f"names: {int((size > 0).sum())} clusters of {clusters_of} by the {by}, as proposals")
    return found._asdict()


def _read(cell: Cell, clusters_of: str) -> Clusters:
    found, path = store.Features(cell.features), cell._replace(run=clusters_of).clusters
    with read_clusters(path) as file:
        seed = seed_of_lowest_loss(file, 0)
        assignment, k = file["0/assignment"][seed], int(file["k"][0])
        number, row = file.attrs["seeds"][seed], file["row"]
    if not np.array_equal(row, found.row):
        raise StageError(f"{path} is not of the images in {cell.features}: run `dvc repro`")
    train = train_rows(found)
    return Clusters(Subset(found, train), assignment[train], k, number)


def _has_text(row: backbones.Backbone) -> bool:
    """The vectors of output `projected` alone meet those of texts."""
    return row.loader == "open_clip" and row.output == "projected"


def _has_classifier(row: backbones.Backbone) -> bool:
    from backbones.classifier import has_classifier

    return has_classifier(row)


def _by_text(
    row: backbones.Backbone, of: Clusters, words: list[str], params: Params, device: str
) -> tuple[list[str], np.ndarray]:
    """The words that were kept, and how probable each is in each cluster."""
    vectors = encoded(row, words, device)
    live = np.unique(of.assignment)
    centers = cluster_means(of.rows, of.assignment, of.k, device=device)[live]
    kept = filter_words(centers, vectors, params.keep)
    share = word_probabilities(
        of.rows, of.assignment, of.k, vectors[kept],
        temperature=params.temperature, unit=True, device=device,
    )  # fmt: skip
    return [words[w] for w in kept], share


def _by_classifier(row: backbones.Backbone, of: Clusters, device: str) -> np.ndarray:
    from backbones.classifier import load

    found = load(row)
    return word_probabilities(of.rows, of.assignment, of.k, found.weight, found.bias, device=device)


if __name__ == "__main__":
    run(main, lambda cell, clusters_of: [proposals.place(cell, clusters_of)])
