"""The review page: how many actions lead from an unlabelled folder to 95 % right labels.

    python -m bench review PROJECT [--only DATASET ...] [--seeds N]

PROJECT is a project whose stages have embedded the datasets of CASES and found their neighbours;
nothing is written there. A person who knows the labels (_reviewer.py) names the clusters of an
over-clustering, then verifies the sheets that are proposed, while the page sorts the rest after
each, until 95 % of all labels are right. Beside it: one by one in random order, with no other help
(0.95 of all images); the named clusters alone; names and then asked pictures one at a time, up to a
tenth of one by one; and what the page's own classifier reaches with the labels of four fifths of
the images, on the last fifth, five times over. The audit is of 100 of the images that are undecided
in the end, and is not among the actions. Mean ± sd over seeds; seconds are those of the processor,
all cores together, for a proposal.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import store
from bench._results import keep, table
from bench._reviewer import Person, ask, plan_for, review
from cluster.metrics.mean_sd import mean_sd
from cluster.suggest.audit import audit, audit_sample, with_decided
from cluster.suggest.sort_rest import sort_rest
from cluster.suggest.space import Space, make_space
from pipeline.io.cell import Cell, labels_of
from pipeline.io.neighbors import read_neighbors

PACKAGES = ("numpy", "scipy", "torch")
CASES = {
    "clothing": "efficientnet_lite0",
    "digits": "efficientnet_lite0_96",
    "fashion": "efficientnet_lite0_96",
}
ENOUGH, NEIGHBORS, AUDITED, FOLDS = 0.95, 20, 100, 5


def lacking() -> str:
    """It needs a project."""
    return "it needs a project with vectors: python -m bench review PROJECT"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench review", description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5, help="%(default)s")
    given = parser.parse_args(arguments)
    rows = []
    for dataset in given.only:
        rows.append(measure(given.project, Cell(dataset, CASES[dataset]), range(given.seeds)))
        print(table(rows[-1:]), flush=True)
    keep("review", PACKAGES, rows)
    print(f"\n{markdown(rows)}")


def measure(project: Path, cell: Cell, seeds: Sequence[int]) -> dict[str, Any]:
    """The row of one dataset."""
    begin = time.process_time()
    found = store.Features(project / cell.features)
    near = read_neighbors(project / cell.neighbors, found, NEIGHBORS)
    space = make_space(found, near.neighbor)
    prepared = time.process_time() - begin
    with store.read(project / labels_of(cell.dataset), "labels") as file:
        truth = file["label"][found.row].astype(np.int64)
    if (truth < 0).any():
        raise SystemExit(f"{cell.dataset}: some images have no label, the person cannot answer")
    runs = [_run(space, truth, seed, (near.neighbor, near.similarity)) for seed in seeds]
    by_hand = ENOUGH * len(truth)
    each = {what: [run[what] for run in runs] for what in runs[0]}
    actions = np.mean(each["actions"])
    return {
        "dataset": cell.dataset,
        "backbone": cell.backbone,
        "images": len(truth),
        "seeds": len(seeds),
        "one by one": round(by_hand),
        "names": round(float(np.mean(each["names"]))),
        "right by names": _mean_sd(each["right by names"]),
        "right when sorted": _mean_sd(each["right when sorted"]),
        "right by asking a tenth": _mean_sd(each["asked"]),
        "actions": _mean_sd(each["actions"]),
        "of one by one": round(float(actions / by_hand), 3),
        "decided": _mean_sd(each["decided"]),
        "audit": _mean_sd(each["audit"]),
        "audit holds": int(sum(each["audit holds"])),
        "all labels": round(_limit(space, truth), 3),
        "prepare_s": round(prepared, 2),
        **{f"{what}_s": round(float(np.mean(each[what])), 3) for what in SECONDS},
    }


SECONDS = ("sort_rest", "sheets", "ask_next")


def _run(
    space: Space, truth: np.ndarray, seed: int, near: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    plan, person, other = plan_for(len(truth)), Person(space, truth), Person(space, truth)
    for each in (person, other):
        each.name_clusters(plan.clusters, seed, near)
    out = {"names": float(person.names), "right by names": person.right()}
    ask(other, plan, round(ENOUGH * len(truth) / 10), ENOUGH)
    person.sort()
    out["right when sorted"] = person.right()
    review(person, plan, ENOUGH)
    rest = np.flatnonzero(person.decided < 0)
    sample = audit_sample(rest, AUDITED, seed)
    right = int((person.label[sample] == truth[sample]).sum())
    said = with_decided(audit(right, len(sample), len(rest)), len(truth) - len(rest))
    seconds = {**other.seconds, **person.seconds}
    return {
        **out,
        "asked": other.right(),
        "actions": person.actions,
        "decided": float((person.decided >= 0).mean()),
        "audit": said.right,
        "audit holds": said.low <= person.right() <= said.high,
        **{what: float(np.mean(seconds.get(what, [0.0]))) for what in SECONDS},
    }


def _limit(space: Space, truth: np.ndarray) -> float:
    """The share that is right where the labels of all other images are known but for a fifth."""
    fold = np.random.default_rng(0).permutation(len(truth)) % FOLDS
    nobody, right = np.full(len(truth), -1), 0
    for number in range(FOLDS):
        rest = fold == number
        found = sort_rest(space, np.where(rest, -1, truth), nobody, 0).label
        right += int((found[rest] == truth[rest]).sum())
    return right / len(truth)


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of the documentation."""
    head = ["dataset", "images", "one by one", "names alone", "asked, a tenth", "sheets", "share"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        names = f"{row['right by names']} after {row['names']}"
        numbers = [row["images"], row["one by one"], names, row["right by asking a tenth"]]
        lines.append([row["dataset"], *map(str, numbers), str(row["actions"]), _percent(row)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean_sd(values: Sequence[float]) -> str:
    mean, sd = mean_sd(values)
    digits = 0 if mean > 1 else 3
    return f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * row['of one by one']:.1f} %"
