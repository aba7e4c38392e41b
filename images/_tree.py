"""The image files under a folder: which there are, and one reader for them all.

After torchvision's ImageFolder. But: hidden files and folders are skipped, links are followed
without going round in circles, the order is that of the names' code points, on any system, and a
file without a known suffix counts by how its bytes begin.
"""

import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from images._found import CLASSES_AT, Found
from images._kinds_of_file import HEAD, IMAGES, OTHERS, RAW, is_image, suffix
from images._listing import ImagesError, Opener, Stater
from images._skipped import Skip, excluded, is_of_a_system


def image_names(root: Path, within: str = "") -> list[str]:
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
    tree, skip, top = Found(), excluded(exclude), str(root)
    tree.excluded.update(dict.fromkeys(exclude, 0))
    for link in sorted(_scan(top, f"{within}/" if within else "", tree, skip)):
        _follow(top, link, tree, skip)
    if not tree.names:
        raise ImagesError(_none(root / within, tree))
    for name in tree.names:
        if not name.isascii():
            _check_unicode(root, name)
    tree.names.sort()
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


def _scan(top: str, prefix: str, tree: Found, skip: Skip | None) -> list[str]:
    """Add the images under a folder, and give the links to folders met on the way, unfollowed.

    A million files are listed in seconds because nothing here asks the disk about single files,
    unless their suffix does not tell what they are.
    """
    links, todo = [], [prefix]
    while todo:
        here = todo.pop()
        place = here[:-1]
        if place.count("/") < CLASSES_AT:
            tree.folders.add(place)
        else:
            place = "/".join(place.split("/", CLASSES_AT)[:CLASSES_AT])
        try:
            with os.scandir(os.path.join(top, here)) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    if skip and (pattern := skip(here + name)):
                        tree.excluded[pattern] += 1
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    kind = "folder" if is_folder else _kind(entry)
                    if kind == "folder" and is_of_a_system(name):
                        tree.system[name] += 1
                    elif is_folder:
                        todo.append(f"{here}{name}/")
                    elif kind == "folder":
                        links.append(f"{here}{name}")
                    elif kind == "file":
                        ending = suffix(name)
                        known = ending in IMAGES
                        if known or (ending not in OTHERS and ending not in RAW and _looks(entry)):
                            tree.names.append(here + name)
                            if not known:
                                tree.by_content[ending] += 1
                        else:
                            tree.others.setdefault(place, Counter())[ending] += 1
        except OSError as error:
            raise _no_folder(Path(top, here), here, error) from error
    return links


def _looks(entry: os.DirEntry[str]) -> bool:
    """Whether a file begins like an image."""
    try:
        with open(entry.path, "rb") as file:
            return is_image(file.read(HEAD))
    except OSError:
        return False


def _kind(entry: os.DirEntry[str]) -> str:
    """file, folder or neither, of what is no folder itself."""
    if entry.is_file(follow_symlinks=False):
        return "file"
    if not entry.is_symlink():
        return "neither"  # a pipe or a socket: reading it might never end
    try:
        mode = os.stat(entry.path).st_mode
    except OSError:
        return "file"  # leads nowhere: listed, so that reading it tells, not silently left out
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "neither"


def _follow(top: str, link: str, tree: Found, skip: Skip | None) -> None:
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
        todo += sorted(_scan(top, f"{name}/", tree, skip))


def _none(path: Path, tree: Found) -> str:
    notes = tree.notes()
    found = "; ".join(notes) if notes else "it has no files"
    return f"no image in {full(path)}: {found}; expected {', '.join(sorted(IMAGES))}"


def _check_unicode(root: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="replace")
        raise ImagesError(
            f"the file name {shown} under {full(root)} is not valid UTF-8; rename the file"
        ) from None


def _no_folder(path: Path, name: str, error: OSError) -> ImagesError:
    way = f', or leave it out by exclude: ["{name[:-1]}"]' if name else ""
    return ImagesError(f"cannot read {path}: {error.strerror or error}; let it be read{way}")


def _unreadable(path: Path, error: OSError) -> ImagesError:
    if path.is_symlink() and not path.exists():
        return ImagesError(f"{path} is a link to {os.readlink(path)}, which does not exist")
    return ImagesError(f"cannot read {path}: {error.strerror or error}")


def full(path: Path) -> str:
    """With the working directory, since that is what a relative path often gets wrong."""
    return os.path.abspath(path)
