"""Train the last blocks of a backbone on the images at hand; what comes out is one more backbone.

SimCLR, SCAN and self-labelling on images, GCD, SimGCD, SelEx, GET: cluster/objectives has a file
and the equations of each.
"""

from pathlib import Path

import numpy as np

import backbones
from pipeline.adapting.inputs import read_inputs
from pipeline.adapting.settings import read_run
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.io.cell import FROZEN
from pipeline.io.origin import folder_of, write_adapted
from pipeline.params import Runtime, torch_device
from stages import run


def main(backbone: str, runtime: Runtime) -> None:
    """Train BACKBONE, a key of `adapted` in params.yaml, into a folder that `embed` reads.

    It learns from the features of its dataset by the backbone that it begins with, and from what
    `learns_from` names: known classes, or a table of neighbours. What frozen blocks give is stored
    once, for other runs too (frozen_features: cached). The folder gets the weights, their row, and
    the heads that were learned with them; the table is the log of the epochs. A killed run resumes.
    """
    from pipeline.adapting.run import train_and_save  # torch and Lightning take seconds

    wanted, out = f"adapted.{backbone}", folder_of(backbone)
    settings = read_run(backbone)
    inputs = read_inputs(settings, wanted)
    follows = {
        **settings.model_dump(mode="json"),
        "base": backbones.row(inputs.base).digest,
        "id": inputs.collection.plan.id,
        "label": inputs.known.label,
        "old": inputs.known.old,
        "neighbor": inputs.neighbor,
        **{f"head/{name}": head.weight for name, head in inputs.heads().items()},
    }
    if inputs.k:
        follows["k"] = inputs.k  # what a multiple of the number of classes means now
    names = Path(getattr(settings, "names", "")).expanduser()
    if names.is_file():
        follows["names"] = np.frombuffer(names.read_bytes(), np.uint8)
    checkpoint = Checkpoint(out, "adapt", follows)
    device = torch_device(runtime.device)
    epochs = Path("metrics/backbones", f"{backbone}.csv")
    train_and_save(settings, wanted, inputs, device, runtime, FROZEN, checkpoint, out, epochs)
    write_adapted(backbone, settings.backbone)


if __name__ == "__main__":
    run(main, metrics=lambda backbone: Path("metrics/backbones", f"{backbone}.json"))
