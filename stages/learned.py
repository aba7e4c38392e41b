"""Sort all images by the heads that were learned together with a backbone."""

import shutil
from pathlib import Path

import numpy as np

import store
from cluster.heads.model import Linear, Predicted, predict, stacked
from pipeline.io.cell import Cell
from pipeline.io.clusters import How, save_clusters
from pipeline.io.learned import Learned, read_learned
from pipeline.io.space import Space, plain_space, print_space
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, StageError, torch_device
from stages import run


def main(cell: Cell, runtime: Runtime) -> dict[str, str]:
    """Apply the heads that were learned with an adapted backbone to the features of the cell.

    Writes a file of clusters a head, and one of the mean of their probabilities where there are
    several: to clusters/learned/ where no class was known, else to discovered/learned/, with the
    labelled images in their class. The other folder just says that there are none, and both do for
    a backbone that was trained without heads."""
    learned = store.place("learned", backbone=cell.backbone)
    found, device = read_learned(learned), torch_device(runtime.device)
    space = plain_space(store.Features(cell.features), normalize=found.unit)
    if space.found.encoder != found.encoder:
        raise StageError(
            f"{cell.features} was not made by the backbone of {learned}: run `dvc repro`"
        )
    clusters, discovered = _folders(cell)
    to = discovered if found.old else clusters
    names = [name if name == "learned" else f"learned_{name}" for name in found.heads]
    for folder in (clusters, discovered):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        here = names if folder == to else []
        with whole_text(folder / "heads.txt") as file:
            file.writelines(f"{name}\n" for name in here)
    rows = space.rows(0)
    for name, head in zip(names, found.heads.values(), strict=True):
        _save(to / f"{name}.h5", found, space, head, predict(rows, head, device=device), "linear")
    if len(names) > 1:
        both = stacked(list(found.heads.values()))
        said = predict(rows, both, ensemble=True, device=device)
        _save(to / "learned_mean.h5", found, space, both, said, "together")
    by = f"{len(rows)} images sorted by {', '.join(names)}" if names else ""
    print(f"learned: {by or 'no head was learned with this backbone'}")
    return print_space("learned", space.basis, [(0, 0)]) if names else {}


def _folders(cell: Cell) -> list[Path]:
    """Of heads that knew no class, and of those that did."""
    return [cell.file("clusters/learned"), cell.file("discovered/learned")]


def _save(
    path: Path, found: Learned, space: Space, head: Linear, said: Predicted, how: How
) -> None:
    """A file of clusters; the labelled images in their class, for sure, if they are among these."""
    if space.found.dataset == found.dataset and len(found.row):
        at = space.found.places(found.row)
        said.assignment[:, at], said.probability[:, at] = found.label, 1
    arrays = {**(head._asdict() if how == "linear" else {}), **said._asdict()}
    arrays["loss"] = np.zeros(1)  # one run: nothing is chosen
    save_clusters(
        path, space.found, space.basis, [(head.weight.shape[1], 0)], [arrays],
        how=how, seeds=[found.seed], fitted_on=found.dataset, old=found.old,
    )  # fmt: skip


if __name__ == "__main__":
    run(main, _folders)
