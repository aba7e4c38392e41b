"""What papers say of the method and backbone of a row, in a column next to ours.

A column has one number a row, that of the first paper that recipes/published.yaml names; below the
table all of them are listed, with what tells them from ours.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pages.report.asked import Asked
from pages.report.tables.settings import Setting
from pages.report.tables.table import HINT, PAPER, Column
from pipeline.published import DISCOVERY, Number, Ours, beside, is_benchmark, said

OF_LABELS = {name: name for name in ("acc", "nmi", "ari", "ami")}  # score: key of a number
OF_DISCOVERY = {f"{part}_v2": part for part in DISCOVERY}


def with_published(
    settings: Iterable[Setting], asked: Asked, numbers: Sequence[Number], keys: Mapping[str, str]
) -> list[Setting]:
    """The settings, each with the numbers that match and a line of each; their means have
    SCORE_published for each score of `keys`, a share as ours are, nan where no paper says one."""
    wanted = tuple(keys.values())
    numbers = [number for number in numbers if number.scores(wanted)]
    out = []
    for setting in settings:
        drawn = keys is not OF_DISCOVERY or is_benchmark(asked.known.get(setting.dataset))
        ours = _ours(setting, asked)
        found = beside(ours, numbers, wanted) if drawn and setting.own else []
        mean, sd = dict(setting.mean), dict(setting.sd)
        for score, key in keys.items():
            first = next((getattr(n, key) for n in found if getattr(n, key) is not None), math.nan)
            mean[published(score)], sd[published(score)] = first / 100, math.nan
        each = tuple((number, said(number, wanted, not ours.trained)) for number in found)
        out.append(replace(setting, mean=mean, sd=sd, published=each))
    return out


def published(score: str) -> str:
    """The name of the column."""
    return f"{score}_published"


def columns(shown: Sequence[Column]) -> list[Column]:
    """Those of discovery, each with what papers say."""
    return [each for c in shown for each in (c, _of_papers(c))]


def lines(settings: Sequence[Setting]) -> list[str]:
    """A line a number that stands beside a row, with the run it stands beside."""
    each = ((s, line) for s in settings for _, line in s.published)
    return list(dict.fromkeys(f"{s.run} on {s.backbone}, published: {line}." for s, line in each))


def _of_papers(column: Column) -> Column:
    """Titles of discovery may say by which way, which papers call v2."""
    return column._replace(
        score=published(column.score), title=f"{column.title}, published", hint=HINT, among=PAPER
    )


def _ours(setting: Setting, asked: Asked) -> Ours:
    trained, base = "", setting.backbone
    while base in asked.adaptations:
        trained = trained or asked.adaptations[base]["objective"]
        base = asked.adaptations[base]["backbone"]
    spec: Any = asked.datasets.get(setting.dataset)
    return Ours(
        setting.dataset,
        spec if isinstance(spec, Mapping) else {},
        tuple(asked.fused.get(base, [base])),
        trained,
        setting.run,
        asked.methods.get(setting.run, setting.run),
        setting.k,
        setting.dims,
        setting.split,
    )
