"""What a person has labelled: a table, or a folder of folders, one a class."""

import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import images
from pipeline.io.table import read_table
from pipeline.params import StageError, did_you_mean, read_params
from store.foreign import read_column

# Labels that mean none, as a setting
Unlabelled = tuple[str | int, ...] | Literal["negative numbers"]
COLUMNS = ("path", "label")
CLOSE = 10_000  # names among which a close one is looked for


class Labelled(NamedTuple):
    """label: of each labelled image, by its place in the index, the class; classes: by natural
    order; notes: what a person should know, a line each."""

    label: dict[int, str]
    classes: list[str]
    notes: list[str]


def of_table(
    file: str, names: Sequence[str], root: str, unlabelled: Unlabelled = images.NEGATIVE
) -> Labelled:
    r"""The labels in a table (csv or parquet) with the columns `path` and `label`.

    `names`: of the images, in the order of the index, which are below the folder `root` ("": none).
    A path may be written as Windows does (a\b.jpg), with ./ before it, below the root or with it,
    and in another of Unicode's forms. Rows without a label are passed over, and `unlabelled` says
    which values are none (see `images.number_classes`).

    Raises StageError for another table, an image that is not there or has two labels.
    """
    path = Path(file).expanduser()
    rows = _columns(path)
    label, classes, notes = images.number_classes([said for _, said in rows], str(path), unlabelled)
    given = [
        (name, classes[c]) for (name, _), c in zip(rows, label.tolist(), strict=True) if c >= 0
    ]
    if not given:
        shown = f": its first row is {' and '.join(map(repr, rows[0]))}" if rows else ""
        raise StageError(f"{path} labels no image{shown}; write a class beside some")
    if len(given) < len(rows):
        notes.append(f"{len(rows) - len(given)} rows of {path} have no label and are passed over")
    return _placed(given, names, root, path, classes, notes)


def of_tree(
    folder: str, names: Sequence[str], unlabelled: Unlabelled = images.NEGATIVE
) -> Labelled:
    """The labels of all images named FOLDER/CLASS/..., but those of `unlabelled` classes."""
    top = images.same_text(posixpath.normpath(folder.replace("\\", "/")))
    prefix = "" if top == "." else f"{top}/"
    # What lies below keeps its spelling; the first parts are as many in any of Unicode's forms
    depth = prefix.count("/")
    parts = {
        at: name.split("/")[depth:]
        for at, name in enumerate(names)
        if images.same_text("/".join(name.split("/")[:depth]) + "/" * bool(depth)) == prefix
    }
    if not parts:
        tops = sorted({name.split("/")[0] for name in names if "/" in name})
        raise StageError(f"no image lies in {top}/{did_you_mean(folder, tops)}")
    loose = next((at for at, part in parts.items() if len(part) < 2), None)
    if loose is not None:
        raise StageError(f"{names[loose]} lies in no folder of a class, expected {top}/CLASS/image")
    label, classes, notes = images.number_classes(
        [part[0] for part in parts.values()], f"the folders in {top}", unlabelled
    )
    of = {at: classes[c] for at, c in zip(parts, label.tolist(), strict=True) if c >= 0}
    return Labelled(of, classes, notes)


def root_of(dataset: str) -> str:
    """The folder that its images lie in, "" where there is none."""
    spec = read_params(f"datasets.{dataset}")
    root = spec.get("root") if isinstance(spec, dict) else None
    return root if isinstance(root, str) else ""


def _columns(path: Path) -> list[tuple[str, ...]]:
    if path.suffix.lower() == ".parquet":
        each = (read_column(f"{path}:{name}").astype(str).tolist() for name in COLUMNS)
        return list(zip(*each, strict=True))
    return read_table(path, COLUMNS)


def _placed(
    given: list[tuple[str, str]],
    names: Sequence[str],
    root: str,
    path: Path,
    classes: list[str],
    notes: list[str],
) -> Labelled:
    """Which images these paths are."""
    find, label, otherwise = finder(names, root), dict[int, str](), 0
    for name, said in given:
        at = find(name)
        if at is None:
            missing = sum(find(other) is None for other, _ in given)
            raise StageError(
                f"{path}: there is no image '{name}', which is labelled '{said}'"
                f"{did_you_mean(name, names[:CLOSE]) or f'; names are such as {names[0]!r}'} "
                f"({missing} of {len(given)} paths are of no image)"
            )
        if label.setdefault(at, said) != said:
            raise StageError(f"{path} calls {name} both '{label[at]}' and '{said}': leave one")
        otherwise += name != names[at]
    if otherwise:
        notes.append(
            f"{otherwise} paths of {path} are spelled otherwise than the images (\\ for /, ./, the "
            "root, blanks or Unicode's forms), and were found"
        )
    return Labelled(label, classes, notes)


def finder(names: Sequence[str], root: str) -> Callable[[str], int | None]:
    r"""The place of an image by a path, None where no image is called so, or two are.

    The path may be written as Windows does (a\b.jpg), with ./ before it, below `root` or with it,
    and in another of Unicode's forms.
    """
    exact = {name: at for at, name in enumerate(names)}
    alike: dict[str, int] = {}
    for name, at in exact.items():
        same = images.same_text(name)
        alike[same] = -1 if same in alike else at
    base = os.path.abspath(Path(root).expanduser()) if root else ""

    def ways(said: str) -> Iterator[str]:
        yield said
        path = posixpath.normpath(said.strip().replace("\\", "/"))
        yield path
        if base and path.startswith(f"{base}/"):
            yield path.removeprefix(f"{base}/")

    def find(said: str) -> int | None:
        for way in ways(said):
            at = exact.get(way, alike.get(images.same_text(way), -1))
            if at >= 0:
                return at
        return None

    return find
