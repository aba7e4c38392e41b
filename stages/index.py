"""List a dataset's images with the digest of their bytes, their split, and, apart, their labels."""

import sys
from pathlib import Path

import numpy as np

import images
import store
from pipeline.embedding.index import save_index
from pipeline.params import read_params
from stages import run


def main(dataset: str, index: Path, labels: Path) -> None:
    """List the images of a dataset: names, digests and splits to INDEX, labels to LABELS.

    DATASET is a key of `datasets` in params.yaml. This stage looks at the images each time that it
    is asked; a file is read again only when its size or time has changed, and nothing downstream
    runs again unless an image came, went or changed.
    """
    spec = read_params(f"datasets.{dataset}")
    if index.exists() and "root" in spec and not Path(spec["root"]).expanduser().exists():
        # A second clone has what `dvc pull` brought, not the pictures: everything else still works.
        print(f"index: {spec['root']} is not here; {index} stays as it is", file=sys.stderr)
        return
    listing = images.list_images(spec)
    found = save_index(index, dataset, spec, listing)
    store.save(
        labels,
        "labels",
        {"label": listing.labels.astype(np.int32)},
        {"dataset": dataset, "classes": list(listing.classes)},
    )
    parts = ", ".join(f"{name} {np.sum(found.split == s)}" for s, name in enumerate(found.splits))
    twins = len(found.digest) - len(np.unique(found.digest, axis=0))
    print(
        f"index: {len(found.digest)} images ({parts}), {listing.n_classes} classes, {twins} twins"
    )


if __name__ == "__main__":
    run(main)
