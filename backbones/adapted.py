"""The folder of an adapted backbone: model.safetensors, and row.yaml, written last.

So a folder that has a row.yaml is whole. The row is one of zoo.yaml but for the name, which is the
folder's; what it does not say anew are the facts of the backbone it began with. Equal weights and
facts make equal bytes.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from backbones.row import ROW, Backbone, BackboneError, row
from backbones.weights import sha256_of

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"


def save(
    folder: Path,
    base: Backbone,
    network: "torch.nn.Module",
    *,
    form: str,
    output: str,
    dim: int,
    method: str,
    data: str,
    extra: Mapping[str, Any],
) -> Backbone:
    """Write `network` (normalised float32 [image, 3, size, size] → [image, dim]) into `folder`.

    base: the row it began with; form: what was made of that (see from_adapted); extra: options the
    form needs besides. Raises BackboneError: the folder's name is none for a backbone, or it cannot
    be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if not re.fullmatch("[a-z0-9_]+", folder.resolve().name):
        raise BackboneError(f"{folder}: its name should be written in a-z, 0-9 and _ only")
    # Cloned, since safetensors refuses tensors that share their memory.
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ROW).unlink(missing_ok=True)
        for name in (WEIGHTS, ROW):
            for left in folder.glob(f".{name}.*"):  # by a killed run
                left.unlink(missing_ok=True)
        _put(folder / WEIGHTS, lambda path: save_file(state, path))
        facts = asdict(base) | {
            "loader": "adapted",
            "weights": WEIGHTS,
            "sha256": sha256_of(folder / WEIGHTS),
            "dim": dim,
            "output": output,
            "revision": 1,
            "method": method,
            "data": data,
            "options": {**extra, "base": _facts_of(base), "form": form},
        }
        del facts["name"], facts["sizes"]
        # By way of JSON, since YAML has no tuples.
        text = yaml.safe_dump(json.loads(json.dumps(facts)), sort_keys=False, allow_unicode=True)
        _put(folder / ROW, lambda path: path.write_text(text, encoding="utf-8"))
    except (OSError, SafetensorError) as error:  # the latter where the disk is full
        raise BackboneError(f"cannot write the adapted backbone {folder}: {error}") from error
    return row(f"{folder}/")


def _facts_of(base: Backbone) -> dict[str, Any]:
    if base.loader == "adapted":  # its weights are in the new file; where they lay is of no matter
        base = replace(base, weights=Path(base.weights).name)
    return {key: value for key, value in asdict(base).items() if key != "sizes"}


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """The file whole or not at all, whenever the machine stops."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(Path(part))
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(part, 0o644)  # mkstemp makes it readable for its owner alone
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
