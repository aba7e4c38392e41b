"""Walk through a folder of images, in the order of their names' code points, a folder at a time.

Sorting the entries of each folder, with the names of folders ending in '/', sorts all paths. So
names come one after the other, and no more are held than those of the folders on the way.
"""

import heapq
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from images._found import CLASSES_AT, Found
from images._kinds_of_file import HEAD, IMAGES, OTHERS, RAW, is_image, suffix
from images._listing import ImagesError
from images._names import Names
from images._skipped import Skip, is_of_a_system


def walk(top: str, within: str, tree: Found, skip: Skip | None) -> Iterator[str]:
    """The images in the folder `within` of `top`: '/'-separated names, relative to `top`, sorted.

    What else is met is counted in `tree`. A link to a folder is walked as if it lay there, unless
    it leads back to where the walk came from.

    Raises:
        ImagesError: a folder that cannot be read, or a name that is no text.
    """
    prefix = f"{within}/" if within else ""
    return _walk(top, prefix, tree, skip, lambda link: _follow(top, link, tree, skip))


def _walk(
    top: str,
    prefix: str,
    tree: Found,
    skip: Skip | None,
    follow: Callable[[str], Iterable[str]],
) -> Iterator[str]:
    """The images under a folder, and what `follow` says of the links to folders met on the way."""
    todo = [(prefix, *_entries(top, prefix, tree, skip))]
    while todo:
        here, names, links = todo[-1]
        if not names:
            todo.pop()
        elif not (name := names.pop()).endswith("/"):
            yield here + name
        elif name in links:
            yield from follow(here + name[:-1])
        else:
            todo.append((here + name, *_entries(top, here + name, tree, skip)))


def _follow(top: str, link: str, tree: Found, skip: Skip | None) -> Iterator[str]:
    """Walk a link to a folder, and the links found there, each folder at most once."""
    seen: set[str] = set()
    start = os.path.realpath(os.path.dirname(os.path.join(top, link)))
    todo, found = [link], list[Names]()
    while todo:
        name = todo.pop(0)
        path = os.path.join(top, name)
        target = os.path.realpath(path)
        ways_here = (start, os.path.realpath(os.path.dirname(path)))
        if target in seen or any(os.path.commonpath([target, at]) == target for at in ways_here):
            continue
        seen.add(target)
        links = list[str]()

        def later(link: str, links: list[str] = links) -> Iterable[str]:
            links.append(link)
            return ()

        found.append(Names(_walk(top, f"{name}/", tree, skip, later)))
        todo += sorted(links)
    return heapq.merge(*found) if len(found) > 1 else iter(found[0] if found else ())


def _entries(top: str, here: str, tree: Found, skip: Skip | None) -> tuple[list[str], set[str]]:
    """The names of the images and folders in a folder, the last one first, the folders ending in
    '/'; and those of them that are links to folders.

    A million files are listed in seconds because nothing here asks the disk about single files,
    unless their suffix does not tell what they are.
    """
    names, links, place = list[str](), set[str](), here[:-1]
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
                elif kind == "folder":
                    names.append(f"{name}/")
                    if not is_folder:
                        links.add(names[-1])
                elif kind == "file":
                    ending = suffix(name)
                    known = ending in IMAGES
                    if known or (ending not in OTHERS and ending not in RAW and _looks(entry)):
                        names.append(name)
                        if not name.isascii() or not here.isascii():
                            _check_unicode(top, here + name)
                        if not known:
                            tree.by_content[ending] += 1
                    else:
                        tree.others.setdefault(place, Counter())[ending] += 1
    except OSError as error:
        raise _no_folder(Path(top, here), here, error) from error
    names.sort(reverse=True)
    return names, links


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


def _check_unicode(top: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="replace")
        raise ImagesError(
            f"the file name {shown} under {os.path.abspath(top)} is not valid UTF-8; rename the "
            "file"
        ) from None


def _no_folder(path: Path, name: str, error: OSError) -> ImagesError:
    way = f', or leave it out by exclude: ["{name[:-1]}"]' if name else ""
    return ImagesError(f"cannot read {path}: {error.strerror or error}; let it be read{way}")
