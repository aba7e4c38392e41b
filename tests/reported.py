"""Reports for the tests, of scores and trainings that are made directly."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import yaml
from clustered import write_clusters
from trained import watch, write_epochs

import stages.evaluate
import stages.evaluate_discovery
import stages.report
import store
from cluster.metrics.discovery import PROTOCOLS, SUBSETS
from pipeline.io.scores import write_scores

ARGUMENTS = (
    "data/scores",
    "data/probes",
    "data/epochs",
    "data/estimates",
    "metrics",
    "data/clusters",
    "data/images",
    "data/unreadable",
    "data/similar",
    "report",
)


def evaluate(dataset: str, backbone: str = "pixels", silhouette_images: int = 80) -> None:
    cell = f"{dataset}/{backbone}"
    stages.evaluate.main(
        Path("data/clusters", cell), Path("data/features", cell), Path(f"data/labels/{dataset}.h5"),
        Path(f"metrics/{cell}.json"), Path(f"data/scores/{cell}.csv"),
        Path(f"data/epochs/{cell}.csv"),
        stages.evaluate.Params(silhouette_images=silhouette_images, seed=0),
    )  # fmt: skip


def report(
    clusters_shown: int = 4,
    asked: set[str] | None = None,
    similar: str = "d d2 x",
    asking: dict | None = None,
) -> str:
    """The page, of all that was scored or of the backbones that are `asked` for; `asking`: more
    sections of params.yaml."""
    scored = [path.relative_to("data/scores") for path in Path("data/scores").glob("*/*.csv")]
    path = Path("params.yaml")
    known = yaml.safe_load(path.read_text()) if path.exists() else {}
    datasets = {str(cell.parent): None for cell in scored} | known.get("datasets", {})
    backbones = sorted(asked or {cell.stem for cell in scored})
    wanted = {"target": similar.split(), "among": similar.split()}
    known = {"datasets": datasets, "backbones": backbones, "import": {}, "similar": wanted}
    known |= {"adapted": {"datasets": [], "backbones": {}}, "adapt_with_known": {}}
    known |= asking or {}
    known |= {"known": datasets, "known_imported": {}, "discover": {"export": ["sskmeans"]}}
    path.write_text(yaml.safe_dump(known, sort_keys=False))
    stages.report.main(
        *map(Path, ARGUMENTS),
        stages.report.Params(images_per_cluster=3, clusters_shown=clusters_shown, thumbnail=32),
    )
    return Path("report/index.html").read_text(encoding="utf-8")


def score(backbone: str, known: bool, dataset: str = "d", **accuracy: float) -> None:
    """Scores of runs, by name: three seeds, 0.01 apart about what is said; Old lies 0.1 above All
    and New below. A run that begins with `sim` knew labels. All show the clusters of pixels."""
    rows = []
    for name, acc in accuracy.items():
        for seed, off in enumerate((-0.01, 0.0, 0.01)):
            whole = {"all": acc + off, "old": acc + off + 0.1, "new": acc + off - 0.1}
            rows.append(
                {
                    "dataset": dataset, "backbone": backbone, "run": name, "fitted_on": dataset,
                    "setting": 0, "k": 10, "dims": 0, "dim": 64, "split": "train", "seed": seed,
                    "images": 90, "labelled": 30 if name.startswith("sim") else 0,
                    "acc": acc + off, "nmi": acc + off - 0.2, "live": 10,
                    **{f"{part}_{way}": whole[part] for way in PROTOCOLS for part in SUBSETS},
                }
            )  # fmt: skip
    nothing = dict.fromkeys((*stages.evaluate.COLUMNS, *stages.evaluate_discovery.COLUMNS), "")
    rows = [nothing | row for row in rows]
    blind = [row | {"labelled": 120} for row in rows if not row["labelled"]]
    path = Path(f"data/scores/{dataset}/{backbone}.csv")
    write_scores(path, stages.evaluate.COLUMNS, blind)
    if known:
        path = Path(f"data/scores/discovery/{dataset}/{backbone}.csv")
        write_scores(path, stages.evaluate_discovery.COLUMNS, rows)
    clusters = Path(f"data/clusters/{dataset}/{backbone}/{next(iter(accuracy))}.h5")
    if backbone != "pixels":
        clusters.parent.mkdir(parents=True)
        shutil.copy(f"data/clusters/{dataset}/pixels/kmeans.h5", clusters)


def train(dataset: str = "d", backbone: str = "pixels", run: str = "scan", live: int = 10) -> None:
    """A run of heads with four epochs, the last of which finds what the file says."""
    path = write_clusters(Path(), dataset, backbone, run)
    with store.read(path, "clusters") as file:
        seeds, last = tuple(file.attrs["seeds"]), file["0/assignment"][:, :100]
    assignment = np.stack([np.zeros_like(last), last // 4, last // 2, last], axis=1)
    watch(path, np.arange(100), assignment)
    write_epochs(Path(f"metrics/{dataset}/{backbone}.{run}.csv"), seeds, live=live)


def probe(backbone: str, acc: float, dataset: str = "d") -> None:
    """What stage probes writes: a linear probe of two seeds, neighbours of none."""
    path = Path(f"data/probes/{dataset}/{backbone}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [("linear", "test", "0", acc), ("linear", "test", "1", acc + 0.02)]
    rows += [("knn_10", split, "", acc - 0.1) for split in ("test", "train")]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "backbone", "probe", "split", "seed", "acc"])
        writer.writerows([dataset, backbone, *row] for row in rows)
    said = {"train": {"label_purity_1": acc - 0.2, "knn_10_probe_acc": acc}}
    Path(f"metrics/{dataset}/{backbone}.probes.json").write_text(json.dumps(said))


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", page, flags=re.S))


def specs(**datasets: object) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"datasets": datasets}))


class Tags(HTMLParser):
    """All tags with their attributes; every tag has to be closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "wbr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
