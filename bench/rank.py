"""How well criteria without labels rank clusterings: by accuracy, NMI, and what the first loses.

    python -m bench rank PROJECT [--datasets D ...] [--backbones B ...] [--images N]

PROJECT is a project whose stages have embedded labelled datasets. Of each dataset some images are
drawn, and of each two as many together make a mixture; their vectors are clustered by the stages
themselves, in a project of their own, with every k of KS and settings as in params.yaml but for
METHODS. Then all candidates are judged as stage rank does. A row a criterion, over the sets:
Spearman's correlation with ACC and with NMI, mean (and lowest), and the regret, the best ACC less
that of the first by the criterion, mean (and highest). `at 1x`: among the candidates whose k is the
number of classes. Silhouettes are those of each backbone's own space.
"""

import argparse
import importlib
import tempfile
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

import store
from bench._project import ROOT
from bench._results import keep, table
from cluster.metrics.clustering import label_scores
from cluster.metrics.matching import contingency_table
from cluster.ranking.places import mean_place, spearman
from pipeline.io.cell import Cell, labels_of
from pipeline.params import Section, section
from pipeline.ranking.candidates import Candidates, place_of, read_candidates
from pipeline.ranking.judge import CRITERIA, RANKED, judge
from pipeline.ranking.settings import RankSettings

PACKAGES = ("numpy", "scikit-learn", "scipy", "torch")
KS = ["0.5x", "0.75x", "1x", "1.5x", "2x"]
# What differs from params.yaml, where it only costs time
METHODS: dict[str, dict[str, Any]] = {
    "kmeans": {"dims": [0, 32], "n_init": 3},
    "spectral": {},
    "scan": {"heads": 4, "steps": 150},
    "temi": {"heads": 3, "steps": 100, "hidden": 128, "bottleneck": 64},
}
DATASETS = ("digits", "clothing", "fashion")
BACKBONES = ("efficientnet_lite0_96", "mobilenet_v2", "pixels")


def lacking() -> str:
    """It needs a project."""
    return "it needs a project with vectors: python -m bench rank PROJECT"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench rank", description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--images", type=int, default=2000, help="of each dataset (%(default)s)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = lay_out(folder, given.project, given.datasets, given.backbones, given.images)
        with chdir(folder):
            every = list(commands(sets, given.backbones, given.methods))
            for command in tqdm(every, desc="rank", disable=None, unit="stage"):
                _run(command)
            rows = measure(sets, given.backbones)
    print(table(rows))
    keep("rank", PACKAGES, rows)


def lay_out(
    folder: Path, project: Path, datasets: Sequence[str], backbones: Sequence[str], images: int
) -> list[str]:
    """Vectors and labels of each dataset and mixture, and params.yaml; their names."""
    parts = {dataset: _drawn(project, dataset, images) for dataset in datasets}
    sets = {name: [name] for name in datasets}
    sets |= {f"{one}_{other}": [one, other] for one, other in combinations(datasets, 2)}
    for name, members in sets.items():
        labels, first = [], 0
        for member in members:
            own = parts[member][1]
            labels.append(own + first)
            first += int(own.max()) + 1
        np.save(folder / f"{name}.labels.npy", np.concatenate(labels))
        for backbone in backbones:
            vectors = [
                _vectors(project, Cell(member, backbone), parts[member][0]) for member in members
            ]
            np.save(folder / f"{name}.{backbone}.npy", np.concatenate(vectors))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for method, changes in METHODS.items():
        params[method] |= {"k": KS, **changes}
    params["datasets"] = {
        name: {
            "from": "vectors",
            "rows": len(np.load(folder / f"{name}.labels.npy")),
            "labels": f"{name}.labels.npy",
        }
        for name in sets
    }
    params["backbones"] = {}
    params["imported"] = {name: {"features": f"{{dataset}}.{name}.npy"} for name in backbones}
    params["all"] = params["imported"]
    params["runtime"]["device"] = "cpu"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return list(sets)


def _drawn(project: Path, dataset: str, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the index, sorted, and their labels, of images that have one."""
    with store.read(project / labels_of(dataset), "labels") as file:
        label = file["label"]
    known = np.flatnonzero(label >= 0)
    if len(known) > images:
        known = np.sort(np.random.default_rng(0).choice(known, images, replace=False))
    return known, label[known].astype(np.int64)


def _vectors(project: Path, cell: Cell, row: np.ndarray) -> np.ndarray:
    found = store.Features(project / cell.features)
    return found.take(found.places(row)).astype(np.float16)


def commands(
    sets: Sequence[str], backbones: Sequence[str], methods: Sequence[str]
) -> Iterator[list[str]]:
    """The stages, as words after `python -m stages.`, in an order in which they can run."""
    yield from (["index", name] for name in sets)
    yield from (["import", backbone] for backbone in backbones)
    for name in sets:
        for backbone in backbones:
            for stage in ("embed", "pca", "neighbors", *methods, "candidates"):
                yield [stage, name, backbone]


def _run(command: Sequence[str]) -> None:
    """A stage in this process, which has imported the libraries; in the folder of the project."""
    name, *words = command
    main = importlib.import_module(f"stages.{name}").main
    given: dict[str, Any] = {}
    for what, kind in typing.get_type_hints(main).items():
        if kind is Cell:
            given[what] = Cell(*words, name)
        elif kind is str:
            (given[what],) = words
        elif isinstance(kind, type) and issubclass(kind, Section):
            given[what] = section(kind, name if what == "params" else what)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        main(**given)


def measure(sets: Sequence[str], backbones: Sequence[str]) -> list[dict[str, Any]]:
    """A row a criterion; in the current folder, which has candidates."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    settings = RankSettings(**params["rank"])
    whole: dict[str, list[dict[str, float]]] = {}
    for name in sets:
        cells = [read_candidates(place_of(Cell(name, backbone))) for backbone in backbones]
        scores, acc, nmi, k = _scores(name, cells, settings)
        classes = int(np.load(f"{name}.labels.npy").max()) + 1
        for criterion, values in scores.items():
            of_set = _of(values, acc, nmi, k == classes)
            whole.setdefault(criterion, []).append(of_set)
            print(name, criterion, {key: round(value, 3) for key, value in of_set.items()})
    return [_summed(criterion, each) for criterion, each in whole.items()]


def _scores(
    name: str, cells: Sequence[Candidates], settings: RankSettings
) -> tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Of each candidate: its criteria, ACC, NMI and k."""
    judged = judge(cells, settings)
    label = np.load(f"{name}.labels.npy")
    each = [
        label_scores(contingency_table(own, label[cell.row], c.k, int(label.max()) + 1), None)
        for cell in cells
        for c, own in cell.assignments()
    ]
    acc, nmi = (np.array([one[score] for one in each]) for score in ("acc", "nmi"))
    ranked = {criterion: judged.scores[criterion] for criterion in RANKED}
    scores = {criterion: judged.scores[criterion] for criterion in CRITERIA}
    scores |= {"silhouette": np.array([c.silhouette for c in judged.candidates])}
    scores |= {"rank": -mean_place(ranked)}
    return scores, acc, nmi, np.array([c.k for c in judged.candidates])


def _of(
    values: np.ndarray, acc: np.ndarray, nmi: np.ndarray, right: np.ndarray
) -> dict[str, float]:
    values = np.where(np.isfinite(values), values, np.nanmin(values))
    return {
        "acc": spearman(values, acc),
        "nmi": spearman(values, nmi),
        "regret": 100 * float(acc.max() - acc[values.argmax()]),
        "acc at 1x": spearman(values[right], acc[right]),
        "regret at 1x": 100 * float(acc[right].max() - acc[right][values[right].argmax()]),
    }


def _summed(criterion: str, each: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    def said(name: str, digits: int) -> str:
        own = [one[name] for one in each]
        worst = max(own) if "regret" in name else min(own)
        return f"{np.mean(own):.{digits}f} ({worst:.{digits}f})"

    digits = {"acc": 2, "nmi": 2, "regret": 1, "acc at 1x": 2, "regret at 1x": 1}
    return {"criterion": criterion, **{name: said(name, n) for name, n in digits.items()}}
