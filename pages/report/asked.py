"""What params.yaml asks the page for: the cells, whose clusters are shown, what was adapted."""

from typing import Any

from pipeline.params import PARAMS, StageError, read_params


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


def cells() -> set[tuple[str, str]]:
    """Datasets and backbones: what was taken out of params.yaml still lies in the folders."""
    found = {(d, b) for d in names("datasets") for b in words("backbones")}
    found |= {(d, b) for d in words("adapted.datasets") for b in adaptations()}
    return found | {(name, "imported") for name in names("import")}


def adaptations() -> dict[str, dict[str, Any]]:
    """The runs of adapt by name, with the settings that tell one from another."""
    found = read_params("adapted.backbones")
    if not isinstance(found or {}, dict):
        raise StageError(
            f"{PARAMS}: adapted.backbones takes over the runs: write "
            "{<<: [*adapt, *adapt_with_neighbors, *adapt_with_known]}"
        )
    runs = names("adapted.backbones")
    for name, run in runs.items():
        said = run if isinstance(run, dict) else {}
        for key in ("dataset", "backbone", "objective"):
            if not isinstance(said.get(key), str):
                raise StageError(f"{PARAMS}: adapted.backbones.{name} says no {key}")
    for name in runs:
        line = [name]
        while (base := runs[line[-1]]["backbone"]) in runs:
            if base in line:
                raise StageError(f"{PARAMS}: adapted.backbones.{name} begins with itself")
            line.append(base)
    return runs


def discovered() -> dict[str, list[str]]:
    """The datasets of which a class is known, each with the runs of which one is shown."""
    return dict.fromkeys([*names("known"), *names("known_imported")], words("discover.export"))


def pairs() -> dict[str, list[str]]:
    """Which collections (target) looked for images in which others (among)."""
    return {key: words(f"similar.{key}") for key in ("target", "among")}
