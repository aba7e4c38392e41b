"""What a stage made stays where its sources are not on this machine, as in a second clone.

But only if its settings are those that it was made with: a slip of the pen in `root` looks alike.
DVC notes them in dvc.lock once a stage has ended well, and the file travels with the project.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.params import PARAMS, StageError, read_params
from pipeline.yaml_as_dvc import Loader

LOCK = Path("dvc.lock")


def keep(stage: str, key: str, missing: object, out: object, item: str = "") -> None:
    """Say that `out` of STAGE stays, since `missing` is not here; key: its settings in params.yaml;
    item: what the stage is one of each of, if that is not the last part of the key.

    Raises StageError where dvc.lock notes other settings.
    """
    noted = _noted(f"{stage}@{item or key.rpartition('.')[2]}", key)
    if noted is not None and noted != read_params(key):
        raise StageError(
            f"{PARAMS}: {missing} is not here, and {key} has changed since {out} was made: correct "
            "it, or run where the files are"
        )
    say_kept(stage, missing, out)


def say_kept(stage: str, missing: object, out: object) -> None:
    """Say so of what is known to be of these settings."""
    print(f"{stage}: {missing} is not here; {out} stays as it is", file=sys.stderr)


def _noted(stage: str, key: str) -> Any:
    """The settings at `key` when a stage last ended well; None where nothing is noted."""
    try:
        lock = yaml.load(LOCK.read_text(encoding="utf-8"), Loader=Loader)
        return lock["stages"][stage]["params"][str(PARAMS)][key]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return None
