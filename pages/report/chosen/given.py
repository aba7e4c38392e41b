"""The names that a person gave to the clusters that the page shows, and how far they have come."""

from typing import NamedTuple

from pages.report.chosen.clusters import Chosen
from pipeline.io.absent import read_mark
from pipeline.io.cell import Cell
from pipeline.io.whole import facts_in


class Given(NamedTuple):
    """names: of clusters that have one; said: how many images are decided, "" where no one has."""

    names: dict[int, str]
    said: str


def given(cell: Cell, found: Chosen) -> Given:
    """From the facts of stage reviewed, which are of one seed of a run's first setting. Where
    another clustering of the run is shown, the names are left out, with a line."""
    path = cell.metric(f"reviewed_{found.run}.json")
    if not path.exists() or read_mark(path) is not None:
        return Given({}, "")
    with facts_in(path) as facts:
        names = {int(cluster): str(name).strip() for cluster, name in facts["names"].items()}
        images, cluster = int(facts["images"]), int(facts["cluster"])
        alone = {what: int(facts[what]) for what in ("decided", "unknown", "junk")}
        seed, same = int(facts["seed"]), facts["k"] == found.k and not found.setting
    said = f"{sum(alone.values()):,} of {images:,} images decided by a person"
    apart = [f"{alone[what]:,} {what}" for what in ("unknown", "junk") if alone[what]]
    said += f" ({', '.join(apart)})" * bool(apart)
    said += f", {cluster:,} more by the name of their cluster" * bool(cluster) + "."
    if same and seed == found.seed:
        fit = {c: name for c, name in names.items() if 0 <= c < found.k and name}
        return Given(fit, said)
    if names:
        said += f" The names are those of clusters by seed {seed}, which are not shown."
    return Given({}, said)
