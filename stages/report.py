"""One page that compares backbones and methods and shows the clusters."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pages.report.asked import asked
from pages.report.dataset import describe, read_scores
from pages.report.markdown import markdown
from pages.report.pictures.album import Albums
from pages.report.pictures.similar import pairs
from pages.report.provenance import provenance
from pages.report.render import page
from pages.report.tables import ablations
from pages.report.tables.costs import read_costs
from pages.report.tables.settings import headlines
from pipeline.io.whole import whole_text
from pipeline.params import PARAMS, Runtime, Section, StageError
from pipeline.published import read_published
from stages import run

REPORT = Path("report")


class Params(Section):
    thumbnail: Annotated[int, Field(ge=16)]  # pixels


def main(params: Params, runtime: Runtime) -> None:
    """Compare all that the stages have left in metrics/; write index.html, table.md, by_k.csv and
    by_dims.csv to report/.

    The page needs nothing but itself. It shows images of each backbone's best clustering, chosen
    without labels by stage examples; they are opened as `datasets` of params.yaml says. Cells that
    cannot be are listed with the reason; what recipes/published.yaml says of a cell stands in a
    column next to its score; what was taken out of params.yaml is not shown.
    """
    wanted = asked()
    numbers = read_published()
    scores = [read_scores(wanted, dataset, numbers) for dataset in wanted.datasets]
    scores = [found for found in scores if found.settings or found.absent]
    if not scores:
        raise StageError(
            f"metrics has no scores of the datasets and backbones of {PARAMS}: the stage evaluate "
            "has not run"
        )
    settings = [s for found in scores for s in found.settings]
    partly = [s for found in scores for s in found.partly]
    backbones = [b for b in wanted.backbones if any(s.backbone == b for s in settings)]
    albums, side = Albums(wanted.datasets, runtime), params.thumbnail
    parts = [
        describe(found, wanted, backbones, albums.of(found.dataset), side, f"d{number}")
        for number, found in enumerate(scores)
    ]
    similar = pairs(wanted.pairs, backbones, albums, side)
    costs = read_costs([cell for found in scores for cell in found.cells], wanted.adaptations)
    with whole_text(REPORT / "index.html") as file:
        file.write(page(parts, similar, side, provenance(), costs))
    ceilings = {found.dataset: found.probes for found in scores}
    changed = {part.name: part.adapted for part in parts}
    with whole_text(REPORT / "table.md") as file:
        file.write(markdown(headlines(settings), headlines(partly), ceilings, changed))
    ablations.write(REPORT / "by_k.csv", ablations.by_k(settings), "k")
    ablations.write(REPORT / "by_dims.csv", ablations.by_dims(settings), "dims")


if __name__ == "__main__":
    run(main)
