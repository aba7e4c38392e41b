"""Embed every image of a dataset once with one frozen backbone, into its feature store."""

import csv
import json
import time
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

import backbones
import images
import store
from backbones.stream import Batch, stream
from stages import Runtime, Section, StageError, count_cores, read_params, run, torch_device


class Params(Section):
    unreadable: Literal["error", "skip"]


def main(
    backbone: str,
    index: Path,
    features: Path,
    unreadable: Path,
    timing: Path,
    params: Params,
    runtime: Runtime,
) -> None:
    """Embed the images of INDEX with BACKBONE (a row of backbones/zoo.yaml) into folder FEATURES.

    Images that this backbone embedded before are copied, by the digest of their bytes. A killed run
    goes on where it was. Images that cannot be read are listed in UNREADABLE (csv); with
    `unreadable: error` the stage then ends with an error after all others are stored, with `skip`
    it leaves them out. Where the time went is written to TIMING (json).
    """
    row = backbones.row(backbone)
    with store.read(index, "index") as file:
        names, digests, split = (file[name] for name in ("name", "digest", "split"))
        dataset, splits = file.attrs["dataset"], file.attrs["splits"]
    order = np.arange(len(names))
    plan = store.Plan(dataset, backbone, row.digest, row.dim, splits, digests, order, split)
    spent = {"decode": 0.0, "forward": 0.0, "write": 0.0}
    with store.FeatureWriter(features, plan) as writer:
        todo = len(writer.todo)
        reasons = _embed(writer, row, dataset, names, digests, runtime, spent) if todo else {}
        _list_unreadable(unreadable, names, reasons)
        if not reasons:
            writer.finish()
    if reasons and (params.unreadable == "error" or len(reasons) == len(names)):
        first = min(reasons)
        raise StageError(
            f"{len(reasons)} of {len(names)} images cannot be read, the first is {names[first]} "
            f"({reasons[first]}); {unreadable} lists them and all others are stored: "
            "mend or remove them, or set embed.unreadable: skip"
        )
    if reasons:
        with store.FeatureWriter(features, plan.keep(np.delete(order, list(reasons)))) as writer:
            writer.finish()
    _report(timing, len(names), todo, len(reasons), spent)


def _embed(
    writer: store.FeatureWriter,
    row: backbones.Backbone,
    dataset: str,
    names: np.ndarray,
    digests: np.ndarray,
    runtime: Runtime,
    spent: dict[str, float],
) -> dict[int, str]:
    """Bring the writer all that is missing; returns why images could not be read, by row."""
    read = images.open_images(read_params(f"datasets.{dataset}"))
    device = "cpu" if row.loader == "tfhub" else torch_device(runtime.device)
    encoder = backbones.load(row.name, device)

    def picture(at: int) -> np.ndarray:
        raw = read(names[at])
        if images.digest(raw) != digests[at].tobytes():
            raise StageError(f"{names[at]} changed after it was indexed: run `dvc repro` again")
        return backbones.preprocess(row, images.decode(raw))

    reasons: dict[int, str] = {}
    batches = stream(
        encoder,
        picture,
        writer.todo,
        side=row.input.size,
        batch_size=runtime.batch_size,
        workers=runtime.workers or count_cores(),
        forwards=2 if device.startswith("cuda") else 1,
        failure=images.ImagesError,
    )
    began, bar = time.perf_counter(), tqdm(total=len(names), initial=writer.reused, disable=None)
    with bar:
        bar.set_description(f"embed {row.name}")
        for batch in batches:
            start = time.perf_counter()
            readable = ~np.isin(batch.rows, list(batch.failures))
            _require_finite(batch, readable, names, row.name)
            writer.put(batch.rows, batch.vectors, readable)
            for at, error in batch.failures.items():
                reasons[at] = str(error)
                bar.write(f"embed: cannot read {names[at]}: {error}")
            spent["decode"] += batch.decode_seconds
            spent["forward"] += batch.forward_seconds
            spent["write"] += time.perf_counter() - start
            bar.update(len(batch.rows))
    spent["wall"] = time.perf_counter() - began
    return reasons


def _require_finite(batch: Batch, readable: np.ndarray, names: np.ndarray, backbone: str) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(batch.vectors.astype(np.float16)).all(axis=1) | ~readable
    if not finite.all():
        name = names[batch.rows[~finite][0]]
        raise StageError(
            f"{name}: {backbone} makes features of it that are NaN, infinite or beyond float16 "
            "(65504): look at the image and at the backbone's row in backbones/zoo.yaml"
        )


def _list_unreadable(path: Path, names: np.ndarray, reasons: dict[int, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = [(names[at], reasons[at]) for at in sorted(reasons)]
        csv.writer(file).writerows([("name", "reason"), *rows])


def _report(timing: Path, total: int, todo: int, unreadable: int, spent: dict[str, float]) -> None:
    """Where the time went: a line for the user, a metric for `dvc metrics`."""
    seconds = {what: round(value, 2) for what, value in spent.items()}
    rate = round(todo / spent["wall"], 1) if todo else 0.0
    print(
        f"embed: {todo} embedded, {total - todo} reused, {unreadable} unreadable; {rate} images/s "
        f"({', '.join(f'{what} {value} s' for what, value in seconds.items())}; these overlap)"
    )
    facts = {"images": total, "embedded": todo, "unreadable": unreadable, "images_per_second": rate}
    timing.parent.mkdir(parents=True, exist_ok=True)
    timing.write_text(json.dumps({**facts, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
