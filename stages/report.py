"""One page that compares backbones and methods and shows the clusters."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages import Section, StageError, read_params, run
from stages.page import ablations, examples, figures, section, table
from stages.page.album import Albums
from stages.page.render import page
from stages.page.settings import headlines, read_settings
from stages.page.similar import pairs


class Params(Section):
    images_per_cluster: Annotated[int, Field(ge=1)]  # nearest to the centre, and as many furthest
    clusters_shown: Annotated[int, Field(ge=0)]  # a dataset; 0: no sheet of images
    thumbnail: Annotated[int, Field(ge=16)]  # pixels


def main(
    scores: Path,
    clusters: Path,
    images: Path,
    unreadable: Path,
    similar: Path,
    report: Path,
    params: Params,
) -> None:
    """Compare all tables in SCORES; write index.html, table.md, by_k.csv and by_dims.csv to REPORT.

    The page needs nothing but itself. It shows images of each backbone's best clustering in
    CLUSTERS, chosen without labels; IMAGES tells which they are, and they are opened as
    `datasets` of params.yaml says. UNREADABLE lists what a backbone could not read. What one
    dataset found in another lies in SIMILAR, which may be missing.
    """
    settings = [s for s in read_settings(scores) if (s.dataset, s.backbone) in _asked_for()]
    if not settings:
        raise StageError(f"{scores} has no scores of the datasets and backbones of params.yaml")
    shown = examples.Shown(params.clusters_shown, params.images_per_cluster, params.thumbnail)
    albums, parts = Albums(images, read_params("datasets") or {}), []
    backbones = sorted({s.backbone for s in settings})
    for number, name in enumerate(dict.fromkeys(s.dataset for s in settings)):
        here, id = [s for s in settings if s.dataset == name], f"d{number}"
        parts.append(
            section.Section(
                id,
                name,
                section.facts(here),
                section.unreadable(unreadable, name),
                section.tables(here),
                figures.ablation_figures(here, backbones, id),
                examples.sheets(here, clusters, albums.of(name), shown, backbones, id),
            )
        )
    found = []
    if similar.is_dir():  # only where two collections were compared
        found = pairs(similar, read_params("similar"), backbones, albums, shown)
    report.mkdir(parents=True, exist_ok=True)
    (report / "index.html").write_text(page(parts, found, shown), encoding="utf-8")
    (report / "table.md").write_text(table.markdown(headlines(settings)), encoding="utf-8")
    ablations.write(report / "by_k.csv", ablations.by_k(settings), "k")
    ablations.write(report / "by_dims.csv", ablations.by_dims(settings), "dims")


def _asked_for() -> set[tuple[str, str]]:
    """Datasets and backbones of params.yaml: what was taken out of it still lies in the folders."""
    cells = {(d, b) for d in read_params("datasets") or {} for b in read_params("backbones") or []}
    return cells | {(name, "imported") for name in read_params("import") or {}}


if __name__ == "__main__":
    run(main)
