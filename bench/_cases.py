"""The stages of dvc.yaml that read features, each as a command with few clusters, passes and steps.

Commands are those of dvc.yaml. Settings are those of params.yaml but for what only costs time: few
starts, passes and steps. The numbers of clusters, dims and seeds stay, as what a stage holds at
once hangs on them.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench._project import BACKBONE, BIG, FEW, NETWORK, PICTURES, ROOT
from pipeline.io.cell import Cell


class Case(NamedTuple):
    """One command. stage: of dvc.yaml; section: of params.yaml, where it is not of that name;
    item: what the matrix of the stage has; long: it may take hours, and is stopped."""

    name: str
    stage: str
    section: str = ""
    item: Mapping[str, str] = {}
    long: bool = False


_PASSES = {"n_init": 2, "max_iter": 2}
SECTIONS: dict[str, dict[str, Any]] = {
    "estimate_k": {"k_max": 6, "seeds": [0]},  # of a sample, whatever the number of images
    "kmeans": _PASSES,
    "kmeans_starts": {"of": "kmeans", "dims": [0], "max_iter": 2},
    "kmeans_minibatch": {
        "of": "kmeans",
        "dims": [0],
        "algorithm": "minibatch",
        "n_init": 1,
        "max_iter": 1,
    },
    "overcluster": _PASSES,
    "kmeans_hierarchical": {
        "of": "kmeans",
        "dims": [0],
        "algorithm": "hierarchical",
        "k": [1000],
        "n_init": 1,
        "max_iter": 10,
        "seeds": [0],
    },
    "neighbors_approximate": {"of": "neighbors", "exact_up_to": 0},
    "neighbors_compressed": {"of": "neighbors", "exact_up_to": 0, "compress_from": 0},
    "spectral": _PASSES,
    "scan": {"steps": 20},
    "selflabel": {"steps": 20, "threshold": 0.2},
    "temi": {"steps": 20},
    "dcsbm": {"seeds": [0], "sweeps": 3, "max_iter": 2},
    "finish": {"sweeps": 3},
    "estimate_k_by_labels": {**_PASSES, "max_classes": 12},
    "sskmeans": _PASSES,
    "sskmeans_balanced": {**_PASSES, "n_init": 1},
    "simgcd": {"steps": 20, "entropy_weight": 1.0},
    "pim": {**_PASSES, "steps": 2, "conditional_entropy_weight": 1.0},
    "probes": {"max_iter": 2, "seeds": [0], "penalties": [1.0, 0.1]},
    "curate": {"levels": [1000, 100], "resampling": 1, "max_iter": 2},
    "similar": {"total": 1000, "balance": "clusters"},
    "export_parquet": {"of": "export", "format": "parquet"},
}

_RUN = {"run": "kmeans"}
_TO_FEW = {"target": FEW, "among": BIG}
STORED = "embed, vectors"  # after it there is a store of the vectors
FIRST = {"index, vectors", "import", STORED, "pca"}  # what others read
CASES = (
    Case("index", "index", item={"key": PICTURES}),
    Case("backbone", "backbone", item={"key": NETWORK}),
    Case("embed", "embed", item={"dataset": PICTURES, "backbone": NETWORK}, long=True),
    Case("index, vectors", "index", item={"key": BIG}),
    Case("import", "import", item={"key": BACKBONE}),
    Case(STORED, "embed"),
    Case("pca", "pca"),
    Case("estimate_k", "estimate_k"),
    Case("kmeans", "kmeans", item=_RUN),
    Case("kmeans, 30 starts", "kmeans", "kmeans_starts", _RUN),
    Case("kmeans, mini-batches", "kmeans", "kmeans_minibatch", _RUN),
    Case("kmeans, hierarchical", "kmeans", "kmeans_hierarchical", _RUN),
    Case("overcluster", "kmeans", item={"run": "overcluster"}),
    Case("neighbors", "neighbors", long=True),
    Case("neighbors, approximate", "neighbors", "neighbors_approximate", long=True),
    Case("neighbors, compressed", "neighbors", "neighbors_compressed", long=True),
    Case("duplicates", "duplicates", long=True),
    Case("spectral", "spectral", long=True),
    Case("scan", "scan"),
    Case("selflabel", "selflabel"),
    Case("temi", "temi", item={"run": "temi"}),
    Case("dcsbm", "dcsbm", item={"run": "dcsbm"}, long=True),
    Case("finish", "finish", item=_RUN, long=True),
    Case("known", "known", item={"key": BIG}),
    Case("estimate_k_by_labels", "estimate_k_by_labels"),
    Case("sskmeans", "sskmeans", item={"run": "sskmeans"}),
    Case("sskmeans, balanced", "sskmeans", item={"run": "sskmeans_balanced"}),
    Case("simgcd", "simgcd"),
    Case("pim", "pim"),
    Case("learned", "learned"),
    Case("assign", "assign", item={"from": BIG, "to": BIG, "run": "kmeans"}),
    Case("similar", "similar", item=_TO_FEW),
    Case("curate", "curate", item={"run": "curate"}, long=True),
    Case("evaluate_curated", "evaluate_curated", item={"run": "curate"}),
    Case("export, csv", "export", item=_RUN),
    Case("export, parquet", "export", "export_parquet", _RUN),
    Case("reviewed", "reviewed", item=_RUN),
    Case("candidates", "candidates"),
    Case("rank", "rank"),
    Case("examples", "examples"),
    Case("evaluate", "evaluate"),
    Case("evaluate_discovery", "evaluate_discovery"),
    Case("probes", "probes"),
    Case("report", "report"),
)
# Of the small collection, after `import` and before `similar`
FEW_CASES = (
    Case("index", "index", item={"key": FEW}),
    Case("embed", "embed"),
    Case("duplicates", "duplicates"),
)


def command(case: Case, dataset: str) -> list[str]:
    """The words to run, in the folder of the project."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    item = {"dataset": dataset, "backbone": BACKBONE, **case.item}
    stage = stages[case.stage]
    said = stage.get("do", stage)["cmd"]
    words = re.sub(r"\$\{(?:item\.)?(\w+)\}", lambda found: item[found[1]], said).split()
    words[0] = sys.executable
    if case.section:
        if "--run" not in words:
            words += ["--run", ""]
        words[words.index("--run") + 1] = case.section
    return words


def forget(case: Case, folder: Path) -> None:
    """Remove clusters of a section that is there for its cost alone: `evaluate` is to score those
    of the other runs."""
    if case.section:
        (folder / Cell(BIG, BACKBONE, case.section).clusters).unlink(missing_ok=True)
