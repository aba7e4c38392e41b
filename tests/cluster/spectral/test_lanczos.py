"""Lanczos with a basis that need not be in memory: beside ARPACK, by cores, and on odd matrices."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, diags_array, eye_array, kron
from scipy.sparse.linalg import eigsh
from sklearn.datasets import make_blobs
from sklearn.neighbors import NearestNeighbors

from cluster import ClusterError, scratch
from cluster.spectral import lanczos, spectral
from cluster.spectral.lanczos import leading_pairs
from cluster.spectral.snn_graph import shared_neighbor_graph

TOL = 1e-9


def graph(images: int = 3000, centers: int = 7) -> csr_array:
    x, _ = make_blobs(images, 6, centers=centers, cluster_std=3.0, random_state=0)
    near = NearestNeighbors(n_neighbors=13).fit(x).kneighbors(x, return_distance=False)
    return shared_neighbor_graph(near[:, 1:].astype(np.int32))


def start(images: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, images)


@pytest.fixture(scope="module")
def scaled() -> csr_array:
    found = graph()
    return spectral._scaled(found, found.sum(axis=1))


@pytest.mark.parametrize("m", [1, 2, 5, 12, 40])
def test_it_finds_what_arpack_finds(m: int, scaled: csr_array):
    values, vectors = leading_pairs(scaled, m, start(scaled.shape[0]), tol=TOL)
    expected, basis = eigsh(scaled, m, which="LA", v0=start(scaled.shape[0]), tol=TOL)
    order = np.argsort(-expected)
    np.testing.assert_allclose(values, expected[order], atol=1e-12)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(m), atol=1e-12)
    np.testing.assert_allclose(np.abs(vectors @ basis[:, order]), np.eye(m), atol=1e-6)
    assert np.linalg.norm(scaled @ vectors.T - vectors.T * values, axis=0).max() < 5e-9


def test_the_bytes_are_the_same_whatever_the_cores_and_the_memory(
    scaled: csr_array, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lanczos, "COLUMNS", 500)
    results, threads = [], torch.get_num_threads()
    try:
        for cores, limit in ((1, scratch.LIMIT), (2, scratch.LIMIT), (2, 0), (3, 0)):
            torch.set_num_threads(cores)
            monkeypatch.setattr(scratch, "LIMIT", limit)
            found = leading_pairs(scaled, 9, start(scaled.shape[0]), tol=TOL)
            results.append(b"".join(each.tobytes() for each in found))
    finally:
        torch.set_num_threads(threads)
    assert len(set(results)) == 1


def test_a_basis_that_cannot_grow_goes_on_with_any_other_vector():
    """Of two eigenvalues, Lanczos sees but two vectors."""
    images = 60
    matrix = csr_array(diags_array(np.where(np.arange(images) < 4, 1.0, 0.5)))
    values, vectors = leading_pairs(matrix, 4, start(images), tol=TOL)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(values, [1, 1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(np.abs(vectors[:, 4:]), 0, atol=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 8])
def test_equal_eigenvalues_are_all_found(m: int):
    """Of a spectrum that does not break the basis: one 1 is seen by the first vector alone."""
    eigenvalues = np.r_[np.linspace(0, 1, 20), 1, 1, np.full(40, 0.1)]
    matrix = csr_array(diags_array(eigenvalues))
    values, _ = leading_pairs(matrix, m, start(len(eigenvalues)), tol=TOL)
    np.testing.assert_allclose(values, np.sort(eigenvalues)[::-1][:m], atol=1e-9)


@pytest.mark.parametrize("m", [3, 12])
def test_a_torus_has_its_eigenvalues_in_fours(m: int):
    side = 40
    ring = diags_array([np.ones(side - 1), np.ones(side - 1), [1.0], [1.0]],
                       offsets=[1, -1, side - 1, 1 - side])  # fmt: skip
    torus = csr_array((kron(ring, eye_array(side)) + kron(eye_array(side), ring)) / 4)
    values, _ = leading_pairs(torus, m, start(side * side), tol=TOL)
    wave = np.cos(2 * np.pi * np.arange(side) / side)
    expected = np.sort(np.add.outer(wave, wave).ravel() / 2)[::-1][:m]
    np.testing.assert_allclose(values, expected, atol=1e-8)


def test_what_it_cannot_find_it_says(scaled: csr_array, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ClusterError, match="0 eigenvectors of 3000 images cannot"):
        leading_pairs(scaled, 0, start(3000), tol=TOL)
    monkeypatch.setattr(lanczos, "RESTARTS", 0)
    with pytest.raises(ClusterError, match="5 eigenvectors of 3000 images are not found in 0"):
        leading_pairs(scaled, 5, start(3000), tol=TOL)


@pytest.mark.parametrize("limit", [0, scratch.LIMIT])
def test_a_large_graph_gets_the_same_eigenvectors(limit: int, monkeypatch: pytest.MonkeyPatch):
    """Of several components, in blocks of rows, with vectors of either solver."""
    one, other = graph(1500, 3), graph(900, 2)
    both = csr_array(
        np.block(
            [
                [one.toarray(), np.zeros((one.shape[0], other.shape[0]))],
                [np.zeros((other.shape[0], one.shape[0])), other.toarray()],
            ]
        )
    )
    expected = spectral.leading_eigenvectors(both, 8)
    monkeypatch.setattr(scratch, "LIMIT", limit)
    monkeypatch.setattr(spectral, "BASIS", 0)
    monkeypatch.setattr(spectral, "ROWS", 400)
    solved = list[int]()

    def counting(matrix: csr_array, *rest: object, **more: object) -> object:
        solved.append(matrix.shape[0])
        return leading_pairs(matrix, *rest, **more)

    monkeypatch.setattr(spectral, "leading_pairs", counting)
    found = spectral.leading_eigenvectors(both, 8)
    assert solved == [1500, 900]
    np.testing.assert_array_equal(found.component, expected.component)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, atol=1e-12)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
