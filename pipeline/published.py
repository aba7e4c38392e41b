"""Numbers of papers, recipes/published.yaml, and which of them stand beside a result of ours.

A number matches where the images are the same (by the reader they come from, not by the name that
a project gives them), and the split that is scored, the backbone, the method and k too. What else
tells it from ours, above all a backbone that was trained, is said with it and not decided here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pydantic
import yaml

import images
from pipeline.params import Section, StageError, did_you_mean
from pipeline.yaml_as_dvc import Loader

FILE = Path(__file__).parents[1] / "recipes" / "published.yaml"
SAID = "recipes/published.yaml"
CLUSTERING, DISCOVERY = ("acc", "nmi", "ari", "ami"), ("all", "old", "new")
OWN = ("folder", "vectors")  # readers of anyone's images: these have the name of the project
BENCHMARK = {"old": "published", "labelled": 0.5}  # of which images category discovery knew more

Percent = Annotated[float, pydantic.Field(ge=0, le=100)]
Word = Annotated[str, pydantic.Field(min_length=1)]


class Number(Section):
    """What a paper says of one method on one backbone; the keys are explained in the file."""

    name: Word
    source: Word
    dataset: Word | dict[str, Any]
    backbone: Word | list[Word]
    method: Word
    trained: Word | None = None
    k: Annotated[int, pydantic.Field(ge=1)]
    dims: Annotated[int, pydantic.Field(ge=0)] | None = 0
    split: Word | None = None
    acc: Percent | None = None
    nmi: Percent | None = None
    ari: Percent | None = None
    ami: Percent | None = None
    all: Percent | None = None
    old: Percent | None = None
    new: Percent | None = None
    note: str = ""

    def scores(self, among: Sequence[str] = CLUSTERING + DISCOVERY) -> dict[str, float]:
        """Those of `among` that it has, in %."""
        return {name: value for name in among if (value := getattr(self, name)) is not None}

    @property
    def of(self) -> str:
        """The dataset as one word and its options."""
        said = {"from": self.dataset} if isinstance(self.dataset, str) else dict(self.dataset)
        options = [f"{key}: {value}" for key, value in said.items() if key != "from"]
        return f"{said.get('from')} ({', '.join(options)})" if options else str(said.get("from"))

    @property
    def on(self) -> str:
        """The backbone, or all of them."""
        return self.backbone if isinstance(self.backbone, str) else " + ".join(self.backbone)


class Ours(NamedTuple):
    """A result of this project: where its images come from (key: of `datasets`); the frozen
    backbones that it began with; the objective that trained them, "" for none; the run and the
    stage whose settings it has."""

    key: str
    spec: Mapping[str, Any]
    backbones: tuple[str, ...]
    trained: str
    run: str
    method: str
    k: int
    dims: int
    split: str


def read_published(path: Path = FILE) -> list[Number]:
    """All numbers; none where there is no such file. StageError: a line for every mistake."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        return []
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StageError(f"{SAID}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, list | None):
        raise StageError(f"{SAID}: is no list, expected groups of numbers, each after a `- `")
    out, mistakes = list[Number](), list[str]()
    for where, row in _rows(found or []):
        try:
            if isinstance(row, StageError):
                raise row
            number = Number.model_validate(row)
            if not isinstance(number.dataset, str):
                images.identity(number.dataset)
            if not number.scores():
                mistakes.append(f"{where} has no score: say one of {_listed()}")
            out.append(number)
        except (pydantic.ValidationError, StageError, images.ImagesError) as error:
            mistakes.append(f"{where}: {_one_line(error)}")
    if mistakes:
        raise StageError("\n".join(f"{SAID}: {mistake}" for mistake in mistakes))
    return out


def beside(ours: Ours, numbers: Iterable[Number], scores: Sequence[str]) -> list[Number]:
    """Those that match and have one of `scores`. A run of its own name (sskmeans_balanced) comes
    before the stage that it is a run of (sskmeans)."""
    found = [n for n in numbers if n.scores(scores) and _same_place(ours, n)]
    if ours.run == "learned":
        return [n for n in found if n.method == n.trained == ours.trained]
    own = [n for n in found if n.method == ours.run]
    return own or [n for n in found if n.method == ours.method]


def is_benchmark(known: object) -> bool:
    """Whether a section of `known` draws the labelled images as the papers do."""
    return isinstance(known, Mapping) and BENCHMARK.items() <= known.items()


def said(number: Number, scores: Sequence[str], frozen: bool) -> str:
    """One line: the number, and what tells it from ours; frozen: whether our backbone is."""
    each = ", ".join(f"{name.upper() if name in CLUSTERING else name.title()} {value:g}"
                     for name, value in number.scores(scores).items())  # fmt: skip
    where = f"scored on {number.split}" if number.split else "on which split is not said"
    trained = f"its backbone was trained, too ({number.trained}), ours is frozen"
    more = [where, *([trained] if number.trained and frozen else []), number.note]
    return f"{number.name}, {number.on}: {each}; {'; '.join(filter(None, more))} ({number.source})"


def _same_place(ours: Ours, number: Number) -> bool:
    wanted = (number.backbone,) if isinstance(number.backbone, str) else tuple(number.backbone)
    return (
        ours.k == number.k
        and number.dims in (None, ours.dims)
        and number.split in (None, ours.split)
        and sorted(ours.backbones) == sorted(wanted)
        and (not ours.trained or ours.trained == number.trained)
        and _same_images(ours, number)
    )


def _same_images(ours: Ours, number: Number) -> bool:
    if ours.spec.get("from") in OWN:
        return number.dataset == ours.key and ours.key not in images.readers()
    spec = {"from": number.dataset} if isinstance(number.dataset, str) else number.dataset
    try:
        return images.identity(spec) == images.identity(ours.spec)
    except images.ImagesError:
        return False  # of images that are none of a reader's


def _rows(groups: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """(where, the number with what its group says)."""
    for place, group in enumerate(groups, 1):
        if not isinstance(group, Mapping) or not isinstance(group.get("numbers"), list):
            yield f"group {place}", StageError("has no list `numbers`")
            continue
        whole = {key: value for key, value in group.items() if key != "numbers"}
        for at, own in enumerate(group["numbers"], 1):
            where = f"group {place} ({whole.get('name')}), number {at}"
            yield where, {**whole, **own} if isinstance(own, Mapping) else own


def _one_line(error: pydantic.ValidationError | StageError | images.ImagesError) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    mistake = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = str(mistake["loc"][0]) if mistake["loc"] else "it"
    if mistake["type"] == "extra_forbidden":
        return f"{key} is no key of a number{did_you_mean(key, Number.model_fields)}"
    if mistake["type"] == "missing":
        return f"{key} is missing"
    return f"{key} is {mistake['input']!r}: {mistake['msg']}"


def _listed() -> str:
    return ", ".join(CLUSTERING + DISCOVERY)
