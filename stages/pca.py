"""Fit a full PCA to the training images of one feature store."""

import numpy as np

import store
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import Subset
from pipeline.io.cell import Cell
from pipeline.io.space import train_rows
from pipeline.params import Runtime, Section, torch_device
from stages import run


class Params(Section):
    normalize: bool  # divide each vector by its L2 norm first
    whiten: bool  # scale each component to unit variance when projecting


def main(cell: Cell, params: Params, runtime: Runtime) -> None:
    """Fit the components of the split `train` of the cell's features.

    Its leading components serve every smaller number of dims, every split and every other dataset
    of the same backbone.
    """
    found = store.Features(cell.features)
    rows = Subset(found, train_rows(found))
    device = torch_device(runtime.device)
    basis = fit_pca(rows, normalize=params.normalize, whiten=params.whiten, device=device)
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
    share = np.cumsum(basis.variance) / max(basis.variance.sum(), np.finfo(float).tiny)
    half, most = (int(np.searchsorted(share, part)) + 1 for part in (0.5, 0.9))
    print(f"pca: {half} components hold half of the variance, {most} hold nine tenths")


if __name__ == "__main__":
    run(main, "pca")
