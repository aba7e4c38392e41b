"""A project of any size in a folder of its own: params.yaml, and files that stages begin with.

Vectors are of 50 groups. They are written as .npy, which stage embed makes the store from, so the
writer of stores is measured too. The tables of neighbours and of near-duplicates are drawn, not
searched: what they are made by takes hours at this size, and what reads them does not mind. The
pictures are a thousand small ones under as many names as are wanted.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

import store
from cluster.heads.model import Linear
from pipeline.io.cell import Cell
from pipeline.io.learned import Learned, save_learned

ROOT = Path(__file__).parents[1]
BIG, FEW, BACKBONE = "big", "few", "vectors"
NETWORK = "resnet18_small_narrow"  # the quickest one, for the pictures
PICTURES, SIDE = "pictures", 32
GROUPS, CLASSES, TESTED = 50, 10, 0.05  # vectors lie about so many points; share that is of test
NEIGHBORS, NEAR, MIXED = 50, 64, 0.1  # of an image; among so many; share with one of another group
PART, IN_FOLDER = 65_536, 1000


def lay_out(folder: Path, images: int, dim: int, few: int, sections: Mapping[str, Any]) -> None:
    """The files of `images` vectors as dataset `big` and of `few` as dataset `few`; params.yaml
    with `sections` (each: what differs from the section it is made of, named by `of`)."""
    for name, count in ((BIG, images), (FEW, few)):
        _write_vectors(folder / f"{name}.npy", count, dim)
        number = np.arange(count)
        names = np.char.add(b"train/class/", np.char.zfill(number.astype("S8"), 24))
        train = number < count * (1 - TESTED)
        np.save(folder / f"{name}.names.npy", names)
        np.save(folder / f"{name}.labels.npy", (number % GROUPS % CLASSES).astype(np.int64))
        np.save(folder / f"{name}.splits.npy", np.where(train, "train", "test"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, changed in sections.items():
        params[name] = {**params[changed.get("of", name)], **changed}
        params[name].pop("of", None)
    _write_pictures(folder / PICTURES, images)
    params["datasets"] = {
        PICTURES: {"from": "folder", "root": PICTURES, "tree": "class"},
        **{
            name: {
                "from": "vectors",
                "ids": f"{name}.names.npy",
                **{what: f"{name}.{what}.npy" for what in ("labels", "splits")},
            }
            for name in (BIG, FEW)
        },
    }
    params["backbones"] = {NETWORK: {}}
    params["imported"] = {BACKBONE: {"features": "{dataset}.npy", "ids": "{dataset}.names.npy"}}
    params["all"] = params["embedded"] = {**params["backbones"], **params["imported"]}
    params["known"] = {BIG: {"old": CLASSES // 2, "labelled": 0.5, "seed": 0}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def _write_pictures(folder: Path, images: int) -> None:
    """The first folder has pictures, the others are links to it."""
    generator, first = np.random.default_rng(0), folder / "00000"
    first.mkdir(parents=True)
    for number in range(IN_FOLDER):
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(first / f"{number:05}.png")
    for number in range(1, images // IN_FOLDER):
        (folder / f"{number:05}").symlink_to(first.name)


def write_tables(folder: Path) -> None:
    """Neighbours, near-duplicates and heads for the store that stage embed has made of vectors."""
    cell = Cell(BIG, BACKBONE)
    found = store.Features(folder / cell.features)
    images, train = len(found), int((found.split == found.splits.index("train")).sum())
    of_store: dict[str, Any] = {"dataset": BIG, "backbone": BACKBONE}
    generator = np.random.default_rng(0)
    neighbor = _neighbors(images, train // GROUPS, generator)
    similarity = np.linspace(0.9, 0.5, NEIGHBORS, dtype=np.float32)[None].repeat(images, 0)
    store.save(
        folder / cell.neighbors,
        "neighbors",
        {"row": found.row, "split": found.split, "neighbor": neighbor, "similarity": similarity},
        {**of_store, "metric": "cosine", "splits": found.splits, "dim": found.dim, "recall": 1.0},
    )
    store.save(
        folder / cell.duplicates,
        "duplicates",
        {"row": found.row, "leader": found.row},
        {**of_store, "threshold": 0.98},
    )
    weight = generator.normal(size=(2, 1, CLASSES, found.dim)).astype(np.float32)
    heads = {
        name: Linear(w, np.zeros((1, CLASSES), np.float32))
        for name, w in zip("ab", weight, strict=True)
    }
    nobody = np.empty(0, np.int64)
    save_learned(
        folder / store.place("learned", backbone=BACKBONE),
        Learned(BIG, found.encoder, heads, True, nobody, nobody, [], 0),
        BACKBONE,
    )


def environment() -> dict[str, str]:
    """What a stage needs to be found from another folder."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def _neighbors(images: int, of_group: int, generator: np.random.Generator) -> np.ndarray:
    """int32 [image, neighbor]: a stretch of the image's own group, begun by chance, and now and
    then an image of the next group."""
    out = np.empty((images, NEIGHBORS), np.int32)
    step = np.sort(generator.permutation(NEAR)[:NEIGHBORS])
    for start in range(0, images, PART):
        number = np.arange(start, min(start + PART, images))[:, None]
        begin = generator.integers(1, of_group - NEAR, size=number.shape)
        near = number + GROUPS * (begin + step)
        near[:, NEIGHBORS // 10] += generator.random(len(near)) < MIXED
        out[start : start + PART] = near % (GROUPS * of_group)
    return out


def _write_vectors(path: Path, count: int, dim: int) -> None:
    """float16 [image, dim]: image i about point i mod GROUPS, with a falling spectrum."""
    generator = np.random.default_rng(0)
    scale = (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)
    points = generator.normal(size=(GROUPS, dim)).astype(np.float32) * scale
    out = np.lib.format.open_memmap(path, "w+", np.float16, (count, dim))
    for start in range(0, count, PART):
        number = np.arange(start, min(start + PART, count))
        noise = generator.standard_normal((len(number), dim), np.float32) * scale
        out[start : start + PART] = points[number % GROUPS] + noise
    out.flush()
