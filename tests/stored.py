"""Small feature stores for the tests: the vector of an image is a function of its digest, as that
of a real encoder is, so a test can tell what any row has to hold."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import store

DIM = 6


def digests(numbers: list[int] | range | np.ndarray) -> np.ndarray:
    """uint8 [image, 16], one for each number."""
    out = np.zeros((len(numbers), 16), np.uint8)
    out[:, 8:] = np.array(numbers, np.int64).astype(">i8").view(np.uint8).reshape(-1, 8)
    return out


def plan_of(numbers: list[int] | range, split: list[int] | None = None) -> store.Plan:
    count = len(numbers)
    return store.Plan(
        dataset="birds",
        backbone="pixels",
        encoder="0123456789abcdef",
        dim=DIM,
        splits=["train", "test"],
        id=digests(numbers),
        row=np.arange(count),
        split=np.array(split if split is not None else [0] * count, np.uint8),
    )


def encode(ids: np.ndarray) -> np.ndarray:
    """float32 [image, dim] of uint8 [image, 16]."""
    number = np.ascontiguousarray(ids[:, 8:]).view(">i8").astype(np.float64)
    return np.cos(number * np.arange(1, DIM + 1)).astype(np.float32)


def fill(writer: store.FeatureWriter, batch: int = 7) -> int:
    """Put all that is to do; how many rows that were."""
    for low in range(0, len(writer.todo), batch):
        rows = writer.todo[low : low + batch]
        writer.put(rows, encode(writer.plan.id[rows]))
    return len(writer.todo)


def write(folder: Path, plan: store.Plan, shard: int = 20, block: int = 8) -> int:
    """Bring the store to `plan`; how many rows had to be embedded."""
    with store.FeatureWriter(folder, plan, shard=shard, block=block) as writer:
        embedded = fill(writer)
        writer.finish()
    return embedded


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@contextmanager
def locked() -> Iterator[Path]:
    """A folder that this process cannot write to, even where root runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)
            os.chmod(name, 0o755)


def index_of(count: int) -> dict[str, np.ndarray]:
    """The arrays of a file of kind index."""
    return {
        "name": np.array([f"Vögel/{i}.jpg" for i in range(count)], object),
        "digest": digests(range(count)),
        "split": np.arange(count).astype(np.uint8) % 2,
    }


INDEX = {"dataset": "birds", "splits": ["train", "test"], "n_classes": 3}


SAVED = (
    "index", "seen", "labels", "known", "pca", "neighbors", "map", "duplicates", "similar",
    "clusters", "absent", "examples", "map_examples", "similar_examples", "candidates", "reviewed",
    "curated", "curated_examples",
)  # fmt: skip
OF_SETTINGS = ("assignment", "distance", "centroids", "loss", "iterations")  # those written below


def save_each_kind(folder: Path) -> dict[str, Path]:
    """One file of each kind that `store.save` writes, by kind."""
    paths = {kind: folder / f"{kind}.h5" for kind in SAVED}
    store.save(paths["index"], "index", index_of(12), INDEX)
    seen = {"first": np.arange(12, dtype=np.uint64), "second": np.arange(12, dtype=np.uint64)}
    store.save(paths["seen"], "seen", {**seen, "digest": digests(range(12))}, {"spec": "{}"})
    label = {"label": np.arange(12, dtype=np.int32) % 3}
    store.save(paths["labels"], "labels", label, {"dataset": "birds", "classes": ["a", "b", "ü"]})
    known = {"label": np.arange(12, dtype=np.int32) % 3 - 1, "class": np.array([2, 0], np.int32)}
    store.save(paths["known"], "known", known, {"dataset": "birds", "old": ["ü", "a"]})
    rng = np.random.default_rng(0)
    basis = {"mean": rng.random(4), "components": rng.random((4, 4)), "variance": rng.random(4)}
    scales = {"normalize": True, "whiten": False}
    of = {"dataset": "birds", "backbone": "pixels"}
    store.save(paths["pca"], "pca", basis, {**of, **scales, "images": 12})
    row, table = {"row": np.arange(12)}, rng.integers(0, 12, (12, 2)).astype(np.int32)
    near = {"neighbor": table, "similarity": rng.random((12, 2)).astype(np.float32)}
    said = {**of, "metric": "cosine", "splits": ["train"], "dim": 4, "recall": 1.0}
    split = {"split": np.zeros(12, np.uint8)}
    store.save(paths["neighbors"], "neighbors", {**row, **split, **near}, said)
    place = rng.random((12, 2)).astype(np.float32)
    said = {**of, "metric": "cosine", "splits": ["train"]}
    said |= {"neighbors": 15, "min_dist": 0.1, "seed": 0}
    on_map = {"dims": np.array([2], np.int32), "0/place": place}
    store.save(paths["map"], "map", {**row, **split, **on_map}, said)
    leader = {"leader": np.arange(12) // 2 * 2}
    store.save(paths["duplicates"], "duplicates", {**row, **leader}, {**of, "threshold": 0.98})
    found = {"target": np.arange(3), "found": rng.integers(0, 12, (3, 2))}
    found["similarity"] = rng.random((3, 2)).astype(np.float32)
    said = {"target": "birds", "among": "pets", "backbone": "pixels", "k": [1, 2], "minimum": 0.5}
    store.save(paths["similar"], "similar", found, said)
    arrays = {
        **basis,
        "row": np.arange(12),
        "split": np.zeros(12, np.uint8),
        "k": np.array([3], np.int32),
        "dims": np.array([0], np.int32),
        "0/assignment": rng.integers(0, 3, (2, 12)).astype(np.int32),
        "0/distance": rng.random((2, 12)).astype(np.float32),
        "0/centroids": rng.random((2, 3, 4)).astype(np.float32),
        "0/loss": rng.random(2),
        "0/iterations": np.array([3, 4], np.int32),
    }
    said = {**of, **scales, "run": "kmeans", "fitted_on": "birds"}
    said |= {"how": "centroids", "metric": "cosine"}
    said |= {"seeds": [0, 1], "splits": ["train"]}
    store.save(paths["clusters"], "clusters", arrays, said)
    store.save(paths["absent"], "absent", {}, {"reason": "it has no pictures"})
    names, ids = np.array(["a.jpg", "Vögel/b.jpg"], object), digests(range(2))
    shown = {"size": np.array([7, 5]), "name": names, "digest": ids}
    shown |= {"cluster": np.arange(2, dtype=np.int32), "typical": np.ones(2, np.uint8)}
    said = {**of, "run": "kmeans", "setting": 0, "k": 2, "dims": 0, "seed": 0, "seeds": 3}
    said |= {"rank": 1, "among": 9, "images": 12, "old": ["ü"]}
    store.save(paths["examples"], "examples", shown, said)
    shown = {"place": rng.random((3, 2)).astype(np.float32), "name": names, "digest": ids}
    shown |= {"cluster": np.arange(3, dtype=np.int32), "center": np.ones((3, 2), np.float32)}
    shown |= {"picture": np.array([2, 0], np.int32)}
    said = {**of, "run": "kmeans", "setting": 0, "k": 3, "seed": 0, "images": 3, "across": 9}
    store.save(paths["map_examples"], "map_examples", shown, said)
    near = rng.integers(0, 12, (12, 2)).astype(np.int32)
    kept = {"row": np.arange(12), "neighbor": near, "run": np.array(["kmeans"], object)}
    kept |= {"setting": np.zeros(1, np.int32), "dims": np.zeros(1, np.int32)}
    kept |= {"k": np.full(1, 3, np.int32), "0/seed": np.arange(2), "0/silhouette": rng.random(2)}
    kept["0/assignment"] = arrays["0/assignment"]
    store.save(paths["candidates"], "candidates", kept, of)
    label = {"label": np.arange(12, dtype=np.int32) % 3 - 1, "status": np.ones(12, np.uint8)}
    label |= {"cluster": np.arange(12, dtype=np.int32), "confidence": np.ones(12, np.float32)}
    said = {**of, "run": "kmeans", "splits": ["train"], "categories": ["a", "ü"]}
    said |= {"statuses": ["decided", "cluster"], "decisions": 3}
    store.save(paths["reviewed"], "reviewed", {**row, **split, **label}, said)
    cosine = np.array([0.75, 0.5], np.float32)
    shown = {"edge": np.array([0.0, 1.0]), "nearest": np.array([2]), "every": np.array([3])}
    shown |= {"name": names, "digest": ids, "most": cosine, "least": cosine}
    shown |= {"found_target": np.zeros(2, np.int32), "found_name": names, "found_digest": ids}
    said = {"target": "birds", "among": "pets", "backbone": "pixels", "k": [1, 2], "minimum": 0.5}
    said |= {"images": 12, "targets": 2, "found": 3, "median_nearest": 0.7, "median_every": 0.6}
    found = {**shown, "found_similarity": cosine}
    store.save(paths["similar_examples"], "similar_examples", found, {**said, "below": 0.0})
    _save_curated(paths, row, names, ids)
    return paths


def _save_curated(
    paths: dict[str, Path], row: dict[str, np.ndarray], names: np.ndarray, ids: np.ndarray
) -> None:
    number = {"reason": np.arange(12, dtype=np.uint8) % 4, "leader": np.arange(12) // 2}
    more = {"outlier": np.linspace(0, 3, 12, dtype=np.float32), "k": np.full(1, 3, np.int32)}
    cluster = {"0/cluster": np.arange(12, dtype=np.int32) % 3}
    of = {"dataset": "birds", "backbone": "pixels", "run": "curate"}
    reasons = {"reasons": ["kept", "duplicate", "outlier", "not drawn"]}
    store.save(paths["curated"], "curated", {**row, **number, **more, **cluster}, {**of, **reasons})
    like, two = np.array([0.75, 0.5], np.float32), np.arange(2)
    shown = {"name": names, "digest": ids, "size": two, "dropped_group": two.astype(np.int32)}
    shown |= {"dropped_name": names, "dropped_digest": ids, "dropped_similarity": like}
    shown |= {"strange_name": names, "strange_digest": ids, "strange_score": like}
    store.save(paths["curated_examples"], "curated_examples", shown, {**of, "images": 3})


def read_all(path: Path, kind: str) -> dict[str, object]:
    """All that a file says, checked: attributes, and arrays as (dtype, shape, values)."""
    with store.read(path, kind) as file:
        names = [name for name in store.KINDS[kind].arrays if "*" not in name]
        names += [f"0/{name}" for name in OF_SETTINGS if kind == "clusters"]
        names += ["0/cluster"] * (kind == "curated")
        names += [f"0/{n}" for n in ("seed", "silhouette", "assignment") if kind == "candidates"]
        arrays = {name: file[name] for name in names}
        return {
            "attrs": dict(file.attrs),
            **{n: (str(a.dtype), a.shape, a.tolist()) for n, a in arrays.items()},
        }


def flipped(data: bytes, flip: tuple[float, int]) -> bytes:
    at = int(flip[0] * len(data))
    return data[:at] + bytes([data[at] ^ flip[1]]) + data[at + 1 :]
