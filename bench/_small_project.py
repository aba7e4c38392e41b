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
SUPERVISED = "efficientnet_lite0_96"  # whose classifier can name clusters
HERE, FEW, NAMED = ("birds", NET), ("few", NET), ("few", SUPERVISED)


def _case(stage: str, *arguments: str, name: str = "") -> Case:
    return Case(name or stage, stage, arguments)


def _for_others(case: Case) -> Case:
    return case._replace(name=f"{case.name}, few", killed=False)


def _export(format: str) -> Case:
    return _case(
        "export", *HERE, "clusters/kmeans", "--run", f"export_{format}", name=f"export, {format}"
    )


CASES = (
    _case("index", "birds"),
    _case("backbone", NET),
    _case("embed", *HERE, name="embed, with views"),
    _for_others(_case("index", "few")),
    _for_others(_case("embed", *FEW)),
    _case("backbone", "pixels")._replace(killed=False),
    _case("embed", "few", "pixels", name="embed, pixels"),
    _case("index", "vectors", name="index, vectors"),
    _case("import", "outside"),
    _case("embed", "vectors", "outside", name="embed, vectors"),
    _case("pca", *HERE),
    _case("estimate_k", *HERE),
    _case("kmeans", *HERE),
    _case("kmeans", *HERE, "--run", "kmeans_minibatch", name="kmeans, mini-batches"),
    _case("kmeans", *HERE, "--run", "kmeans_hierarchical", name="kmeans, hierarchical"),
    _case("neighbors", *HERE),
    _case(
        "neighbors",
        "vectors",
        "outside",
        "--run",
        "neighbors_compressed",
        name="neighbors, compressed",
    ),
    _case("duplicates", *HERE),
    _case("spectral", *HERE),
    _case("scan", *HERE),
    _case("selflabel", *HERE),
    _case("temi", *HERE),
    _case("dcsbm", *HERE),
    _case("finish", *HERE, "kmeans"),
    _case("map", *HERE),
    _case("umap_kmeans", *HERE),
    _case("member", *HERE, "consensus", "kmeans"),
    _case("member", *HERE, "consensus", "spectral")._replace(name="member, other", killed=False),
    _case("consensus", *HERE),
    _case("known", "birds"),
    _case("estimate_k_by_labels", *HERE),
    _case("sskmeans", *HERE),
    _case("simgcd", *HERE),
    _case("pim", *HERE),
    _case("assign", "birds", "few", NET, "kmeans"),
    _for_others(_case("duplicates", *FEW)),
    _case("similar", "few", "birds", NET),
    _case("curate", *HERE),
    _case("evaluate_curated", *HERE, "curate"),
    *(
        _for_others(_case(stage, *of))
        for stage, of in (
            ("backbone", (SUPERVISED,)),
            ("embed", NAMED),
            ("pca", NAMED),
            ("kmeans", NAMED),
        )
    ),
    _case("vocabulary", "kmeans"),
    _case("names", *NAMED, "kmeans"),
    _export("csv"),
    *map(_export, ("parquet", "imagefolder", "coco", "fiftyone", "embedding_atlas")),
    _case("reviewed", *HERE, "clusters/kmeans"),
    _case("candidates", *HERE),
    _case("rank", "birds"),
    _case("examples", *HERE),
    _case("map_examples", *HERE),
    _case("evaluate", *HERE),
    _case("evaluate_discovery", *HERE),
    _case("probes", *HERE),
    _for_others(_case("known", "few")),
    _case("adapt", "learns"),
    _case("embed", "few", "learns", name="embed, adapted"),
    _case("learned", "few", "learns"),
    _case("report"),
)


def lay_out(folder: Path, train: int, test: int) -> None:
    """Pictures of ten classes in two collections, the larger of `train` and `test` of each class;
    a third that has none, and its vectors; and params.yaml."""
    _draw(folder / "birds", train, test, 0)
    _draw(folder / "few", 16, 4, 1)
    rng = np.random.default_rng(2)
    np.save(folder / "vectors.npy", rng.normal(size=(20_000, 64)).astype(np.float32))
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {
        "datasets": {
            "birds": {"from": "folder", "root": "birds", "tree": "split/class"},
            "few": {"from": "folder", "root": "few", "tree": "split/class"},
            "vectors": {"from": "vectors", "rows": 20_000},
        },
        "backbones": {NET: {}, "pixels": {}, SUPERVISED: {}},
        "imported": {"outside": {"features": "vectors.npy", "dataset": "vectors"}},
        **{key: {name: {} for name in (NET, "pixels", "outside", "learns")}
           for key in ("embedded", "all")},
        "known": {name: {"old": 5, "labelled": 0.5, "seed": 0} for name in ("birds", "few")},
        "kmeans_minibatch": {**params["kmeans"], "algorithm": "minibatch", "max_iter": 20,
                             "dims": [0], "batch": 256},
        "kmeans_hierarchical": {**params["kmeans"], "algorithm": "hierarchical", "k": [60],
                                "dims": [0]},
        "neighbors_compressed": {**params["neighbors"], "exact_up_to": 0, "compress_from": 0},
        "export_csv": params["export"],
        **{
            f"export_{name}": {"format": name, "reads": "neighbors"}
            for name in ("parquet", "imagefolder", "coco", "fiftyone")
        },
        "export_embedding_atlas": {"format": "embedding_atlas", "reads": "map"},
        "adapted": {
            "learns": {"objective": "simgcd", "dataset": "few", "backbone": NET,
                       "learns_from": "../known.h5", "epochs": 6, "views": 2, "batch": 32,
                       "lr": 0.01, "hidden": 32, "bottleneck": 16},
        },
    }  # fmt: skip
    params["runtime"] |= {"device": "cpu", "workers": 1}
    for section, changes in json.loads(SMALLER).items():
        params[section] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


# So that each stage works for a second or so
SMALLER = """{
  "embed": {"views": 1},
  "estimate_k": {"k_max": 12, "images": 400, "silhouette_images": 200, "seeds": [0]},
  "kmeans": {"dims": [0, 16], "n_init": 4},
  "scan": {"steps": 60, "batch": 256, "heads": 4, "seeds": [0, 1]},
  "selflabel": {"steps": 60, "batch": 256, "threshold": 0.3},
  "temi": {"steps": 60, "batch": 256, "heads": 4, "hidden": 64, "bottleneck": 32, "seeds": [0, 1]},
  "estimate_k_by_labels": {"max_classes": 14, "seeds": [0], "n_init": 2},
  "sskmeans": {"n_init": 4},
  "simgcd": {"steps": 60, "entropy_weight": 1.0},
  "pim": {"steps": 60, "conditional_entropy_weight": 1.0, "n_init": 2},
  "curate": {"levels": [60, 8], "resampling": 4, "images": 100},
  "similar": {"target": ["few"], "among": ["birds"], "total": 20},
  "probes": {"seeds": [0], "max_iter": 30, "penalties": [0.1, 0.001]},
  "examples": {"clusters": 3, "images": 3}
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
