"""A folder of symbolic links that holds what is asked for and nothing of an earlier run."""

import os
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from pipeline.params import StageError, read_params


def pictures(dataset: str, otherwise: str) -> Path:
    """The folder below which the images of a dataset are files by their names, as an absolute path.

    Raises StageError when they are no files of their own; `otherwise`: what to do then.
    """
    spec = read_params(f"datasets.{dataset}")
    of, root = (spec.get("from"), spec.get("root")) if isinstance(spec, dict) else (spec, None)
    if of != "folder" or not isinstance(root, str) or not root:
        raise StageError(
            f"the images of {dataset} are no files in a folder (from: {of}): {otherwise}"
        )
    folder = Path(os.path.abspath(Path(root).expanduser()))
    if not folder.is_dir():
        raise StageError(f"{folder}: no such folder of pictures: {otherwise}")
    return folder


def link(folder: Path, wanted: Mapping[str, str]) -> None:
    """Make `folder` hold a link at each place (below it, parts apart by /) to its file.

    All other links in it go away, and the folders that held nothing else. What is not a link is
    never removed; StageError when it lies where a link has to be.
    """
    _remove_others(folder, wanted)
    for place, to in tqdm(wanted.items(), desc="links", disable=None, unit="link"):
        here = folder / place
        if ".." in Path(place).parts or Path(place).is_absolute():
            raise StageError(f"{place}: not a name below a folder, no link is made")
        if here.is_symlink():
            continue
        if here.exists():
            raise StageError(f"{here} is in the way of a link and no link itself: move it")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.symlink_to(to)


def _remove_others(folder: Path, wanted: Mapping[str, str]) -> None:
    below = len(f"{folder}/")
    for here, folders, files in os.walk(folder, topdown=False):
        links = [os.path.join(here, name) for name in folders + files]
        links = [path for path in links if os.path.islink(path)]
        old = [path for path in links if wanted.get(path[below:]) != os.readlink(path)]
        for path in old:
            os.unlink(path)
        emptied = old or any(not os.path.lexists(os.path.join(here, name)) for name in folders)
        if emptied and not os.listdir(here):
            os.rmdir(here)
