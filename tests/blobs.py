"""Vectors in groups, and the devices that numerics are tested on."""

import numpy as np
import pytest
import torch

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
    ),
]
PLAIN = {"seeds": [0, 1], "n_init": 3, "max_iter": 100, "tol": 1e-4}


def blobs(n: int = 600, dim: int = 12, k: int = 6, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, dim)) * 3
    return (centres[rng.integers(0, k, n)] + rng.normal(size=(n, dim)) * spread).astype(np.float32)


def some_of(x: np.ndarray, k: int) -> np.ndarray:
    return x[np.random.default_rng(k).choice(len(x), k, replace=False)]
