"""Nearest centroids by products in few dims: nothing is missed."""

import numpy as np
import pytest
import torch
from blobs import blobs

from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.cpu import assign_tile
from cluster.kmeans.nearest import NearestWithBounds
from cluster.kmeans.projected import leading_dims
from cluster.kmeans.projected import rows as projected_rows
from cluster.kmeans.projected.leading_dims import LeadingDims, fit_leading_dims
from cluster.kmeans.projected.nearest import nearest_projected, project_centroids
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows

DIM = 200


def vectors(n: int, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Whose length is mostly in a few directions."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, DIM + 1) ** -0.7
    rotation = np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0]
    return torch.from_numpy((scale * rng.normal(size=(n, DIM)) * spectrum @ rotation).astype("f4"))


def poor(dim: int) -> LeadingDims:
    """Directions that were never fitted."""
    generator = torch.Generator().manual_seed(1)
    return fit_leading_dims(torch.randn(300, dim, generator=generator))


def squared_distances(x: torch.Tensor, c: torch.Tensor) -> np.ndarray:
    """float64 [image, cluster]."""
    return np.square(x.numpy()[:, None].astype(np.float64) - c.numpy()).sum(2)


def search(
    x: torch.Tensor, c: torch.Tensor, dims: LeadingDims, before: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    norms = x.norm(dim=1)
    found = nearest_projected(
        x, norms, project_centroids(c, dims), torch.arange(len(x)), dims.project(x, norms),
        torch.from_numpy(before), torch.from_numpy(upper.astype(np.float32)),
    )  # fmt: skip
    return tuple(each.numpy() for each in found)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_products_in_few_dims_are_never_above_those_of_all(scale: float):
    x, c = vectors(400, scale), vectors(90, scale, seed=1)
    for dims in (fit_leading_dims(x), poor(DIM)):
        y, z = (dims.project(each, each.norm(dim=1)).double() for each in (x, c))
        bound = y @ z.T
        length = x.double().norm(dim=1)[:, None] * c.double().norm(dim=1)
        assert (x.double() @ c.double().T <= bound + dims.error * length).all()
        low = (y[:, :-1] @ z[:, :-1].T) - y[:, -1:] * z[:, -1]
        assert (x.double() @ c.double().T >= low - dims.error * length).all()


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 200])
@pytest.mark.parametrize("guess", ["none", "any", "own"])
@pytest.mark.parametrize("fitted", [True, False])
def test_clusters_are_those_of_float64_and_bounds_hold(k: int, guess: str, fitted: bool):
    x, c = vectors(300), vectors(2 * k, seed=1).reshape(2, k, DIM)
    dims = fit_leading_dims(x) if fitted else poor(DIM)
    exact = np.stack([squared_distances(x, each) for each in c], 1)  # [image, run, cluster]
    before = {
        "none": np.full((300, 2), -1),
        "any": np.random.default_rng(0).integers(k, size=(300, 2)),
        "own": exact.argmin(2),
    }[guess]
    upper = np.full((300, 2), np.inf)
    if guess != "none":
        upper = np.sqrt(np.take_along_axis(exact, before[..., None], 2)[..., 0]) * 1.01
    cluster, high, low = search(x, c, dims, before, upper)
    np.testing.assert_array_equal(cluster, exact.argmin(2))
    distance = np.sort(np.sqrt(exact), axis=2)
    assert (high >= distance[..., 0]).all()
    assert k == 1 or (low <= distance[..., 1]).all()
    assert (high <= distance[..., 0] * 1.02).all()


def test_equal_centroids_are_a_tie_and_the_lower_wins():
    c = vectors(20)
    twice = torch.cat([c, c])[None]
    before = np.arange(20)[:, None] + 20  # the higher of the two
    cluster, _, low = search(c, twice, fit_leading_dims(c), before, np.full((20, 1), 0.1))
    assert cluster[:, 0].tolist() == list(range(20))
    np.testing.assert_allclose(low, 0, atol=1e-2)


def test_vectors_of_zeros_and_of_few_directions():
    flat = vectors(3).repeat(30, 1) * torch.rand(90, 1, generator=torch.Generator().manual_seed(0))
    x = torch.cat([torch.zeros(2, DIM), flat])
    c = torch.cat([torch.zeros(1, DIM), flat[:40] * 1.1])[None]
    none = np.full((92, 1), -1)
    cluster = search(x, c, fit_leading_dims(x), none, np.full((92, 1), np.inf))[0][:, 0]
    distance = squared_distances(x, c[0])
    np.testing.assert_allclose(distance[np.arange(92), cluster], distance.min(1), atol=1e-12)
    assert cluster[:2].tolist() == [0, 0]


@pytest.mark.parametrize(("cosine", "pinned"), [(False, False), (True, False), (False, True)])
def test_k_means_is_the_same_with_and_without(
    cosine: bool, pinned: bool, monkeypatch: pytest.MonkeyPatch
):
    rows = ArrayRows(np.concatenate([blobs(1500, spread=2.0) / 5, vectors(1500).numpy()], 1))
    label = np.full(1500, -1)
    label[::3] = np.arange(500) % 7
    uses: list[int] = []

    def search(*arguments: torch.Tensor) -> NearestWithBounds:
        uses.append(len(arguments[1]))
        return nearest_projected(*arguments)

    def fit() -> Fit:
        settings = {"seeds": [0, 1], "n_init": 2, "max_iter": 30, "tol": 0}
        if pinned:
            return sskmeans(rows, label, 40, **settings)
        return kmeans(rows, 40, **settings, cosine=cosine)

    plain = fit()
    monkeypatch.setattr(assign_tile, "nearest_projected", search)
    assert not uses
    for least in ("FEWEST_PAIRS", "FEWEST_NUMBERS"):
        monkeypatch.setattr(leading_dims, least, 1)
    monkeypatch.setattr(leading_dims, "bfloat16_is_fast", lambda: False)
    projected = fit()
    assert len(uses) > 5
    np.testing.assert_array_equal(plain.centroids, projected.centroids)
    np.testing.assert_array_equal(plain.iterations, projected.iterations)
    np.testing.assert_array_equal(plain.inertia, projected.inertia)


@pytest.mark.parametrize("worth_it", [True, False])
def test_rows_that_are_too_many_to_keep_are_projected_anew_or_not_at_all(
    worth_it: bool, monkeypatch: pytest.MonkeyPatch
):
    own = ArrayRows(vectors(1500).numpy())
    settings = {"seeds": [0], "n_init": 2, "max_iter": 20, "tol": 0}
    plain = kmeans(own, 40, **settings)
    fits: list[int] = []

    def fit(sample: torch.Tensor) -> LeadingDims:
        fits.append(len(sample))
        return fit_leading_dims(sample)

    for least in ("FEWEST_PAIRS", "FEWEST_NUMBERS"):
        monkeypatch.setattr(leading_dims, least, 1)
    monkeypatch.setattr(leading_dims, "bfloat16_is_fast", lambda: False)
    monkeypatch.setattr(projected_rows, "MAX_BYTES", 0)
    monkeypatch.setattr(projected_rows, "pays_anew", lambda centroids: worth_it)
    monkeypatch.setattr(projected_rows, "fit_leading_dims", fit)
    anew = kmeans(own, 40, **settings)
    assert len(fits) == worth_it  # once for the one chunk, or never
    np.testing.assert_array_equal(plain.centroids, anew.centroids)
    np.testing.assert_array_equal(plain.iterations, anew.iterations)
