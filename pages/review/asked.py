"""Which clustering is looked at: what the command line or the page asks for, else the best one."""

from pathlib import Path
from typing import NamedTuple

from pages.report.tables.ranking import Ranked, read_ranked
from pipeline.io.cell import Cell, images_of
from pipeline.io.clusters import read_clusters, run_files
from pipeline.params import StageError, did_you_mean, read_params

FOLDERS = ("clusters", "discovered")


class Asked(NamedTuple):
    """A clustering: of a run in FOLDER of the cell; seed: its position, None: of lowest loss."""

    cell: Cell
    folder: str
    setting: int = 0
    seed: int | None = None

    @property
    def key(self) -> str:
        """What the page calls the run."""
        return f"{self.folder}/{self.cell.run}"


def choose_dataset(name: str | None) -> str:
    """The dataset that is meant: the only one if none is named. StageError says which there are."""
    found = read_params("datasets")
    known = [str(each) for each in found] if isinstance(found, dict) else []
    if name is None:
        if len(known) == 1:
            return known[0]
        there = f"say which: {', '.join(known)}" if known else "params.yaml has no datasets"
        raise StageError(f"{there} (make review DATASET=…)")
    if name not in known and not images_of(name).exists():
        raise StageError(f"no dataset {name} in params.yaml{did_you_mean(name, known)}")
    return name


def choose(dataset: str, backbone: str | None, run: str | None) -> Asked:
    """The clustering to begin with: the best by stage rank that fits, else the first there is.

    run: its name, or with the folder before it. StageError says what is missing and which command
    makes it.
    """
    if not images_of(dataset).exists():
        raise StageError(f"{images_of(dataset)} is not there: run `dvc repro index`")
    known = backbones_of(dataset)
    if not known:
        raise StageError(
            f"data/{dataset} has no clusters yet: run `dvc repro` (or `dvc repro kmeans`)"
        )
    if backbone is not None and backbone not in known:
        raise StageError(f"no clusters of {dataset} by {backbone}{did_you_mean(backbone, known)}")
    for one in read_ranked(dataset):
        if backbone in (None, one.backbone) and run in (None, one.run, f"clusters/{one.run}"):
            found = _ranked(dataset, one)
            if found is not None:
                return found
    runs: list[str] = []
    for each in [backbone] if backbone else known:
        runs_here = runs_of(dataset, each)
        runs += runs_here
        for key in runs_here:
            if run in (None, key, key.split("/", 1)[1]):
                return asked(dataset, each, key)
    names = list(dict.fromkeys(key.split("/", 1)[1] for key in runs))
    raise StageError(f"no run {run} of {dataset}{did_you_mean(str(run), names)}")


def asked(
    dataset: str, backbone: str, key: str, setting: int = 0, seed: int | None = None
) -> Asked:
    """The run of `key`, as `runs_of` lists them. StageError where there is no such run."""
    known = runs_of(dataset, backbone)
    if key not in known:
        raise StageError(f"no run {key} of {dataset} by {backbone}{did_you_mean(key, known)}")
    folder, _, run = key.partition("/")
    path = Cell(dataset, backbone).file(f"{key}.h5")
    with read_clusters(path) as file:
        settings, seeds = len(file["k"]), len(file.attrs["seeds"])
    if not 0 <= setting < settings:
        raise StageError(f"{path} has {settings} settings, from 0 on; there is no {setting}")
    if seed is not None and not 0 <= seed < seeds:
        raise StageError(f"{path} has {seeds} seeds, from 0 on; there is no {seed}")
    return Asked(Cell(dataset, backbone, run), folder, setting, seed)


def backbones_of(dataset: str) -> list[str]:
    """Those with a clustering of the dataset, by name."""
    folders = sorted(path.parent.name for path in Path("data", dataset).glob("*/features"))
    return [name for name in folders if runs_of(dataset, name)]


def runs_of(dataset: str, backbone: str) -> list[str]:
    """clusters/RUN and discovered/RUN of the cell."""
    out = []
    for folder in FOLDERS:
        below = Cell(dataset, backbone).file(folder)
        out += [f"{folder}/{_below(path, below)}" for path in run_files(below)]
    return out


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _ranked(dataset: str, one: Ranked) -> Asked | None:
    """That candidate of stage rank, if its file is there and still holds it."""
    key = next((k for k in runs_of(dataset, one.backbone) if Path(k).name == one.run), None)
    if key is None:
        return None
    with read_clusters(Cell(dataset, one.backbone).file(f"{key}.h5")) as file:
        seeds, settings = file.attrs["seeds"], len(file["k"])
    if one.seed not in seeds or one.setting >= settings:
        return None
    return asked(dataset, one.backbone, key, one.setting, seeds.index(one.seed))
