"""Tables and facts for people, DVC and later stages: written whole or not at all, as the store's
files are. What cannot be read is refused by name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.params import StageError
from store.disk import replacing


@contextmanager
def whole_text(path: Path) -> Iterator[IO[str]]:
    """A UTF-8 text to write, which takes the place of `path` when the block ends.

    A kill leaves `path` as it was. StoreError on a full disk, and while another process writes it.
    """
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8", closefd=False) as f:
        f.truncate()  # what a killed run left
        yield f


@contextmanager
def whole_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The same for a file that is no text."""
    with replacing(path) as part, open(part, "wb", closefd=False) as file:
        file.truncate()
        yield file


def write_json(path: Path, facts: Any) -> None:
    """Facts as JSON that is easy to read. ValueError for a number that is not finite."""
    text = json.dumps(facts, indent=1, allow_nan=False)
    with whole_text(path) as file:
        file.write(text + "\n")


@contextmanager
def facts_in(path: Path) -> Iterator[Any]:
    """The facts of a JSON file, to be made sense of in the block: see as_written."""
    with as_written(path):
        yield json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def as_written(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a damaged file is read and made sense of into one clear line."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise StageError(
            f"{path}: not as a stage wrote it ({said}): remove it and run `dvc repro`, or fetch a "
            "sound copy with `dvc pull`"
        ) from error
