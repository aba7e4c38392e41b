"""PCA: scikit-learn's components, exact in one pass, whether images or dims are more."""

import numpy as np
import pytest
import torch
from blobs import DEVICES
from sklearn.decomposition import PCA

from cluster import ClusterError
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import ArrayRows, Basis, Reduced


def cloud(n: int, dim: int, mean: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    scale = np.arange(1, dim + 1) ** -0.7
    return ((rng.normal(size=(n, dim)) * scale) @ turn + mean).astype(np.float32)


def fit(x: np.ndarray, normalize: bool = False, whiten: bool = False, device: str = "cpu") -> Basis:
    return fit_pca(ArrayRows(x), normalize=normalize, whiten=whiten, device=device)


@pytest.mark.parametrize(("n", "dim"), [(300, 20), (20, 20), (15, 40)])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
@pytest.mark.parametrize("device", DEVICES)
def test_it_is_scikit_learns(n: int, dim: int, mean: float, device: str):
    x = cloud(n, dim, mean)
    ours, theirs = fit(x, device=device), PCA(svd_solver="full").fit(x.astype(np.float64))
    rank = len(ours.components)
    assert rank == min(n - 1, dim) if n <= dim else rank == dim
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-9 * max(1, mean))
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_[:rank], rtol=1e-6)
    cosine = np.abs((ours.components * theirs.components_[:rank]).sum(axis=1))
    np.testing.assert_allclose(cosine, 1, atol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_projections_are_scikit_learns_up_to_sign(whiten: bool):
    x = cloud(200, 10)
    theirs = PCA(4, whiten=whiten, svd_solver="full").fit_transform(x.astype(np.float64))
    ours = fit(x, whiten=whiten).project(x, 4)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


def test_leading_components_serve_every_smaller_number():
    x = cloud(100, 12)
    basis = fit(x)
    np.testing.assert_allclose(basis.project(x, 8)[:, :3], basis.project(x, 3), atol=1e-6)


def test_the_largest_entry_of_a_component_is_positive():
    components = fit(cloud(100, 12)).components
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(12), largest] > 0).all()


def test_tiles_change_nothing_that_counts(monkeypatch: pytest.MonkeyPatch):
    x = cloud(500, 9)
    whole = fit(x)
    monkeypatch.setattr("cluster.vectors.tiles.TILE", 7)
    monkeypatch.setattr("cluster.vectors.pca.TILE", 7)
    tiled = fit(x)
    np.testing.assert_allclose(whole.components, tiled.components, atol=1e-9)
    np.testing.assert_allclose(whole.variance, tiled.variance, rtol=1e-9)


def test_threads_change_nothing_that_counts():
    x, before, found = cloud(3000, 20), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(fit(x))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found[0].components, found[1].components, atol=1e-9)


def test_images_in_the_order_of_their_classes_are_no_harder():
    """The first tile says nothing about the rest."""
    x = np.concatenate([cloud(5000, 6), cloud(5000, 6) + 100])
    theirs = PCA(svd_solver="full").fit(x.astype(np.float64))
    np.testing.assert_allclose(fit(x).variance, theirs.explained_variance_, rtol=1e-6)


def test_normalising_comes_first():
    x = cloud(100, 8) + 1
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(fit(x, normalize=True).mean, unit.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(fit(x, normalize=True).project(x, 0), unit, atol=1e-7)


def test_a_vector_of_zeros_stays_where_it_is():
    basis = fit(cloud(100, 8), normalize=True)
    assert basis.project(np.zeros((1, 8), np.float32), 0).tolist() == [[0.0] * 8]


def test_whitening_leaves_directions_without_variance_finite():
    x = cloud(100, 6)
    x[:, 5] = 2.0
    assert np.isfinite(fit(x, whiten=True).project(x, 6)).all()


def test_what_was_fitted_on_one_split_is_applied_to_others():
    """Unprojected images of another set among projected centroids mean nothing."""
    train, other = cloud(200, 10), cloud(50, 10) + 3
    basis = fit(train)
    seen = Reduced(ArrayRows(other), basis, 4)
    expected = (other - basis.mean) @ basis.components[:4].T
    np.testing.assert_allclose(seen.block(0, 50), expected, atol=1e-4)
    np.testing.assert_allclose(seen.take(np.array([7, 3])), expected[[7, 3]], atol=1e-4)


def test_constant_features_have_no_components():
    assert fit(np.ones((5, 8), np.float32)).components.shape == (0, 8)


def test_one_image_is_refused():
    with pytest.raises(ClusterError, match="at least 2 images"):
        fit(np.ones((1, 3), np.float32))


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("normalize", [True, False])
def test_whitening_does_not_blow_up_the_rounding_of_float16(n: int, normalize: bool):
    """Five dims, turned into 256: the other components are nothing but rounding."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(256, 5)))[0]
    x = ((rng.normal(size=(n, 5)) + rng.integers(0, 4, (n, 1)) + 3) @ turn.T).astype(np.float16)
    rows = ArrayRows(x)
    basis = fit_pca(rows, normalize=normalize, whiten=True, stored="float16")
    rank = 4 if normalize else 5  # the mean is long: of unit vectors one direction is nearly lost
    assert rank <= np.count_nonzero(basis.variance) <= 5
    found = basis.project(rows.array, 32)
    assert (found[:, 5:] == 0).all()
    np.testing.assert_allclose(found[:, :rank].std(0), 1, atol=1e-2)
    blown = fit_pca(rows, normalize=normalize, whiten=True, stored="float32").project(
        rows.array, 32
    )
    assert blown[:, 5:].std(0).min() > 0.9


def test_small_variances_that_are_no_rounding_are_kept():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(500, 8)) * 10.0 ** -np.arange(0, 4, 0.5)).astype(np.float16)
    basis = fit_pca(ArrayRows(x), normalize=False, whiten=True, stored="float16")
    assert (basis.variance > 0).all()
    np.testing.assert_allclose(basis.project(x.astype(np.float32), 8).std(0), 1, atol=1e-2)


def test_equal_vectors_have_no_variance():
    basis = fit_pca(ArrayRows(np.full((40, 16), 0.3, np.float32)), normalize=True, whiten=False)
    assert not basis.variance.any()
