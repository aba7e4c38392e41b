"""The image files under a folder: which there are, and one reader for them all.

After torchvision's ImageFolder. But: hidden files and folders are skipped, links are followed
without going round in circles, and the order is that of the names' code points, on any system.
"""

import os
import stat
from collections import Counter
from pathlib import Path

from images._listing import ImagesError, Opener, Stater

SUFFIXES = {
    *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "gif", "tif", "tiff", "webp"),
    *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "avif"),
}


def image_names(root: Path, within: str = "") -> list[str]:
    """Sorted '/'-separated names, relative to `root`, of the images in its folder `within`.

    A link to a file counts as the file; a link to a folder is walked as if it lay there, unless it
    leads back to where the walk came from. Two names of one image stay two names.

    Raises:
        ImagesError: a folder that cannot be read, or no image under it.
    """
    names: list[str] = []
    others: Counter[str] = Counter()
    top = str(root)
    for link in sorted(_scan(top, f"{within}/" if within else "", names, others)):
        _follow(top, link, names, others)
    if not names:
        raise ImagesError(_none(root / within, others))
    for name in names:
        if not name.isascii():
            _check_unicode(root, name)
    return sorted(names)


def folder(root: str, what: str) -> Path:
    """`root` as a path; an error that says `what` was looked for there."""
    path = Path(root)
    if path.is_dir():
        return path
    found = "is a file, not a folder; unpack it first" if path.exists() else "does not exist"
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
    """A file's size and time of change by its name under `root`."""

    def look(name: str) -> tuple[int, int]:
        try:
            found = os.stat(root / name)
        except OSError as error:
            raise _unreadable(root / name, error) from error
        return found.st_size, found.st_mtime_ns

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


def _scan(top: str, prefix: str, names: list[str], others: Counter[str]) -> list[str]:
    """Add the images under a folder, and give the links to folders met on the way, unfollowed.

    A million files are listed in seconds because nothing here asks the disk about single files.
    """
    links, todo = [], [prefix]
    while todo:
        here = todo.pop()
        try:
            with os.scandir(os.path.join(top, here)) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(f"{here}{name}/")
                        continue
                    if not entry.is_file(follow_symlinks=False):
                        kind = _target(entry)
                        if kind == "folder":
                            links.append(f"{here}{name}")
                        if kind != "file":
                            continue
                    dot = name.rfind(".")
                    suffix = name[dot + 1 :].lower() if dot > 0 else ""
                    if suffix in SUFFIXES:
                        names.append(here + name)
                    else:
                        others[suffix] += 1
        except OSError as error:
            raise _unreadable(Path(top, here), error) from error
    return links


def _target(entry: os.DirEntry[str]) -> str:
    if not entry.is_symlink():
        return "neither"  # a pipe or a socket: reading it might never end
    try:
        mode = os.stat(entry.path).st_mode
    except OSError:
        return (
            "file"  # leads nowhere: listed, so that reading it tells, rather than silently left out
        )
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "neither"


def _follow(top: str, link: str, names: list[str], others: Counter[str]) -> None:
    """Walk a link to a folder, and the links found there, each folder at most once."""
    seen: set[str] = set()
    start = os.path.realpath(os.path.dirname(os.path.join(top, link)))
    todo = [link]
    while todo:
        name = todo.pop(0)
        path = os.path.join(top, name)
        target = os.path.realpath(path)
        ways_here = (start, os.path.realpath(os.path.dirname(path)))
        if target in seen or any(os.path.commonpath([target, at]) == target for at in ways_here):
            continue
        seen.add(target)
        todo += sorted(_scan(top, f"{name}/", names, others))


def _none(path: Path, others: Counter[str]) -> str:
    read = ", ".join(sorted(SUFFIXES))
    if not others:
        return f"no image in {full(path)}: it has no files; expected files ending in {read}"
    found = ", ".join(f".{s} ({n})" if s else f"none ({n})" for s, n in others.most_common(5))
    return f"no image in {full(path)}: the files there end in {found}; expected {read}"


def _check_unicode(root: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="replace")
        raise ImagesError(
            f"the file name {shown} under {full(root)} is not valid UTF-8; rename the file"
        ) from None


def _unreadable(path: Path, error: OSError) -> ImagesError:
    if path.is_symlink() and not path.exists():
        return ImagesError(f"{path} is a link to {os.readlink(path)}, which does not exist")
    return ImagesError(f"cannot read {path}: {error.strerror or error}")


def full(path: Path) -> str:
    """With the working directory, since that is what a relative path often gets wrong."""
    return os.path.abspath(path)
