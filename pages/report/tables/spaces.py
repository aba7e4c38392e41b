"""In which space the runs have clustered, as the stages of the methods say in their metrics."""

from collections.abc import Sequence

from pages.report.tables.settings import Setting
from pipeline.io.cell import Cell
from pipeline.io.whole import facts_in
from pipeline.names import FINISHED

MANY = 8  # runs that are not named where all cluster alike


def space(dataset: str, backbone: str, run: str) -> str:
    """The fact `space` of a run, such as "unit length, no projection"; empty where none is said."""
    of = f"finish_{run.removesuffix(FINISHED)}" if run.endswith(FINISHED) else run
    path = Cell(dataset, backbone).metric(f"{of}.json")
    if not path.exists():
        return ""
    with facts_in(path) as said:
        return str(said.get("space", ""))


def spaces(settings: Sequence[Setting]) -> list[str]:
    """A line a space: what it is, then the runs, by their backbones where these differ; of many
    runs in one space no name is needed."""
    runs = dict.fromkeys((s.fitted_on, s.backbone, s.run) for s in settings)
    found: dict[str, list[tuple[str, str]]] = {}
    for of, backbone, run in runs:
        if said := space(of, backbone, run.removesuffix(f"_from_{of}")):
            found.setdefault(said, []).append((backbone, run))
    names = {run for _, _, run in runs}
    if len(names) > MANY and [len(where) for where in found.values()] == [len(runs)]:
        return [f"Clustered in {next(iter(found))}: all {len(names)} runs."]
    out = []
    for said, where in found.items():
        by_backbone: dict[str, list[str]] = {}
        for backbone, run in where:
            by_backbone.setdefault(backbone, []).append(run)
        groups = {", ".join(own): 0 for own in by_backbone.values()}
        text = next(iter(groups)) if len(groups) == 1 else "; ".join(
            f"{backbone}: {', '.join(own)}" for backbone, own in by_backbone.items())  # fmt: skip
        out.append(f"Clustered in {said}: {text}.")
    return out
