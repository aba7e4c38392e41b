"""What adapting a backbone has changed: each method on the frozen one and on what it became."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cluster.metrics.mean_sd import mean_sd
from pages.report.charts.chart import Curve, Panel, lines
from pages.report.charts.figures import Figure
from pages.report.charts.svg import COLOURS
from pages.report.tables import lineage, table
from pages.report.tables.lineage import Step
from pages.report.tables.rows import read_rows
from pages.report.tables.settings import Setting, headlines
from pages.report.tables.table import Cell, Column
from pipeline.io.whole import as_written

TRAININGS = Path("metrics/backbones")  # a table a run: stage adapt


class Row(NamedTuple):
    step: Step
    cells: list[Cell]


class Table(NamedTuple):
    """One score: a row a step, a column a method."""

    title: str
    columns: list[Column]
    spread: list[bool]  # which columns have a ±
    rows: list[Row]


class Adapted(NamedTuple):
    caption: str
    tables: list[Table]


def adapted(
    steps: Sequence[Step],
    settings: Sequence[Setting],
    partly: Sequence[Setting],
    parts: Sequence[Column],
    taught: Sequence[str],
) -> Adapted | None:
    """All, Old and New (`parts`) of every method, where adapted backbones have scores of category
    discovery (`partly`), else ACC and NMI on train. None where nothing was adapted or
    scored. `taught`: backbones that have seen the known labels."""
    changed = {run for step in steps if not step.frozen for run in step.runs}
    known = bool(table.scored([s for s in partly if s.backbone in changed], parts))
    scores = partly if known else settings
    shown = parts if known else [c for c in table.COLUMNS if c.score in ("acc", "nmi")]
    first = [s for s in headlines(scores) if s.own and s.split == "train"]
    first = [s for s in first if any(s.backbone in step.runs for step in steps)]
    steps = [step for step in steps if any(s.backbone in step.runs for s in first)]
    if all(step.frozen for step in steps) or not table.scored(first, shown):
        return None
    knew = [*(s for s in first if s.labelled), *first] if known else first
    methods = list(dict.fromkeys(s.run for s in knew))
    tables = [_table(column, methods, steps, first) for column in table.scored(first, shown)]
    seen = lineage.said(taught, [s.backbone for s in first])
    return Adapted(_caption(steps, first, known) + seen, tables)


def adapted_figure(steps: Sequence[Step]) -> list[Figure]:
    """The loss of each step after each epoch, a panel an objective."""
    panels: dict[str, list[Curve]] = {}
    for step in (s for s in steps if not s.frozen):
        paths = [TRAININGS / f"{run}.csv" for run in step.runs]
        found = [_losses(path) for path in paths if path.exists()]
        length = min(map(len, found), default=0)
        if length:
            curves = panels.setdefault(_last(step), [])
            loss = np.array([losses[:length] for losses in found])
            sd = loss.std(axis=0, ddof=1) if len(loss) > 1 else np.full(length, np.nan)
            x, tone = np.arange(1, length + 1), sum(map(len, panels.values()))
            label = f"{step.base} → {step.how}"
            curves.append(Curve(label, tone, tone // COLOURS, x, loss.mean(axis=0), sd))
    if not panels:
        return []
    drawn = [Panel(f"{title} · loss", curves) for title, curves in panels.items()]
    caption = (
        "Mean over the runs of a step, shaded ± standard deviation where there are several. "
        "Losses of different objectives do not compare. No label but the known ones has a part "
        "in them."
    )
    chart = lines(drawn, "epoch", log=False)
    return [Figure("Training of the adapted backbones", chart, caption)]


def _losses(path: Path) -> list[float]:
    """Of each epoch."""
    rows = read_rows(path, ("epoch", "loss"))
    with as_written(path):
        return [float(row["loss"]) for row in rows]


def _table(
    column: Column, methods: Sequence[str], steps: Sequence[Step], settings: Sequence[Setting]
) -> Table:
    by_method = []
    for method in methods:
        of_step = [_values(column, method, step, settings) for step in steps]
        found = [mean_sd(values) for values in of_step]
        means = [mean for mean, _ in found]
        by_method.append([table.cell(column, *pair, means) for pair in found])
    rows = [Row(step, [cells[at] for cells in by_method]) for at, step in enumerate(steps)]
    shown = [
        column._replace(title=method, hint=f"{column.title}: {column.hint}") for method in methods
    ]
    return Table(column.title, shown, [any(c.sd for c in cells) for cells in by_method], rows)


def _values(column: Column, method: str, step: Step, settings: Sequence[Setting]) -> list[float]:
    """Of all runs of a step and all seeds of a method together."""
    here = [s for s in settings if s.run == method and s.backbone in step.runs]
    return [value for s in here for value in s.values[column.score]]


def _caption(steps: Sequence[Step], settings: Sequence[Setting], known: bool) -> str:
    many = []
    for frozen in (True, False):
        counts = {
            sum(len(s.seeds) for s in settings if s.run == method and s.backbone in step.runs)
            for step in steps
            if step.frozen == frozen
            for method in {s.run for s in settings}
        } - {0}
        many.append(" or ".join(map(str, sorted(counts))) or "no")
    images = f"{settings[0].images:,} unlabelled images of train; v2" if known else "train"
    return (
        f"In %, on {images}; the first setting of each method. Mean ± sd over all runs of a row "
        f"and all seeds of a method together: {many[0]} values a cell where frozen, {many[1]} "
        "where adapted. The runs of a row differ in nothing but their seed; curves and pictures "
        "are of the first. Shaded: the highest of each method, which is best."
    )


def _last(step: Step) -> str:
    """The objective that a step ends with."""
    return step.how.rpartition(" → ")[2].partition(",")[0]
