"""Frozen, pretrained networks: a picture in, a vector out.

`load(name, device)` gives an encoder; all that is known of a backbone stands in its row of
zoo.yaml, or of the row.yaml in the folder of an adapted one. The library a row needs is imported
when that row is loaded, so torch and TensorFlow never meet.
"""

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from backbones import weights
from backbones.preprocess import preprocess
from backbones.row import Backbone, BackboneError, Input, names, row
from backbones.sizes import mean_of_sizes

__all__ = ["Backbone", "BackboneError", "Encoder", "Input", "load", "names", "preprocess", "row"]


class Encoder(Protocol):
    """A loaded backbone. Deterministic, may be called from several threads."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """images uint8 [image, height, width, 3], from `preprocess` → float32 [image, dim]. Of a
        row of several sizes: [image, pixel, 3]."""
        ...


def load(name: str, device: str = "cpu") -> Encoder:
    """The encoder of row `name`, its weights fetched and checked, on "cpu", "cuda" or "cuda:1".
    `name` may be the folder of an adapted backbone, or have sizes (dino_vits16@160), as for `row`.

    Raises BackboneError: no such row, loader, package or device; weights missing or wrong; or
    whatever the library that was asked for trips over, its own error kept as the cause.
    """
    backbone = row(name)
    here = Path(__file__).parent
    if not (here / f"from_{backbone.loader}.py").exists():
        known = ", ".join(sorted(path.stem[5:] for path in here.glob("from_*.py")))
        raise BackboneError(f"{name}: no loader called {backbone.loader!r}; found: {known}")
    with weights.opening(backbone):
        loader = importlib.import_module(f"backbones.from_{backbone.loader}")
        if backbone.sizes:
            return mean_of_sizes(backbone, lambda one: loader.load(one, device))
        return loader.load(backbone, device)
