"""Every objective on every device: the loss and its gradients are those of a CPU."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from blobs import DEVICES

from cluster.heads.hyperbolic import Ball
from cluster.heads.model import Linear
from cluster.objectives import Drawn, Objective
from cluster.objectives.gcd import Gcd
from cluster.objectives.get import Get
from cluster.objectives.hypcd import HypSelex, HypSimgcd
from cluster.objectives.hypcd import Settings as HypSettings
from cluster.objectives.scan import Scan
from cluster.objectives.selex import Selex
from cluster.objectives.selflabel import Selflabel
from cluster.objectives.simclr import Simclr
from cluster.objectives.simgcd import Settings, Simgcd
from cluster.objectives.tes import Tes
from cluster.vectors.rows import ArrayRows

IMAGES, DIM, K, OLD = 96, 20, 6, 3
RNG = np.random.default_rng(0)
TRUTH = np.arange(IMAGES) % K
LABEL = np.where((TRUTH < OLD) & (np.arange(IMAGES) % 4 < 2), TRUTH, -1)
X = (RNG.normal(size=(K, DIM))[TRUTH] + 0.3 * RNG.normal(size=(IMAGES, DIM))).astype(np.float32)
ONE = {"batch": 24, "seed": 0}
WIDE = {"hidden": 32, "bottleneck": 16, "width": 24}
SIMGCD = Settings(32, 16, 0.35, 0.1, 0.07, 0.04, 3.0, 1.0, 1.0, 0.07)


def neighbors() -> np.ndarray:
    same = (TRUTH[:, None] == TRUTH) & ~np.eye(IMAGES, dtype=bool)
    return np.argsort(~same, axis=1, kind="stable")[:, :5].astype(np.int32)


def selflabel(device: str) -> Selflabel:
    head = Linear(RNG.normal(size=(1, K, DIM)).astype(np.float32), np.zeros((1, K), np.float32))
    head.weight[0] = X[:K]
    return Selflabel(
        IMAGES, DIM, head, unit=True, threshold=0.2, balance=True, **ONE, device=device
    )


def selex(device: str) -> Selex:
    return Selex(
        LABEL, DIM, K, supervised=0.35, smoothing=0.1, temperature=1.0, label_temperature=0.07,
        balanced=True, paper_formula=True, **WIDE, **ONE, device=device,
    )  # fmt: skip


def tes(device: str) -> Tes:
    text = np.random.default_rng(1).normal(size=(OLD, DIM // 2)).astype(np.float32)
    return Tes(LABEL, scale=20.0, text=text, **ONE, device=device)


HYP = HypSettings(0.35, 0.1, 0.07, 0.04, 3.0, 1.0, 1.0, 0.07, 0.3, 0.1, 2.0, 1.0, 2)
OBJECTIVES: dict[str, Callable[[str], Objective]] = {
    "hyp_simgcd": lambda device: HypSimgcd(LABEL, DIM, K, HYP, unit=True, **ONE, device=device),
    "hyp_selex": lambda device: HypSelex(
        selex(device), Ball(0.1, 2.0), distance_weight=1.0, epochs=2
    ),
    "simclr": lambda device: Simclr(
        IMAGES, DIM, width=16, temperature=0.5, anchors="all", **ONE, device=device
    ),
    "scan": lambda device: Scan(
        neighbors(), DIM, K, heads=3, entropy_weight=5.0, **ONE, device=device
    ),
    "selflabel": selflabel,
    "gcd": lambda device: Gcd(
        LABEL, DIM, supervised=0.35, temperature=1.0, label_temperature=0.07, **WIDE, **ONE,
        device=device,
    ),
    "simgcd": lambda device: Simgcd(LABEL, DIM, K, SIMGCD, unit=True, **ONE, device=device),
    "selex": selex,
    "tes": tes,
    "get": lambda device: Get(LABEL, DIM, K, SIMGCD, cico=1.0, **ONE, device=device),
}  # fmt: skip


def steps(name: str, device: str) -> list[np.ndarray]:
    """Of some steps: the loss and its parts, the gradients by features and by the heads; at the
    end, what was learned."""
    objective, found = OBJECTIVES[name](device), list[np.ndarray]()
    for step in range(3):
        if objective.needs_features:
            objective.before_epoch(ArrayRows(X), step)
        drawn: Drawn = objective.draw(step)
        views = X[drawn.image] + 0.1 * np.random.default_rng(step).normal(
            size=(*drawn.image.shape, DIM)
        )
        features = torch.tensor(views, dtype=torch.float32, device=device, requires_grad=True)
        loss = objective.loss(objective.outputs(features), drawn, step / 3)
        loss.total.backward()
        found += [each.detach().cpu().numpy() for each in (loss.total, *loss.parts.values())]
        found.append(features.grad.cpu().numpy())
        with torch.no_grad():
            for weight in objective.heads.parameters():
                if weight.grad is not None:
                    found.append(weight.grad.cpu().numpy().copy())
                    weight -= 0.01 * weight.grad
                    weight.grad = None
    for head in objective.learned().values():
        found += [head.weight, head.bias]
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_and_gradients_are_those_of_a_cpu(name: str, device: str):
    found, expected = steps(name, device), steps(name, "cpu")
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        scale = float(np.abs(theirs).max(initial=1e-3))
        np.testing.assert_allclose(ours, theirs, atol=2e-3 * scale)


def test_no_objective_is_forgotten():
    from pathlib import Path

    import cluster.objectives

    of_library = {"contrastive", "projector", "same_images_twice", "sampler", "__init__"}
    files = {file.stem for file in Path(cluster.objectives.__path__[0]).glob("*.py")}
    helpers = {name for name in files if name.startswith("selex_")}
    of_two = {"hypcd": {"hyp_simgcd", "hyp_selex"}}
    alone = files - of_library - helpers - of_two.keys()
    assert alone | set().union(*of_two.values()) == OBJECTIVES.keys()
