"""Build the network and the objective of a run, with their initial weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import backbones
import images
from backbones import blocks
from cluster.objectives import Objective
from pipeline.adapting.inputs import Inputs
from pipeline.io.table import read_table
from pipeline.params import StageError, did_you_mean

NAMES = ("class", "name")  # columns of a table of class names


def network(run: Any, inputs: Inputs) -> torch.nn.Module:
    """The base network with its weights, which maps normalised float32 [image, 3, size, size] to
    [image, dim]."""
    row = backbones.row(inputs.base)
    if run.objective == "tes":
        from backbones import tes

        return tes.start(row, n_words=run.words, seed=run.seed)
    if run.objective == "get":
        from backbones import get, tes

        tes_network = blocks.build(row)
        if not isinstance(tes_network, tes.Tes):
            raise StageError(
                f"{run.backbone} is not a run of tes: train one, and set it as the backbone of get"
            )
        return get.start(tes_network, train_blocks=run.train_blocks, seed=run.seed)
    return blocks.build(row)


def objective(run: Any, wanted: str, inputs: Inputs, dim: int, device: str) -> Objective:
    """The objective for features of `dim`, with its own heads, on `device`."""
    common = {"batch": run.batch, "seed": run.seed, "device": device}
    images, label = len(inputs.collection.plan.id), inputs.known.label
    if run.objective == "simclr":
        from cluster.objectives.simclr import Simclr

        return Simclr(images, dim, **_pick(run, "width temperature anchors"), **common)
    if run.objective == "scan":
        from cluster.objectives.scan import Scan

        return Scan(inputs.neighbor, dim, inputs.k, **_pick(run, "heads entropy_weight"), **common)
    if run.objective == "selflabel":
        from cluster.objectives.selflabel import Selflabel

        head = _initial_head(wanted, inputs)
        unit = inputs.learned.unit  # type: ignore[union-attr]
        return Selflabel(images, dim, head, unit=unit, **_pick(run, "threshold balance"), **common)
    if run.objective == "gcd":
        from cluster.objectives.gcd import Gcd

        own = "supervised temperature label_temperature hidden bottleneck width"
        return Gcd(label, dim, **_pick(run, own), **common)
    if run.objective in ("selex", "hyp_selex"):
        from cluster.objectives.selex import Selex

        own = "supervised smoothing temperature label_temperature balanced paper_formula hidden "
        selex = Selex(label, dim, inputs.k, **_pick(run, own + "bottleneck width"), **common)
        if run.objective == "selex":
            return selex
        from cluster.heads.hyperbolic import Ball
        from cluster.objectives.hypcd import HypSelex

        ball = Ball(run.curvature, run.clip)
        return HypSelex(selex, ball, distance_weight=run.distance_weight, epochs=run.epochs)
    if run.objective == "tes":
        from cluster.objectives.tes import Tes

        text, scale = _class_texts(run, inputs)
        return Tes(label, text=text, scale=scale, **common)
    if run.objective == "hyp_simgcd":
        from cluster.objectives.hypcd import HypSimgcd
        from cluster.objectives.hypcd import Settings as HypSettings

        hyp = HypSettings(**_pick(run, " ".join(HypSettings._fields)))
        return HypSimgcd(label, dim, inputs.k, hyp, unit=not run.center, **common)
    from cluster.objectives.simgcd import Settings, Simgcd

    settings = Settings(**_pick(run, " ".join(Settings._fields)))
    if run.objective == "simgcd":
        return Simgcd(label, dim, inputs.k, settings, unit=not run.center, **common)
    from cluster.objectives.get import Get

    return Get(label, dim, inputs.k, settings, cico=run.cico, **common)


def _pick(run: Any, names: str) -> dict[str, Any]:
    return {name: getattr(run, name) for name in names.split()}


def _initial_head(wanted: str, inputs: Inputs) -> Any:
    """The head that self-labelling trains further."""
    heads = inputs.heads()
    if len(heads) != 1:
        raise StageError(
            f"{wanted}: {inputs.base} has {len(heads)} heads that assign images to clusters, "
            "self-labelling starts from one: set a run of scan as backbone"
        )
    return next(iter(heads.values()))


def _class_texts(run: Any, inputs: Inputs) -> tuple[np.ndarray | None, float]:
    """Text embeddings of the known classes, float32 [old, width], or None if none is known; and
    CLIP's logit scale."""
    from backbones import text

    tower = text.load(backbones.row(inputs.base), "cpu")
    if not inputs.known.old:
        return None, tower.scale
    names = inputs.known.old
    if run.names:
        names = _read_names(Path(run.names).expanduser(), names)
    return tower.encode(text.prompts(names)), tower.scale


def _read_names(path: Path, old: list[str]) -> list[str]:
    """The names of the known classes in a table with the columns class and name. Raises StageError
    for missing, duplicate or empty names."""
    if not path.exists():
        raise StageError(f"{path} does not exist: write a CSV file with the columns class and name")
    rows = [(images.same_text(one), name.strip()) for one, name in read_table(path, NAMES)]
    name_of = dict(rows)
    duplicate = [name for name, _ in rows if [other for other, _ in rows].count(name) > 1]
    if duplicate:
        raise StageError(f"{path} names the class '{duplicate[0]}' twice: keep one row")
    for name in old:
        if not name_of.get(name):
            raise StageError(
                f"{path} has no name for the known class '{name}'{did_you_mean(name, name_of)}"
            )
    same = [name for name in old if [name_of[other] for other in old].count(name_of[name]) > 1]
    if same:
        raise StageError(f"{path} calls '{same[0]}' and another class '{name_of[same[0]]}'")
    return [name_of[name] for name in old]
