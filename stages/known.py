"""Say of which images the class is known: the only labels that category discovery sees.

After the protocol of Vaze et al. (GCD, CVPR 2022, arXiv:2201.02609): some classes are old, and of
these a part of the images of train is labelled; all other images of train are unlabelled, of old
and of new classes.
"""

import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, PlainValidator

import images
import store
from pipeline.io.cell import images_of, known_of, labels_of
from pipeline.io.labelled import Labelled, Unlabelled, of_table, of_tree, root_of
from pipeline.params import Section, StageError, did_you_mean, read_params, section
from pipeline.review.labelled import of_review
from stages import run


def _old(value: Any) -> Any:
    """One line for what pydantic says of each part of a union."""
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    if value == "published" or (type(value) is int and value > 0):
        return value
    raise ValueError(
        'expected how many classes, a list of their names such as ["3", "7"], or published'
    )


class Drawn(Section):
    """A part of the images of the old classes, drawn at random."""

    old: Annotated[int | tuple[str, ...] | Literal["published"], PlainValidator(_old)]
    labelled: Annotated[float, Field(gt=0, le=1)]  # share of their images of train
    seed: int


class Table(Section):
    """What a table (csv or parquet) with the columns `path` and `label` says."""

    table: str
    unlabelled: Unlabelled = images.NEGATIVE  # labels that mean none


class Tree(Section):
    """The images in FOLDER/CLASS/... below the root of the dataset."""

    tree: str
    unlabelled: Unlabelled = images.NEGATIVE


class Review(Section):
    """What was decided on the review page."""

    review: Literal[True]


FORMS: dict[str, type[Section]] = {"old": Drawn, "table": Table, "tree": Tree, "review": Review}


class Truth(NamedTuple):
    """name: of each image; digest: uint8 [image, 16]; label: int32 [image], -1 for none; classes:
    their names; train: bool [image]."""

    dataset: str
    name: list[str]
    digest: np.ndarray
    label: np.ndarray
    classes: list[str]
    train: np.ndarray


def main(dataset: str) -> None:
    """Write which images of train of a dataset are labelled, and as what.

    DATASET is a key of `known` in params.yaml, which says so. A table is looked at each time, and
    so is what was decided on the review page, as images are by stage index."""
    wanted, known = f"known.{dataset}", known_of(dataset)
    spec = section(_form(wanted), wanted)  # first: a misspelt name has no files either
    truth = _read_truth(images_of(dataset), labels_of(dataset))
    said_by = json.dumps(read_params(wanted), sort_keys=True)
    if isinstance(spec, Drawn):
        label, old = _draw(spec, truth)
    elif isinstance(spec, Table):
        if not Path(spec.table).expanduser().exists() and _said_by(known) == said_by:
            # A second clone has what `dvc pull` brought, not the user's table.
            print(f"known: {spec.table} is not here; {known} stays as it is")
            return
        said = of_table(spec.table, truth.name, root_of(truth.dataset), spec.unlabelled)
        label, old = _place(said, truth)
    elif isinstance(spec, Review):
        label, old = _place(of_review(dataset, truth.digest), truth, free=True)
    else:
        assert isinstance(spec, Tree)
        label, old = _place(of_tree(spec.tree, truth.name, spec.unlabelled), truth)
    size = np.bincount(label[label >= 0], minlength=len(old))
    if not size.all():
        raise StageError(
            f"{wanted}: no image of train of the known class '{old[int(size.argmin())]}' is "
            "labelled: label more images (or raise `labelled`), or take the class out"
        )
    if size.sum() == truth.train.sum():
        raise StageError(
            f"{wanted}: all {size.sum()} images of train are labelled, so nothing is left to "
            "discover: leave some out"
        )
    number = {name: c for c, name in enumerate(truth.classes)}
    of_class = np.array([number.get(name, -1) for name in old], np.int32)
    arrays = {"label": label.astype(np.int32), "class": of_class}
    store.save(known, "known", arrays, {"dataset": truth.dataset, "old": old, "said_by": said_by})
    for name in _doubtful(old, size):
        others = [other for other in old if other != name]
        print(f"known: '{name}' has a single labelled image{did_you_mean(name, others)}")
    rest = truth.train.sum() - size.sum()
    print(
        f"known: {len(old)} classes, {size.sum()} images are labelled ({size.min()} to "
        f"{size.max()} a class), {rest} of train are not"
    )
    print(f"known: the known classes, in this order: {images.few(old)}")


def _said_by(known: Path) -> str:
    """What the file was made of; nothing where there is none."""
    if not known.exists():
        return ""
    with store.read(known, "known") as file:
        return str(file.attrs.get("said_by", ""))


def _doubtful(old: list[str], size: np.ndarray) -> list[str]:
    """Classes that may be a slip of the pen: a single image, where others have more."""
    return [name for name, n in zip(old, size, strict=True) if n == 1 < size.max()]


def _form(wanted: str) -> type[Section]:
    found = read_params(wanted)
    if isinstance(found, dict):
        for key, form in FORMS.items():
            if key in found:
                return form
    raise StageError(
        f"{wanted} in params.yaml says {found!r}, expected {{old: 5, labelled: 0.5, seed: 0}}, "
        "{table: FILE.csv}, {tree: FOLDER} or {review: true}"
    )


def _read_truth(index: Path, labels: Path) -> Truth:
    with store.read(index, "index") as file:
        name, digest = file["name"].tolist(), file.mapped("digest")
        split, attrs = file["split"], file.attrs
    with store.read(labels, "labels") as file:
        label, classes = file["label"], file.attrs["classes"]
    if len(label) != len(name):
        raise StageError(f"{labels} has {len(label)} labels, {index} {len(name)} images: not alike")
    in_train = split == attrs["splits"].index("train")
    return Truth(attrs["dataset"], name, digest, label, classes, in_train)


def _draw(spec: Drawn, truth: Truth) -> tuple[np.ndarray, list[str]]:
    """The draw of GCD's code: not stratified, by numpy's legacy generator, in the order of the
    dataset; so the published sets are those of the paper."""
    old = _old_classes(spec.old, truth)
    number = np.full(len(truth.classes) + 1, -1)
    number[old] = np.arange(len(old))
    known = np.where(truth.train & (truth.label >= 0), number[truth.label], -1)
    rows = np.flatnonzero(known >= 0)
    count = int(spec.labelled * len(rows))
    legacy = np.random.RandomState(spec.seed)
    label = np.full(len(known), -1)
    drawn = rows[legacy.choice(len(rows), count, replace=False)]
    label[drawn] = known[drawn]
    return label, [truth.classes[c] for c in old]


def _old_classes(old: int | tuple[str, ...] | str, truth: Truth) -> list[int]:
    n = len(truth.classes)
    if not n:
        raise StageError(
            f"{truth.dataset} has no labels to draw from: say who is labelled by a table or a tree"
        )
    if isinstance(old, int):
        if old > n:
            raise StageError(f"{old} old classes are asked for, {truth.dataset} has {n}")
        return list(range(old))
    if old == "published":
        found = images.old_classes(read_params(f"datasets.{truth.dataset}"))
        if found is None:
            raise StageError(
                f"no old classes of {truth.dataset} are published: write how many, or their names"
            )
        if max(found) >= n:
            raise StageError(
                f"the published old classes of {truth.dataset} go up to number {max(found)}, but "
                f"there are {n} classes here: this is not the whole dataset"
            )
        return found
    names = [images.same_text(name) for name in old]
    for name in names:
        if name not in truth.classes:
            raise StageError(
                f"{truth.dataset} has no class '{name}'{did_you_mean(name, truth.classes)}"
            )
    return [truth.classes.index(name) for name in dict.fromkeys(names)]


def _place(given: Labelled, truth: Truth, free: bool = False) -> tuple[np.ndarray, list[str]]:
    """What a person said of each image, as numbers of the known classes: those of the dataset in
    its order, then others, for class names are free. One that is close to a class of the dataset
    is refused as a slip, unless `free`: the review page does not show those classes."""
    for note in given.notes:
        print(f"known: {note}", file=sys.stderr)
    of_dataset = set(truth.classes)
    others = [name for name in given.classes if name not in of_dataset]
    for name in others if truth.classes else []:
        close = get_close_matches(name, truth.classes, 1)
        if close and not free:
            raise StageError(
                f"known.{truth.dataset}: an image is labelled '{name}', which is no class of "
                f"{truth.dataset}; did you mean '{close[0]}'? A class of your own needs a name "
                "that is less like it"
            )
    if others and truth.classes:
        print(
            f"known: {len(others)} known classes are none of {truth.dataset}'s own "
            f"({images.few(others)}): the scores, which go by those, take their images for new",
            file=sys.stderr,
        )
    named = set(given.classes)
    old = [name for name in truth.classes if name in named] + others
    number, label = {name: c for c, name in enumerate(old)}, np.full(len(truth.name), -1)
    at = np.fromiter(given.label, np.int64, len(given.label))
    label[at] = [number[said] for said in given.label.values()]
    elsewhere = (label >= 0) & ~truth.train
    if elsewhere.any():
        print(f"known: {elsewhere.sum()} labelled images are not of train and stay unlabelled")
    return np.where(elsewhere, -1, label), old


if __name__ == "__main__":
    run(main)
