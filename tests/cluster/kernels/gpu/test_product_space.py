"""The transform of a GPU is that of similarity.py."""

from typing import Any

import numpy as np
import pytest
import torch
from blobs import DEVICES

from cluster.kernels.gpu.product_space import space_queries, space_targets
from cluster.kernels.similarity import ProductSpace, survey
from cluster.vectors.rows import ArrayRows


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("metric", ["cosine", "inner_product", "euclidean"])
def test_it_gives_the_same_vectors(metric: Any, device: str):
    x = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32) + 2
    x[7] = 0
    facts = survey(ArrayRows(x))
    space = ProductSpace.of(facts, metric)
    there = torch.from_numpy(x).to(device), torch.from_numpy(facts.squares).to(device)
    for ours, theirs in ((space_targets, space.targets), (space_queries, space.queries)):
        found = ours(space, *there).cpu().numpy()
        expected = theirs(x, facts.squares, np.float32)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-7)  # a unit in the last place
