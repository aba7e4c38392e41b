"""The network and the objective that a run begins with."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

import backbones
from backbones import blocks
from cluster.objectives import Objective
from pipeline.adapting.given import Given
from pipeline.params import StageError, did_you_mean

NAMES = ("class", "name")  # columns of a table of class names


def network(run: Any, given: Given) -> torch.nn.Module:
    """Normalised float32 [image, 3, size, size] → [image, dim], weights in."""
    row = backbones.row(given.base)
    if run.objective == "tes":
        from backbones import tes

        return tes.start(row, n_words=run.words, seed=run.seed)
    if run.objective == "get":
        from backbones import get, tes

        tes_network = blocks.build(row)
        if not isinstance(tes_network, tes.Tes):
            raise StageError(
                f"{run.backbone} is no run of tes, which get begins with: train one, and name it"
            )
        return get.start(tes_network, train_blocks=run.train_blocks, seed=run.seed)
    return blocks.build(row)


def objective(run: Any, wanted: str, given: Given, dim: int, device: str) -> Objective:
    """What teaches features of `dim`; with its own heads, on the device."""
    common = {"batch": run.batch, "seed": run.seed, "device": device}
    images, label = len(given.collection.plan.id), given.known.label
    if run.objective == "simclr":
        from cluster.objectives.simclr import Simclr

        return Simclr(images, dim, **_of(run, "width temperature anchors"), **common)
    if run.objective == "scan":
        from cluster.objectives.scan import Scan

        return Scan(given.neighbor, dim, given.k, **_of(run, "heads entropy_weight"), **common)
    if run.objective == "selflabel":
        from cluster.objectives.selflabel import Selflabel

        head = _head(wanted, given)
        unit = given.learned.unit  # type: ignore[union-attr]
        return Selflabel(images, dim, head, unit=unit, **_of(run, "threshold balance"), **common)
    if run.objective == "gcd":
        from cluster.objectives.gcd import Gcd

        own = "supervised temperature label_temperature hidden bottleneck width"
        return Gcd(label, dim, **_of(run, own), **common)
    if run.objective == "selex":
        from cluster.objectives.selex import Selex

        own = "supervised smoothing temperature label_temperature balanced paper_formula hidden "
        return Selex(label, dim, given.k, **_of(run, own + "bottleneck width"), **common)
    if run.objective == "tes":
        from cluster.objectives.tes import Tes

        text, scale = _class_texts(run, given)
        return Tes(label, text=text, scale=scale, **common)
    own = "supervised entropy_weight temperature teacher_first teacher_last teacher_warmup "
    own += "contrast_temperature label_temperature hidden bottleneck"
    if run.objective == "simgcd":
        from cluster.objectives.simgcd import Simgcd

        return Simgcd(label, dim, given.k, unit=not run.center, **_of(run, own), **common)
    from cluster.objectives.get import Get

    return Get(label, dim, given.k, **_of(run, f"{own} cico"), **common)


def _of(run: Any, names: str) -> dict[str, Any]:
    return {name: getattr(run, name) for name in names.split()}


def _head(wanted: str, given: Given) -> Any:
    """The head that self-labelling begins with."""
    heads = given.heads()
    if len(heads) != 1:
        raise StageError(
            f"{wanted}: {given.base} has {len(heads)} heads that sort images, self-labelling "
            "begins with one: take the run of a scan as backbone"
        )
    return next(iter(heads.values()))


def _class_texts(run: Any, given: Given) -> tuple[np.ndarray | None, float]:
    """What the known classes are called, as vectors: float32 [old, width], or None where none is
    known; and the scale of CLIP's cosines."""
    from backbones import text

    tower = text.load(backbones.row(given.base), "cpu")
    if not given.known.old:
        return None, tower.scale
    names = given.known.old
    if run.names:
        names = _read_names(Path(run.names).expanduser(), names)
    return tower.encode(text.prompts(names)), tower.scale


def _read_names(path: Path, old: list[str]) -> list[str]:
    """Each known class as a table calls it. Raises StageError: missing, doubled or empty ones."""
    if not path.exists():
        raise StageError(f"{path} is not there: write a CSV file with the columns class and name")
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before the text
    except UnicodeDecodeError as error:
        raise StageError(f"{path} is not UTF-8 ({error.reason}): save it as such") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not set(NAMES) <= set(reader.fieldnames or ()):
        raise StageError(f"{path} has the columns {reader.fieldnames}, expected class and name")
    rows = [((row["class"] or "").strip(), (row["name"] or "").strip()) for row in reader]
    called = dict(rows)
    twice = [name for name, _ in rows if [of for of, _ in rows].count(name) > 1]
    if twice:
        raise StageError(f"{path} names the class '{twice[0]}' twice: keep one row")
    for name in old:
        if not called.get(name):
            raise StageError(
                f"{path} has no name for the known class '{name}'{did_you_mean(name, called)}"
            )
    same = [name for name in old if [called[other] for other in old].count(called[name]) > 1]
    if same:
        raise StageError(f"{path} calls '{same[0]}' and another class '{called[same[0]]}'")
    return [called[name] for name in old]
