"""Folders and files that a listing leaves out unread: those of systems, and those a user names."""

import unicodedata
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

# What file systems, network drives and programs put beside pictures: their bin, their thumbnails
_SYSTEM = {
    *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"),
    *("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "@tmp", "@sharebin"),
    *("__macosx", "network trash folder", "temporary items", "__pycache__", "_vti_cnf"),
    *("ipod photo cache", "found.000", "dfsrprivate"),
}

Skip = Callable[[str], str | None]  # from a path to the pattern that leaves it out


def is_of_a_system(name: str) -> bool:
    """Whether a folder of this name is a system's or a program's, in no matter which case."""
    return name.lower() in _SYSTEM


def excluded(patterns: Sequence[str]) -> Skip | None:
    """Which of the `patterns` leaves out a '/'-separated path below the root, if any does.

    A pattern without '/' is compared with the names of files and folders at any depth, one with '/'
    with the whole path; a folder that is left out is not looked into. After fnmatch: `*` stands for
    anything, '/' too; case counts.
    """
    if not patterns:
        return None
    wanted = [(pattern, _composed(pattern).strip("/").removeprefix("./")) for pattern in patterns]
    paths = [pair for pair in wanted if "/" in pair[1]]
    names = [pair for pair in wanted if "/" not in pair[1]]

    def skip(path: str) -> str | None:
        path = _composed(path)
        name = path.rpartition("/")[2]
        found = (said for said, glob in names if fnmatchcase(name, glob))
        return next(found, None) or next((s for s, g in paths if fnmatchcase(path, g)), None)

    return skip


def _composed(text: str) -> str:
    """macOS writes é as two characters where others write one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
