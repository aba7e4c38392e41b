"""What one machine does of 3,000,000 x 64: neighbours by codes, and k-means with k = 25,000.

`peak_gb`: the most that the stage's process holds beyond mapped pages, with `runtime.memory_gb` 1;
`said`: the recall on 1,000 images, or the inertia an image. CAIRN_BENCH_IMAGES is another number of
images. The vectors are those of `bench growth`, about 50 points; one seed, one start, 10 passes.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import store
from bench._cases import CASES, FIRST, Case, command
from bench._project import BACKBONE, BIG, environment, lay_out
from bench._watch import watch
from pipeline.io.cell import Cell

PACKAGES = ("numpy", "torch", "h5py", "faiss-cpu")
IMAGES, DIM, FEW, K = 3_000_000, 64, 1000, 25_000
LONGEST = 7200.0  # seconds
SECTIONS: dict[str, dict[str, Any]] = {
    "runtime": {"memory_gb": 1},
    "neighbors": {"exact_up_to": 0, "compress_from": 0},
    "kmeans": {
        "dims": [0],
        "algorithm": "hierarchical",
        "k": [K],
        "n_init": 1,
        "max_iter": 10,
        "seeds": [0],
    },
}
MEASURED = (
    Case("kmeans, hierarchical", "kmeans", item={"run": "kmeans"}),
    Case("neighbors, compressed", "neighbors"),
)


def run() -> list[dict[str, Any]]:
    """A row a stage."""
    images = int(os.environ.get("CAIRN_BENCH_IMAGES", IMAGES))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, images, DIM, FEW, SECTIONS)
        for case in (*(case for case in CASES if case.name in FIRST), *MEASURED):
            taken = watch(command(case, BIG), folder, environment(), LONGEST)
            print(f"{case.name}: {taken.peak / 1e9:.2f} GB, {taken.seconds:.0f} s", flush=True)
            if case in MEASURED:
                rows.append({
                    "stage": case.name, "images": images, "seconds": round(taken.seconds),
                    "peak_gb": round(taken.peak / 1e9, 2), "stopped": taken.stopped,
                    "said": "" if taken.stopped else _said(folder, case.stage),
                })  # fmt: skip
    return rows


def _said(folder: Path, stage: str) -> str:
    cell = Cell(BIG, BACKBONE, stage)
    if stage == "neighbors":
        recall = json.loads((folder / cell.metric("neighbors.json")).read_text())["recall"]
        return f"a recall of {recall:.3f}"
    with store.read(folder / cell.clusters, "clusters") as file:
        inertia, count = float(file["0/loss"][0]), int((file["split"] == 0).sum())
        return f"k = {int(file['k'][0])}, {inertia / count:.4f} an image"
