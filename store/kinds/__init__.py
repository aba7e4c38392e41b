"""The kinds of file in the store: what lies in each, on which axes, with which meaning.

The file is the interface: a reader in another language needs these tables and HDF5, nothing else.
Every file carries its kind and version; a reader refuses what it does not know.
"""

from pathlib import Path

from store.kinds.for_people import FOR_PEOPLE
from store.kinds.for_stages import FOR_STAGES
from store.kinds.kind import Kind

KINDS: dict[str, Kind] = {**FOR_STAGES, **FOR_PEOPLE}


def place(kind: str, **names: str) -> Path:
    """Where a file of `kind` lies in a project; names: dataset, backbone, run, among."""
    return Path(KINDS[kind].place.format(**names))
