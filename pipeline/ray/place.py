"""Where an actor works: in the folder of the project, which every machine sees at the same path."""

import os
import socket
from pathlib import Path

from pipeline.params import PARAMS, StageError


def enter(folder: Path) -> None:
    """Work in `folder`, as the driver does. Raises StageError, by the machine's name, where it is
    not there."""
    if not (folder / PARAMS).is_file():
        raise StageError(
            f"{socket.gethostname()} does not see {folder / PARAMS}: the project has to lie on a "
            "path that all machines of the Ray cluster share"
        )
    os.chdir(folder)
