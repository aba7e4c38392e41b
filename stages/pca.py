"""Fit a full PCA to the training images of one feature store."""

import sys
from typing import Any

import numpy as np

import store
from cluster.vectors.lengths import Measured
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import Basis, Subset
from pipeline.io.cell import Cell
from pipeline.io.space import train_rows
from pipeline.params import Runtime, Section, torch_device
from stages import run

VARIATION, SHARE = 0.3, 0.25  # of lengths, from which on they seem to say something


class Params(Section):
    normalize: bool  # divide each vector by its L2 norm first, in all runs that read the pca
    whiten: bool  # scale each component to unit variance when projecting


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Fit the components of the split `train` of the cell's features.

    Its leading components serve every smaller number of dims, every split and every other dataset
    of the same backbone. The metrics say how much the lengths of the vectors vary, and which part
    of the variance that is: `normalize` takes it away.
    """
    found = store.Features(cell.features)
    rows = Measured(Subset(found, train_rows(found)))
    device = torch_device(runtime.device)
    basis = fit_pca(
        rows, normalize=params.normalize, whiten=params.whiten, stored=found.dtype, device=device
    )
    store.save(
        cell.pca,
        "pca",
        {"mean": basis.mean, "components": basis.components, "variance": basis.variance},
        {
            "dataset": found.dataset,
            "backbone": found.backbone,
            "normalize": params.normalize,
            "whiten": params.whiten,
            "images": len(rows),
        },
    )
    _say_components(basis, len(rows), found.dtype)
    lengths = rows.lengths()
    if params.normalize and (lengths.variation > VARIATION or lengths.share > SHARE):
        print(
            f"pca: the lengths of the vectors vary by {lengths.variation:.0%} of their mean, "
            f"{lengths.share:.0%} of the variance, which pca.normalize: true takes away in every "
            "run, dims: [0] and metric: euclidean too; set it to false if lengths matter",
            file=sys.stderr,
        )
    return {
        "length_variation": round(lengths.variation, 4),
        "length_share": round(lengths.share, 4),
    }


def _say_components(basis: Basis, images: int, dtype: str) -> None:
    variance = basis.variance
    real = np.count_nonzero(variance)
    if not real:
        at = " at length 1 (pca.normalize)" if basis.normalize else ""
        print(f"pca: all {images} vectors are equal{at}: they have no principal components")
        return
    share = np.cumsum(variance) / variance.sum()
    half, most = (int(np.searchsorted(share, part)) + 1 for part in (0.5, 0.9))
    rest = f"; {len(variance) - real} of {len(variance)} are the rounding of {dtype}, taken as 0"
    print(
        f"pca: {half} components hold half of the variance, {most} hold nine tenths"
        f"{rest if real < len(variance) else ''}"
    )


if __name__ == "__main__":
    run(main, "pca")
