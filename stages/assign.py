"""Apply a finished clustering to other images of the same backbone."""

from pathlib import Path

import numpy as np

import store
from cluster.assign import assign
from cluster.rows import Reduced
from stages import Runtime, StageError, read_basis, run, torch_device


def main(clusters: Path, features: Path, assigned: Path, runtime: Runtime) -> None:
    """Give each image of the store FEATURES its nearest cluster of CLUSTERS; write ASSIGNED.

    The vectors go through the PCA that the clusters were fitted in, never past it. CLUSTERS may be
    of any dataset; its backbone has to be that of FEATURES.
    """
    found = store.Features(features)
    with store.read(clusters, "clusters") as file:
        attrs = dict(file.attrs)
        if attrs["backbone"] != found.backbone:
            raise StageError(
                f"{clusters} clusters features of {attrs['backbone']}, {features} holds those of "
                f"{found.backbone}: assign within one backbone"
            )
        kept = {name: file[name] for name in ("k", "dims", "mean", "components", "variance")}
        basis = read_basis(file)
        fits = [
            {name: file[f"{s}/{name}"] for name in ("centroids", "inertia", "iterations")}
            for s in range(len(kept["k"]))
        ]
    if len(basis.mean) != found.dim:
        raise StageError(f"{clusters} is {len(basis.mean)} wide, {features} {found.dim}: not alike")
    out = {**kept, "row": found.row, "split": found.split}
    for s, (fit, dims) in enumerate(zip(fits, kept["dims"].tolist(), strict=True)):
        nearest = assign(
            Reduced(found, basis, dims),
            fit["centroids"],
            unit=attrs["metric"] == "cosine",
            device=torch_device(runtime.device),
        )
        inertia = np.square(nearest.distance, dtype=np.float64).sum(axis=1)
        fit = {**fit, **nearest._asdict(), "inertia": inertia}
        out |= {f"{s}/{name}": array for name, array in fit.items()}
    for name in ("kind", "version"):
        attrs.pop(name)
    attrs |= {"dataset": found.dataset, "run": assigned.stem, "splits": found.splits}
    store.save(assigned, "clusters", out, attrs)
    print(f"assign: {len(found)} images of {found.dataset} to clusters of {attrs['fitted_on']}")


if __name__ == "__main__":
    run(main)
