"""Curating a long-tailed collection with duplicates and foreign pictures (`_mixture`), by seeds.

From pictures on by the stages themselves, features of BACKBONE; every seed draws another mixture.
Beside the chosen images stand as many drawn at random, the mean of DRAWS draws; `gain` is of the
same mixture, `better` the number of mixtures in which there is one. `entropy`: of their classes, in
nats, the foreign ones left out; `coverage`: the share of the collection near one of them; `probe`:
the accuracy in % of a linear probe that is fitted on them, on test pictures that are as many of
each class; a foreign picture has no class and teaches nothing. Duplicates are right where they are
dropped for a picture of their own group, outliers where they are foreign; recall is also told by
how a copy was made. But: pictures of Fashion-MNIST have near-duplicates of their own, which count
against precision.

CAIRN_FASHION names a folder of folders, one a class, of pictures of Fashion-MNIST (PNG).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import store
from bench._mixture import COPIES, FOREIGN, is_copy, mix, original
from bench._project import environment
from bench.accuracy import CLOTHING
from cluster.metrics.clustering import entropy
from cluster.probes.linear_probe import accuracy, linear_probe
from cluster.vectors.rows import Subset, UnitRows
from pipeline.io.cell import Cell
from pipeline.io.space import train_rows
from pipeline.params import section
from stages.probes import Params as Probes

PACKAGES = ("numpy", "torch", "timm")
ROOT = Path(__file__).parents[1]
FASHION = Path(os.environ.get("CAIRN_FASHION", ROOT.parent / "fashion"))
FOLDER = Path(tempfile.gettempdir()) / "cairn_curate"  # stays, with the stages that are done
BACKBONE, SEEDS = "efficientnet_lite0_96", range(20)
DRAWS = 3  # at random, of a mixture
CHOSEN = (200, 400)


def lacking() -> str:
    missing = [path for path in (FASHION, CLOTHING) if not path.is_dir()]
    return f"{missing[0]} is not there: set CAIRN_FASHION and CAIRN_CLOTHING" if missing else ""


def run() -> list[dict[str, Any]]:
    """A row a measure: mean and standard deviation over the seeds, of random and chosen images and
    of the difference."""
    each = [dict(_measured(seed)) for seed in SEEDS]
    rows = []
    for what in each[0]:
        values = np.array([found[what] for found in each], float)  # [seed, 2]
        values = np.column_stack([values, values[:, 1] - values[:, 0]])  # of the same mixture
        mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
        known = np.isfinite(values[:, 2])
        rows.append(
            {
                "measure": what,
                **{
                    f"{name}{suffix}": round(float(value), 3) if np.isfinite(value) else None
                    for name, m, s in zip(("random", "curated", "gain"), mean, sd, strict=True)
                    for suffix, value in (("", m), ("_sd", s))
                },
                "better": int((values[:, 2] > 0).sum()) if known.all() else None,
            }
        )
    return rows


def _measured(seed: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    """(measure, its value of random and of chosen images) of one mixture."""
    cell = _embedded(seed)
    os.chdir(FOLDER)
    probes = section(Probes, "probes")
    for number in CHOSEN:
        run = cell._replace(run=f"curate_{number}")
        if not run.metric(f"{run.run}.json").exists():
            _stage("curate", *cell[:2], "--run", run.run)
        found, name, label = _read(cell)
        with store.read(run.curated, "curated") as file:
            row, reason, leader = file["row"], file["reason"], file["leader"]
        here = found.places(row)
        rng, chosen = np.random.default_rng([seed, 9]), here[reason == 0]
        drawn = [here[rng.choice(len(row), number, replace=False)] for _ in range(DRAWS)]
        entropies = float(np.mean([_entropy(label[some]) for some in drawn]))
        yield f"entropy, {number} images", (entropies, _entropy(label[chosen]))
        said = json.loads(run.metric(f"{run.run}.json").read_text())["coverage"]
        yield f"coverage, {number} images", (said["random"], said["chosen"])
        scores = [_probe(found, label, some, probes, seed) for some in (*drawn, chosen)]
        yield f"probe, {number} images", (float(np.mean(scores[:-1])), scores[-1])
    nobody = float("nan")
    for what, value in _planted(name[here], reason, name[found.places(leader)]):
        yield what, (nobody, value)


def _planted(
    name: np.ndarray, reason: np.ndarray, leader: np.ndarray
) -> Iterator[tuple[str, float]]:
    """Precision and recall of what was dropped; name, leader: object [image]."""
    source = np.array([original(one) for one in name])
    of_leader = np.array([original(one) for one in leader])
    copy, dropped = np.array([is_copy(one) for one in name]), reason == 1
    again = np.isin(source, source[copy])  # of a group that was planted
    right = dropped & again & (source == of_leader)
    yield "duplicates, precision", float(right.sum() / dropped.sum())
    yield "duplicates, recall", float(right.sum() / copy.sum())
    for how, kind in enumerate(COPIES):
        made = np.array([one.rpartition("/")[2].startswith(f"copy{how}-") for one in name])
        # Of a copy and its original either may be kept
        found = right[made] | np.isin(source[made], source[right & ~copy])
        yield f"duplicates, recall, {kind}", float(found.mean())
    foreign, strange = np.array([f"/{FOREIGN}/" in one for one in name]), reason == 2
    yield "outliers, precision", float(foreign[strange].mean())
    yield "outliers, recall", float(strange[foreign].mean())


def _read(cell: Cell) -> tuple[store.Features, np.ndarray, np.ndarray]:
    """The features, and of each image the name and the class, -1 of foreign ones."""
    found = store.Features(cell.features)
    with store.read(cell.images, "index") as file:
        name = file["name"][found.row]
    with store.read(cell.labels, "labels") as file:
        label = file["label"][found.row]
        label[label == file.attrs["classes"].index(FOREIGN)] = -1
    return found, name, label


def _entropy(label: np.ndarray) -> float:
    size = np.bincount(label[label >= 0])
    return entropy(size[size > 0])


def _probe(
    found: store.Features, label: np.ndarray, fitted: np.ndarray, probes: Probes, seed: int
) -> float:
    rows = UnitRows(found)
    fitted = fitted[label[fitted] >= 0]
    probe = linear_probe(
        Subset(rows, fitted), label[fitted], penalties=probes.penalties,
        validation=probes.validation, seed=seed, max_iter=probes.max_iter,
    )  # fmt: skip
    test = np.setdiff1d(np.arange(len(found)), train_rows(found))
    return 100 * accuracy(Subset(rows, test), label[test], probe)


def _embedded(seed: int) -> Cell:
    """The mixture of a seed and what curate reads of it."""
    cell = Cell(f"mix{seed}", BACKBONE)
    if not (FOLDER / cell.dataset).exists():
        mix(FOLDER / cell.dataset, FASHION, CLOTHING, seed)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"] = {
        f"mix{one}": {"from": "folder", "root": f"mix{one}", "tree": "split/class"} for one in SEEDS
    }
    params |= {"known": {}, **{key: {BACKBONE: {}} for key in ("backbones", "embedded", "all")}}
    for number in CHOSEN:
        params[f"curate_{number}"] = {**params["curate"], "images": number, "seed": seed}
    (FOLDER / "params.yaml").write_text(yaml.safe_dump(params))
    if not (FOLDER / cell.neighbors).exists():
        _stage("backbone", BACKBONE)
        _stage("index", cell.dataset)
        for name in ("embed", "pca", "neighbors"):
            _stage(name, *cell[:2])
    return cell


def _stage(name: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{name}", *words],
        cwd=FOLDER, env={**os.environ, **environment()}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr.strip().splitlines()[-1])
