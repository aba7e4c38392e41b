"""Find near-duplicates, such as consecutive frames: of each group one image stands for all."""

from typing import Annotated

import numpy as np
from pydantic import Field
from tqdm import tqdm

import store
from cluster.neighbors.near_duplicates import leaders
from cluster.vectors.rows import cached
from pipeline.io.cell import Cell
from pipeline.params import Runtime, Section, torch_device
from stages import run


class Params(Section):
    threshold: Annotated[float, Field(gt=0, le=1)]  # cosine from which on two images are alike


def main(cell: Cell, params: Params, runtime: Runtime) -> None:
    """Say of every image of the cell which image stands for it.

    In the order of the index an image stands for itself unless it is alike one that does: then it
    belongs to the most similar of those. All pairs count, of whatever split.
    """
    found = store.Features(cell.features)
    with tqdm(total=len(found), desc="duplicates", disable=None, unit="img") as bar:
        leader = leaders(
            cached(found, runtime.memory_gb),
            params.threshold,
            device=torch_device(runtime.device),
            progress=bar.update,
        )
    attrs: dict[str, str | float] = {
        "dataset": found.dataset,
        "backbone": found.backbone,
        "threshold": params.threshold,
    }
    arrays = {"row": found.row, "leader": found.row[leader]}
    store.save(cell.duplicates, "duplicates", arrays, attrs)
    sizes = np.unique(leader, return_counts=True)[1]
    groups = sizes[sizes > 1]
    print(
        f"duplicates: {groups.sum()} images lie in {len(groups)} group{'s' * (len(groups) != 1)}; "
        f"{len(sizes)} of {len(leader)} images stand for all"
    )


if __name__ == "__main__":
    run(main, "duplicates")
