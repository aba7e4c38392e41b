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
from pipeline.params import Runtime, torch_device
from stages import run


def main(
    wanted: str,
    features: Path,
    index: Path,
    teacher: str,
    adapted: Path,
    frozen: Path,
    out: Path,
    epochs: Path,
    runtime: Runtime,
) -> None:
    """Train the run WANTED, such as adapt_with_known.cub_gcd in params.yaml; write folder OUT.

    FEATURES are those of the run's dataset by the backbone that it begins with, INDEX the names of
    the images. TEACHER is what it learns from besides: a file of known classes, a table of
    neighbours, or the word none. A backbone that is a run itself lies below ADAPTED. The outputs of
    the frozen blocks are stored below FROZEN (frozen_features: cached), for other runs too. OUT
    gets the weights, their row, and the heads that were learned with them; `embed` reads it like a
    row of the zoo. EPOCHS (csv) is the log of the epochs. A killed run resumes.
    """
    from pipeline.adapting.run import train_and_save  # torch and Lightning take seconds

    settings, kind = read_run(wanted)
    given = read_inputs(settings, wanted, kind, features, index, teacher, adapted)
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
    train_and_save(settings, wanted, given, device, runtime, frozen, checkpoint, out, epochs)


if __name__ == "__main__":
    run(main)
