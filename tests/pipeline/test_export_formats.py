"""Tables in the formats of other programs, each read as these do, and by them where they are."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from drawn import draw

import backbones.cpu_torchvision  # noqa: F401  before torchvision
import store
from pipeline.export import coco, embedding_atlas, fiftyone, imagefolder, parquet
from pipeline.export.formats import FORMATS
from pipeline.export.labels import cluster_labels
from pipeline.export.table import PART, Table
from pipeline.io.cell import Cell
from pipeline.links import link
from pipeline.params import StageError

CELL = Cell("mine", "pixels", "export")
PATHS = ["a/1.png", "b/1.png", "1.png", "c d/ü 'x' #1.png", 'say "hi", then.png', "two\nlines.png"]
LABELS = ["cat", "dog/wolf", "cat", "..", "", "dog/wolf"]
OUT = Path("out")


def table(paths: list[str] = PATHS, labels: list[str] = LABELS) -> Table:
    n = len(paths)
    text = np.array(paths, object)
    columns = {
        "path": text,
        "split": np.array(["train", "test"] * n, object)[:n],
        "cluster": np.arange(n, dtype=np.int32) % 3,
        "confidence": (np.arange(n) / np.float32(10)).astype(np.float32),
        "x": np.arange(n, dtype=np.float32),
        "y": -np.arange(n, dtype=np.float32),
    }
    return Table(
        CELL, np.arange(n) + 1, np.array(labels, object), columns,
        Path("pictures").absolute(), Path("data/links/export/mine"),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures, 8 to 13 pixels wide, in folders."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(PATHS):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(path, seed=i, side=8 + i)
    return tmp_path / "pictures"


def test_imagefolder_is_read_by_torchvision() -> None:
    from torchvision.datasets import ImageFolder

    said = imagefolder.write(OUT, one := table())
    found = ImageFolder(one.links)
    assert found.classes == ["_", "cat", "dog_wolf"]
    assert len(found) == 5
    with (OUT / "links.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["link"]: row for row in csv.DictReader(file)}
    assert [row["path"] for row in rows.values()] == [*PATHS[:4], PATHS[5]]
    for place, number in found.samples:
        row = rows[str(Path(place).relative_to(one.links))]
        assert LABELS[PATHS.index(row["path"])] == row["label"]
        assert Path(place).resolve() == one.root / row["path"]
        assert found.classes[number] == Path(row["link"]).parts[0]
    assert [image.size[0] for image, _ in found] == [11, 10, 8, 13, 9]
    assert said == (
        "; links in data/links/export/mine; 1 of no label have no link; 2 labels are no names of "
        "folders, such as '..', which is _"
    )


def test_links_of_another_clustering_and_of_images_that_are_gone_go(pictures: Path) -> None:
    imagefolder.write(OUT, one := table())
    (pictures / "1.png").unlink()
    said = imagefolder.write(OUT, table(labels=["new"] * 6))
    every = [path for path in one.links.rglob("*") if path.is_symlink()]
    assert sorted(path.relative_to(one.links / "new").as_posix() for path in every) == sorted(
        set(PATHS) - {"1.png"}
    )
    assert [path.name for path in one.links.iterdir()] == ["new"]
    assert said.endswith("; 1 files are gone")


def test_what_imagefolder_would_pass_over_is_said(pictures: Path) -> None:
    (pictures / "1.png").rename(pictures / "1.heic")
    said = imagefolder.write(OUT, table(["1.heic", "a/1.png"], ["x", "x"]))
    assert said.endswith("; ImageFolder passes over 1 files for their suffix")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["cat", "cluster 3"], ["cat", "cluster 3"]),
        (["a/b", "a\\b", "a:b"], ["a_b", "a_b 2", "a_b 3"]),
        (["Cat", "cat", "CAT"], ["Cat", "cat 2", "CAT 3"]),
        (["é", "e\u0301"], ["é", "e\u0301 2"]),
        ([".", "..", ".hidden", "  ", "\n"], ["_", "_ 2", "_hidden", "_ 3", "_ 4"]),
        (["end. ", "猫" * 90], ["end", "猫" * 33]),
    ],
)
def test_a_label_becomes_a_folder_of_its_own_on_any_disk(labels: list[str], names: list[str]):
    assert imagefolder.folder_names(labels) == names


def test_coco_has_the_images_categories_and_annotations_of_the_format() -> None:
    said = coco.write(OUT, one := table())
    found = json.loads((OUT / "annotations.json").read_text(encoding="utf-8"))
    assert list(found) == ["info", "licenses", "categories", "images", "annotations"]
    assert [c["name"] for c in found["categories"]] == ["..", "cat", "dog/wolf"]
    assert [c["id"] for c in found["categories"]] == [1, 2, 3]
    assert [image["id"] for image in found["images"]] == [1, 2, 3, 4, 5, 6]
    assert [image["file_name"] for image in found["images"]] == PATHS
    assert [(i["width"], i["height"]) for i in found["images"]] == [(8 + n,) * 2 for n in range(6)]
    assert [a["id"] for a in found["annotations"]] == [1, 2, 3, 4, 5]
    name = {c["id"]: c["name"] for c in found["categories"]}
    got = {a["image_id"]: (name[a["category_id"]], a["score"]) for a in found["annotations"]}
    assert got == {i + 1: (label, i / 10) for i, label in enumerate(LABELS) if label}
    assert said == f"; file names are those below {one.root}"


def test_coco_is_read_by_its_own_library_where_that_is_installed() -> None:
    pycocotools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    coco.write(OUT, one := table())
    found = pycocotools.COCO(OUT / "annotations.json")
    (cat,) = found.getCatIds(catNms=["cat"])
    assert [i["file_name"] for i in found.loadImgs(found.getImgIds(catIds=[cat]))] == [
        path for path, label in zip(PATHS, LABELS, strict=True) if label == "cat"
    ]
    assert all((one.root / i["file_name"]).exists() for i in found.loadImgs(found.getImgIds()))


def test_images_that_are_gone_or_no_images_have_no_size(pictures: Path) -> None:
    (pictures / "1.png").unlink()
    (pictures / "a/1.png").write_text("no image")
    said = coco.write(OUT, table())
    found = json.loads((OUT / "annotations.json").read_text(encoding="utf-8"))["images"]
    assert [image["file_name"] for image in found if "width" not in image] == ["a/1.png", "1.png"]
    assert "; 2 images are gone or cannot be read, and have no width and height" in said


def test_fiftyone_has_the_layout_of_its_json_form() -> None:
    said = fiftyone.write(OUT, one := table())
    about = json.loads((OUT / "metadata.json").read_text(encoding="utf-8"))
    fields = {field["name"]: field for field in about["sample_fields"]}
    assert fields["cluster"]["embedded_doc_type"] == "fiftyone.core.labels.Classification"
    assert about["media_type"] == "image"
    found = json.loads((OUT / "samples.json").read_text(encoding="utf-8"))
    assert list(found) == ["samples"], "which its reader expects to be the first and only key"
    samples = found["samples"]
    assert [sample["filepath"] for sample in samples] == PATHS
    assert [sample["tags"] for sample in samples] == [["train"], ["test"]] * 3
    said_of = [
        s["cluster"] and (s["cluster"]["label"], s["cluster"]["confidence"]) for s in samples
    ]
    assert said_of == [(label, i / 10) if label else None for i, label in enumerate(LABELS)]
    assert {s["cluster"]["_cls"] for s in samples if s["cluster"]} == {"Classification"}
    ids = [s["_id"]["$oid"] for s in samples] + [
        s["cluster"]["_id"]["$oid"] for s in samples if s["cluster"]
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 24 for each in ids)
    assert said == f"; FiftyOne reads it with rel_dir={str(one.root)!r}"


def test_fiftyone_reads_it_where_it_is_installed() -> None:
    fo = pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    fiftyone.write(OUT, one := table())
    try:
        found = fo.Dataset.from_dir(
            str(OUT), dataset_type=fo.types.FiftyOneDataset, rel_dir=str(one.root)
        )
    except fo.core.config.FiftyOneConfigError as error:
        pytest.skip(f"fiftyone has no database: {error}")
    try:
        samples = list(found)
        assert [s.filepath for s in samples] == [str(one.root / path) for path in PATHS]
        assert [s.tags for s in samples] == [["train"], ["test"]] * 3
        assert [s.cluster and s.cluster.label for s in samples] == [x or None for x in LABELS]
        assert samples[3].cluster.confidence == pytest.approx(0.3)
        assert found.count_values("cluster.label")["cat"] == 2
    finally:
        found.delete()


def write_neighbors(one: Table, metric: str = "cosine") -> None:
    n = len(one.row)
    at = (np.arange(n)[:, None] + [1, 2]) % n
    arrays = {
        "row": one.row, "split": np.zeros(n, np.uint8), "neighbor": one.row[at].astype(np.int32),
        "similarity": np.tile(np.array([0.75, 0.5], np.float32), (n, 1)),
    }  # fmt: skip
    attrs = {"dataset": "mine", "backbone": "pixels", "metric": metric, "splits": ["train"]}
    store.save(CELL.neighbors, "neighbors", arrays, {**attrs, "dim": 4, "recall": 1.0})


@pytest.mark.parametrize("group", [4, 65_536])
def test_embedding_atlas_has_places_names_and_neighbours(
    group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_atlas, "GROUP", group)
    write_neighbors(one := table())
    assert embedding_atlas.write(OUT, one) == ""
    read = pyarrow.parquet.read_table(OUT / "images.parquet")
    rows = read.to_pylist()
    assert [(row["x"], row["y"]) for row in rows] == [(i, -i) for i in range(6)]
    assert [row["name"] for row in rows] == LABELS
    assert [row["path"] for row in rows] == PATHS
    assert [row["cluster"] for row in rows] == ["0", "1", "2"] * 2
    assert rows[5]["neighbors"] == {"ids": [0, 1], "distances": [0.25, 0.5]}
    assert str(read.schema.field("x").type) == "float"


def test_embedding_atlas_reads_it_where_it_is_installed() -> None:
    cli = pytest.importorskip("embedding_atlas.cli", reason="embedding-atlas is not installed")
    write_neighbors(one := table())
    embedding_atlas.write(OUT, one)
    found = cli.load_datasets([str(OUT / "images.parquet")])
    assert found["name"].tolist() == LABELS
    assert list(found["neighbors"][0]["ids"]) == [1, 2]


def test_neighbours_of_other_images_are_refused() -> None:
    write_neighbors(table(PATHS[:4], LABELS[:4]))
    with pytest.raises(StageError, match=r"neighbors.h5 is not of the images of the table: run"):
        embedding_atlas.write(OUT, table())


def test_a_table_without_clusters_of_its_own_is_written_by_all(pictures: Path) -> None:
    """As stage reviewed has it: labels and a status that a person gave."""
    one = table()
    few = {name: one.columns[name] for name in ("path", "split", "confidence", "x", "y")}
    plain = one._replace(columns={**few, "status": np.array(["decided"] * 6, object)})
    write_neighbors(plain)
    for name, form in FORMATS.items():
        form.write(Path(f"of.{name}"), plain)
        assert Path(f"of.{name}").is_dir() == form.folder
    rows = pyarrow.parquet.read_table("of.embedding_atlas/images.parquet").to_pylist()
    assert rows[0]["status"] == "decided"
    assert rows[0]["name"] == "cat"


@pytest.mark.parametrize("name", FORMATS)
def test_no_image_makes_an_empty_one(name: str) -> None:
    write_neighbors(one := table([], []))
    FORMATS[name].write(Path(f"of.{name}"), one)
    if name == "coco":
        found = json.loads(Path("of.coco/annotations.json").read_text())
        assert found["images"] == found["annotations"] == found["categories"] == []
    if name == "fiftyone":
        assert json.loads(Path("of.fiftyone/samples.json").read_text()) == {"samples": []}
    if name == "embedding_atlas":
        schema = pyarrow.parquet.read_schema("of.embedding_atlas/images.parquet")
        assert [str(schema.field(each).type) for each in ("cluster", "name")] == ["string"] * 2


@pytest.mark.parametrize("name", FORMATS)
def test_equal_tables_give_equal_bytes_over_an_earlier_export(name: str) -> None:
    write_neighbors(one := table())
    out = Path(f"of.{name}")

    def written() -> dict[str, bytes]:
        FORMATS[name].write(out, one)
        every = [out] if out.is_file() else sorted(out.iterdir())
        return {path.name: path.read_bytes() for path in every}

    before = written()
    assert before
    assert written() == before


def test_parts_join_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more rows than are written at once."""
    n = PART + 7
    one = table([f"{i}.png" for i in range(n)], ["a", "", "b"] * (n // 3 + 1))
    one = one._replace(label=one.label[:n])
    fiftyone.write(OUT, one)
    coco.write(OUT, one)
    samples = json.loads((OUT / "samples.json").read_text())["samples"]
    assert [sample["filepath"] for sample in samples] == list(one.columns["path"])
    found = json.loads((OUT / "annotations.json").read_text())
    assert [image["id"] for image in found["images"]] == list(range(1, n + 1))
    labelled = np.flatnonzero(one.label != "") + 1
    assert [a["image_id"] for a in found["annotations"]] == labelled.tolist()
    assert [a["id"] for a in found["annotations"]] == list(range(1, len(labelled) + 1))
    parquet.write(Path("whole.parquet"), one)
    monkeypatch.setattr(parquet, "GROUP", 1000)
    parquet.write(Path("parts.parquet"), one)
    whole, parts = (pyarrow.parquet.read_table(f"{name}.parquet") for name in ("whole", "parts"))
    assert whole.equals(parts)


def test_a_cluster_is_called_by_its_class_its_word_or_its_number() -> None:
    assert cluster_labels(4, ["wren"], ["bird", "tit", ""]) == [
        "wren", "tit", "cluster 2", "cluster 3",
    ]  # fmt: skip


def test_clusters_that_share_a_word_stay_apart() -> None:
    assert cluster_labels(3, [], ["dog", "cat", "dog"]) == [
        "dog (cluster 0)", "cat", "dog (cluster 2)",
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["../out.png", "/out.png"])
def test_no_link_is_made_outside_the_folder(place: str) -> None:
    with pytest.raises(StageError, match="not a name below a folder, no link is made"):
        link(Path("links"), {place: "/etc/hostname"})
