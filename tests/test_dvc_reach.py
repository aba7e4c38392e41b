"""What a command that asks for little reaches: `dvc repro similar@…` trains nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from clones import ZOO, Clone, draw, kinds, made
from conftest import ROOT
from dvc.repo import Repo
from graph import stages

# Of the tries that DVC looks paths up in
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

CLUSTERED = {"index", "backbone", "embed", "pca", "estimate_k"}
KMEANS = CLUSTERED | {"kmeans"}
TRAINED = {"neighbors", "spectral", "scan", "selflabel", "temi", "dcsbm"}
NEW = {"map", "umap_kmeans", "member", "consensus"}
TABLE = {"neighbors", "duplicates", "export"}
CELL = f"colours-{ZOO}"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """Two datasets, two backbones and every method, of which nothing was run."""
    folder = tmp_path_factory.mktemp("reach")
    draw(folder / "others", "red")
    clone: Clone = made(
        folder,
        datasets={
            "colours": {"from": "folder", "root": "../pictures", "tree": "class"},
            "others": {"from": "folder", "root": "../others"},
        },
        backbones={ZOO: {}, "pixels": {}},
        imported={},
        runs={
            "export": ["kmeans", "temi"],
            "names": ["kmeans"],
            "export_named": ["kmeans"],
            "reviewed": ["kmeans"],
            "reviewed_discovered": ["simgcd"],
            **{"map": ["map"], "umap_kmeans": ["umap_kmeans"], "consensus": ["consensus"]},
            "curate": ["curate"],
        },
        known={"colours": {"old": 2, "labelled": 0.5, "seed": 0}},
        assign={"from": ["colours"], "to": ["others"], "runs": ["kmeans", "temi"]},
        similar={"target": ["others"], "among": ["colours"]},
        similar_by_labels={"target": ["others"], "among": ["colours"]},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone.folder)  # where DVC looks for dvc.yaml
        with Repo() as found:
            yield found


def reach(repo: Repo, target: str) -> set[str]:
    """The stages that `dvc repro TARGET` looks at."""
    return {stage.addressing for stage in repo.stage.collect(target, with_deps=True)}


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (f"embed@{CELL}", {"index", "backbone", "embed"}),
        (f"kmeans@{CELL}-kmeans", KMEANS),
        (f"similar@others-{CELL}", KMEANS | {"duplicates", "similar"}),
        (f"similar_by_labels@others-{CELL}", {"index", "backbone", "embed", "duplicates",
                                              "similar_by_labels"}),
        (f"curate@{CELL}-curate", {"index", "backbone", "embed", "pca", "neighbors", "curate"}),
        (f"evaluate_curated@{CELL}-curate",
         {"index", "backbone", "embed", "pca", "neighbors", "curate", "evaluate_curated"}),
        (f"assign@colours-others-{ZOO}-kmeans", KMEANS | {"assign"}),
        (f"export@{CELL}-kmeans", KMEANS | TABLE),
        (f"export@{CELL}-temi", CLUSTERED | TABLE | {"temi"}),
        (f"names@{CELL}-kmeans", KMEANS | {"vocabulary", "names"}),
        (f"export_named@{CELL}-kmeans",
         KMEANS | TABLE - {"export"} | {"vocabulary", "names", "export_named"}),
        (f"export_assigned@colours-others-{ZOO}-kmeans",
         KMEANS | TABLE - {"export"} | {"assign", "export_assigned"}),
        (f"export_discovered@{CELL}-simgcd",
         CLUSTERED | TABLE - {"export"} | {"known", "simgcd", "export_discovered"}),
        (f"reviewed@{CELL}-kmeans", KMEANS | {"neighbors", "reviewed"}),
        (f"reviewed_discovered@{CELL}-simgcd",
         CLUSTERED | {"neighbors", "known", "simgcd", "reviewed_discovered"}),
        (f"probes@{CELL}", {"index", "backbone", "embed", "neighbors", "probes"}),
        (f"evaluate@{CELL}",
         KMEANS | TRAINED | {"evaluate"} | NEW),
         (f"umap_kmeans@{CELL}-umap_kmeans", CLUSTERED | {"neighbors", "map", "umap_kmeans"}),
         (f"consensus@{CELL}-consensus", KMEANS | {"neighbors", "spectral", "member", "consensus"}),
         (f"candidates@{CELL}",
          KMEANS | TRAINED | {"candidates"} | NEW),
    ],
)  # fmt: skip
def test_one_cell_reaches_what_it_stands_on_and_no_other_backbone(
    repo: Repo, target: str, wanted: set[str]
):
    found = reach(repo, target)
    assert kinds(found) == wanted
    assert not [name for name in found if "pixels" in name]
    named = [run for run in ("temi", "kmeans") if target.endswith(run)]
    if named and not target.startswith("umap_"):  # overcluster is a run of k-means too
        assert len([name for name in found if name.startswith(("kmeans@", "temi@"))]) == 1


def test_every_cell_of_export_reaches_the_runs_that_export_names(repo: Repo):
    found = reach(repo, "export")
    runs = {name.rpartition("-")[2] for name in found if name.startswith(("kmeans@", "temi@"))}
    assert runs == {"kmeans", "temi"}
    assert not kinds(found) & {
        "scan",
        "selflabel",
        "spectral",
        "dcsbm",
        "evaluate",
        "similar",
        "assign",
    }
    assert kinds(reach(repo, "similar")) == KMEANS | {"duplicates", "similar"}


def test_metrics_are_scores_and_estimates_of_k():
    """`dvc exp show` has a column for each number of each of them."""
    results = {"evaluate", "evaluate_discovery", "probes", "estimate_k", "estimate_k_by_labels"}
    listed = {name for name, stage in stages().items() if "metrics" in stage.get("do", stage)}
    # whose eigengap estimates k, and which scores how well clusters generalise
    assert listed == results | {"spectral", "turtle"}


def test_what_a_stage_cost_is_no_metric(repo: Repo):
    path = Path(repo.root_dir) / f"metrics/colours/{ZOO}/evaluate.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"cost": [{"seconds": 1.5}], "kmeans": {"acc": 0.5}}))
    shown = repo.metrics.show()[""]["data"]
    (said,) = (
        of["data"] for name, of in shown.items() if name.endswith("evaluate.json") and "data" in of
    )
    assert said == {"kmeans": {"acc": 0.5}}


def test_dvc_yaml_can_be_read_at_once():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 670
    assert yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].keys() == stages().keys()
