"""The settings of a run of `adapt`: those that all have, and those of each objective."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

import backbones
from images.augment import Augmentation
from pipeline.io.space import Count, Multiple
from pipeline.params import Section, StageError, did_you_mean, read_params, validated
from pipeline.yaml_as_dvc import Loader

TEMPLATES = Path(__file__).parents[2] / "recipes" / "objectives.yaml"

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Run(Section):
    """What every run says."""

    dataset: str
    backbone: str  # that it begins with: a row of the zoo, or another run
    learns_from: str  # the file of the cell that its objective needs (LEARNS_FROM)
    train_blocks: Annotated[int, Field(ge=0)] | Literal["all"]  # the last ones; 0: heads alone
    frozen_features: Literal["cached", "recompute"]  # outputs of the frozen blocks
    augment: Augmentation
    views: Annotated[
        int, Field(ge=0)
    ]  # of every image; 0: new ones in every epoch (recompute only)
    center: bool  # heads see features about the mean of train, dims of mean square 1
    epochs: Count
    batch: Count  # images a step
    accumulate: Count  # parts of a batch that are computed one after the other
    optimizer: Literal["sgd", "adamw"]
    lr: Positive
    blocks_lr: Positive  # factor of lr for the trained blocks; heads learn at lr
    min_lr: NotNegative
    warmup: NotNegative  # epochs
    weight_decay: NotNegative
    amp: bool  # half-precision products where a GPU has them
    keep: Literal["last", "best"]  # epoch; best: that of the lowest loss
    seed: int


class Simclr(Run):
    objective: Literal["simclr"]
    temperature: Positive
    anchors: Literal["all", "first"]  # first: those of one view alone, as SCAN's code
    width: Count  # of the projection


class Gcd(Run):
    objective: Literal["gcd"]
    supervised: Share  # share of the labels in the loss
    temperature: Positive
    label_temperature: Positive  # of the labelled images among themselves
    hidden: Count  # widths of the projector
    bottleneck: Count
    width: Count


class Classifying(Run):
    """SimGCD's settings, which each branch of GET has too."""

    k: Count | Multiple
    supervised: Share
    entropy_weight: NotNegative  # how much an even use of the classes counts (memax)
    temperature: Positive
    teacher_first: Positive
    teacher_last: Positive
    teacher_warmup: NotNegative  # epochs from teacher_first to teacher_last
    contrast_temperature: Positive
    label_temperature: Positive
    hidden: Count
    bottleneck: Count


class Simgcd(Classifying):
    objective: Literal["simgcd"]


class HypSimgcd(Run):
    objective: Literal["hyp_simgcd"]
    k: Count | Multiple
    supervised: Share
    entropy_weight: NotNegative
    temperature: Positive
    teacher_first: Positive
    teacher_last: Positive
    teacher_warmup: NotNegative
    contrast_temperature: Positive
    label_temperature: Positive
    angle_scale: Positive  # factor of both where angles are compared
    curvature: Positive
    clip: Positive  # length of vectors before they are mapped into the ball
    distance_weight: Share  # of distances against angles, in the last epoch


class Hierarchical(Run):
    """SelEx's settings."""

    k: Count | Multiple
    supervised: Share
    smoothing: Share
    temperature: Positive
    label_temperature: Positive
    balanced: bool
    paper_formula: bool  # False: the arithmetic of the published code where it differs
    hidden: Count
    bottleneck: Count
    width: Count


class Selex(Hierarchical):
    objective: Literal["selex"]


class HypSelex(Hierarchical):
    objective: Literal["hyp_selex"]
    curvature: Positive
    clip: Positive
    distance_weight: Share


class Scan(Run):
    objective: Literal["scan"]
    k: Count | Multiple
    neighbors: Count
    heads: Count
    entropy_weight: NotNegative


class Selflabel(Run):
    objective: Literal["selflabel"]
    threshold: Share
    balance: bool


class Tes(Run):
    objective: Literal["tes"]
    words: Count  # pseudo tokens that stand for a picture
    output: Literal["text", "both"]  # what embed takes: the text alone, or image and text
    names: str  # a CSV file (columns class, name) with the names of the known classes; "": as known


class Get(Classifying):
    objective: Literal["get"]
    cico: NotNegative  # how much the agreement of image and text counts


OBJECTIVES: dict[str, type[Run]] = {
    "simclr": Simclr,
    "gcd": Gcd,
    "simgcd": Simgcd,
    "selex": Selex,
    "hyp_simgcd": HypSimgcd,
    "hyp_selex": HypSelex,
    "scan": Scan,
    "selflabel": Selflabel,
    "tes": Tes,
    "get": Get,
}
# What an objective learns from besides the images: the file of its cell, as dvc.yaml watches it
FEATURES, NEIGHBORS, KNOWN = "features", "neighbors.h5", "../known.h5"
LEARNS_FROM = dict.fromkeys(OBJECTIVES, (KNOWN,)) | {
    "simclr": (FEATURES,),
    "selflabel": (FEATURES,),
    "scan": (NEIGHBORS,),
    "tes": (FEATURES, KNOWN),
}

AS_THEY_ARE = ("selflabel", "tes", "get")  # a head that is there already, or halves of length 1


def defaults() -> dict[str, dict[str, Any]]:
    """The settings of each objective where a run says nothing else."""
    found: dict[str, dict[str, Any]]
    found = yaml.load(TEMPLATES.read_text(encoding="utf-8"), Loader=Loader)
    return found


def read_run(name: str) -> Any:
    """The settings of the run `adapted.NAME` in params.yaml, those of its objective in
    recipes/objectives.yaml where it says nothing else."""
    where = f"adapted.{name}"
    found = read_params(where)
    _require_name(name, where)
    objective = found.get("objective") if isinstance(found, dict) else None
    if objective not in OBJECTIVES:
        said = "no objective" if objective is None else f"objective {objective!r}"
        raise StageError(f"{where} has {said}{did_you_mean(str(objective), OBJECTIVES)}")
    needs = LEARNS_FROM[objective]
    if found.get("learns_from") not in needs:
        raise StageError(
            f"{where}: write learns_from: {' or '.join(needs)}, which {objective} needs"
        )
    run: Any = validated(OBJECTIVES[objective], {**defaults()[objective], **found}, where)
    _require_sense(objective, run, where)
    return run


def _require_name(name: str, wanted: str) -> None:
    """The run's name will be that of a backbone."""
    if not re.fullmatch("[a-z0-9_]+", name):
        raise StageError(f"{wanted}: write the name in a-z, 0-9 and _ only")
    if name in backbones.names():
        raise StageError(f"{wanted}: the zoo has a backbone {name} already: choose another name")


def _require_sense(objective: str, run: Run, wanted: str) -> None:
    """What no single setting can tell."""
    if run.center and objective in AS_THEY_ARE:
        raise StageError(f"{wanted}: {objective} takes features as they are: set center: false")
    if run.frozen_features == "cached" and run.train_blocks == "all":
        raise StageError(
            f"{wanted}: with train_blocks: all nothing is frozen that could be cached: set "
            "frozen_features: recompute"
        )
    if run.frozen_features == "cached" and run.views < 2:
        raise StageError(
            f"{wanted}: frozen_features: cached stores as many views as are set, "
            f"{run.views}: set views to 2 or more"
        )
    if run.views == 1:
        raise StageError(f"{wanted}: one view is no pair: set views to 0 (new ones) or 2 or more")
    if run.min_lr > run.lr:
        raise StageError(
            f"{wanted}: lr is {run.lr:g} and would rise to min_lr, {run.min_lr:g}: set "
            "min_lr to no more than lr"
        )
    if run.batch % run.accumulate:
        raise StageError(
            f"{wanted}: a batch of {run.batch} has no {run.accumulate} equal parts: change batch "
            "or accumulate"
        )
