"""The stages of dvc.yaml that read features, each as a command with few clusters, passes and steps.

Commands are those of dvc.yaml. Settings are those of params.yaml but for what only costs time: few
starts, passes and steps. The numbers of clusters, dims and seeds stay, as what a stage holds at
once hangs on them.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from bench._project import BACKBONE, BIG, FEW, PICTURES, ROOT


class Case(NamedTuple):
    """One command. stage: of dvc.yaml; section: of params.yaml, where it is not of that name;
    item: what the matrix of the stage has; long: it may take hours, and is stopped."""

    name: str
    stage: str
    section: str = ""
    item: Mapping[str, str] = {}
    long: bool = False


SMALL = "resnet18_small_narrow"  # the quickest network
_PASSES = {"n_init": 2, "max_iter": 2}
SECTIONS: dict[str, dict[str, Any]] = {
    "estimate_k": {"most": 6, "seeds": [0]},  # of a sample, whatever the number of images
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
    "neighbors_approximate": {"of": "neighbors", "exact_up_to": 0},
    "spectral": _PASSES,
    "scan": {"steps": 20},
    "selflabel": {"steps": 20, "threshold": 0.2},
    "temi": {"steps": 20},
    "estimate_k_by_labels": {**_PASSES, "max_classes": 12},
    "sskmeans": _PASSES,
    "sskmeans_balanced": {**_PASSES, "n_init": 1},
    "simgcd": {"steps": 20, "entropy_weight": 1.0},
    "pim": {**_PASSES, "steps": 2, "conditional_entropy_weight": 1.0},
    "probes": {"max_iter": 2, "seeds": [0], "penalties": [1.0, 0.1]},
    "similar": {"total": 1000, "balance": "clusters"},
    "export_parquet": {"of": "export", "format": "parquet"},
}

_RUN = {"run": "kmeans"}
_TO_FEW = {"target": FEW, "among": BIG}
CASES = (
    Case("import", "import"),
    Case("index", "index", item={"dataset": PICTURES}),
    Case("embed", "embed", item={"dataset": PICTURES, "backbone": SMALL}, long=True),
    Case("pca", "pca_imported"),
    Case("estimate_k", "estimate_k_imported"),
    Case("kmeans", "kmeans_imported", item=_RUN),
    Case("kmeans, 30 starts", "kmeans_imported", "kmeans_starts", _RUN),
    Case("kmeans, mini-batches", "kmeans_imported", "kmeans_minibatch", _RUN),
    Case("overcluster", "kmeans_imported", item={"run": "overcluster"}),
    Case("neighbors", "neighbors_imported", long=True),
    Case("neighbors, approximate", "neighbors_imported", "neighbors_approximate", long=True),
    Case("duplicates", "duplicates_imported", long=True),
    Case("spectral", "spectral_imported", long=True),
    Case("scan", "scan_imported"),
    Case("selflabel", "selflabel_imported"),
    Case("temi", "temi_imported", item={"run": "temi"}),
    Case("known", "known_imported"),
    Case("estimate_k_by_labels", "estimate_k_by_labels_imported"),
    Case("sskmeans", "sskmeans_imported", item={"run": "sskmeans"}),
    Case("sskmeans, balanced", "sskmeans_imported", item={"run": "sskmeans_balanced"}),
    Case("simgcd", "simgcd_imported"),
    Case("pim", "pim_imported"),
    Case("learned", "learned"),
    Case("assign", "assign", item={"from": BIG, "to": BIG, "run": "kmeans"}),
    Case("similar", "similar", item=_TO_FEW),
    Case("export, csv", "export_imported", item={**_RUN, "format": "csv"}),
    Case("export, parquet", "export_imported", "export_parquet", {**_RUN, "format": "parquet"}),
    Case("evaluate", "evaluate_imported"),
    Case("evaluate_discovery", "evaluate_discovery_imported"),
    Case("probes", "probes_imported"),
    Case("report", "report"),
)
# Of the small collection, before `similar`
FEW_CASES = (Case("import", "import"), Case("duplicates", "duplicates_imported"))


def command(case: Case, dataset: str) -> list[str]:
    """The words to run, in the folder of the project."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    item = {"dataset": dataset, "backbone": BACKBONE, **case.item}

    def value(found: re.Match) -> str:
        first, _, rest = found[1].partition(".")
        if first == "item":
            return item[rest]
        return item.get(rest, params[first][rest]) if rest else str(params[first])

    words = re.sub(r"\$\{([\w.]+)\}", value, stages[case.stage]["cmd"]).split()
    words[0] = sys.executable
    if case.section:
        if "--params" in words:
            words[words.index("--params") + 1] = case.section
        else:
            words[3:3] = ["--params", case.section]
    return words
