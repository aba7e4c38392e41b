"""dvc.yaml as data: the commands, deps and outs of one cell of each stage."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DVC = Path(__file__).parents[1] / "dvc.yaml"


class Entry(NamedTuple):
    """A stage of dvc.yaml for one item: words after `python -m stages.`; paths as they are
    written there, but without .. in them."""

    name: str
    command: list[str]
    deps: list[str]
    outs: list[str]
    params: list[str]


def stages() -> dict[str, dict[str, Any]]:
    """All of them by name, with what they are written for (foreach, matrix) in place."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(DVC.read_text(encoding="utf-8"))["stages"]
    return found


def items(stage: Mapping[str, Any]) -> dict[str, str]:
    """What a stage is one of each of, and the place in params.yaml that says of which."""
    if "foreach" in stage:
        return {"key": stage["foreach"][2:-1]}
    return {what: where[2:-1] for what, where in stage.get("matrix", {}).items()}


def entry(name: str, item: Mapping[str, Any], params: Mapping[str, Any]) -> Entry:
    """A stage for one item; params: those of the project."""
    stage = stages()[name]
    form = stage.get("do", stage)

    def meant(found: re.Match[str]) -> str:
        where = found[1].removeprefix("item.")
        if where in item:
            return str(item[where])
        value: Any = params
        for key in where.split("."):
            value = value[key]
        return str(value)

    def written(what: str) -> list[str]:
        each = [one if isinstance(one, str) else next(iter(one)) for one in form.get(what, [])]
        return [re.sub(r"\$\{([^}]+)\}", meant, one) for one in each]

    command = re.sub(r"\$\{([^}]+)\}", meant, form["cmd"]).split()
    assert command[:2] == ["python", "-m"]
    assert command[2].startswith("stages.")
    outs = [*written("outs"), *written("metrics"), *written("plots")]
    paths = ([str(_plain(path)) for path in each] for each in (written("deps"), outs))
    watched = [path for path in written("params") if not path.endswith(".yaml")]
    return Entry(name, [command[2].removeprefix("stages."), *command[3:]], *paths, watched)


def _plain(path: str) -> Path:
    """Without the .. that a dep may have (learns_from: ../known.h5)."""
    parts: list[str] = []
    for part in Path(path).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return Path(*parts)
