"""Find vectors that were computed elsewhere: a backbone over the same images as the others."""

import hashlib
import json
from pathlib import Path

from tqdm import tqdm

from pipeline.io.origin import Imported, Source, Stored, folder_of, read_imported, write_imported
from pipeline.io.whole import write_json
from pipeline.kept import say_kept
from pipeline.params import PARAMS, StageError, did_you_mean, read_params, section
from stages import run
from store.foreign import source_path

BLOCK = 1 << 24  # bytes that are read at a time


class Params(Stored):
    """A FILE (npy, npz, parquet, h5, pt) or FILE:KEY, with {dataset} for the name of each."""

    features: str
    ids: str | None = None  # the image of each vector, by its name; else they are in index order
    dataset: str | None = None  # which one they are of, where {dataset} is not in `features`


def main(backbone: str) -> None:
    """Write where the vectors of BACKBONE are, a key of `imported` in params.yaml, by dataset.

    Stage embed reads them; it runs again when the bytes of a file have changed. Files are read
    again only when their size, times or inode have. What is not on this machine stays as it was.
    """
    params, before = section(Params, f"imported.{backbone}"), read_imported(backbone)
    known = dict(before.sources) if before else {}
    seen = _Seen(folder_of(backbone).with_name(f"{backbone}.seen.json"))
    sources = {}
    for dataset in _datasets(backbone, params):
        here = _here(params, dataset)
        missing = [s for s in here if s and not source_path(s).is_file()]
        if not missing:
            sources[dataset] = Source(*here, seen.digest([s for s in here if s]))
        elif known.get(dataset, ())[:2] == here:
            say_kept("import", missing[0], f"{backbone} of {dataset}")
            sources[dataset] = known[dataset]
        else:
            print(f"import: {missing[0]} is not there: {dataset} by {backbone} will be absent")
    if not sources:
        raise StageError(
            f"imported.{backbone}: {params.features} is there for no dataset: write FILE, or a "
            "path with {dataset}"
        )
    write_imported(Imported(backbone, sources, params.dtype))
    seen.save()
    print(f"import: {backbone} of {', '.join(sources)}")


def _datasets(backbone: str, params: Params) -> list[str]:
    """Those that the files may be of."""
    every = list(read_params("datasets") or {})
    if "{dataset}" in params.features:
        return every
    if params.dataset and params.dataset not in every:
        raise StageError(
            f"{PARAMS}: imported.{backbone}.dataset: there is no dataset '{params.dataset}'"
            f"{did_you_mean(params.dataset, every)}"
        )
    if params.dataset or len(every) == 1:
        return [params.dataset or every[0]]
    raise StageError(
        f"{PARAMS}: imported.{backbone}.features names one file, and there are {len(every)} "
        "datasets: write {dataset} for the name in its path, or dataset: NAME beside it"
    )


def _here(params: Params, dataset: str) -> tuple[str, str]:
    return tuple(s.replace("{dataset}", dataset) for s in (params.features, params.ids or ""))  # type: ignore[return-value]


class _Seen:
    """Digests of files by size, times and inode, remembered beside the outs: these are this
    machine's."""

    def __init__(self, path: Path) -> None:
        self._path, self._new = path, dict[str, list]()
        try:
            self._old = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._old = {}  # it only saves time

    def digest(self, sources: list[str]) -> str:
        """Of the bytes of the files, and which arrays in them."""
        facts = [[_key(source), self._of_file(source_path(source))] for source in sources]
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()

    def _of_file(self, path: Path) -> str:
        stat, old = path.stat(), self._old.get(str(path), [])
        now = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
        if old[:-1] != now:
            old = [*now, _digest(path)]
        self._new[str(path)] = old
        return str(old[-1])

    def save(self) -> None:
        write_json(self._path, self._new)


def _key(source: str) -> str:
    whole = source_path(source) == Path(source).expanduser()
    return "" if whole else source.rpartition(":")[2]


def _digest(path: Path) -> str:
    found = hashlib.blake2b(digest_size=16)
    with (
        path.open("rb") as file,
        tqdm(
            total=path.stat().st_size,
            desc=f"digest {path.name}",
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        while block := file.read(BLOCK):
            found.update(block)
            bar.update(len(block))
    return found.hexdigest()


if __name__ == "__main__":
    run(main)
