"""What suggestions are computed in."""

import numpy as np
import pytest
from suggested import blobs, neighbors_of, space_of

from cluster.errors import ClusterError
from cluster.suggest.space import make_space, normalised, nystrom, principal
from cluster.vectors.rows import ArrayRows


def test_with_all_images_as_landmarks_the_features_give_the_kernel():
    x, _ = blobs(each=10)
    vectors = principal(ArrayRows(x), 4, 0)
    found = nystrom(vectors, len(x), 0).astype(np.float64)
    square = np.square(vectors[:, None].astype(np.float64) - vectors[None]).sum(axis=2)
    assert np.allclose(found @ found.T, np.exp(-square), atol=1e-4)


def test_the_components_are_those_of_unit_vectors_and_of_mean_length_one():
    x, _ = blobs(noise=0.4)
    found = principal(ArrayRows(x * 7), 3, 0).astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(unit.astype(np.float64) - unit.mean(axis=0), full_matrices=False)
    theirs = u[:, :3] * s[:3]
    theirs /= np.sqrt(np.square(theirs).sum(axis=1).mean())
    assert np.allclose(np.abs(found), np.abs(theirs), atol=1e-5)
    assert np.square(found).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)


def test_the_normalised_graph_has_the_eigenvalue_one():
    x, _ = blobs()
    spread = space_of(x).spread.toarray()
    assert np.abs(np.linalg.eigvalsh(spread)).max() == pytest.approx(1)
    assert np.allclose(spread, spread.T)


def test_the_same_seed_gives_the_same_bytes():
    x, _ = blobs()
    one, other = space_of(x), space_of(x)
    assert (one.kernel == other.kernel).all()
    assert (one.unit == other.unit).all()


def test_odd_vectors():
    constant = np.ones((5, 3), np.float32)
    near = (np.arange(5)[:, None] + [1, 2]) % 5
    space = make_space(ArrayRows(constant), near)
    assert (space.vectors == 0).all()
    assert np.isfinite(space.kernel).all()
    alone = make_space(ArrayRows(constant[:1]), np.zeros((1, 0), np.int32))
    assert alone.graph.shape == (1, 1)
    assert (normalised(alone.graph).toarray() == 0).all()
    x, _ = blobs()
    with pytest.raises(ClusterError, match="60 vectors and neighbours of 59"):
        make_space(ArrayRows(x), neighbors_of(x, 3)[0][1:])
    with pytest.raises(ClusterError, match="expected one image or more"):
        make_space(ArrayRows(x[:0]), np.zeros((0, 3), np.int32))
