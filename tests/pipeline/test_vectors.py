"""A dataset without pictures, `from: vectors`: what stage index lists, and its imported vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project

import store
from pipeline.io.cell import images_of, labels_of

N = 60


@pytest.fixture
def vectors(project: Project) -> np.ndarray:
    """60 vectors and labels of the dataset `texts`."""
    vectors = np.random.default_rng(0).normal(size=(N, 12)).astype(np.float32)
    np.save(project.folder / "vectors.npy", vectors)
    np.save(project.folder / "labels.npy", np.arange(N) % 4)
    project.params["datasets"] = {"texts": {"from": "vectors", "labels": "labels.npy"}}
    project.params["imported"] = {"clip": {"features": "vectors.npy"}}
    return vectors


def bring(project: Project, backbone: str = "clip") -> store.Features:
    """Index, import and embed."""
    project.index("texts")
    project.stage("import", backbone)
    project.stage("embed", "texts", backbone)
    return store.Features(project.store("texts", backbone))


def index(project: Project) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The attributes of index and labels, and their arrays."""
    attrs, arrays = dict[str, Any](), dict[str, np.ndarray]()
    for kind, path in (("index", images_of("texts")), ("labels", labels_of("texts"))):
        with store.read(project.folder / path, kind) as file:
            attrs |= file.attrs
            arrays |= {name: file[name] for name in store.KINDS[kind].arrays}
    return attrs, arrays


def test_features_and_labels_are_all_a_user_writes(project: Project, vectors: np.ndarray):
    said = project.index("texts", command=True)
    assert "60 images (train 60), 4 classes, 0 twins" in said
    found = bring(project)
    np.testing.assert_array_equal(found.block(0, N), vectors.astype(np.float16))
    attrs, arrays = index(project)
    assert (attrs["n_classes"], attrs["classes"]) == (4, ["0", "1", "2", "3"])
    assert arrays["label"].tolist() == [i % 4 for i in range(N)]
    assert arrays["name"][:2].tolist() == ["00000000", "00000001"]
    np.testing.assert_array_equal(arrays["digest"], found.id)


def test_the_next_stages_run_on_them(project: Project, vectors: np.ndarray):
    bring(project)
    project.params["kmeans"] |= {"dims": [0, 4], "n_init": 1}
    project.stage("pca", "texts", "clip")
    project.stage("kmeans", "texts", "clip")
    with store.read(project.folder / "data/texts/clip/clusters/kmeans.h5", "clusters") as file:
        assert file["k"].tolist() == [4, 4]


def test_names_of_classes_rows_and_splits(project: Project, vectors: np.ndarray):
    np.savez(
        project.folder / "all.npz",
        kind=np.array(["owl", "cat", ""] * 20),
        name=np.array([f"{i}.txt" for i in range(N)]),
        part=np.array(["test"] * 20 + ["train"] * 40),
    )
    project.params["datasets"]["texts"] = {
        "from": "vectors",
        "labels": "all.npz:kind",
        "ids": "all.npz:name",
        "splits": "all.npz:part",
    }
    project.index("texts")
    attrs, arrays = index(project)
    assert attrs["classes"] == ["cat", "owl"]
    assert arrays["label"][:3].tolist() == [1, 0, -1]
    assert arrays["name"][2] == "2.txt"
    assert attrs["splits"] == ["train", "test"]
    assert np.bincount(arrays["split"]).tolist() == [40, 20]


@pytest.mark.parametrize(
    ("labels", "classes", "first"),
    [
        (np.array([1, 2, 3] * 20), ["1", "2", "3"], [0, 1, 2]),
        (np.array([0, 1, 5] * 20), ["0", "1", "5"], [0, 1, 2]),
        (np.array([900001, 100205, 100101] * 20), ["100101", "100205", "900001"], [2, 1, 0]),
        (np.array([7, 2**63 - 1, 300000000] * 20), ["7", "300000000", f"{2**63 - 1}"], [0, 2, 1]),
        (np.array([2**64 - 1, 0, 5] * 20, np.uint64), ["0", "5", f"{2**64 - 1}"], [2, 0, 1]),
        (np.array([2.0, np.nan, 10.0] * 20), ["2", "10"], [0, -1, 1]),
        (np.array([-1, 3, 4] * 20), ["3", "4"], [-1, 0, 1]),
        (np.array([True, False, True] * 20), ["False", "True"], [1, 0, 1]),
        (np.array(["10", "2", "cat 1"] * 20), ["2", "10", "cat 1"], [1, 0, 2]),
        (np.array(["caf\u00e9", "cafe\u0301 ", "x"] * 20), ["caf\u00e9", "x"], [0, 0, 1]),
        (np.tile(np.eye(4)[[2, 0, 3]], (20, 1)), ["0", "2", "3"], [1, 0, 2]),
        (np.tile(np.eye(4, dtype=bool)[[2, 0, 3]], (20, 1)), ["0", "2", "3"], [1, 0, 2]),
        (np.tile([[0, 1], [1, 0], [0, 0]], (20, 1)), ["0", "1"], [1, 0, -1]),
        (np.array([[4], [9], [-2]] * 20), ["4", "9"], [0, 1, -1]),
    ],
)
def test_distinct_values_are_the_classes_whatever_they_are(
    project: Project, vectors: np.ndarray, labels: np.ndarray, classes: list[str], first: list[int]
):
    np.save(project.folder / "labels.npy", labels)
    project.index("texts")
    attrs, arrays = index(project)
    assert (attrs["classes"], attrs["n_classes"]) == (classes, len(classes))
    assert arrays["label"].tolist() == first * 20


def test_missing_values_of_parquet_are_no_label(project: Project, vectors: np.ndarray):
    import pyarrow
    import pyarrow.parquet

    columns = {"whole": [5, None, 30] * 20, "real": [1.0, None, 2.0] * 20}
    pyarrow.parquet.write_table(pyarrow.table(columns), project.folder / "all.parquet")
    for name, classes in (("whole", ["5", "30"]), ("real", ["1", "2"])):
        project.params["datasets"]["texts"]["labels"] = f"all.parquet:{name}"
        said = project.index("texts")
        assert "index: without a label: train 20 of 60" in said
        attrs, arrays = index(project)
        assert attrs["classes"] == classes
        assert arrays["label"][:3].tolist() == [0, -1, 1]


def test_what_was_made_of_labels_is_said(project: Project, vectors: np.ndarray):
    np.save(project.folder / "labels.npy", np.array([-1, 3, 4, -2, 4] * 12))
    said = project.index("texts", command=True)
    assert "index: labels of 2 classes, in this order: 3, 4\n" in said
    assert "index: without a label: train 24 of 60\n" in said
    assert (
        "index: labels of labels.npy: negative numbers mean no label: -2 (12), -1 (12) (where they "
        "are classes, say unlabelled: [])\n"
    ) in said
    project.params["datasets"]["texts"]["unlabelled"] = [-2, 4]
    said = project.index("texts")
    assert "index: labels of 2 classes, in this order: -1, 3\n" in said
    assert "labels of labels.npy: no label, by unlabelled: -2 (12), 4 (24); -1 (12) is a cl" in said
    project.params["datasets"]["texts"]["unlabelled"] = [255]
    line = "index: labels of labels.npy: unlabelled: no label is '255'; there are -2, -1, 3, 4"
    assert project.refusal("index", "texts") == line
    del project.params["datasets"]["texts"]["unlabelled"]
    np.save(project.folder / "labels.npy", np.array(["caf\u00e9", "cafe\u0301", "nan"] * 20))
    said = project.index("texts")
    assert "class 'caf\u00e9' is spelled in 2 ways" in said
    assert "a class is called 'nan' (20)" in said


def test_a_part_of_it_and_other_splits_as_of_pictures(project: Project, vectors: np.ndarray):
    names, part = (
        np.array([f"{i:02d}" for i in range(N)]),
        np.array(["a", "b", "test"] * 20),
    )
    np.savez(project.folder / "all.npz", name=names, part=part, x=vectors)
    project.params["datasets"]["texts"] = {
        "from": "vectors", "ids": "all.npz:name", "splits": "all.npz:part",
        "train": ["a", "b"], "part": 0.5, "classes": 7,
    }  # fmt: skip
    project.params["imported"]["clip"] = {"features": "all.npz:x", "ids": "all.npz:name"}
    found = bring(project)
    attrs, arrays = index(project)
    assert attrs["n_classes"] == 7
    assert dict(zip(attrs["splits"], np.bincount(arrays["split"]).tolist(), strict=True)) == {
        "train": 20,
        "test": 10,
    }
    np.testing.assert_array_equal(
        found.block(0, 30), vectors[arrays["name"].astype(int)].astype(np.float16)
    )


def test_several_imported_backbones_have_one_such_dataset(project: Project, vectors: np.ndarray):
    np.save(project.folder / "other.npy", vectors[:, :5] + 1)
    project.params["imported"]["other"] = {"features": "other.npy"}
    one, other = bring(project), bring(project, "other")
    assert (one.dim, other.dim) == (12, 5)
    assert (one.backbone, other.backbone) == ("clip", "other")
    np.testing.assert_array_equal(one.id, other.id)
    np.testing.assert_array_equal(other.block(0, N), (vectors[:, :5] + 1).astype(np.float16))


def test_a_backbone_that_embeds_pictures_has_nothing_of_it(project: Project, vectors: np.ndarray):
    project.index("texts")
    said = project.embed("texts", "pixels")
    assert said.endswith("nothing to do: it has no pictures that pixels could embed\n")


def test_equal_ids_are_the_same_entry_in_two_datasets_and_row_numbers_are_not(
    project: Project, vectors: np.ndarray
):
    np.save(project.folder / "ids.npy", np.array([f"{i}" for i in range(N)]))
    by_ids = {"from": "vectors", "ids": "ids.npy"}
    project.params["datasets"] = {
        **{"a": by_ids, "b": by_ids},
        **{name: {"from": "vectors", "rows": N} for name in ("c", "d")},
    }
    found = []
    for name in "abcd":
        project.index(name)
        with store.read(project.folder / f"data/{name}/images.h5", "index") as file:
            found.append(file["digest"])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[2] != found[3]).any(axis=1).all()


def test_files_that_are_on_another_machine_leave_what_was_listed(
    project: Project, vectors: np.ndarray
):
    bring(project)
    before = index(project)[1]["digest"]
    for name in ("vectors.npy", "labels.npy"):
        (project.folder / name).unlink()
    assert "labels.npy is not here; data/texts/images.h5 stays as it is" in project.index("texts")
    assert "vectors.npy is not here; clip of texts stays as it is" in project.stage(
        "import", "clip"
    )
    assert "0 embedded, 60 reused" in project.stage("embed", "texts", "clip")
    np.testing.assert_array_equal(index(project)[1]["digest"], before)


@pytest.mark.parametrize(
    ("says", "line"),
    [
        ({}, "datasets.texts: nothing says how many rows there are: give ids, labels or rows"),
        ({"labels": "labels.npy", "rows": 7},
         "datasets.texts: labels 60, rows 7: one entry each is needed"),
        ({"labels": "labels.npy", "ids": "few.npy"},
         "datasets.texts: ids 7, labels 60: one entry each is needed"),
        ({"ids": "twice.npy"}, "twice.npy: 'a' is there more than once: ids must be unique"),
        ({"labels": "reals.npy"}, "labels of reals.npy: found numbers such as 0.25, expected whole "
         "numbers or text: if these are classes, write them as text"),
        ({"labels": "two.npy"}, "labels of two.npy: there are only -1 (30), 1 (30): is -1 a class? "
         "then say unlabelled: []; else say unlabelled: [-1]"),
        ({"labels": "probabilities.npy"}, "probabilities.npy: row 0 of 60 x 4 numbers is 0.5, 0.5, "
         "0, 0: expected one label an image, or a single 1 among zeros; of probabilities write the "
         "argmax"),
        ({"labels": "labels.npy", "splits": "gaps.npy"}, "gaps.npy: 20 of 60 rows are in no split: "
         "write one, such as train"),
        ({"ids": "gaps.npy"}, "gaps.npy: 20 of 60 ids are empty: write one for each"),
        ({"labels": "labels.npz"}, "no file labels.npz; write FILE, or FILE:KEY for one of several "
         "arrays in it"),
        ({"label": "labels.npy"}, "params.yaml: datasets.texts.label is not a setting; did you "
         "mean 'labels'?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(
    project: Project, vectors: np.ndarray, says: dict[str, Any], line: str
):
    np.save(project.folder / "few.npy", np.arange(7))
    np.save(project.folder / "twice.npy", np.array(["a", "b", "a"]))
    np.save(project.folder / "reals.npy", np.arange(N) / 4)
    np.save(project.folder / "two.npy", np.arange(N) % 2 * 2 - 1)
    np.save(project.folder / "probabilities.npy", np.full((N, 4), [0.5, 0.5, 0, 0]))
    np.save(project.folder / "gaps.npy", np.array(["train", "test", ""] * 20))
    project.params["datasets"]["texts"] = {"from": "vectors", **says}
    assert project.refusal("index", "texts") == f"index: {line}"
    assert not Path(project.folder / "data/texts/images.h5").exists()


def test_vectors_of_another_number_of_rows_are_refused(project: Project, vectors: np.ndarray):
    project.params["datasets"]["texts"] = {"from": "vectors", "rows": N + 1}
    project.index("texts")
    project.stage("import", "clip")
    assert "60 vectors for 61 images" in project.refusal("embed", "texts", "clip")


def test_splits_may_be_numbers_in_params_as_in_the_file(project: Project, vectors: np.ndarray):
    np.save(project.folder / "splits.npy", np.arange(N) % 2)
    project.params["datasets"]["texts"] = {"from": "vectors", "splits": "splits.npy", "train": [0]}
    assert "index: 60 images (train 30, 1 30)" in project.index("texts")
