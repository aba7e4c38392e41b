"""Stage export: one table of path, cluster, confidence and group, that any program reads."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import yaml
from clustered import SPLITS, N, digits, split_of, write_clusters, write_dataset, write_index
from conftest import Project
from drawn import draw

import stages.export
import store
from pipeline.export.wanted import Wanted
from pipeline.io.absent import mark
from pipeline.io.cell import Cell, images_of
from pipeline.params import StageError

CELL = Cell("d", "pixels", "kmeans")
OF = {"dataset": "d", "backbone": "pixels"}
TABLE = CELL.file("tables/kmeans.csv")
ARGUMENTS = ("export", "d", "pixels", "clusters/kmeans")
ODD = [
    "a,b.png",
    'say "c".png',
    "two\nlines.png",
    "a\rreturn.png",
    " blank.png",
    "Vögel/猫 '.png",
    "\\N",
]


def write_neighbors(row: np.ndarray, neighbor: np.ndarray, similarity: np.ndarray, **said) -> None:
    arrays = {
        "row": row,
        "split": np.zeros(len(row), np.uint8),
        "neighbor": neighbor.astype(np.int32),
        "similarity": similarity.astype(np.float32),
    }
    attrs = {**OF, "metric": "cosine", "splits": SPLITS, "dim": 64, "recall": 1.0} | said
    store.save(CELL.neighbors, "neighbors", arrays, attrs)


def write_duplicates(row: np.ndarray, leader: np.ndarray, **said) -> None:
    arrays = {"row": row, "leader": leader}
    store.save(CELL.duplicates, "duplicates", arrays, {**OF, "threshold": 0.9} | said)


def export(format: str = "csv", reads: str = "neighbors") -> list[dict[str, str]]:
    stages.export.main(CELL, "clusters/kmeans", Wanted(format=format, reads=reads))
    if format == "parquet":
        return pyarrow.parquet.read_table(TABLE.with_suffix(".parquet")).to_pylist()
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """160 digits, k-means of three seeds, neighbours at random, a group of three."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "d")
    write_clusters(tmp_path, "d")
    rng, row = np.random.default_rng(0), np.arange(N)
    neighbor = (row[:, None] + rng.permuted(np.tile(np.arange(1, 120), (N, 1)), axis=1)) % 120
    write_neighbors(row, neighbor[:, :5], rng.random((N, 5)))
    write_duplicates(row, np.where(np.isin(row, [3, 7, 150]), 3, row))
    return tmp_path


def write_small(assignment: list[int], **arrays: np.ndarray) -> None:
    """Clusters of the images in rows 0, 1, 3, 4; image 2 could not be read."""
    row = np.array([0, 1, 3, 4])
    base = {
        "row": row, "split": np.zeros(4, np.uint8), "k": np.array([2], np.int32),
        "dims": np.zeros(1, np.int32), "mean": np.zeros(3), "components": np.zeros((0, 3)),
        "variance": np.zeros(0), "0/assignment": np.array([assignment], np.int32),
        "0/loss": np.zeros(1),
    }  # fmt: skip
    attrs = {
        **OF, "run": "kmeans", "fitted_on": "d", "how": "linear", "metric": "cosine",
        "normalize": True, "whiten": False, "seeds": [0], "splits": SPLITS,
    }  # fmt: skip
    store.save(CELL.clusters, "clusters", base | arrays, attrs)
    write_duplicates(row, np.array([0, 0, 3, 4]))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = [f"{i}.png" for i in range(5)]
    arrays = {"name": np.array(names, object), "digest": np.zeros((5, 16), np.uint8)}
    arrays["split"] = np.zeros(5, np.uint8)
    attrs = {"dataset": "d", "splits": SPLITS, "n_classes": 0}
    store.save(CELL.images, "index", arrays, attrs)
    write_small([0, 0, 1, 0], **{"0/probability": np.array([[0.5, 1, 0.25, 0.1]], np.float32)})
    neighbor = np.array([[1, 3, 4], [0, 3, 4], [4, 0, 1], [3, 1, 0]])
    similarity = np.array([[0.5, 0.25, 0.25], [0.9, 0.8, -0.5], [0.3, 0.2, 0.1], [-1, -2, -3]])
    write_neighbors(np.array([0, 1, 3, 4]), neighbor, similarity)
    return tmp_path


def test_confidence_of_a_worked_example(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cluster of image 0 has two others, so its two nearest count: 0.5 of 0.75 is in it. Image
    1: 0.9 of 1.7. Image 3 is alone: none. Image 4: no neighbour is similar, so the two count alike.
    """
    rows = export()
    assert [row["path"] for row in rows] == ["0.png", "1.png", "3.png", "4.png"]
    confidence = [float(row["confidence"]) for row in rows]
    np.testing.assert_allclose(confidence, [2 / 3, 9 / 17, 0, 1 / 2], rtol=1e-6)
    assert [row["probability"] for row in rows] == ["0.5", "1.0", "0.25", "0.1"]
    assert [row["group"] for row in rows] == ["0.png", "0.png", "3.png", "4.png"]
    assert "4 images to data/d/pixels/tables/kmeans.csv; 1 that pixels could not read" in (
        capsys.readouterr().out
    )


def test_the_columns_are_those_that_the_method_has(small: Path) -> None:
    common = ["path", "split", "cluster", "confidence"]
    assert list(export()[0]) == [*common, "probability", "group"]
    write_small([0, 0, 1, 0])
    assert list(export()[0]) == [*common, "group"]
    write_small([0, 0, 1, 0], **{"0/distance": np.ones((1, 4), np.float32)})
    assert list(export()[0]) == [*common, "distance", "group"]


def test_confidence_is_label_free_and_does_not_ask_which_method_it_was(small: Path) -> None:
    before = [row["confidence"] for row in export()]
    write_small([1, 1, 0, 1], **{"0/distance": np.ones((1, 4), np.float32)})
    assert [row["confidence"] for row in export()] == before
    assert not CELL.labels.exists()


def test_the_table_says_what_the_files_say(folder: Path) -> None:
    rows = export()
    names = digits()[0]
    with store.read(CELL.clusters, "clusters") as file:
        seed = int(file["0/loss"].argmin())
        assignment, distance = file["0/assignment"][seed], file["0/distance"][seed]
    with store.read(CELL.neighbors, "neighbors") as file:
        neighbor, similarity = file["neighbor"], file["similarity"].astype(float)
    assert seed != 0  # or the test would not see which seed was taken
    assert [row["path"] for row in rows] == names
    assert [row["split"] for row in rows] == [SPLITS[s] for s in split_of(N)]
    assert [int(row["cluster"]) for row in rows] == assignment.tolist()
    assert np.array_equal([np.float32(row["distance"]) for row in rows], distance)
    train = split_of(N) == 0
    for i, row in enumerate(rows):
        others = (assignment[train] == assignment[i]).sum() - train[i]
        weight = similarity[i, : max(others, 1)]
        own = [
            w for n, w in zip(neighbor[i], weight, strict=False) if assignment[n] == assignment[i]
        ]
        assert float(row["confidence"]) == pytest.approx(sum(own) / weight.sum(), rel=1e-5)
    assert [i for i, row in enumerate(rows) if row["group"] == names[3]] == [3, 7, 150]


def test_confidence_can_be_1_in_a_collection_with_fewer_images_than_neighbours(small: Path) -> None:
    """Clusters of two, each the other's nearest; three neighbours are in the table."""
    write_small([0, 0, 1, 1])
    neighbor = np.array([[1, 3, 4], [0, 3, 4], [4, 0, 1], [3, 1, 0]])
    write_neighbors(np.array([0, 1, 3, 4]), neighbor, np.tile([0.9, 0.5, 0.5], (4, 1)))
    assert [row["confidence"] for row in export()] == ["1.0"] * 4


def test_parquet_has_the_same_columns_and_types_of_their_own(folder: Path) -> None:
    text, typed = export(), export("parquet")
    assert len(text) == len(typed) == N
    for one, other in zip(text, typed, strict=True):
        assert list(one) == list(other)
        assert all(isinstance(other[name], str) for name in ("path", "split", "group"))
        assert isinstance(other["cluster"], int)
        assert np.float32(one["confidence"]) == np.float32(other["confidence"])
        assert np.float32(one["distance"]) == np.float32(other["distance"])
        assert {k: v for k, v in one.items() if k in ("path", "split", "group")}.items() <= (
            other.items()
        )
    schema = pyarrow.parquet.read_schema(TABLE.with_suffix(".parquet"))
    assert [str(field.type) for field in schema] == [
        "string", "string", "int32", "float", "float", "string",
    ]  # fmt: skip


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_any_name_is_given_back(folder: Path, format: str) -> None:
    names = [ODD[i] if i < len(ODD) else f"{i}.png" for i in range(N)]
    write_index(folder, "d", names, digits()[1])
    rows = export(format)
    assert [row["path"] for row in rows] == names
    assert rows[7]["group"] == rows[150]["group"] == ODD[3]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_equal_input_gives_equal_bytes(folder: Path, format: str) -> None:
    path = TABLE.with_suffix(f".{format}")
    export(format)
    before = path.read_bytes()
    export(format)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_longer_table_of_an_earlier_run_leaves_nothing(folder: Path) -> None:
    TABLE.parent.mkdir(parents=True)
    for end in ("", ".part"):
        Path(f"{TABLE}{end}").write_text("x\n" * 100_000)
    assert len(export()) == N


def test_no_image_makes_a_table_without_rows(folder: Path) -> None:
    empty = {"row": np.zeros(0, np.int64), "0/distance": np.zeros((1, 0), np.float32)}
    empty |= {"0/assignment": np.zeros((1, 0), np.int32), "split": np.zeros(0, np.uint8)}
    write_small([0, 0, 0, 0], **empty)
    write_neighbors(empty["row"], np.zeros((0, 3)), np.zeros((0, 3)))
    write_duplicates(empty["row"], empty["row"])
    assert export() == export("parquet") == []
    schema = pyarrow.parquet.read_schema(TABLE.with_suffix(".parquet"))
    assert str(schema.field("path").type) == "string"


def test_files_of_other_images_are_refused(folder: Path) -> None:
    row = np.arange(N)
    write_duplicates(row[1:], row[1:])
    with pytest.raises(
        StageError, match=r"duplicates.h5 is of 159 images, not of the 160 expected"
    ):
        export()
    write_duplicates(row, row, backbone="other")
    with pytest.raises(StageError, match="is of backbone other, expected pixels"):
        export()
    write_duplicates(row, row)
    write_neighbors(row[1:], np.zeros((N - 1, 2)), np.ones((N - 1, 2)))
    with pytest.raises(StageError, match=r"neighbors.h5 is of 159 images, the features hold"):
        export()
    write_dataset(folder, "e")
    shutil.copy(images_of("e"), CELL.images)
    with pytest.raises(StageError, match=r"d/images.h5 is not the index of the images in data/d/"):
        export()


def test_the_stage_runs_and_refuses_from_the_command_line(project: Project, folder: Path) -> None:
    project.params["export"] = {"format": "csv", "reads": "neighbors"}
    said = project.stage(*ARGUMENTS)
    assert "export: 160 images to data/d/pixels/tables/kmeans.csv\n" in said
    CELL.neighbors.unlink()
    assert "d/pixels/neighbors.h5: no such file" in project.refusal(*ARGUMENTS)


def test_a_run_of_category_discovery_names_the_known_classes(folder: Path):
    assert "class" not in export()[0]
    with store.read(CELL.clusters, "clusters") as file:
        names = ["row", "split", "k", "dims", "mean", "components", "variance"]
        arrays = {name: file[name] for name in [*names, "0/assignment", "0/loss"]}
        attrs = {**file.attrs, "old": ["Zaunkönig", "a, b"]}
    store.save(CELL.clusters, "clusters", arrays, attrs)
    for row in export() + export("parquet"):
        known = {0: "Zaunkönig", 1: "a, b"}
        assert row["class"] == known.get(int(row["cluster"]), "")


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_rejected_images_have_no_class_and_say_so(small: Path, format: str):
    rejected = np.array([[0, 1, 0, 0]], np.uint8)
    write_small([0, 0, 1, 1], **{"0/rejected": rejected})
    with store.read(CELL.clusters, "clusters") as file:
        names = ("row", "split", "k", "dims", "mean", "components", "variance", "0/assignment")
        arrays = {name: file[name] for name in (*names, "0/loss", "0/rejected")}
        attrs = dict(file.attrs)
    store.save(CELL.clusters, "clusters", arrays, {**attrs, "old": ["cat"]})
    found = export(format)
    assert [str(row["rejected"]) for row in found] == ["0", "1", "0", "0"]
    assert [row["class"] for row in found] == ["cat", "", "", ""]
    assert [str(row["cluster"]) for row in found] == ["0", "0", "1", "1"]


def photos(folder: Path) -> None:
    """Files of pictures for the small dataset, of which 2.png cannot be read."""
    (folder / "pictures").mkdir()
    for i in range(5):
        draw(folder / "pictures" / f"{i}.png", seed=i)
    settings = {"datasets": {"d": {"from": "folder", "root": "pictures"}}}
    Path("params.yaml").write_text(yaml.safe_dump(settings))


def write_map(row: np.ndarray, dims: list[int]) -> None:
    places = {f"{s}/place": np.zeros((len(row), d), np.float32) + d for s, d in enumerate(dims)}
    arrays = {"row": row, "split": np.zeros(len(row), np.uint8), "dims": np.array(dims, np.int32)}
    attrs = {**OF, "metric": "cosine", "splits": SPLITS, "neighbors": 2, "min_dist": 0.1, "seed": 0}
    store.save(CELL.map, "map", arrays | places, attrs)


def written(format: str, reads: str = "neighbors", run: str = "export") -> Path:
    params = Wanted(format=format, reads=reads)
    stages.export.main(CELL._replace(run=run), "clusters/kmeans", params)
    return TABLE.with_suffix(f".{format}")


@pytest.mark.parametrize("format", ["imagefolder", "coco", "fiftyone"])
def test_formats_of_pictures_need_files(small: Path, project: Project, format: str) -> None:
    project.params["datasets"] = {"d": {"from": "digits"}}
    project.params["export"]["format"] = format
    assert project.refusal(*ARGUMENTS) == (
        f"export: the images of d are no files in a folder (from: digits): {format} needs them: "
        "set export.format to csv, parquet, embedding_atlas"
    )
    assert not TABLE.parent.exists()


def test_a_format_that_is_none_has_a_close_name(small: Path, project: Project) -> None:
    project.params["export"]["format"] = "imagefoldr"
    said = project.refusal(*ARGUMENTS)
    assert "export.format is 'imagefoldr'" in said
    assert said.endswith("did you mean 'imagefolder'?")


def test_links_lead_from_clusters_to_pictures(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(small)
    assert (written("imagefolder") / "links.csv").read_text().splitlines() == [
        "link,path,label", "cluster 0/0.png,0.png,cluster 0", "cluster 0/1.png,1.png,cluster 0",
        "cluster 1/3.png,3.png,cluster 1", "cluster 0/4.png,4.png,cluster 0",
    ]  # fmt: skip
    links = Path("data/links/export/d/pixels/kmeans")
    assert sorted(path.name for path in links.iterdir()) == ["cluster 0", "cluster 1"]
    assert (links / "cluster 1/3.png").resolve() == (small / "pictures/3.png").resolve()
    assert "1 that pixels could not read left out; links in data/links/export/d/pixels/kmeans" in (
        capsys.readouterr().out
    )


def test_the_known_class_is_the_label_and_what_is_rejected_has_none(small: Path) -> None:
    photos(small)
    write_small([0, 0, 1, 1], **{"0/rejected": np.array([[0, 1, 0, 0]], np.uint8)})
    with store.read(CELL.clusters, "clusters") as file:
        names = ("row", "split", "k", "dims", "mean", "components", "variance", "0/assignment")
        arrays = {name: file[name] for name in (*names, "0/loss", "0/rejected")}
        attrs = dict(file.attrs)
    store.save(CELL.clusters, "clusters", arrays, {**attrs, "old": ["cat"]})
    samples = json.loads((written("fiftyone") / "samples.json").read_text())["samples"]
    labels = [sample["cluster"] and sample["cluster"]["label"] for sample in samples]
    assert labels == ["cat", None, "cluster 1", "cluster 1"]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_places_on_the_map_are_columns_where_they_are_asked_for(small: Path, format: str) -> None:
    write_map(np.array([0, 1, 3, 4]), [10, 2])
    rows = export(format, "map")
    assert list(rows[0])[-3:] == ["group", "x", "y"]
    assert [float(row["x"]) for row in rows] == [2.0] * 4
    assert "x" not in export(format)[0]


def test_embedding_atlas_says_how_to_get_a_map(small: Path) -> None:
    with pytest.raises(StageError, match=r"shows the map: set export.reads to map and runs.map to"):
        written("embedding_atlas")
    with pytest.raises(StageError, match=r"map.h5 is not there: set runs.map to \[map\] and run"):
        written("embedding_atlas", "map")
    write_map(np.array([0, 1, 3, 4]), [10])
    with pytest.raises(StageError, match=r"has 10 dims: choose one of these, or add 2 to map.dims"):
        written("embedding_atlas", "map")
    write_map(np.array([0, 1, 2, 3]), [2])
    with pytest.raises(StageError, match=r"map.h5 is of other images"):
        written("embedding_atlas", "map")
    write_map(np.array([0, 1, 3, 4]), [2])
    read = pyarrow.parquet.read_table(written("embedding_atlas", "map") / "images.parquet")
    assert [row["name"] for row in read.to_pylist()] == ["cluster 0", "cluster 0", "cluster 1",
                                                         "cluster 0"]  # fmt: skip


def test_an_absent_run_is_marked_in_a_folder_and_the_mark_goes(
    small: Path, project: Project
) -> None:
    photos(small)
    project.params["datasets"] = {"d": {"from": "folder", "root": "pictures"}}
    project.params["export"]["format"] = "coco"
    mark([CELL.clusters], "k is 20")
    assert "nothing to do: k is 20" in project.stage(*ARGUMENTS)
    folder = TABLE.with_suffix(".coco")
    assert [path.name for path in folder.iterdir()] == ["absent.json"]
    write_small([0, 0, 1, 0])
    project.stage(*ARGUMENTS)
    assert [path.name for path in folder.iterdir()] == ["annotations.json"]
