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
from conftest import runtime
from trained import watch, write_epochs

import stages.evaluate
import stages.evaluate_discovery
import stages.examples
import stages.report
import store
from cluster.metrics.discovery import PROTOCOLS, SUBSETS
from pages.report.chosen.pick import Examples
from pages.report.tables.rows import read_rows
from pipeline.io.cell import Cell
from pipeline.io.scores import write_scores
from pipeline.ranking.candidates import Candidate
from pipeline.ranking.judge import CRITERIA
from pipeline.ranking.table import facts_of, write_ranking

SHOWN = Examples(clusters=4, images=3)


def evaluate(
    dataset: str,
    backbone: str = "pixels",
    silhouette_images: int = 80,
    examples: Examples = SHOWN,
) -> None:
    """Score the clusterings of a cell and choose what is shown of them."""
    params = stages.evaluate.Params(silhouette_images=silhouette_images, seed=0)
    stages.evaluate.main(Cell(dataset, backbone, "evaluate"), params)
    rank(dataset)
    for path in sorted(Path("data", dataset).glob("*/clusters")):
        if Cell(dataset, path.parent.name).metric("evaluate.csv").exists():
            stages.examples.main(Cell(dataset, path.parent.name, "examples"), examples)


def rank(dataset: str) -> None:
    """The table of stage rank, as if all criteria said what silhouettes say (stage evaluate)."""
    every, widths = [], []
    for path in sorted(Path("metrics", dataset).glob("*/evaluate.csv")):
        for row in read_rows(path, stages.evaluate.COLUMNS):
            if row["split"] == "train" and row["fitted_on"] == dataset:
                widths.append(float(row["silhouette"] or "nan"))
                numbers = (int(row[name]) for name in ("setting", "k", "dims", "seed"))
                at = (row["backbone"], row["run"], *numbers, widths[-1], (0, 0))
                every.append(Candidate(*at))
    scores = {name: np.array(widths) for name in CRITERIA}
    write_ranking(dataset, every, -np.nan_to_num(np.array(widths), nan=-1), scores)
    said = {"images": 120, "concordance": 1.0, "correlations": {"information ~ modularity": 1.0}}
    facts_of(dataset).write_text(json.dumps(said))


def evaluate_discovery(
    dataset: str, runs: tuple[str, ...] = ("sskmeans",), examples: Examples = SHOWN
) -> dict:
    """The same of category discovery by the backbone pixels; `runs`: of which one is shown."""
    path = Path("params.yaml")
    known = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump({**known, "runs": {"export_discovered": list(runs)}}))
    cell = Cell(dataset, "pixels", "evaluate_discovery")
    return stages.evaluate_discovery.main(cell, examples)


def ask(asked: set[str] | None = None, similar: str = "d d2 x", asking: dict | None = None) -> None:
    """Write params.yaml: for all that has metrics, or for the backbones that are `asked` for;
    `asking`: more sections."""
    cells = [path.relative_to("metrics") for path in Path("metrics").glob("*/*/")]
    path = Path("params.yaml")
    known = yaml.safe_load(path.read_text()) if path.exists() else {}
    datasets = {str(cell.parent): {"from": "vectors"} for cell in sorted(cells)}
    datasets |= known.get("datasets", {})
    backbones = dict.fromkeys(sorted(asked or {cell.name for cell in cells}))
    wanted = {"target": similar.split(), "among": similar.split()}
    known = {"datasets": dict(sorted(datasets.items())), "similar": wanted}
    known |= {"similar_by_labels": {"target": [], "among": []}}
    known |= {"backbones": backbones, "imported": {}, "adapted": {}, "known": datasets}
    known |= asking or {}
    every = [*known["adapted"], *known["imported"], *known["backbones"]]  # as a union has them
    known |= {"all": dict.fromkeys(every)}
    path.write_text(yaml.safe_dump(known, sort_keys=False))


def report(
    asked: set[str] | None = None, similar: str = "d d2 x", asking: dict | None = None
) -> str:
    """The page, of what `ask` asks for."""
    ask(asked, similar, asking)
    draw(thumbnail=32)
    return Path("report/index.html").read_text(encoding="utf-8")


def draw(thumbnail: int) -> None:
    """Write the page."""
    stages.report.main(stages.report.Params(thumbnail=thumbnail), runtime())


def score(backbone: str, known: bool, dataset: str = "d", **accuracy: float) -> None:
    """Scores of runs, by name: three seeds, 0.01 apart about what is said; Old lies 0.1 above All
    and New below. A run that begins with `sim` knew labels. All show what pixels do."""
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
    cell = Cell(dataset, backbone)
    write_scores(cell.metric("evaluate.csv"), stages.evaluate.COLUMNS, blind)
    if known:
        columns = stages.evaluate_discovery.COLUMNS
        write_scores(cell.metric("evaluate_discovery.csv"), columns, rows)
    if backbone != "pixels":
        shutil.copy(Cell(dataset, "pixels").examples, cell.examples)


def train(dataset: str = "d", backbone: str = "pixels", run: str = "scan", live: int = 10) -> None:
    """A run of heads with four epochs, the last of which finds what the file says."""
    path = write_clusters(Path(), dataset, backbone, run)
    with store.read(path, "clusters") as file:
        seeds, last = tuple(file.attrs["seeds"]), file["0/assignment"][:, :100]
    assignment = np.stack([np.zeros_like(last), last // 4, last // 2, last], axis=1)
    watch(path, np.arange(100), assignment)
    write_epochs(Cell(dataset, backbone, run).table, seeds, live=live)


def probe(backbone: str, acc: float, dataset: str = "d") -> None:
    """What stage probes writes: a linear probe of two seeds, neighbours of none."""
    path = Cell(dataset, backbone).metric("probes.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [("linear", "test", "0", acc), ("linear", "test", "1", acc + 0.02)]
    rows += [("knn_10", split, "", acc - 0.1) for split in ("test", "train")]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "backbone", "probe", "split", "seed", "acc"])
        writer.writerows([dataset, backbone, *row] for row in rows)
    said = {"train": {"label_purity_1": acc - 0.2, "knn_10_probe_acc": acc}}
    path.with_suffix(".json").write_text(json.dumps(said))


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
