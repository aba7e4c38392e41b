"""What params.yaml asks the page for: the cells, what was adapted, which collections compared."""

from typing import Any, NamedTuple

from pipeline.adapting.settings import KNOWN, defaults
from pipeline.graph import TABLES
from pipeline.io.cell import Cell
from pipeline.names import BACKBONES
from pipeline.params import PARAMS, StageError, read_params


class Asked(NamedTuple):
    """datasets: how to open their images, by name; backbones: in the order of the page; known: of
    which datasets some classes are known, and how they are drawn; adaptations: the runs of adapt by
    name, with all settings; pairs: section of params.yaml, target and large collection; named: the
    runs whose clusters get words; reviewed: those that are joined with what a person decided;
    mapped: whether the map is on; curated: those of stage curate; methods: the stage of each run
    that is not named as its stage; fused: the backbones of each that is several."""

    datasets: dict[str, Any]
    backbones: list[str]
    known: dict[str, Any]
    adaptations: dict[str, dict[str, Any]]
    pairs: list[tuple[str, str, str]]
    named: list[str]
    reviewed: list[str]
    mapped: bool
    curated: list[str]
    methods: dict[str, str]
    fused: dict[str, list[str]]

    def cells(self, dataset: str) -> list[Cell]:
        """What was taken out of params.yaml still lies in the folders, and is not shown."""
        return [Cell(dataset, backbone) for backbone in self.backbones]

    def knowing(self) -> list[str]:
        """The runs of adapt that see labels."""
        return [name for name, r in self.adaptations.items() if r.get("learns_from") == KNOWN]


def asked() -> Asked:
    """All of it, from params.yaml here."""
    every = names("datasets"), backbones(), names("known"), adaptations(), pairs()
    reviewed = [*runs_of("reviewed"), *runs_of("reviewed_discovered")]
    mapped, curated = bool(runs_of("map")), runs_of("curate")
    return Asked(*every, runs_of("names"), reviewed, mapped, curated, methods(), fused())


def runs_of(stage: str) -> list[str]:
    """Its runs, none in settings that are older than the stage."""
    runs = (read_params("") or {}).get("runs") or {}
    return list(runs.get(stage) or [])


def names(path: str) -> dict[str, Any]:
    """Names with their settings; none where nothing is said. StageError: something else is."""
    found = read_params(path)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise StageError(f"{PARAMS}: {path} is {found!r}, expected names, each with its settings")
    return found


def words(path: str) -> list[str]:
    """A list of words; none where nothing is said. StageError: something else is."""
    found = read_params(path)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise StageError(f"{PARAMS}: {path} is {found!r}, expected a list of words")
    return found


def backbones() -> list[str]:
    """All of them: rows of the zoo, then other origins, each as they are listed (a union of
    mappings has them in another order)."""
    every = names("all")
    listed = [name for origin in BACKBONES for name in _listed(origin)]
    return [name for name in dict.fromkeys([*listed, *every]) if name in every]


def _listed(origin: str) -> dict[str, Any]:
    """Those of one origin; a params.yaml of an older Cairn has not all of them."""
    params = read_params("")
    return names(origin) if isinstance(params, dict) and origin in params else {}


def adaptations() -> dict[str, dict[str, Any]]:
    """The runs of adapt by name, with all settings, those of their objective too."""
    runs = names("adapted")
    for name, run in runs.items():
        said = run if isinstance(run, dict) else {}
        for key in ("dataset", "backbone", "objective"):
            if not isinstance(said.get(key), str):
                raise StageError(f"{PARAMS}: adapted.{name} says no {key}")
    for name in runs:
        line = [name]
        while (base := runs[line[-1]]["backbone"]) in runs:
            if base in line:
                raise StageError(f"{PARAMS}: adapted.{name} begins with itself")
            line.append(base)
    of = defaults() if runs else {}
    return {name: {**of.get(run["objective"], {}), **run} for name, run in runs.items()}


def methods() -> dict[str, str]:
    """The stage of each run in `runs`: {kmeans_sweep: kmeans}."""
    said = read_params("").get("runs") or {}
    each = said.items() if isinstance(said, dict) else ()
    of_stage = {
        stage: runs for stage, runs in each if stage not in TABLES and isinstance(runs, list)
    }
    return {str(run): stage for stage, runs in of_stage.items() for run in runs}


def fused() -> dict[str, list[str]]:
    """The backbones of each fused one; none where params.yaml has no such section."""
    said = read_params("").get("fused") or {}
    each = said.items() if isinstance(said, dict) else ()
    return {
        str(name): of
        for name, of in each
        if isinstance(of, list) and all(isinstance(part, str) for part in of)
    }


def pairs() -> list[tuple[str, str, str]]:
    """Which collections (target) looked for images in which others (among), by which section."""
    return [
        (section, target, among)
        for section in ("similar", "similar_by_labels")
        for target in dict.fromkeys(words(f"{section}.target"))
        for among in dict.fromkeys(words(f"{section}.among"))
    ]
