"""The image files under a folder: which there are, and one reader for them all.

After torchvision's ImageFolder. But: hidden files and folders are skipped, links are followed
without going round in circles, the order is that of the names' code points, on any system, and a
file without a known suffix counts by how its bytes begin.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from images._found import Found
from images._kinds_of_file import IMAGES
from images._listing import ImagesError, Opener, Stater
from images._names import Names
from images._skipped import excluded
from images._walk import walk


def image_names(root: Path, within: str = "") -> Names:
    """The names of `walked`."""
    return walked(root, within).names


def walked(root: Path, within: str = "", exclude: Sequence[str] = ()) -> Found:
    """The images in the folder `within` of `root`: sorted '/'-separated names, relative to `root`.

    A link to a file counts as the file; a link to a folder is walked as if it lay there, unless it
    leads back to where the walk came from. Two names of one image stay two names. What is hidden,
    a system's, or fits a pattern of `exclude` (see `excluded`) is left out.

    Raises:
        ImagesError: a folder that cannot be read, or no image under it.
    """
    tree = Found()
    tree.excluded.update(dict.fromkeys(exclude, 0))
    tree.names = Names(walk(str(root), within, tree, excluded(exclude)))
    if not tree.names:
        raise ImagesError(_none(root / within, tree))
    return tree


def folder(root: str, what: str) -> Path:
    """`root` as a path; an error that says `what` was looked for there."""
    path = Path(root)
    if path.is_dir():
        return path
    found = "is a file, not a folder; unpack it first" if path.exists() else "does not exist"
    if "$" in root and not path.exists():
        found += "; variables are not replaced: write ~, or the path in full"
    raise ImagesError(f"{what} is looked for in {full(path)}, which {found}")


def opener(root: Path) -> Opener:
    """Reads a file's bytes by its name under `root`."""

    def read(name: str) -> bytes:
        try:
            return (root / name).read_bytes()
        except OSError as error:
            raise _unreadable(root / name, error) from error

    return read


def stater(root: Path) -> Stater:
    """What tells that a file is another one than before, by its name under `root`."""

    def look(name: str) -> tuple[int, ...]:
        try:
            found = os.stat(root / name)
        except OSError as error:
            raise _unreadable(root / name, error) from error
        # A number of more than 63 bits, as some network drives give, has no place in int64
        inode = found.st_ino & (2**63 - 1)
        return found.st_size, found.st_mtime_ns, inode, found.st_ctime_ns

    return look


def check_apart(root: Path, splits: list[str]) -> None:
    """Refuse two splits that are one folder, by a link: testing would be on what was fitted."""
    seen: dict[str, str] = {}
    for split in splits:
        real = os.path.realpath(root / split)
        if real in seen:
            raise ImagesError(
                f"the splits {seen[real]} and {split} in {full(root)} are one folder, {real}"
            )
        seen[real] = split


def _none(path: Path, tree: Found) -> str:
    notes = tree.notes()
    found = "; ".join(notes) if notes else "it has no files"
    return f"no image in {full(path)}: {found}; expected {', '.join(sorted(IMAGES))}"


def _unreadable(path: Path, error: OSError) -> ImagesError:
    if path.is_symlink() and not path.exists():
        return ImagesError(f"{path} is a link to {os.readlink(path)}, which does not exist")
    return ImagesError(f"cannot read {path}: {error.strerror or error}")


def full(path: Path) -> str:
    """With the working directory, since that is what a relative path often gets wrong."""
    return os.path.abspath(path)
