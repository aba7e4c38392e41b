"""The tables of stage `evaluate`, summed up: one entry a run, setting and split, over its seeds."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from cluster.metrics.mean_sd import mean_sd
from pages.report.tables.rows import read_rows
from pipeline.io.whole import as_written
from pipeline.published import Number

COUNTS = ("setting", "k", "dims", "dim", "images", "labelled")
KEYS = ("dataset", "backbone", "run", "fitted_on", *COUNTS, "split")


@dataclass(frozen=True)
class Setting:
    """What one setting of one run scored on one split.

    setting: its number in the run, the first is the run's headline; dim: the width of what was
    clustered, dims or, where that is 0 (no projection), the features'. By score: its values, one
    of each of `seeds`, their mean and sd; nan where a score does not exist. published: numbers of
    papers that match, each with what tells it from ours.
    """

    dataset: str
    backbone: str
    run: str
    fitted_on: str
    setting: int
    k: int
    dims: int
    dim: int
    images: int
    labelled: int
    split: str
    seeds: tuple[int, ...]
    values: dict[str, list[float]]
    mean: dict[str, float]
    sd: dict[str, float]
    published: tuple[tuple[Number, str], ...] = ()

    @property
    def own(self) -> bool:
        """Fitted on the dataset itself, not assigned to the clusters of another."""
        return self.fitted_on == self.dataset


def read_settings(paths: Iterable[Path]) -> list[Setting]:
    """All settings in those of the tables that are there, a table a cell, in order."""
    return [setting for path in paths if path.exists() for setting in _read(path)]


def headlines(settings: Iterable[Setting]) -> list[Setting]:
    """The first setting of each run."""
    return [s for s in settings if s.setting == 0]


def _read(path: Path) -> list[Setting]:
    rows = read_rows(path, (*KEYS, "seed"))
    with as_written(path):
        each = groupby(rows, lambda row: [row[key] for key in KEYS])
        return [_sum_up(list(group)) for _, group in each]


def _sum_up(rows: list[dict[str, str]]) -> Setting:
    first = rows[0]
    scores = [name for name in first if name not in KEYS and name != "seed"]
    values = {name: [float(row[name] or "nan") for row in rows] for name in scores}
    found = {name: mean_sd(values[name]) for name in scores}
    return Setting(
        **{key: first[key] for key in KEYS if key not in COUNTS},  # type: ignore[arg-type]
        **{key: int(first[key]) for key in COUNTS},  # type: ignore[arg-type]
        seeds=tuple(int(row["seed"]) for row in rows),
        values=values,
        mean={name: mean for name, (mean, _) in found.items()},
        sd={name: sd for name, (_, sd) in found.items()},
    )
