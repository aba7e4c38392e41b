"""Stage similar: from a large collection the part that looks like a target collection.

The letters (a) to (i) are the defects of the SCAN fork's nn_maker that must not come back.
"""

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import Project, runtime
from stored import digests

import stages.similar
import store
from cluster.errors import ClusterError
from cluster.neighbors.union import neighbor_union
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Cell, Pair, images_of
from pipeline.params import StageError, section

TARGET, AMONG = Cell("t", "pixels", "similar"), Cell("a", "pixels", "similar")
PAIR = Pair(TARGET, AMONG)
FOLDER = PAIR.similar
EXAMPLES = Examples(clusters=2, images=3)
PARAMS: dict[str, Any] = {
    "target": ["t"], "among": ["a"], "k": [1, 2], "same": "drop", "minimum": -1.0, "total": 0,
    "balance": "none", "run": "kmeans", "links": False,
}  # fmt: skip


def write(
    dataset: str,
    x: np.ndarray,
    *,
    names: list[str] | None = None,
    number: np.ndarray | None = None,
    unreadable: tuple[int, ...] = (),
    leader: np.ndarray | None = None,
    backbone: str = "pixels",
    encoder: str = "0" * 32,
) -> None:
    """Index, features and near-duplicates of a dataset; `number` makes the digests."""
    n = len(x)
    names = names or [f"{dataset}{i}.png" for i in range(n)]
    digest = digests(np.arange(n) + 1000 * ord(dataset[0]) if number is None else number)
    split = (np.arange(n) % 2).astype(np.uint8)
    arrays = {"name": np.array(names, object), "digest": digest, "split": split}
    attrs: dict[str, Any] = {"dataset": dataset, "splits": ["train", "test"], "n_classes": 2}
    store.save(images_of(dataset), "index", arrays, attrs)
    row = np.delete(np.arange(n), unreadable)
    plan = store.Plan(
        dataset, backbone, encoder, x.shape[1], ["train", "test"], digest[row], row, split[row]
    )
    with store.FeatureWriter(Cell(dataset, backbone).features, plan) as writer:
        writer.put(writer.todo, x[row][writer.todo].astype(np.float32))
        writer.finish()
    arrays = {"row": row, "leader": row if leader is None else leader[row]}
    of = {"dataset": dataset, "backbone": backbone, "threshold": 0.98}
    store.save(Cell(dataset, backbone).duplicates, "duplicates", arrays, of)


def write_clusters(assignment: list[int]) -> None:
    n = len(assignment)
    arrays = {
        "row": np.arange(n), "split": np.zeros(n, np.uint8), "k": np.array([9], np.int32),
        "dims": np.zeros(1, np.int32), "mean": np.zeros(2), "components": np.zeros((0, 2)),
        "variance": np.zeros(0), "0/loss": np.array([2.0, 1.0]),
        "0/assignment": np.array([[0] * n, assignment], np.int32),
    }  # fmt: skip
    attrs: dict[str, Any] = {
        "dataset": "a", "backbone": "pixels", "run": "kmeans", "fitted_on": "a", "how": "linear",
        "metric": "cosine", "normalize": True, "whiten": False, "seeds": [0, 1],
        "splits": ["train", "test"],
    }  # fmt: skip
    store.save(AMONG._replace(run="kmeans").clusters, "clusters", arrays, attrs)


def find(pair: Pair = PAIR, memory_gb: float = 1, **params: Any) -> None:
    stages.similar.main(pair, settings(**params), EXAMPLES, runtime(memory_gb=memory_gb))


def settings(**params: Any) -> stages.similar.Params:
    Path("params.yaml").write_text(yaml.safe_dump({"similar": PARAMS | params, "datasets": SPECS}))
    return section(stages.similar.Params, "similar")


SPECS = {"a": {"from": "folder", "root": "pictures"}, "t": {"from": "digits"}}


def table(name: str) -> list[list[str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def names(k: int, what: str = "names") -> list[str]:
    return (FOLDER / f"{what}_{k}.txt").read_text(encoding="utf-8").splitlines()


def directions(degrees: list[float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small() -> None:
    """Targets at 0, 40 and 80 degrees; in the large collection images at 170, 5, 50, 29, 78."""
    write("t", directions([0, 40, 80]))
    write("a", directions([170, 5, 50, 29, 78]))
    write_clusters([0, 0, 0, 1, 2])


@pytest.mark.usefixtures("small")
def test_a_worked_example() -> None:
    """0° finds 5° and 29°, 40° finds 50° and 29°, 80° finds 78° and 50°."""
    find()
    pairs = [(0, 1, 1, 5), (0, 2, 3, 29), (1, 1, 2, 10), (1, 2, 3, 11), (2, 1, 4, 2), (2, 2, 2, 30)]
    head, *rows = table("found.csv")
    assert head == ["target", "rank", "name", "similarity"]
    assert [row[:3] for row in rows] == [[f"t{t}.png", str(r), f"a{a}.png"] for t, r, a, _ in pairs]
    cosines = [np.cos(np.deg2rad(degrees)) for *_, degrees in pairs]
    np.testing.assert_allclose([float(row[3]) for row in rows], cosines, atol=1e-3)  # of float16
    assert names(1) == ["a1.png", "a2.png", "a4.png"]
    assert names(2) == ["a1.png", "a2.png", "a3.png", "a4.png"]
    like = {(row[0], row[2]): row[3] for row in rows}
    assert table("union_2.csv") == [
        ["name", "similarity", "target", "targets"],
        ["a1.png", like["t0.png", "a1.png"], "t0.png", "1"],
        ["a2.png", like["t1.png", "a2.png"], "t1.png", "2"],
        ["a3.png", like["t1.png", "a3.png"], "t1.png", "2"],
        ["a4.png", like["t2.png", "a4.png"], "t2.png", "1"],
    ]
    assert len(list(FOLDER.iterdir())) == 6


@pytest.mark.usefixtures("small")
def test_pairs_less_similar_than_the_minimum_do_not_count() -> None:
    find(minimum=float(np.cos(np.deg2rad(12))))
    assert [row[0] + row[2] for row in table("found.csv")[1:]] == [
        "t0.pnga1.png", "t1.pnga2.png", "t1.pnga3.png", "t2.pnga4.png",
    ]  # fmt: skip
    assert table("union_2.csv")[2][3] == "1"  # 50° is 30° from the third target
    find(minimum=1.0, total=5)
    assert names(2) == names(2, "sample") == []
    assert table("found.csv") == [["target", "rank", "name", "similarity"]]


@pytest.mark.usefixtures("small")
def test_files_of_another_k_go_away() -> None:
    find(k=[1, 2, 4], total=1)
    find(k=[2])
    assert sorted(path.name for path in FOLDER.iterdir()) == [
        "found.csv", "found.h5", "names_2.txt", "union_2.csv",
    ]  # fmt: skip


def test_of_near_duplicates_one_asks() -> None:
    """(a) Of the pair and the four exactly one asks, not none: a target lost finds nothing."""
    group = np.array([0, 1, 1, 2, 3, 3, 3, 3])
    first = np.array([0, 1, 1, 3, 4, 4, 4, 4])
    write("t", np.eye(4)[group], leader=first)
    write("a", np.eye(4)[[0, 1, 2, 3, 0]])
    find(k=[1])
    assert [row[0] for row in table("found.csv")[1:]] == ["t0.png", "t1.png", "t3.png", "t4.png"]
    assert names(1) == ["a0.png", "a1.png", "a2.png", "a3.png"]


@pytest.mark.usefixtures("small")
def test_equal_stores_give_equal_bytes_and_no_picture_is_opened() -> None:
    """(b) Features are those of the stores, made once without augmentation: there are no pictures
    here at all, and nothing is drawn at random."""
    find()
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    find()
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


def test_the_length_of_a_vector_does_not_count() -> None:
    """(c) Cosine, whether or not the model made unit vectors: the fork trusted it did."""
    rng = np.random.default_rng(0)
    t, a = rng.normal(size=(12, 8)), rng.normal(size=(60, 8))
    lengths = 2.0 ** rng.integers(-3, 4, 60)  # exact in float16
    write("t", t)
    write("a", a)
    find(k=[5])
    before = table("found.csv")
    write("t", t * 4)
    write("a", a * lengths[:, None])
    find(k=[5])
    assert table("found.csv") == before
    unit = [x.astype(np.float16).astype(float) for x in (t, a)]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in unit]
    nearest = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :5]
    assert [row[2] for row in before[1:]] == [f"a{i}.png" for i in nearest.ravel()]


def test_every_row_that_is_kept_is_of_the_index() -> None:
    """(d) Thinned targets and unreadable images shift positions, never the meaning of a row."""
    first = np.array([0, 1, 1, 3, 4])
    write("t", directions([0, 9, 20, 20, 60]), leader=first, unreadable=(0,))
    write("a", directions([1, 19, 3, 61, 2]), unreadable=(0, 2))
    find(k=[1])
    with store.read(FOLDER / "found.h5", "similar") as file:
        assert file["target"].tolist() == [1, 3, 4]
        assert file["found"].tolist() == [[4], [1], [3]]
        assert file["similarity"].shape == (3, 1)
        assert file.attrs["k"] == [1]
    assert [row[::2] for row in table("found.csv")[1:]] == [
        ["t1.png", "a4.png"], ["t3.png", "a1.png"], ["t4.png", "a3.png"],
    ]  # fmt: skip


def test_a_large_group_of_duplicates_asks_once() -> None:
    """(e) What stage duplicates says counts, for groups larger than any K too."""
    write("t", np.eye(2)[[0] * 300], leader=np.zeros(300, int))
    write("a", np.eye(2))
    find(k=[1])
    assert table("union_1.csv")[1] == ["a0.png", "1.000000", "t0.png", "1"]


ODD = ["a,b.png", 'say "c".png', "two\nlines.png", "a\rreturn.png", " Vögel/猫'.png"]


def test_each_name_is_written_and_read_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """(f) The fork's reader used a name before it had read one. Of names with line breaks the plain
    list cannot hold any, and that is said."""
    write("t", np.eye(5), names=[f"t/{name}" for name in ODD])
    write("a", np.eye(5), names=ODD)
    find(k=[1])
    assert [row[::2] for row in table("found.csv")[1:]] == [[f"t/{name}", name] for name in ODD]
    assert [row[0] for row in table("union_1.csv")[1:]] == ODD
    text = (FOLDER / "names_1.txt").read_text(encoding="utf-8")
    assert text.split("\n") == [ODD[0], ODD[1], ODD[4], ""]
    assert "2 names hold a line break, names_1.txt goes without them" in capsys.readouterr().out
    find(k=[1], total=4)
    said = capsys.readouterr().out
    listed = [name for name in names(1, "sample") if name]
    left = [row[0] for row in table("union_1.csv")[1:] if row[4] == "1" and row[0] not in listed]
    assert len(listed) + len(left) == 4
    assert f"similar: {len(left)} names hold a line break, sample_1.txt goes without them" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"links": "False"}, {"links": 0}, {"same": False}, {"k": []}, {"k": [True]}, {"k": [257]},
        {"k": [0]}, {"minimum": 1.5}, {"balance": None}, {"total": -1}, {"threshold": 0.9},
    ],
)  # fmt: skip
def test_a_setting_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    """(g) The word False is not a boolean; in the fork it was true."""
    with pytest.raises(StageError, match=f"similar.{next(iter(wrong))}"):
        settings(**wrong)


def test_all_targets_and_all_k_are_one_search_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """(h) Not a query a row; reads do not become more with targets or with K."""
    searches: list[int] = []
    search = stages.similar.nearest_neighbors

    def counted(*args: Any, **kwargs: Any) -> Any:
        searches.append(args[2])
        return search(*args, **kwargs)

    monkeypatch.setattr(stages.similar, "nearest_neighbors", counted)
    rng = np.random.default_rng(0)
    write("t", rng.normal(size=(300, 4)))
    write("a", rng.normal(size=(400, 4)))
    reads: list[int] = []
    block = store.Features.block

    def watched(self: store.Features, start: int, stop: int) -> np.ndarray:
        reads.append(stop - start)
        return block(self, start, stop)

    monkeypatch.setattr(store.Features, "block", watched)
    find(k=[3, 20, 50], memory_gb=1e-9)
    assert searches == [50]
    assert len(reads) < 20


def test_vectors_are_read_from_mapped_blocks_and_never_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """(i) The features are the HDF5 stores, not text; what does not fit in memory is read in parts,
    with the same answer."""
    rng = np.random.default_rng(0)
    write("t", rng.normal(size=(50, 4)))
    write("a", rng.normal(size=(9000, 4)))
    find(k=[5])
    before = (FOLDER / "found.csv").read_bytes()
    largest: list[int] = []
    block = store.Features.block

    def watched(self: store.Features, start: int, stop: int) -> np.ndarray:
        largest.append(stop - start)
        return block(self, start, stop)

    monkeypatch.setattr(store.Features, "block", watched)
    find(k=[5], memory_gb=1e-9)
    assert (FOLDER / "found.csv").read_bytes() == before
    assert max(largest) < 9000


def test_an_image_of_both_collections_is_left_out_or_kept() -> None:
    """By its bytes; every copy of it, and for all who ask."""
    write("t", directions([0, 50]), number=np.array([7, 8]))
    write("a", directions([0, 0, 4, 50]), number=np.array([7, 7, 9, 256 * 7]))
    find(k=[2])
    assert names(2) == ["a2.png", "a3.png"]
    find(k=[2], same="keep")
    assert names(2) == ["a0.png", "a1.png", "a2.png", "a3.png"]
    assert table("found.csv")[1][2:] == ["a0.png", "1.000000"]
    write("a", directions([0, 0]), number=np.array([7, 8]))
    with pytest.raises(StageError, match=r"all images of a are in the target too.*same: keep"):
        find(k=[1])


@pytest.mark.usefixtures("small")
def test_a_sample_is_the_most_similar_or_balanced_over_clusters() -> None:
    """Found are rows 1, 2 of cluster 0, 3 of cluster 1, 4 of cluster 2; most similar is 4, then 1,
    then 2. The clusters weigh 2, 3 and 3 of 8: of two images one is of cluster 1, one of 2."""
    find(total=2)
    assert names(2, "sample") == ["a1.png", "a4.png"]
    find(total=2, balance="clusters")
    assert names(2, "sample") == ["a3.png", "a4.png"]
    assert names(1, "sample") == ["a1.png", "a4.png"], "cluster 1 is not found by the first alone"
    assert names(2) == ["a1.png", "a2.png", "a3.png", "a4.png"]
    head, *rows = table("union_2.csv")
    assert head[4:] == ["cluster", "sampled"]
    assert [row[4:] for row in rows] == [["0", "0"], ["0", "0"], ["1", "1"], ["2", "1"]]
    find(total=3, balance="clusters")
    assert names(2, "sample") == ["a1.png", "a3.png", "a4.png"]
    assert names(1, "sample") == names(1), "fewer than the total are found: all are taken"


@pytest.mark.usefixtures("small")
def test_labels_are_opened_only_where_the_setting_says_so() -> None:
    path = AMONG.labels
    find(total=2)
    label = np.array([0, 0, 0, -1, 1], np.int32)
    attrs = {"dataset": "a", "classes": ["x", "y"]}
    store.save(path, "labels", {"label": label}, attrs)
    find(total=2, balance="labels")
    assert names(2, "sample") == ["a3.png", "a4.png"]
    assert [row[4:] for row in table("union_2.csv")] == [
        ["label", "sampled"], ["x", "0"], ["x", "0"], ["", "1"], ["y", "1"],
    ]  # fmt: skip
    store.save(path, "labels", {"label": label[:3]}, attrs)
    with pytest.raises(StageError, match=r"a/labels.h5 is not of the images in data/a/pixels/feat"):
        find(balance="labels")
    AMONG._replace(run="kmeans").clusters.replace(path)
    with pytest.raises(store.StoreError, match="kind is 'clusters', expected 'labels'"):
        find(balance="labels")


PICTURES = ["red/1.png", "blue/1.png", "1.png", "blue/deep/1.png"]


def pictures() -> None:
    """Four pictures of one name in four folders; the targets ask for all of them with k = 4."""
    write("t", np.eye(4)[:2])
    write("a", np.eye(4) + 0.1, names=PICTURES)
    for name in PICTURES:
        path = Path("pictures", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def linked() -> dict[str, str]:
    """What each link shows."""
    folder = PAIR.links
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink()
    }


def test_links_lead_to_the_pictures_of_equal_names_in_many_folders() -> None:
    pictures()
    find(links=True, k=[1, 4])
    assert linked() == {f"1/{name}": name for name in PICTURES[:2]} | {
        f"4/{name}": name for name in PICTURES
    }
    assert all(Path(os.readlink(p)).is_absolute() for p in PAIR.links.rglob("*.png"))
    find(links=True, k=[4], total=1)
    assert list(linked()) == ["4/red/1.png"]


def test_links_of_an_earlier_run_go_and_nothing_else() -> None:
    pictures()
    find(links=True, k=[1, 4])
    folder = PAIR.links
    (folder / "4/red/mine.txt").write_text("mine")
    (folder / "my own").mkdir()
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "inner.png").symlink_to("nowhere")
    (folder / "4/blue/away").symlink_to(elsewhere.absolute())
    find(links=False, k=[1, 4])
    assert linked() == {}
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == ["4", "4/red", "4/red/mine.txt", "my own"]
    assert (elsewhere / "inner.png").is_symlink(), "what a link leads to is not walked"
    assert all(Path("pictures", name).read_text() == name for name in PICTURES)


def test_a_link_of_another_root_is_made_anew() -> None:
    pictures()
    place = Path(PAIR.links, "4/1.png")
    place.parent.mkdir(parents=True)
    place.symlink_to("/nowhere/1.png")
    find(links=True, k=[4])
    assert linked()["4/1.png"] == "1.png"


def test_a_file_in_the_way_of_a_link_is_never_removed() -> None:
    pictures()
    place = Path(PAIR.links, "4/red/1.png")
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(StageError, match=r"4/red/1.png is in the way of a link"):
        find(links=True, k=[4])
    assert place.read_text() == "mine"


def test_links_are_refused_before_the_search_where_there_are_no_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures()
    monkeypatch.setitem(SPECS, "a", {"from": "digits"})
    with pytest.raises(StageError, match=r"of a are no files in a folder \(from: digits\)"):
        find(links=True)
    monkeypatch.setitem(SPECS, "a", {"from": "folder", "root": "gone"})
    with pytest.raises(StageError, match="gone: no such folder of pictures: set similar"):
        find(links=True)
    assert not FOLDER.exists()


@pytest.mark.usefixtures("small")
def test_stores_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ClusterError, match="only 5 images"):
        find(k=[6])
    write("t", np.eye(3))
    with pytest.raises(StageError, match=r"of pixels, 3 wide, .* of pixels, 2 wide"):
        find()
    write("t", directions([0, 40]), encoder="1" * 32)
    with pytest.raises(StageError, match="were made by different versions of pixels"):
        find()
    shutil.copy(AMONG.images, TARGET.images)
    wrong = r"t/images.h5 is not the index of the images in data/t/pixels/features"
    with pytest.raises(StageError, match=wrong):
        find()
    write("t", directions([0, 40]))
    shutil.copy(AMONG.duplicates, TARGET.duplicates)
    with pytest.raises(StageError, match="is of dataset a, expected t"):
        find()
    TARGET.duplicates.unlink()
    with pytest.raises(store.StoreError, match=r"data/t/pixels/duplicates.h5: no such file"):
        find()
    write("t", directions([0, 40]))
    write_clusters([0, 0])
    with pytest.raises(StageError, match=r"kmeans.h5 is not of the images in"):
        find(balance="clusters")


def test_the_stage_runs_and_refuses_from_the_command_line(project: Project) -> None:
    write("t", directions([0, 40, 80]))
    write("a", directions([5, 30]))
    project.params["datasets"] = {name: {"from": "digits"} for name in ("t", "a")}
    project.params |= {"similar": PARAMS, "examples": EXAMPLES.model_dump()}
    said = project.stage("similar", "t", "a", "pixels")
    assert "similar: 3 images of t ask, 0 near-duplicates do not" in said
    assert "similar: k=2: 2 images found" in said
    with store.read(PAIR.examples, "similar_examples") as file:
        assert file["found_name"].tolist() == ["a0.png", "a1.png", "a1.png", "a0.png"]
        assert file["found_target"].tolist() == [0, 0, 1, 1]
    assert set(project.metrics("similar_a", "t")) == set()
    by_labels = PAIR.first._replace(run="similar_by_labels")
    project.params["similar_by_labels"] = PARAMS
    project.stage("similar", "t", "a", "pixels", "--run", "similar_by_labels")
    assert (PAIR._replace(first=by_labels).similar / "found.h5").exists()
    assert PAIR._replace(first=by_labels).examples.exists()
    write("a", directions([5, 30]), backbone="edges")
    shutil.rmtree(AMONG.features)
    Cell("a", "edges").features.replace(AMONG.features)
    assert "compare within one backbone" in project.refusal("similar", "t", "a", "pixels")


@pytest.mark.parametrize("seed", range(5))
def test_the_union_is_that_of_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    neighbor = rng.permuted(np.tile(np.arange(30), (20, 1)), axis=1)[:, :6].astype(np.int32)
    similarity = rng.integers(-3, 4, neighbor.shape).astype(np.float32) / 4  # many ties
    known: dict[int, list[tuple[float, int]]] = {}
    for target in range(20):
        for near, like in zip(neighbor[target].tolist(), similarity[target].tolist(), strict=True):
            if like >= 0.25:
                known.setdefault(near, []).append((-like, target))
    found = neighbor_union(neighbor, similarity, 0.25)
    assert found.found.tolist() == sorted(known)
    assert found.similarity.tolist() == [-min(known[i])[0] for i in sorted(known)]
    assert found.target.tolist() == [min(known[i])[1] for i in sorted(known)]
    assert found.n_targets.tolist() == [len(known[i]) for i in sorted(known)]
