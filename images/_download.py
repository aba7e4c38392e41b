"""Published sets, fetched on first use by torchvision, which knows their addresses and check sums.

Of sets that it does not know, the readers say where the archive is. Torchvision only downloads; the
files are read by our own readers. It is imported for that alone, since it needs torch, and seconds.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from images._listing import ImagesError

# Each connection, and each pause in it; torchvision itself would wait for ever.
TIMEOUT = 10.0

_library: list[Any] = []


class Archive(NamedTuple):
    """A packed set: its address, and the MD5 of its bytes in hexadecimal digits."""

    url: str
    md5: str


def folder(
    dataset: str,
    root: Path,
    name: str,
    files: list[str],
    site: str,
    archive: Archive | None = None,
    **options: object,
) -> Path:
    """The folder `name` under `root` that has all `files`; downloaded if there is no such folder.

    Raises:
        ImagesError: a folder with only some of the files, for nothing may stand in for the others.
    """
    found = root / name
    if not found.exists():
        fetch(dataset, root, f"{dataset} is not in {found}", site, archive, **options)
    missing = [file for file in files if not (found / file).is_file()]
    if missing:
        raise ImagesError(
            f"{found} lacks {', '.join(missing)}; add what is missing from {site}, "
            "or delete the folder to have it downloaded again"
        )
    return found


def fetch(
    dataset: str,
    root: Path,
    looked_for: str,
    site: str,
    archive: Archive | None = None,
    **options: object,
) -> None:
    """Have torchvision.datasets.<dataset> downloaded into `root`, with its progress bar.

    Args:
        archive: what to download and unpack instead.
        looked_for: what was not found where, for the error.
        site: where a person gets the files by hand.

    Raises:
        ImagesError: no network, a wrong check sum, no room, no torchvision.
    """
    by_hand = f"get the files from {site} by hand, or set root to where they are"
    try:
        _let_torchvision_in()
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise ImagesError(
            f"{looked_for}; downloading it needs torchvision ({_said(error)}); "
            f"pip install torchvision, {by_hand}"
        ) from error
    print(f"{looked_for}; downloading it to {root}", file=sys.stderr)
    try:
        with _timeout(TIMEOUT):
            if archive:
                download = datasets.utils.download_and_extract_archive
                download(archive.url, str(root), md5=archive.md5)
            else:
                getattr(datasets, dataset)(str(root), download=True, **options)
    # urllib, tarfile, gzip and torchvision's own RuntimeError for a wrong check sum: all say why.
    except Exception as error:
        raise ImagesError(
            f"{looked_for}, and it cannot be downloaded ({_said(error)}); {by_hand}"
        ) from error


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _let_torchvision_in() -> None:
    """Beside a CPU-only torch, torchvision's compiled operators cannot load, and without their
    schemas its import fails; the two schemas are all that it needs."""
    import torch

    if torch.version.cuda is not None or "torchvision" in sys.modules or _library:
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:  # somebody else has
            return
    _library.append(library)  # or the schemas would go with it


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
