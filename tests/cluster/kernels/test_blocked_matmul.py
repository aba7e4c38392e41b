"""A linear layer's products: right, and the same at any number of threads."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from blobs import DEVICES

from cluster.heads.cut.cut import Cut
from cluster.heads.cut.cut import Settings as CutSettings
from cluster.heads.cut.edges import Edges
from cluster.heads.cut.loss import Batch
from cluster.heads.model import Linear
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.pim import Pim
from cluster.heads.pim import Settings as PimSettings
from cluster.heads.scan import Scan, Settings
from cluster.heads.selflabel import SelfLabel
from cluster.heads.selflabel import Settings as SelfLabelSettings
from cluster.heads.turtle.turtle import Settings as TurtleSettings
from cluster.heads.turtle.turtle import Turtle
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import fit_scale, identity_scale

DIM, K = 700, 5
ROWS = ArrayRows(np.random.default_rng(0).normal(size=(1500, DIM)))
TABLE = ((np.arange(1500)[:, None] + np.arange(1, 4)) % 1500).astype(np.int32)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (7, 3), (16, 17), (333, 257)])
def test_they_are_the_products_in_float64(n: int, dim: int, device: str):
    weight, x, slope = normal(6, dim), normal(n, dim) * 3, normal(6, n)
    for found, expected in (
        (linear_outputs(weight.to(device), x.to(device)), weight.double() @ x.double().T),
        (weight_gradient(slope.to(device), x.to(device)), slope.double() @ x.double()),
    ):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-5, atol=1e-4)
    rounded = linear_outputs(weight.to(device), x.to(device).bfloat16())
    expected = weight.double() @ x.double().T
    torch.testing.assert_close(rounded.cpu().double(), expected, rtol=0.03, atol=0.3)


def scan() -> Callable[[], dict[str, torch.Tensor]]:
    scale = fit_scale(ROWS)
    gather, pairs = standardized_gather(ROWS, "cpu", 1, scale), Pairs(TABLE, 500, 0)
    held = torch.empty(2, 0, DIM)
    of = Scan(DIM, K, Settings(3, 5.0, 1e-4), scale=scale, watched=held[0], held_out=held, seed=0)

    def state() -> dict[str, torch.Tensor]:
        for step in range(4):
            of.step(gather(pairs.at(step)), 1e-2)
        return dict(of.state())

    return state


def selflabel() -> Callable[[], dict[str, torch.Tensor]]:
    scale = fit_scale(ROWS)
    gather, pairs = standardized_gather(ROWS, "cpu", 1, scale), Pairs(TABLE, 500, 0)
    head = Linear(normal(1, K, DIM).numpy(), np.zeros((1, K), np.float32))
    of = SelfLabel(
        head, SelfLabelSettings(0.5, True, 1e-4), scale=scale, watched=torch.empty(0, DIM)
    )

    def state() -> dict[str, torch.Tensor]:
        for step in range(4):
            of.step(gather(pairs.at(step)), 1e-2)
        return dict(of.state())

    return state


def pim() -> Callable[[], dict[str, torch.Tensor]]:
    label = np.where(np.arange(1500) % 3, -1, np.arange(1500) % 2).astype(np.int64)
    starts, weight = ROWS.array[:10].reshape(2, K, DIM), np.full(2, 0.5)
    of = Pim(ROWS, label, starts, weight, PimSettings(0.1, 1e-2), scale=identity_scale(DIM))

    def state() -> dict[str, torch.Tensor]:
        for _ in range(3):
            of.step(None, 1e-2)
        return dict(of.state())

    return state


def cut() -> Callable[[], dict[str, torch.Tensor]]:
    edges = Edges(TABLE, np.ones(TABLE.shape, np.float32), 0)

    def batch(step: int) -> Batch:
        image, *places = (torch.from_numpy(each) for each in edges.at(step, 700))
        return Batch(torch.from_numpy(ROWS.array)[image], image, *places)

    settings = CutSettings(3, "h_ncut", 50, 0.9, 1.0, 1.0, 4, 1e-4, 4)
    of = Cut(
        DIM, K, settings, scale=identity_scale(DIM), degree=edges.degrees(),
        watched=torch.empty(0, DIM), judged=batch(0), seed=0,
    )  # fmt: skip

    def state() -> dict[str, torch.Tensor]:
        for step in range(4):
            of.step(batch(step), 1e-2)
        return dict(of.state())

    return state


def turtle() -> Callable[[], dict[str, torch.Tensor]]:
    of = Turtle(
        DIM, K, TurtleSettings(3, 10.0, 4, 1e-2, True, 0.0), spaces=[slice(0, 7), slice(7, DIM)],
        scale=identity_scale(DIM), watched=torch.empty(0, DIM), seed=0,
    )  # fmt: skip

    def state() -> dict[str, torch.Tensor]:
        for step in range(4):
            of.step(torch.from_numpy(ROWS.array[step * 300 : step * 300 + 300]), 1e-2)
        return dict(of.state())

    return state


@pytest.mark.parametrize("make", [scan, selflabel, pim, cut, turtle])
def test_heads_learn_the_same_to_the_bit_at_any_number_of_threads(make):
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append({name: tensor.detach().clone() for name, tensor in make()().items()})
    for other in found[1:]:
        for name, tensor in found[0].items():
            assert torch.equal(tensor, other[name]), name
