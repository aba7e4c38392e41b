"""A small project of pictures with every stage that works for a while, as commands."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
SIDE, CLASSES = 28, 10


class Case(NamedTuple):
    """A stage and its arguments, in the folder of the project; killed: not run just for others."""

    name: str
    stage: str
    arguments: tuple[str, ...]
    killed: bool = True


NET = "resnet18_small_narrow"
FEATURES, VIEWS = f"data/features/birds/{NET}", f"data/views/birds/{NET}"
INDEX, LABELS, KNOWN = (f"data/{kind}/birds.h5" for kind in ("images", "labels", "known"))
ESTIMATE, PCA = f"data/k/birds/{NET}.json", f"data/pca/birds/{NET}.h5"
NEAR, ALIKE = f"data/neighbors/birds/{NET}.h5", f"data/similar/birds/{NET}.duplicates.h5"
CLUSTERS, FOUND = f"data/clusters/birds/{NET}", f"data/clusters/discovered/birds/{NET}"
METRICS = f"metrics/birds/{NET}"


def _case(stage: str, *arguments: str, name: str = "") -> Case:
    return Case(name or stage, stage, arguments)


def _for_others(case: Case) -> Case:
    return case._replace(name=f"{case.name}, few", killed=False)


def _index(dataset: str) -> Case:
    return _case("index", dataset, f"data/images/{dataset}.h5", f"data/labels/{dataset}.h5")


def _embed(dataset: str, backbone: str, name: str) -> Case:
    cell = f"{dataset}/{backbone}"
    return _case(
        "embed", backbone, f"data/images/{dataset}.h5", f"data/features/{cell}",
        f"data/views/{cell}", f"data/unreadable/{cell}.csv", f"metrics/{cell}.embed.json",
        name=name,
    )  # fmt: skip


def _kmeans(run: str, name: str) -> Case:
    return _case(
        "kmeans", "--params", run, FEATURES, INDEX, ESTIMATE, PCA, f"{CLUSTERS}/{run}.h5", name=name
    )


def _export(format: str) -> Case:
    return _case(
        "export", "--params", f"export_{format}", f"{CLUSTERS}/kmeans.h5", INDEX, NEAR, ALIKE,
        f"data/assignments/birds/{NET}/kmeans.{format}", name=f"export, {format}",
    )  # fmt: skip


CASES = (
    _index("birds"),
    _embed("birds", NET, "embed, with views"),
    _for_others(_index("few")),
    _for_others(_embed("few", NET, "embed")),
    _embed("few", "pixels", "embed, pixels"),
    _case(
        "import", "vectors", "data/images/vectors.h5", "data/labels/vectors.h5",
        "data/features/vectors/imported", "data/views/vectors/imported",
    ),
    _case("pca", FEATURES, PCA),
    _case("estimate_k", FEATURES, PCA, ESTIMATE, f"data/estimates/birds/{NET}.csv",
          f"{METRICS}.estimate_k.json"),
    _kmeans("kmeans", "kmeans"),
    _kmeans("kmeans_minibatch", "kmeans, mini-batches"),
    _case("neighbors", FEATURES, NEAR, f"{METRICS}.neighbors.json"),
    _case("duplicates", FEATURES, ALIKE),
    _case("spectral", FEATURES, INDEX, ESTIMATE, NEAR, f"{CLUSTERS}/spectral.h5",
          f"{METRICS}.spectral.json"),
    _case("scan", FEATURES, VIEWS, INDEX, ESTIMATE, PCA, NEAR, f"{CLUSTERS}/scan.h5",
          f"{METRICS}.scan.csv"),
    _case("selflabel", FEATURES, VIEWS, PCA, NEAR, f"{CLUSTERS}/scan.h5",
          f"{CLUSTERS}/selflabel.h5", f"{METRICS}.selflabel.csv"),
    _case("temi", FEATURES, INDEX, ESTIMATE, PCA, NEAR, f"{CLUSTERS}/temi.h5",
          f"{METRICS}.temi.csv"),
    _case("known", "known.birds", INDEX, LABELS, KNOWN),
    _case("estimate_k_by_labels", FEATURES, KNOWN, PCA, f"data/k_by_labels/birds/{NET}.json",
          f"data/estimates/birds/{NET}.by_labels.csv", f"{METRICS}.estimate_k_by_labels.json"),
    _case("sskmeans", FEATURES, INDEX, KNOWN, ESTIMATE, PCA, f"{FOUND}/sskmeans.h5"),
    _case("simgcd", FEATURES, VIEWS, INDEX, KNOWN, ESTIMATE, PCA, f"{FOUND}/simgcd.h5",
          f"{METRICS}.simgcd.csv"),
    _case("pim", FEATURES, INDEX, KNOWN, ESTIMATE, PCA, f"{FOUND}/pim.h5", f"{METRICS}.pim.csv"),
    _case("assign", f"{CLUSTERS}/kmeans.h5", FEATURES, f"data/features/few/{NET}",
          f"data/clusters/few/{NET}/kmeans_from_birds.h5"),
    _for_others(
        _case("duplicates", f"data/features/few/{NET}", f"data/similar/few/{NET}.duplicates.h5")
    ),
    _case("similar", f"data/features/few/{NET}", FEATURES, "data/images/few.h5", INDEX,
          f"data/similar/few/{NET}.duplicates.h5", f"{CLUSTERS}/kmeans.h5",
          f"data/similar/few/birds/{NET}", f"data/links/few/birds/{NET}"),
    _export("csv"),
    _export("parquet"),
    _case("evaluate", CLUSTERS, FEATURES, LABELS, f"{METRICS}.json",
          f"data/scores/birds/{NET}.csv", f"data/epochs/birds/{NET}.csv"),
    _case("evaluate_discovery", FOUND, CLUSTERS, KNOWN, LABELS, f"{METRICS}.discovery.json",
          f"data/scores/discovery/birds/{NET}.csv"),
    _case("probes", FEATURES, NEAR, LABELS, f"{METRICS}.probes.json",
          f"data/probes/birds/{NET}.csv"),
    _for_others(
        _case("known", "known.few", "data/images/few.h5", "data/labels/few.h5", "data/known/few.h5")
    ),
    _case("adapt", "adapt_with_known.learns", f"data/features/few/{NET}", "data/images/few.h5",
          "data/known/few.h5", "data/adapted", "data/frozen", "data/adapted/learns",
          "metrics/adapted/learns.csv"),
    _embed("few", "data/adapted/learns", "embed, adapted")._replace(
        arguments=("data/adapted/learns", "data/images/few.h5", "data/features/few/learns",
                   "data/views/few/learns", "data/unreadable/few/learns.csv",
                   "metrics/few/learns.embed.json")),
    _case("learned", "data/adapted/learns/learned.h5", "data/features/few/learns",
          "data/clusters/few/learns/learned", "data/clusters/discovered/few/learns/learned"),
    _case("report", "data/scores", "data/probes", "data/epochs", "data/estimates", "metrics",
          "data/clusters", "data/images", "data/unreadable", "data/similar", "report"),
)  # fmt: skip


def lay_out(folder: Path, train: int, test: int) -> None:
    """Pictures of ten classes in two collections, the larger of `train` and `test` of each class;
    vectors of a third; and params.yaml."""
    _draw(folder / "birds", train, test, 0)
    _draw(folder / "few", 16, 4, 1)
    rng = np.random.default_rng(2)
    np.save(folder / "vectors.npy", rng.normal(size=(20_000, 64)).astype(np.float32))
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    objective = params["objectives"]["simgcd"]
    params |= {
        "datasets": {
            name: {"from": "folder", "root": name, "tree": "split/class"}
            for name in ("birds", "few")
        },
        "backbones": [NET],
        "import": {"vectors": {"features": "vectors.npy"}},
        "known": {name: {"old": 5, "labelled": 0.5, "seed": 0} for name in ("birds", "few")},
        "kmeans_minibatch": {**params["kmeans"], "algorithm": "minibatch", "max_iter": 20,
                             "dims": [0], "batch": 256},
        "export_csv": params["export"],
        "export_parquet": {**params["export"], "format": "parquet"},
        "adapt_with_known": {
            "learns": {**objective, "dataset": "few", "backbone": NET, "epochs": 6, "views": 2,
                       "batch": 32, "lr": 0.01, "hidden": 32, "bottleneck": 16},
        },
    }  # fmt: skip
    params["runtime"] |= {"device": "cpu", "workers": 1}
    for section, changes in json.loads(SMALLER).items():
        params[section] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


# So that each stage works for a second or so
SMALLER = """{
  "embed": {"views": 1},
  "estimate_k": {"most": 12, "images": 400, "silhouette_images": 200, "seeds": [0]},
  "kmeans": {"dims": [0, 16], "n_init": 4},
  "scan": {"steps": 60, "batch": 256, "heads": 4, "seeds": [0, 1]},
  "selflabel": {"steps": 60, "batch": 256, "threshold": 0.3},
  "temi": {"steps": 60, "batch": 256, "heads": 4, "hidden": 64, "bottleneck": 32, "seeds": [0, 1]},
  "estimate_k_by_labels": {"max_classes": 14, "seeds": [0], "n_init": 2},
  "sskmeans": {"n_init": 4},
  "simgcd": {"steps": 60, "entropy_weight": 1.0},
  "pim": {"steps": 60, "conditional_entropy_weight": 1.0, "n_init": 2},
  "similar": {"target": ["few"], "among": ["birds"], "total": 20},
  "probes": {"seeds": [0], "max_iter": 30, "penalties": [0.1, 0.001]},
  "report": {"clusters_shown": 3, "images_per_cluster": 3}
}"""


def _draw(folder: Path, train: int, test: int, seed: int) -> None:
    """PNG files of a pattern a class, with noise."""
    from PIL import Image

    patterns = np.random.default_rng(0).uniform(40, 216, (CLASSES, SIDE, SIDE, 3))
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("test", test)):
        for number, pattern in enumerate(patterns):
            place = folder / split / f"class{number}"
            place.mkdir(parents=True)
            for image in range(count):
                noisy = (pattern + rng.normal(0, 40, pattern.shape)).clip(0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(place / f"{image}.png")
