"""Who is labelled: by the published draw, by a table, by a folder; and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from clustered import N, digits, split_of, write_dataset
from conftest import Project

import stages.known
import store
from pipeline.io.cell import images_of, known_of, labels_of
from pipeline.params import StageError

INDEX, LABELS, KNOWN = images_of("digits"), labels_of("digits"), known_of("digits")
HALF = {"old": 5, "labelled": 0.5, "seed": 0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_dataset(tmp_path, "digits")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def know(**spec: object) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Run the stage; what it says: labels, classes, names."""
    params = {"known": {"digits": spec}, "datasets": {"digits": {"from": "digits"}}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    stages.known.main("digits")
    with store.read(KNOWN, "known") as file:
        return file["label"], file["class"], file.attrs["old"]


def write_table(*rows: tuple[str, str], columns: str = "path,label") -> dict[str, str]:
    lines = [columns, *(f"{name},{label}" for name, label in rows)]
    Path("mine.csv").write_text("\n".join(lines) + "\n")
    return {"table": "mine.csv"}


def test_the_draw_is_the_published_one(folder: Path):
    label, of_class, old = know(**HALF)
    truth = digits()[3]
    rows = [i for i in range(N) if split_of(N)[i] == 0 and truth[i] < 5]
    np.random.seed(0)  # noqa: NPY002
    drawn = np.random.choice(range(len(rows)), replace=False, size=(int(0.5 * len(rows)),))  # noqa: NPY002
    wanted = np.full(N, -1)
    for i in drawn:
        wanted[rows[i]] = truth[rows[i]]
    assert label.tolist() == wanted.tolist()
    assert of_class.tolist() == [0, 1, 2, 3, 4]
    assert old == ["0", "1", "2", "3", "4"]


def test_old_classes_may_be_named_in_any_order(folder: Path):
    label, of_class, old = know(**{**HALF, "old": ["7", "3"]})
    assert (old, of_class.tolist()) == (["7", "3"], [7, 3])
    truth = digits()[3]
    assert set(truth[label == 0].tolist()) == {7}
    assert set(truth[label == 1].tolist()) == {3}
    train = split_of(N) == 0
    assert (label >= 0).sum() == (np.isin(truth, [7, 3]) & train).sum() // 2
    assert not (label[~train] >= 0).any()


def test_another_seed_draws_others(folder: Path):
    one, other = know(**HALF)[0], know(**{**HALF, "seed": 1})[0]
    assert (one >= 0).sum() == (other >= 0).sum()
    assert not np.array_equal(one, other)


def test_a_table_says_who_is_labelled(folder: Path):
    names, truth = digits()[0], digits()[3]
    rows = [(names[i], str(truth[i])) for i in range(20)]
    label, _, old = know(**write_table(*rows, (names[30], "")))
    assert old == sorted({said for _, said in rows})
    assert [old[c] for c in label[:20]] == [said for _, said in rows]
    assert (label[20:] == -1).all()


def test_a_table_names_the_classes_where_the_images_have_none(folder: Path):
    write_dataset(folder, "digits", labelled=False)
    names = digits()[0]
    label, of_class, old = know(
        **write_table((names[4], "ünd"), (names[2], "one"), (names[9], "one"))
    )
    assert old == ["one", "ünd"]
    assert of_class.tolist() == [-1, -1]
    assert np.flatnonzero(label >= 0).tolist() == [2, 4, 9]


def test_labelled_images_outside_train_are_counted_and_left_out(folder: Path, capsys):
    names, truth = digits()[0], digits()[3]
    label, *_ = know(**write_table((names[0], str(truth[0])), (names[150], str(truth[0]))))
    assert np.flatnonzero(label >= 0).tolist() == [0]
    assert "1 labelled images are not of train" in capsys.readouterr().out


def test_a_folder_of_folders_says_who_is_labelled(folder: Path):
    with store.read(INDEX, "index") as file:
        arrays, attrs = {name: file[name] for name in ("name", "digest", "split")}, dict(file.attrs)
    places = {0: "labelled/cat", 1: "labelled/dog", 2: "labelled/cat/old", 3: "rest"}
    arrays["name"] = np.array([f"{places.get(i, 'rest')}/{i}.png" for i in range(N)], object)
    store.save(INDEX, "index", arrays, attrs)
    write_labels_without_classes()
    label, _, old = know(tree="labelled/")
    assert old == ["cat", "dog"]
    assert label[:4].tolist() == [0, 1, 0, -1]
    with pytest.raises(StageError, match="no image lies in labeled/; did you mean 'labelled'"):
        know(tree="labeled")


def write_labels_without_classes() -> None:
    label = {"label": np.full(N, -1, np.int32)}
    store.save(LABELS, "labels", label, {"dataset": "digits", "classes": []})


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({**HALF, "old": 11}, "11 old classes are asked for, digits has 10"),
        ({**HALF, "old": ["3", "nine"]}, "digits has no class 'nine'; known: 0, 1"),
        ({**HALF, "old": "published"}, "no old classes of digits are published"),
        ({**HALF, "labelled": 0.01}, "no image of train of the known class '0' is labelled"),
        ({**HALF, "labelled": 2}, "known.digits.labelled is 2"),
        ({**HALF, "old": []}, "known.digits.old is []: Value error, expected how many classes"),
        ({**HALF, "old": [3, 7]}, "expected how many classes, a list of their names"),
        ({**HALF, "old": "publishd"}, "expected how many classes, a list of their names"),
        ({**HALF, "share": 1}, "known.digits.share is not a setting"),
        ({}, "expected {old: 5, labelled: 0.5, seed: 0}"),
        ({"tree": "no"}, "no image lies in no/"),
        ({"table": "gone.csv"}, "gone.csv"),
    ],
)
def test_wrong_settings_are_named(folder: Path, spec: dict, line: str):
    with pytest.raises((StageError, OSError)) as caught:
        know(**spec)
    assert line in str(caught.value)


def test_wrong_tables_are_named(folder: Path):
    names, truth = digits()[0], digits()[3]
    first = str(truth[0])
    for rows, columns, line in (
        ([("train/0", first)], "path,label", "digits has no image 'train/0'"),
        ([(names[0], "11")], "path,label", f"{names[0]} is labelled '11', which is no class"),
        ([(names[0], "1"), (names[0], "2")], "path,label", f"calls {names[0]} both '1' and '2'"),
        ([(names[0], first)], "file,class", "has the columns file, class, expected path and label"),
        ([], "path,label", "labels no image"),
    ):
        with pytest.raises(StageError) as caught:
            know(**write_table(*rows, columns=columns))
        assert line in str(caught.value)
    Path("mine.csv").write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(StageError, match="no CSV file in UTF-8"):
        know(table="mine.csv")


def test_a_clone_without_the_table_keeps_what_was_pulled(folder: Path, capsys):
    names, truth = digits()[0], digits()[3]
    spec = write_table((names[0], str(truth[0])))
    know(**spec)
    before = KNOWN.read_bytes()
    Path("mine.csv").unlink()
    know(**spec)
    assert KNOWN.read_bytes() == before
    assert "stays as it is" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):  # a slip of the pen is not a clone
        know(table="mien.csv")


def test_a_class_of_one_image_may_be_a_slip_and_all_labelled_is_nothing_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    write_dataset(folder, "digits", labelled=False)
    names = digits()[0]
    know(**write_table((names[0], "hat"), (names[1], "hat"), (names[2], "Hat")))
    assert "'Hat' has a single labelled image; did you mean 'hat'?" in capsys.readouterr().out
    with pytest.raises(StageError, match="all 120 images of train are labelled"):
        know(**write_table(*((name, "hat") for name in names)))


def test_a_mistake_is_one_line(project: Project):
    write_dataset(project.folder, "digits")
    project.params["known"] = {"digits": HALF}
    line = project.refusal("known", "digit")
    assert line == "known: params.yaml: known has no 'digit'; did you mean 'digits'?"
    assert "known: 5 classes" in project.stage("known", "digits")
