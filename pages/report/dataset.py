"""Put together what the page says of one dataset, from the metrics of its cells."""

from collections.abc import Sequence
from typing import NamedTuple

from pages.report import section
from pages.report.asked import Asked
from pages.report.charts import figures, training
from pages.report.charts.curves import curve_figures
from pages.report.pictures import clusters
from pages.report.pictures.album import Album
from pages.report.pictures.curated import curations
from pages.report.tables import discovery, lineage, probes, sizes
from pages.report.tables.adapted import adapted, adapted_figure
from pages.report.tables.how_many import how_many
from pages.report.tables.published import OF_DISCOVERY, OF_LABELS, with_published
from pages.report.tables.ranking import ranking
from pages.report.tables.settings import Setting, read_settings
from pipeline.io.absent import read_mark
from pipeline.io.cell import Cell
from pipeline.params import read_params
from pipeline.published import Number


class Scores(NamedTuple):
    """What stages evaluate, evaluate_discovery and probes have found in the cells of a dataset.

    absent: why a cell, or category discovery there, cannot be; cells: those that have scores.
    """

    dataset: str
    absent: dict[str, str]
    cells: list[Cell]
    settings: list[Setting]
    partly: list[Setting]
    probes: list[probes.Scores]


def read_scores(asked: Asked, dataset: str, numbers: Sequence[Number]) -> Scores:
    """Of the cells that params.yaml asks for; numbers: of papers, for those that match."""
    why = {cell: _absent(cell, "embed", "fuse", "evaluate") for cell in asked.cells(dataset)}
    cells = [cell for cell, reason in why.items() if reason is None]
    settings = with_published(
        read_settings([cell.metric("evaluate.csv") for cell in cells]), asked, numbers, OF_LABELS
    )
    scored = [cell for cell in cells if any(s.backbone == cell.backbone for s in settings)]
    discovery = [cell for cell in cells if dataset in asked.known]
    unknown = {cell: _absent(cell, "evaluate_discovery") for cell in discovery}
    partly = [cell for cell, reason in unknown.items() if reason is None]
    absent = {cell.backbone: reason for cell, reason in why.items() if reason is not None}
    absent |= {
        f"{cell.backbone}, category discovery": reason
        for cell, reason in unknown.items()
        if reason is not None
    }
    return Scores(
        dataset,
        absent,
        scored,
        settings,
        with_published(
            (
                s
                for s in read_settings(cell.metric("evaluate_discovery.csv") for cell in partly)
                if s.split == "train"
            ),  # what the papers score; the table has the other splits
            asked,
            numbers,
            OF_DISCOVERY,
        ),
        probes.read_probes(scored),
    )


def _absent(cell: Cell, *stages: str) -> str | None:
    """Why the first of these stages could do nothing."""
    marks = (read_mark(cell.metric(f"{stage}.json")) for stage in stages)
    return next((reason for reason in marks if reason is not None), None)


def describe(
    found: Scores, asked: Asked, backbones: Sequence[str], album: Album | str, side: int, id: str
) -> section.Section:
    """All that the page says of a dataset. `backbones`: all of the page, so that each has one
    colour everywhere; `album`: its images, or why there are none, as wide as `side` pixels; `id`:
    of this section."""
    here, known = found.settings, found.dataset in asked.known
    steps = lineage.steps(asked.adaptations, found.dataset)
    taught = lineage.taught(asked.adaptations, asked.knowing(), found.dataset)
    again = lineage.repeats(steps)
    drawn = [cell for cell in found.cells if cell.backbone not in again]
    names = {cell.backbone for cell in drawn}
    drawn_here = [s for s in here if s.backbone in names]
    knew = [s for s in found.partly if s.labelled and s.backbone in names]
    trained = training.read_trainings([*drawn_here, *knew])
    return section.Section(
        id,
        found.dataset,
        section.facts(here),
        [f"Absent: {backbone}: {reason}" for backbone, reason in found.absent.items()],
        section.unreadable(found.cells),
        sizes.advice(found.cells, read_params("")),
        not any(s.labelled for s in here),
        ranking(found.dataset, [cell.backbone for cell in found.cells]),
        adapted(steps, here, found.partly, discovery.columns(), taught),
        section.tables(here, taught, steps),
        discovery.tables(found.partly, taught, steps),
        probes.tables(found.probes),
        how_many(drawn, known=known),
        curations(drawn, asked.curated, album, side),
        [
            *curve_figures(drawn, backbones, known=known),
            *figures.ablation_figures(drawn_here, backbones),
            *training.training_figure(trained, backbones),
            *adapted_figure(steps),
        ],
        [
            *clusters.sheets(drawn, album, side, backbones, asked),
            *(clusters.discovered(drawn, album, side, backbones, asked) if known else []),
        ],
    )
