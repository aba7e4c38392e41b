"""Vectors that stay on a GPU, and vectors sent there tile by tile, give the same numbers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from blobs import DEVICES, blobs

from cluster.heads.pim import Pim, Settings
from cluster.kmeans.api import kmeans
from cluster.neighbors.exact import nearest_neighbors
from cluster.probes.linear_probe import linear_probe
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import TILE, ArrayRows
from cluster.vectors.standardize import fit_scale

PLACES = (
    "vectors.gather",
    "kmeans.data",
    "heads.pim",
    "probes.linear_probe",
    "neighbors.search_on_gpu",
)
N, DIM, K = TILE + 500, 16, 8


def rows() -> ArrayRows:
    return ArrayRows(blobs(N, DIM, K))


def learner_of_pim(device: str) -> Pim:
    own = rows()
    label = np.where(np.arange(N) % 9 == 0, np.arange(N) % K, -1)
    return Pim(
        own, label, own.array[None, :K], np.array([1.0]), Settings(5.0, 1e-3),
        scale=rms_scale(own, center=True), device=device,
    )  # fmt: skip


def pim(device: str) -> list[np.ndarray]:
    learner = learner_of_pim(device)
    made = [learner.step(None, 0.01) for _ in range(3)]
    return [*(step.loss.cpu().numpy() for step in made), *learner.head(0)]


def gathered(device: str) -> list[np.ndarray]:
    own = rows()
    index = np.random.default_rng(0).integers(0, N, (2, 50))
    return [standardized_gather(own, device, 1, fit_scale(own))(index).cpu().numpy()]


def neighbors(device: str) -> list[np.ndarray]:
    few = ArrayRows(rows().array[:900])
    more = {"metric": "cosine", "own": np.arange(900), "device": device}
    return list(nearest_neighbors(few, few, 7, **more))


def probe(device: str) -> list[np.ndarray]:
    label = rows().array[:, :4].argmax(1)
    more = {"penalties": [0.01], "validation": 0.2, "seed": 0, "max_iter": 10, "device": device}
    return list(linear_probe(rows(), label, **more).head)


def clustered(device: str) -> list[np.ndarray]:
    own = rows()
    more = {"seeds": [0], "n_init": 1, "max_iter": 5, "tol": 0.0, "device": device}
    return list(kmeans(own, K, starts=own.array[None, :K], **more))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("work", [pim, gathered, neighbors, probe, clustered])
def test_vectors_may_stay_there_or_be_sent_again(
    work: Callable[[str], list[np.ndarray]], device: str, monkeypatch: pytest.MonkeyPatch
):
    kept = work(device)
    for place in PLACES:
        monkeypatch.setattr(f"cluster.{place}.fits_on_gpu", lambda numbers, device: False)
    sent = work(device)
    for ours, theirs in zip(kept, sent, strict=True):
        if device == "cpu":
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    if device == "cpu":
        return
    for ours, theirs in zip(kept, work("cpu"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_not_asked_in_every_step_of_pim(device: str, monkeypatch: pytest.MonkeyPatch):
    """Which images of a tile are labelled is made on the CPU, and sent once."""
    learner = learner_of_pim(device)
    learner.step(None, 0.01)
    monkeypatch.setattr(torch, "nonzero", lambda *_: pytest.fail("a mask waits for the device"))
    monkeypatch.setattr(np, "flatnonzero", lambda *_: pytest.fail("it is made again"))
    learner.step(None, 0.01)
