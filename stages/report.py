"""One page that compares backbones and methods and shows the clusters."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pages.report import asked, section
from pages.report.charts import figures, training
from pages.report.charts.curves import curve_figures
from pages.report.markdown import markdown
from pages.report.pictures import examples
from pages.report.pictures.album import Albums
from pages.report.pictures.similar import pairs
from pages.report.render import page
from pages.report.tables import ablations, discovery, lineage, probes
from pages.report.tables.adapted import Adapted, adapted, adapted_figure
from pages.report.tables.how_many import how_many
from pages.report.tables.settings import headlines, read_settings
from pipeline.io.whole import whole_text
from pipeline.params import Section, StageError
from stages import run


class Params(Section):
    images_per_cluster: Annotated[int, Field(ge=1)]  # the most typical, and as many least so
    clusters_shown: Annotated[int, Field(ge=0)]  # a dataset; 0: no sheet of images
    thumbnail: Annotated[int, Field(ge=16)]  # pixels


def main(
    scores: Path,
    ceilings: Path,
    epochs: Path,
    estimates: Path,
    metrics: Path,
    clusters: Path,
    images: Path,
    unreadable: Path,
    similar: Path,
    report: Path,
    params: Params,
) -> None:
    """Compare all tables in SCORES; write index.html, table.md, by_k.csv and by_dims.csv to REPORT.

    Those of category discovery are in its folder `discovery`, if there are any. CEILINGS are the
    tables of stage probes, which stand apart. EPOCHS (accuracies) and METRICS (losses, eigenvalues)
    say how the heads were trained and what the graphs look like.
    The page needs nothing but itself. It shows images of each backbone's best clustering in
    CLUSTERS, chosen without labels; IMAGES tells which they are, and they are opened as
    `datasets` of params.yaml says. UNREADABLE lists what a backbone could not read. What one
    dataset found in another lies in SIMILAR, which may be missing.
    """
    asked_for = asked.cells()
    settings = [s for s in read_settings(scores) if (s.dataset, s.backbone) in asked_for]
    runs, adaptations = asked.discovered(), asked.adaptations()
    knowing = list(asked.names(lineage.KNOWING))
    changed: dict[str, Adapted | None] = {}
    partly = [
        s
        for s in discovery.read_discovery(scores)
        if (s.dataset, s.backbone) in asked_for and s.dataset in runs
    ]
    if not settings:
        raise StageError(f"{scores} has no scores of the datasets and backbones of params.yaml")
    shown = examples.Shown(params.clusters_shown, params.images_per_cluster, params.thumbnail)
    albums, parts = Albums(images, asked.names("datasets")), []
    backbones, known = sorted({s.backbone for s in settings}), {}
    for number, name in enumerate(dict.fromkeys(s.dataset for s in settings)):
        here, id = [s for s in settings if s.dataset == name], f"d{number}"
        steps = lineage.steps(adaptations, name)
        taught, again = lineage.taught(adaptations, knowing, name), lineage.repeats(steps)
        own = [backbone for backbone in backbones if (name, backbone) in asked_for]
        drawn = [backbone for backbone in own if backbone not in again]
        drawn_here = [s for s in here if s.backbone in drawn]
        known[name] = probes.read_probes(ceilings, metrics, name, own)
        knew = [s for s in partly if s.dataset == name]
        trained = training.read_trainings(
            metrics,
            epochs,
            [*drawn_here, *(s for s in knew if s.labelled and s.backbone in drawn)],
        )
        changed[name] = adapted(steps, here, knew, discovery.columns(), taught)
        parts.append(
            section.Section(
                id,
                name,
                section.facts(here),
                section.unreadable(unreadable, name),
                changed[name],
                section.tables(here, taught, steps),
                discovery.tables(knew, taught, steps),
                probes.tables(known[name]),
                how_many(metrics, name, drawn, known=name in runs),
                [
                    *curve_figures(
                        metrics, estimates, name, backbones, id, drawn, known=name in runs
                    ),
                    *figures.ablation_figures(drawn_here, backbones, id),
                    *training.training_figure(trained, backbones, f"{id}-t"),
                    *adapted_figure(metrics, steps, f"{id}-a"),
                ],
                [
                    *examples.sheets(drawn_here, clusters, albums.of(name), shown, backbones, id),
                    *examples.discovered(
                        clusters,
                        name,
                        runs.get(name, []),
                        albums.of(name),
                        shown,
                        backbones,
                        id,
                        drawn,
                    ),
                ],
            )
        )
    found = []
    if similar.is_dir():  # only where two collections were compared
        found = pairs(similar, asked.pairs(), backbones, albums, shown)
    with whole_text(report / "index.html") as file:
        file.write(page(parts, found, shown))
    with whole_text(report / "table.md") as file:
        file.write(markdown(headlines(settings), headlines(partly), known, changed))
    ablations.write(report / "by_k.csv", ablations.by_k(settings), "k")
    ablations.write(report / "by_dims.csv", ablations.by_dims(settings), "dims")


if __name__ == "__main__":
    run(main)
