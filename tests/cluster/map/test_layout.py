"""Places on a map: groups stay together, a seed gives one map, others find their group."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from cluster import ClusterError
from cluster.map.fuzzy_graph import fuzzy_graph, memberships
from cluster.map.layout import lay_out, place_others
from cluster.map.umap_library import load_umap

UMAP = load_umap()
PLAIN = {"epochs": 60, "min_dist": 0.1, "seed": 0}
QUIET = {"disable": True}


def near(x: np.ndarray, among: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    found = np.linalg.norm(x[:, None] - among, axis=2)
    found[found == 0] = np.inf
    at = np.argsort(found, axis=1, kind="stable")[:, :k].astype(np.int32)
    return at, np.take_along_axis(found, at, 1).astype(np.float32)


def groups(n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    return make_blobs(n, n_features=6, centers=3, cluster_std=1.0, random_state=0)


def mapped(x: np.ndarray, dims: int = 2, start: np.ndarray | None = None, **more) -> np.ndarray:
    graph = fuzzy_graph(*near(x, x, 8))
    return lay_out(UMAP, graph, x if start is None else start, dims, **{**PLAIN, **more}, bar=QUIET)


@pytest.mark.parametrize("dims", [1, 2, 10])
def test_neighbours_on_the_map_are_of_one_group(dims: int):
    x, y = groups()
    place = mapped(x, dims)
    assert (place.shape, place.dtype) == ((150, dims), np.float32)
    at, _ = near(place, place, 5)
    assert dims == 1 or (y[at] == y[:, None]).all()  # groups cannot pass one another on a line


def test_a_seed_gives_one_map_and_others_give_others():
    x, _ = groups()
    np.testing.assert_array_equal(mapped(x), mapped(x))
    assert (mapped(x, seed=1) != mapped(x)).any()


@pytest.mark.parametrize("components", [0, 1])
def test_with_too_few_components_the_other_axes_are_drawn(components: int):
    x, _ = groups(60)
    place = mapped(x, 3, start=x[:, :components])
    assert np.isfinite(place).all()
    assert (place.std(0) > 0).all()


def test_a_graph_in_parts_and_tiny_collections_are_no_trouble():
    apart = np.r_[np.arange(12.0), 1000 + np.arange(12.0)][:, None]
    assert np.isfinite(mapped(apart)).all()
    for images in (2, 3, 5):
        x = np.random.default_rng(0).normal(size=(images, 4))
        graph = fuzzy_graph(*near(x, x, images - 1))
        place = lay_out(UMAP, graph, x, 2, **PLAIN, bar=QUIET)
        assert place.shape == (images, 2)
        assert np.isfinite(place).all()
    one = fuzzy_graph(np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32))
    assert lay_out(UMAP, one, np.zeros((1, 4)), 2, **PLAIN, bar=QUIET).tolist() == [[0, 0]]


def test_a_start_of_other_images_is_refused():
    graph = fuzzy_graph(*near(groups(20)[0], groups(20)[0], 3))
    with pytest.raises(ClusterError, match="joins 20 images, 19 have a start"):
        lay_out(UMAP, graph, np.zeros((19, 2)), 2, **PLAIN, bar=QUIET)


def others() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights, neighbours, the map, the groups of the others and of the map."""
    x, y = groups(200)
    place = mapped(x[:150])
    at, far = near(x[150:], x[:150], 8)
    return memberships(far), at, place, y[150:], y[:150]


def test_others_lie_in_their_group():
    weight, at, place, own, of_map = others()
    found = place_others(UMAP, weight, at, place, **PLAIN)
    nearest, _ = near(found, place, 3)
    assert (of_map[nearest] == own[:, None]).all()


def test_they_begin_at_the_mean_place_of_their_neighbours():
    place = np.array([[0, 0], [4, 0], [0, 8]], np.float32)
    at, weight = np.array([[0, 1, 2]], np.int32), np.array([[1, 0.5, 0.5]], np.float32)
    found = place_others(UMAP, weight, at, place, epochs=2, min_dist=0.1, seed=0)
    np.testing.assert_allclose(found, [[1, 2]])


def test_an_image_has_its_place_whatever_others_there_are(monkeypatch: pytest.MonkeyPatch):
    weight, at, place, _, _ = others()
    before = place.copy()
    whole = place_others(UMAP, weight, at, place, **PLAIN)
    np.testing.assert_array_equal(place, before)
    monkeypatch.setattr("cluster.map.layout.BLOCK", 7)
    np.testing.assert_array_equal(place_others(UMAP, weight, at, place, **PLAIN), whole)
    alone = place_others(UMAP, weight[20:21], at[20:21], place, **PLAIN)
    np.testing.assert_array_equal(alone[0], whole[20])
    assert place_others(UMAP, weight[:0], at[:0], place, **PLAIN).shape == (0, 2)
