"""Heads that were learned together with a backbone: the kind `learned`, beside its weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from cluster.heads.model import Linear


class Learned(NamedTuple):
    """heads: by name, each with a first axis of length 1; unit: they take features divided by
    their length; row, label: int64 [image], who was labelled and as what; old: the known classes.
    encoder: the digest of the backbone."""

    dataset: str
    encoder: str
    heads: dict[str, Linear]
    unit: bool
    row: np.ndarray
    label: np.ndarray
    old: list[str]
    seed: int


def save_learned(path: Path, learned: Learned, backbone: str) -> None:
    """Write the heads, or that there are none."""
    arrays: dict[str, np.ndarray] = {"row": learned.row, "label": learned.label.astype(np.int32)}
    for name, head in learned.heads.items():
        arrays |= {f"{name}/weight": head.weight[0], f"{name}/bias": head.bias[0]}
    attrs: Mapping[str, str | bool | int | Sequence[str]] = {
        "dataset": learned.dataset,
        "backbone": backbone,
        "encoder": learned.encoder,
        "heads": list(learned.heads),
        "unit": learned.unit,
        "old": learned.old,
        "seed": learned.seed,
    }
    store.save(path, "learned", arrays, attrs)  # type: ignore[arg-type]


def read_learned(path: Path) -> Learned:
    """See save_learned."""
    with store.read(path, "learned") as file:
        attrs = file.attrs
        heads = {
            name: Linear(file[f"{name}/weight"][None], file[f"{name}/bias"][None])
            for name in attrs["heads"]
        }
        return Learned(
            attrs["dataset"], attrs["encoder"], heads, attrs["unit"], file["row"], file["label"],
            attrs["old"], attrs["seed"],
        )  # fmt: skip
