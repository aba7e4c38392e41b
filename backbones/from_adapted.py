"""A backbone that was adapted to a dataset: a folder with row.yaml and model.safetensors.

The network is built as its base row's loader builds it, untrained, and then made what `form` says;
the file holds every tensor of it. But: other than the zoo's, the file is held to the sha256 of its
own row.yaml, and zoo.lock never hears of it.
"""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from backbones import Encoder
from backbones.engine import encoder
from backbones.from_checkpoint import hold
from backbones.row import Backbone, BackboneError, base_of
from backbones.weights import place, sha256_of

# form → the module whose build(row, base network) makes it; plain: the base network as it is.
FORMS: dict[str, str | None] = {"plain": None, "tes": "backbones.tes", "get": "backbones.get"}


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load."""
    return encoder(build(row, fetch(row)), row, device)


def fetch(row: Backbone) -> Path:
    """The file of weights in the row's folder. Raises BackboneError: it is missing or another."""
    path = place(row)
    if not path.is_file():
        raise BackboneError(f"{row.name}: no file {path}; run adapt again")
    found = sha256_of(path)
    if found != row.sha256:
        raise BackboneError(
            f"{row.name}: {path} has sha256 {found}, its row.yaml says {row.sha256}; it is cut "
            "off, damaged or of another run: run adapt again"
        )
    return path


def build(row: Backbone, weights: Path | None) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim]; weights None = untrained."""
    form = row.options.get("form")
    if form not in FORMS:
        raise BackboneError(f"{row.name}: no form {form!r}; expected {', '.join(FORMS)}")
    base = base_of(row)
    with _quiet():
        network = importlib.import_module(f"backbones.from_{base.loader}").build(base, None)
        module = FORMS[form]
        if module:
            network = importlib.import_module(module).build(row, network)
    if weights is not None:
        _fill(row, network, weights)
    return network.float()


def _fill(row: Backbone, network: torch.nn.Module, path: Path) -> None:
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except Exception as error:  # safetensors has an error of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise BackboneError(
            f"{row.name}: {path} is no safetensors file ({reason}); run adapt again"
        ) from error
    try:
        hold(row.name, {name: t.shape for name, t in state.items()}, network.state_dict())
    except BackboneError as error:
        found = str(error).partition(";")[0]
        raise BackboneError(
            f"{found}; its row.yaml is of another network: run adapt again"
        ) from None
    network.load_state_dict(state, strict=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns of a network without weights; here they come next."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
