"""Train the last blocks of a backbone on the images at hand; what comes out is one more backbone.

SimCLR, SCAN and self-labelling on images, GCD, SimGCD, SelEx, GET: cluster/objectives has a file
and the equations of each.
"""

from pathlib import Path

import numpy as np

import backbones
from pipeline.adapting.given import read_given
from pipeline.adapting.settings import read_run
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.io.cell import FROZEN
from pipeline.io.origin import folder_of
from pipeline.params import Runtime, torch_device
from stages import run


def main(backbone: str, runtime: Runtime) -> None:
    """Train BACKBONE, a key of `adapted` in params.yaml, into a folder that `embed` reads.

    It learns from the features of its dataset by the backbone that it begins with, and from what
    `learns_from` names: known classes, or a table of neighbours. What frozen blocks give is stored
    once, for other runs too (frozen_features: cached). The folder gets the weights, their row, and
    the heads that were learned with them; the table what was told of each epoch. A killed run goes
    on.
    """
    from pipeline.adapting.work import work  # torch and Lightning take seconds

    wanted, out = f"adapted.{backbone}", folder_of(backbone)
    settings = read_run(backbone)
    given = read_given(settings, wanted)
    follows = {
        **settings.model_dump(mode="json"),
        "base": backbones.row(given.base).digest,
        "id": given.collection.plan.id,
        "label": given.known.label,
        "old": given.known.old,
        "neighbor": given.neighbor,
        **{f"head/{name}": head.weight for name, head in given.heads().items()},
    }
    if given.k:
        follows["k"] = given.k  # what a multiple of the number of classes means now
    names = Path(getattr(settings, "names", "")).expanduser()
    if names.is_file():
        follows["names"] = np.frombuffer(names.read_bytes(), np.uint8)
    checkpoint = Checkpoint(out, "adapt", follows)
    device = torch_device(runtime.device)
    epochs = Path("metrics/backbones", f"{backbone}.csv")
    work(settings, wanted, given, device, runtime, FROZEN, checkpoint, out, epochs)


if __name__ == "__main__":
    run(main, metrics=lambda backbone: Path("metrics/backbones", f"{backbone}.json"))
