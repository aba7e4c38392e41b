"""For tests of the review: a clustering of eight images, and a project that is looked at."""

import io
from pathlib import Path

import numpy as np
import yaml
from clustered import split_of, write_clusters
from conftest import PARAMS
from PIL import Image

import backbones
import images
import store
from pipeline.io.cell import Cell, images_of
from pipeline.io.origin import write_zoo_row
from pipeline.review.clustering import Clustering

D = [f"{i:032x}" for i in range(8)]


def clustering(
    assignment: list[int], fingerprint: str = "f", names: dict[int, str] | None = None
) -> Clustering:
    own = np.array(assignment, np.int64)
    many = len(own)
    return Clustering(
        Cell("birds", "pixels", "kmeans"), "clusters", 0, 0, np.arange(many), D[:many], own,
        int(own.max(initial=-1)) + 1, names or {}, fingerprint,
    )  # fmt: skip


N, SHADES = 60, 3  # pictures, and of how many colours


def write_project(folder: Path, backbone: str = "pixels") -> None:
    """`birds`: N little PNGs in three colours, by a row of the zoo, in four clusters; the current
    folder is to be `folder`."""
    names, digests, vectors = [], [], []
    row, rng = backbones.row(backbone), np.random.default_rng(0)
    encode = backbones.load(backbone)
    for i in range(N):
        pixels = rng.integers(0, 40, (12, 16, 3))
        pixels[..., i % SHADES] += 150
        raw = png(pixels.astype(np.uint8))
        (folder / "pictures").mkdir(exist_ok=True)
        (folder / "pictures" / f"{i:02d}.png").write_bytes(raw)
        names.append(f"{i:02d}.png")
        digests.append(np.frombuffer(images.digest(raw), np.uint8))
        vectors.append(encode(backbones.preprocess(row, images.decode(raw))[None])[0])
    spec = {"from": "folder", "root": str(folder / "pictures"), "tree": "flat"}
    params = {**PARAMS, "datasets": {"birds": spec}}
    params["runtime"] = {**PARAMS["runtime"], "device": "cpu", "workers": 1}
    (folder / "params.yaml").write_text(yaml.dump(params))
    id, x = np.array(digests), np.array(vectors, np.float32)
    arrays = {"name": np.array(names, object), "digest": id, "split": split_of(N)}
    said = {"dataset": "birds", "splits": ["train", "test"], "n_classes": 0}
    store.save(images_of("birds"), "index", arrays, said)
    plan = store.Plan(
        "birds", backbone, row.digest, x.shape[1], ["train", "test"], id, np.arange(N), split_of(N)
    )
    cell = Cell("birds", backbone, "kmeans")
    writer = store.FeatureWriter(cell.features, plan)
    writer.put(writer.todo, x[writer.todo])
    writer.finish()
    write_zoo_row(row)
    write_clusters(Path(), "birds", backbone, settings=((4, 0), (3, 0)), seeds=(0, 1))
    write_clusters(Path(), "birds", backbone, run="overcluster", settings=((6, 0),), seeds=(0,))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit @ unit.T - 2 * np.eye(N, dtype=np.float32)
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :10].astype(np.int32)
    table = {"row": np.arange(N), "split": split_of(N), "neighbor": near}
    table["similarity"] = np.take_along_axis(cosine, near, 1).astype(np.float32)
    of = {"dataset": "birds", "backbone": backbone}
    said = {**of, "metric": "cosine", "splits": ["train", "test"], "dim": x.shape[1], "recall": 1.0}
    store.save(cell.neighbors, "neighbors", table, said)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
