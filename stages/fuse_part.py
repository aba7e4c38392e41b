"""Of one backbone what a fused one takes: its leading principal components, at length 1."""

from pathlib import Path
from typing import Any

import pydantic
from tqdm import tqdm

import store
from pipeline.embedding.fill import fill_store
from pipeline.embedding.fused import fit_part, part_blocks, plan_of_part
from pipeline.io.absent import Absent, unmark
from pipeline.io.cell import Cell
from pipeline.params import Runtime, Section, read_params, torch_device
from stages import run


class Fuse(Section):
    dims: int = pydantic.Field(ge=1)  # leading principal components that are kept of each part


def main(cell: Cell, fused: str, fuse: Fuse, runtime: Runtime) -> dict[str, Any]:
    """Project the features of BACKBONE to its leading components, fitted on train, if FUSED, a key
    of `fused` in params.yaml, names it. The vectors get length 1."""
    if cell.backbone not in read_params(f"fused.{fused}"):
        raise Absent(f"{cell.backbone} is no part of {fused}")
    found = store.Features(cell.features)
    basis, dims = fit_part(found, fuse.dims, torch_device(runtime.device))

    def fill(writer: store.FeatureWriter, what: str) -> dict[int, str]:
        with tqdm(total=len(found), desc=what, disable=None) as bar:
            for rows, vectors in part_blocks(found, basis, dims):
                writer.put(rows, vectors)
                bar.update(len(rows))
        return {}

    to = _part(cell, fused)
    unmark([to])
    fill_store(to, plan_of_part(found, dims), fill, f"fuse_part {cell.backbone}")
    total = float(basis.variance.sum())
    share = round(float(basis.variance[:dims].sum()) / total, 4) if total else 0.0
    held = f"{share:.1%} of the variance" if total else "its vectors are all equal: it adds nothing"
    print(f"fuse_part: {cell.backbone}: {dims} of {found.dim} components, {held}")
    return {"dims": dims, "variance": share}


def _part(cell: Cell, fused: str) -> Path:
    return cell._replace(backbone=fused).part(cell.backbone)


if __name__ == "__main__":
    run(main, lambda cell, fused: [_part(cell, fused)])
