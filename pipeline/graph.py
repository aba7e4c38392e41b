"""What dvc.yaml makes stages of is checked before: DVC ends at a path that is not there, or at an
`unexpected error`, and names no setting.

Each stage checks all of it. Where a list is a text DVC cannot read dvc.yaml, so that no stage runs:
`python -m pipeline.graph` checks alone, and `make repro` does so first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.names import BACKBONES, FINISHED, require_names
from pipeline.params import PARAMS, StageError, did_you_mean, read_params

MEMBERS, CONSENSUS = "member", "consensus"  # lists of runs: the former are joined by the latter
MAP, NEED_MAP = "map", "umap_kmeans"
CURATE = "curate"  # whose runs have no clusters
MAPPINGS = ("datasets", "known", *BACKBONES, "embedded", "all", "runs")
PRODUCTS = {  # lists of which every combination is a stage, and what each of them names
    "assign": {"from": "dataset", "to": "dataset", "runs": "run"},
    "similar": {"target": "dataset", "among": "dataset"},
    "similar_by_labels": {"target": "dataset", "among": "dataset"},
}
ADAPTED = ("objective", "dataset", "backbone", "learns_from")  # that the graph itself reads
# Lists of runs of other stages, and what there has to be for them
TABLES = dict.fromkeys(
    ("finish", MEMBERS, "names", "export", "export_named", "reviewed"), "datasets"
)
TABLES |= dict.fromkeys(("export_discovered", "reviewed_discovered"), "known")
READ = ("export", "export_named", "reviewed")  # sections that name a file which a table reads


def require_graph(params: object) -> None:
    """Raise StageError at the first name or list of which DVC can make no stages; `params`: all of
    params.yaml. What is not there is not checked."""
    if not isinstance(params, Mapping):  # whoever reads a section says so
        return
    _require_shapes(params)
    require_names(params)
    _require_fused(params)
    runs = params.get("runs", {})
    _require_map(runs)
    _require_read(params, runs)
    known = {"dataset": params.get("datasets"), "backbone": params.get("all")}
    for where, kind, name in _references(params):
        if kind == "run":
            _require_run(params, where, name)
            _require_named(where, name, params)
        elif (there := known[kind]) is not None and name not in list(there):
            raise StageError(
                f"{PARAMS}: {where}: {name} is no {kind}{did_you_mean(str(name), there)}"
            )


def _require_shapes(params: Mapping[str, Any]) -> None:
    for where in MAPPINGS:
        if where in params and not isinstance(params[where], Mapping):
            raise _mistake(where, params[where], "names with their settings, or {} for none")
    lists = [("runs", name) for name in params.get("runs", ())]
    lists += [(where, name) for where, names in PRODUCTS.items() for name in names]
    for where, name in lists:
        section = params.get(where)
        if isinstance(section, Mapping) and not isinstance(section.get(name, []), list):
            raise _mistake(f"{where}.{name}", section[name], "a list, as [name], or [] for none")
    for where, keys in {"adapted": ADAPTED, "resized": ("row",)}.items():
        for name, row in params.get(where, {}).items():
            for key in keys:
                if not isinstance(row, Mapping) or key not in row:
                    raise StageError(f"{PARAMS}: {where}.{name} has no '{key}'")


def _require_fused(params: Mapping[str, Any]) -> None:
    """Each has two parts or more, all of them embedded."""
    fused, embedded = params.get("fused", {}), params.get("embedded")
    for name, parts in fused.items():
        where = f"fused.{name}"
        if not (isinstance(parts, list) and all(isinstance(part, str) for part in parts)):
            raise _mistake(where, parts, "two backbones or more, as [name, name]")
        if len(parts) < 2 or len(set(parts)) < len(parts):
            raise _mistake(where, parts, "two different backbones or more")
        for part in parts:
            if part in fused:
                raise StageError(f"{PARAMS}: {where}: {part} is fused itself: name its parts")
            if embedded is not None and part not in embedded:
                raise StageError(
                    f"{PARAMS}: {where}: {part} is named under no other key, such as backbones:"
                    f"{did_you_mean(part, embedded)}"
                )
    for name, row in params.get("adapted", {}).items():
        if isinstance(base := row["backbone"], str) and base in fused:
            raise StageError(
                f"{PARAMS}: adapted.{name}.backbone: {base} is fused, and has no network to train: "
                "name one of its parts"
            )


def _mistake(where: str, found: object, expected: str) -> StageError:
    return StageError(f"{PARAMS}: {where} is {found!r}: expected {expected}")


def _references(params: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(where, kind of what is named, name)."""
    yield from (("known", "dataset", name) for name in params.get("known", ()))
    for name, row in params.get("adapted", {}).items():
        yield from ((f"adapted.{name}.{kind}", kind, row[kind]) for kind in ("dataset", "backbone"))
    for where, kinds in PRODUCTS.items():
        section = params.get(where)
        if isinstance(section, Mapping) and all(section.get(name) for name in kinds):
            for name, kind in kinds.items():
                yield from ((f"{where}.{name}", kind, one) for one in section[name])
    runs = params.get("runs", {})
    for method, names in runs.items():
        asked = method != MEMBERS or runs.get(CONSENSUS)
        if params.get(TABLES.get(method, "runs")) and asked:
            yield from ((f"runs.{method}", "run", name) for name in names)


def _require_map(runs: Mapping[str, Any]) -> None:
    """A cell has one map, which is no run of clusters; and what is joined is no consensus."""
    names = runs.get(MAP, [])
    if names not in ([], [MAP]):
        raise _mistake(f"runs.{MAP}", names, f"[{MAP}], as a cell has one map, or [] for none")
    if runs.get(NEED_MAP) and not names:
        raise StageError(f"{PARAMS}: runs.{NEED_MAP} needs the map: set runs.{MAP} to [{MAP}]")
    if both := [name for name in runs.get(MEMBERS, []) if name in runs.get(CONSENSUS, [])]:
        raise StageError(
            f"{PARAMS}: runs.{MEMBERS}: {both[0]} would join itself: take it out of one list"
        )
    if runs.get(CONSENSUS) and not runs.get(MEMBERS):
        raise StageError(f"{PARAMS}: runs.{MEMBERS} is empty: name the runs that are to be joined")


def _require_read(params: Mapping[str, Any], runs: Mapping[str, Any]) -> None:
    """What a table reads beside the clusters is the name of a file."""
    for name in READ:
        section = params.get(name)
        reads = section.get("reads", "neighbors") if isinstance(section, Mapping) else "neighbors"
        if reads == MAP and MAP in runs and not runs[MAP]:
            raise StageError(f"{PARAMS}: {name}.reads is map: set runs.{MAP} to [{MAP}]")
        if reads not in ("neighbors", MAP):
            raise _mistake(f"{name}.reads", reads, f"neighbors, or {MAP}")


def _require_run(params: Mapping[str, Any], where: str, name: Any) -> None:
    """A run is a section. Those of a method that has a list below `runs` are on if they are in it;
    all runs of a method have the same settings."""
    if where == "runs.finish" and isinstance(name, str) and name not in params:
        name = _assigned_run(params, name)
    elif isinstance(name, str) and name.endswith(FINISHED):
        of = name.removesuffix(FINISHED)
        if of in params.get("runs", {}).get("finish", ()):
            return  # which is checked there
        if of in params:
            raise StageError(
                f"{PARAMS}: {where}: {name} is off: take it out, or add {of} to runs.finish"
            )
    section = params.get(name) if isinstance(name, str) else None
    if not isinstance(section, Mapping):
        raise StageError(
            f"{PARAMS}: {where}: {name} has no section of settings{did_you_mean(str(name), params)}"
        )
    runs = params.get("runs", {})
    on = {method: names for method, names in runs.items() if method not in (*TABLES, MAP, CURATE)}
    if any(name in names for names in on.values()):
        return
    for method in on:
        of_method = params.get(method)
        if isinstance(of_method, Mapping) and of_method.keys() == section.keys():
            raise StageError(
                f"{PARAMS}: {where}: {name} is off: take it out, or add it to runs.{method}"
            )


def _assigned_run(params: Mapping[str, Any], name: str) -> str:
    """The run of which RUN_from_DATASET holds the clusters, given to another dataset."""
    assign = params.get("assign")
    if isinstance(assign, Mapping) and assign.get("to"):  # else no stage gives them
        for of in assign.get("from", ()):
            run = name.removesuffix(f"_from_{of}")
            if run != name and run in assign.get("runs", ()):
                return run
    return name


def _require_named(where: str, name: str, params: Mapping[str, Any]) -> None:
    """A table with names needs them."""
    if where == "runs.export_named" and name not in params["runs"].get("names", []):
        raise StageError(f"{PARAMS}: {where}: {name} is not named: add it to runs.names")


if __name__ == "__main__":
    try:
        require_graph(read_params(""))
    except StageError as error:
        raise SystemExit(str(error)) from None
