"""The number of clusters of vectors in one call, and the images that it looks at."""

import inspect

import numpy as np
import pytest
from conftest import PARAMS
from test_criteria import groups

from cluster import ClusterError
from cluster.estimate_k.estimate import SAMPLING, SEARCH, Sampling, draw, estimate_k
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import ArrayRows, Subset

SETTINGS = PARAMS["estimate_k"]


def test_clear_groups_are_counted():
    said = estimate_k(ArrayRows(groups(4)), k_max=12)
    assert said.k == 4
    assert said.low <= 4 <= said.high


def test_images_that_are_alike_have_no_number_of_clusters():
    with pytest.raises(ClusterError, match="alike"):
        estimate_k(ArrayRows(np.ones((20, 3), np.float32)))


def test_too_few_images_are_refused():
    with pytest.raises(ClusterError, match="from 2 to 1"):
        estimate_k(ArrayRows(np.eye(3, dtype=np.float32)))


def test_images_are_drawn_from_a_split_by_seed():
    x = groups(3)
    rows, kept = ArrayRows(x), np.arange(0, len(x), 2)
    basis = fit_pca(rows, normalize=True, whiten=False)
    sample, _ = draw(Subset(rows, kept), basis, Sampling(20, 4, 8, seed=5))
    rng = np.random.default_rng(5)
    drawn = np.sort(rng.choice(kept, 20, replace=False))
    np.testing.assert_array_equal(sample.reduced, basis.project(x[drawn], 4))
    np.testing.assert_array_equal(sample.subset, np.sort(rng.choice(20, 8, replace=False)))
    assert sample.full.shape == (8, x.shape[1])


def test_the_defaults_are_those_of_params_yaml():
    wanted = inspect.signature(estimate_k).parameters
    assert wanted["k_min"].default == SETTINGS["k_min"]
    assert wanted["k_max"].default == SETTINGS["k_max"]
    assert wanted["growth"].default == SETTINGS["growth"]
    assert list(wanted["seeds"].default) == SETTINGS["seeds"]
    for name, value in {**SAMPLING._asdict(), **SEARCH._asdict()}.items():
        assert SETTINGS[name] == value
