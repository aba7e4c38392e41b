"""Nearest centroids by cheap products: nothing is missed."""

import numpy as np
import pytest
import torch
from blobs import blobs
from scipy.linalg import hadamard
from scipy.spatial.distance import cdist

from cluster.kernels import int8_product
from cluster.kernels.int8_product import empty_int8_rows, random_signs, write_int8_rows
from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.coarse import int8, leading_dims
from cluster.kmeans.coarse import rows as coarse_rows
from cluster.kmeans.coarse.int8 import Int8
from cluster.kmeans.coarse.leading_dims import LeadingDims, fit_leading_dims
from cluster.kmeans.coarse.nearest import Encoding, encode_centroids, nearest_coarse
from cluster.kmeans.cpu import assign_tile
from cluster.kmeans.nearest import NearestWithBounds
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows

DIM = 200
ROTATION = np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0]


def vectors(n: int, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Whose length is mostly in a few directions."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, DIM + 1) ** -0.7
    turned = scale * rng.normal(size=(n, DIM)) * spectrum @ ROTATION
    return torch.from_numpy(turned.astype("f4"))


def poor(dim: int) -> LeadingDims:
    """Directions that were never fitted."""
    generator = torch.Generator().manual_seed(1)
    return fit_leading_dims(torch.randn(300, dim, generator=generator))


def squared_distances(x: torch.Tensor, c: torch.Tensor) -> np.ndarray:
    """float64 [image, cluster]."""
    return cdist(x.numpy(), c.numpy(), "sqeuclidean")


def encoding_of(kind: str, x: torch.Tensor) -> Encoding:
    if kind == "int8":
        return Int8()
    return fit_leading_dims(x) if kind == "fitted" else poor(DIM)


def search(
    x: torch.Tensor, c: torch.Tensor, encoding: Encoding, before: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    norms = x.norm(dim=1)
    encoding.encode(x, norms, rows := encoding.empty(*x.shape))
    found = nearest_coarse(
        x, norms, encode_centroids(c, encoding), torch.arange(len(x)), rows,
        torch.from_numpy(before), torch.from_numpy(upper.astype(np.float32)),
    )  # fmt: skip
    return tuple(each.numpy() for each in found)


@pytest.fixture(autouse=True)
def products_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this processor's own product of bytes is worth."""
    if not int8_product.int8_is_fast():
        for module in (int8, int8_product):
            monkeypatch.setattr(module, "int8_product", lambda x, y: x.int() @ y.int().T)


@pytest.mark.parametrize("dim", [64, 96, DIM, 768])
def test_the_rotation_is_a_hadamard_transform_with_random_signs(dim: int):
    groups = -(-dim // 64)
    rotation = np.kron(hadamard(64), np.eye(groups))[:, :dim] * random_signs(dim) / 8
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(50, dim)).astype("f4"))
    x[:, 0] = 30  # far larger than the others: not so when rotated
    write_int8_rows(x, out := empty_int8_rows(50, dim))
    exact = x.numpy().astype(np.float64) @ rotation.T
    rest = np.linalg.norm(exact - out.values.numpy() * out.scale.numpy()[:, None], axis=1)
    assert (rest <= out.residual.numpy()).all()
    assert (out.residual.numpy() <= 1.01 * rest).all()
    assert (rest < 0.02 * np.linalg.norm(exact, axis=1)).all()
    assert np.abs(out.values.numpy()).max() == 127


@pytest.mark.parametrize("scale", [1e-35, 1e-12, 1.0, 1e12])
def test_products_of_numbers_in_8_bits_are_within_their_bound(scale: float):
    x = torch.cat([vectors(300, scale), scale * torch.eye(DIM)[:2], torch.zeros(1, DIM)])
    write_int8_rows(x, out := empty_int8_rows(*x.shape))
    wide = out.values.double() * out.scale[:, None].double()
    norm, rest = x.double().norm(dim=1), out.residual.double()
    bound = rest[:, None] * norm + (norm + rest)[:, None] * rest
    assert ((x.double() @ x.double().T - wide @ wide.T).abs() <= bound).all()


@pytest.mark.skipif(not int8_product.int8_is_fast(), reason="no fast products of bytes")
def test_products_of_bytes_are_those_of_integers():
    generator = torch.Generator().manual_seed(0)
    for n, columns, dim in ((1, 16, 64), (33, 112, 768), (256, 1008, 1280)):
        x, y = (
            torch.randint(-127, 128, (rows, dim), generator=generator, dtype=torch.int8)
            for rows in (n, columns)
        )
        product = int8_product.int8_product(x, y)
        np.testing.assert_array_equal(
            product.numpy(), x.numpy().astype(int) @ y.numpy().T.astype(int)
        )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_products_in_few_dims_are_never_above_those_of_all(scale: float):
    x, c = vectors(400, scale), vectors(90, scale, seed=1)
    for dims in (fit_leading_dims(x), poor(DIM)):
        encoded = [dims.empty(*each.shape) for each in (x, c)]
        for each, out in zip((x, c), encoded, strict=True):
            dims.encode(each, each.norm(dim=1), out)
        y, z = (out.numbers.double() for out in encoded)
        bound = y @ z.T
        length = x.double().norm(dim=1)[:, None] * c.double().norm(dim=1)
        assert (x.double() @ c.double().T <= bound + dims.error * length).all()
        low = (y[:, :-1] @ z[:, :-1].T) - y[:, -1:] * z[:, -1]
        assert (x.double() @ c.double().T >= low - dims.error * length).all()


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 200])
@pytest.mark.parametrize("guess", ["none", "any", "own"])
@pytest.mark.parametrize("kind", ["int8", "fitted", "poor"])
def test_clusters_are_those_of_float64_and_bounds_hold(k: int, guess: str, kind: str):
    x, c = vectors(300), vectors(2 * k, seed=1).reshape(2, k, DIM)
    encoding = encoding_of(kind, x)
    exact = np.stack([squared_distances(x, each) for each in c], 1)  # [image, run, cluster]
    before = {
        "none": np.full((300, 2), -1),
        "any": np.random.default_rng(0).integers(k, size=(300, 2)),
        "own": exact.argmin(2),
    }[guess]
    upper = np.full((300, 2), np.inf)
    if guess != "none":
        upper = np.sqrt(np.take_along_axis(exact, before[..., None], 2)[..., 0]) * 1.01
    cluster, high, low = search(x, c, encoding, before, upper)
    np.testing.assert_array_equal(cluster, exact.argmin(2))
    distance = np.sort(np.sqrt(exact), axis=2)
    assert (high >= distance[..., 0]).all()
    assert k == 1 or (low <= distance[..., 1]).all()
    assert (high <= distance[..., 0] * (1.1 if kind == "int8" else 1.02)).all()


@pytest.mark.parametrize("kind", ["int8", "fitted"])
def test_equal_centroids_are_a_tie_and_the_lower_wins(kind: str):
    c = vectors(20)
    twice = torch.cat([c, c])[None]
    before = np.arange(20)[:, None] + 20  # the higher of the two
    cluster, _, low = search(c, twice, encoding_of(kind, c), before, np.full((20, 1), 0.1))
    assert cluster[:, 0].tolist() == list(range(20))
    np.testing.assert_allclose(low, 0, atol=1e-2)


@pytest.mark.parametrize("kind", ["int8", "fitted"])
def test_vectors_of_zeros_and_of_few_directions(kind: str):
    flat = vectors(3).repeat(30, 1) * torch.rand(90, 1, generator=torch.Generator().manual_seed(0))
    x = torch.cat([torch.zeros(2, DIM), flat])
    c = torch.cat([torch.zeros(1, DIM), flat[:40] * 1.1])[None]
    none = np.full((92, 1), -1)
    cluster = search(x, c, encoding_of(kind, x), none, np.full((92, 1), np.inf))[0][:, 0]
    distance = squared_distances(x, c[0])
    np.testing.assert_allclose(distance[np.arange(92), cluster], distance.min(1), atol=1e-12)
    assert cluster[:2].tolist() == [0, 0]


def use(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make k-means search by this kind of products, whatever the size and the processor."""
    for least in ("FEWEST_PAIRS", "FEWEST_NUMBERS"):
        monkeypatch.setattr(leading_dims, least, 1)
    for least in ("FEWEST", "FEWEST_PAIRS"):
        monkeypatch.setattr(int8, least, 1)
    monkeypatch.setattr(int8, "int8_is_fast", lambda: kind == "int8")
    for module in (leading_dims, int8):
        monkeypatch.setattr(module, "bfloat16_is_fast", lambda: kind == "none")


@pytest.mark.parametrize("kind", ["int8", "leading"])
@pytest.mark.parametrize(("cosine", "pinned"), [(False, False), (True, False), (False, True)])
def test_k_means_is_the_same_with_and_without(
    cosine: bool, pinned: bool, kind: str, monkeypatch: pytest.MonkeyPatch
):
    rows = ArrayRows(np.concatenate([blobs(1500, spread=2.0) / 5, vectors(1500).numpy()], 1))
    label = np.full(1500, -1)
    label[::3] = np.arange(500) % 7
    uses: list[int] = []

    def search(*arguments: torch.Tensor) -> NearestWithBounds:
        uses.append(len(arguments[1]))
        return nearest_coarse(*arguments)

    def fit() -> Fit:
        settings = {"seeds": [0, 1], "n_init": 2, "max_iter": 30, "tol": 0}
        if pinned:
            return sskmeans(rows, label, 40, **settings)
        return kmeans(rows, 40, **settings, cosine=cosine)

    monkeypatch.setattr(assign_tile, "nearest_coarse", search)
    use("none", monkeypatch)
    plain = fit()
    assert not uses
    use(kind, monkeypatch)
    coarse = fit()
    assert len(uses) > 5
    np.testing.assert_array_equal(plain.centroids, coarse.centroids)
    np.testing.assert_array_equal(plain.iterations, coarse.iterations)
    np.testing.assert_array_equal(plain.inertia, coarse.inertia)


@pytest.mark.parametrize("kind", ["int8", "leading"])
@pytest.mark.parametrize("worth_it", [True, False])
def test_rows_that_are_too_many_to_keep_are_encoded_anew_or_not_at_all(
    worth_it: bool, kind: str, monkeypatch: pytest.MonkeyPatch
):
    own = ArrayRows(vectors(1500).numpy())
    settings = {"seeds": [0], "n_init": 2, "max_iter": 20, "tol": 0}
    use("none", monkeypatch)
    plain = kmeans(own, 40, **settings)
    use(kind, monkeypatch)
    made: list[int] = []
    coarse = Int8 if kind == "int8" else LeadingDims
    encode = coarse.encode

    def count(self: Encoding, x: torch.Tensor, *rest: torch.Tensor) -> None:
        made.append(len(x))
        encode(self, x, *rest)

    monkeypatch.setattr(coarse, "encode", count)
    monkeypatch.setattr(coarse_rows, "MAX_BYTES", 0)
    monkeypatch.setattr(coarse, "pays_anew", lambda centroids: worth_it)
    anew = kmeans(own, 40, **settings)
    assert bool(made) == worth_it
    np.testing.assert_array_equal(plain.centroids, anew.centroids)
    np.testing.assert_array_equal(plain.iterations, anew.iterations)
