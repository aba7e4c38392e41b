"""Put several backbones side by side, as one more."""

from typing import Any

from tqdm import tqdm

import store
from pipeline.embedding.fill import fill_store
from pipeline.embedding.fused import fused_blocks, plan_of_fused
from pipeline.embedding.views import no_views
from pipeline.io.absent import MARK, Absent, read_mark, unmark
from pipeline.io.cell import Cell
from pipeline.params import read_params
from stages import run


def main(cell: Cell) -> dict[str, Any]:
    """Fill the feature store of BACKBONE, a key of `fused` in params.yaml, from what stage
    fuse_part made of those that it names. Its vectors have length 1, and each part weighs alike.
    """
    if cell.backbone in read_params("embed.skip").get(cell.dataset, []):
        raise Absent("left out by embed.skip")
    names = read_params(f"fused.{cell.backbone}")
    for name in names:
        if why := read_mark(cell.part(name) / MARK):
            raise Absent(f"its part {name}: {why}")
    unmark([cell.features, cell.views])
    parts = [store.Features(cell.part(name)) for name in names]
    plan = plan_of_fused(cell.backbone, parts)

    def fill(writer: store.FeatureWriter, what: str) -> dict[int, str]:
        with tqdm(total=len(plan.id), desc=what, disable=None) as bar:
            for rows, vectors in fused_blocks(parts):
                writer.put(rows, vectors)
                bar.update(len(rows))
        return {}

    fill_store(cell.features, plan, fill, f"fuse {cell.backbone}")
    no_views(cell.views)
    each = " + ".join(f"{dim} of {name}" for name, dim in zip(names, plan.widths, strict=True))
    print(f"fuse: {len(plan.id)} images, {plan.dim} dims: {each}")
    return {"images": len(plan.id), "widths": list(plan.widths)}


if __name__ == "__main__":
    run(main, "features", "views")
