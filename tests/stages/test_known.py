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
from pipeline.review.decisions import Decision, Place, Rename, Undo
from pipeline.review.digests import hex_digests
from pipeline.review.journal import Journal, journal_of

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


def digest_of(*rows: int) -> tuple[str, ...]:
    return tuple(hex_digests(digits()[1][list(rows)]))


def decide(*decisions: Decision) -> None:
    journal = Journal(journal_of("digits"), "digits")
    for decision in decisions:
        journal.append(decision)


def test_the_review_says_who_is_labelled(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Only images of which a person said so; a class that is called nearly as one of the dataset
    is no slip, for the page does not show those."""
    decide(
        Place(images=digest_of(0, 1), status="decided", category="zero"),
        Place(images=digest_of(2, 3), status="decided", category="round"),
        Place(images=digest_of(4), status="junk"),
        Place(images=digest_of(5, 6), status="cluster", category="group"),
        Place(images=("0" * 32,), status="decided", category="zero"),
        Rename(category="round", to="3."),
        Place(images=digest_of(7), status="decided", category="9"),
        Undo(),
    )
    label, of_class, old = know(review=True)
    assert old == ["3.", "zero"]
    assert of_class.tolist() == [-1, -1]
    assert label[:8].tolist() == [1, 1, 0, 0, -1, -1, -1, -1]
    assert (label[8:] == -1).all()
    said = capsys.readouterr()
    assert "1 of the 5 images decided in review/digits.jsonl are not there any more" in said.err


def test_a_review_without_decisions_is_refused(folder: Path):
    with pytest.raises(StageError, match=r"review/digits\.jsonl has none: decide"):
        know(review=True)
    decide(Place(images=("0" * 32,), status="decided", category="zero"))
    with pytest.raises(StageError, match="none of the 1 decided images is there"):
        know(review=True)


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
        ([("train/0", first)], "path,label", "there is no image 'train/0', which is labelled"),
        (
            [(names[0], "11")],
            "path,label",
            "an image is labelled '11', which is no class of digits",
        ),
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


def rename(*names: str) -> None:
    """Call the first images so, and forget the classes."""
    with store.read(INDEX, "index") as file:
        arrays, attrs = {name: file[name] for name in ("name", "digest", "split")}, dict(file.attrs)
    arrays["name"][: len(names)] = names
    store.save(INDEX, "index", arrays, attrs)
    write_labels_without_classes()


BLANK_LINES = "\n\npath,label\n\na/1.png,cat\n\nb/2.png,dog\n"


@pytest.mark.parametrize(
    "raw",
    [
        "path;label\na/1.png;cat\nb/2.png;dog\n",
        "path\tlabel\na/1.png\tcat\nb/2.png\tdog\n",
        "path, label\na/1.png, cat\nb/2.png, dog\n",
        'path, label\n"a/1.png", "cat"\nb/2.png, dog\n',
        "Path,Label\r\na/1.png,cat\r\nb/2.png,dog\r\n",
        "sep=;\nlabel;path\ncat;a/1.png\ndog;b/2.png\n",
        "path,n,label\na\\1.png,7,cat\n.\\b\\2.png,8,dog\n",
        "path,label\n./a/1.png,cat\na/../b/2.png,dog\n",
        "path,label,,\na/1.png,cat,,\nb/2.png,dog,,,,\n",
        BLANK_LINES,
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_write_them_say_the_same(folder: Path, raw: str, coding: str):
    rename("a/1.png", "b/2.png")
    Path("mine.csv").write_bytes(raw.encode(coding))
    label, _, old = know(table="mine.csv")
    assert old == ["cat", "dog"]
    assert label[:3].tolist() == [0, 1, -1]


def test_a_path_may_have_the_root_and_either_form_of_unicode(folder: Path, capsys):
    rename("cafe\u0301/1.png", "caf\u00e9.png", "x.png")
    root = folder / "pictures"
    rows = [
        ("caf\u00e9/1.png", "gro\u00df"),
        ("cafe\u0301.png", "e\u0301"),
        (f"{root}/x.png", "\u00e9"),
    ]
    write_table(*rows)
    spec = {"datasets": {"digits": {"from": "folder", "root": "pictures"}}}
    Path("params.yaml").write_text(
        yaml.safe_dump({"known": {"digits": {"table": "mine.csv"}}} | spec)
    )
    stages.known.main("digits")
    with store.read(KNOWN, "known") as file:
        assert file.attrs["old"] == ["gro\u00df", "\u00e9"]
        assert file["label"][:3].tolist() == [0, 1, 1]
    said = capsys.readouterr()
    assert "3 paths of mine.csv are spelled otherwise than the images" in said.err
    assert "class '\u00e9' is spelled in 2 ways" in said.err
    assert "known: the known classes, in this order: gro\u00df, \u00e9\n" in said.out


def test_two_images_of_one_name_in_two_forms_are_told_apart_or_refused(folder: Path):
    rename("e\u0301e\u0301.png", "\u00e9\u00e9.png")
    label, *_ = know(**write_table(("\u00e9\u00e9.png", "a")))
    assert label[:2].tolist() == [-1, 0]
    with pytest.raises(StageError, match=r"there is no image '.*', which is labelled 'a'"):
        know(**write_table(("\u00e9e\u0301.png", "a")))


def test_a_table_of_parquet_may_have_numbers_and_gaps(folder: Path, capsys):
    import pyarrow
    import pyarrow.parquet

    names, truth = digits()[0], digits()[3]
    columns = {"path": names[:30], "label": [int(truth[i]) if i % 3 else None for i in range(30)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), "mine.parquet")
    label, _, old = know(table="mine.parquet")
    assert [old[c] for c in label[:30] if c >= 0] == [str(truth[i]) for i in range(30) if i % 3]
    assert "10 rows of mine.parquet have no label and are passed over" in capsys.readouterr().err


def test_minus_one_in_a_table_means_no_label(folder: Path, capsys):
    names = digits()[0]
    label, _, old = know(**write_table((names[0], "-1"), (names[1], "3.0"), (names[2], "4.0")))
    assert old == ["3", "4"]
    assert label[:3].tolist() == [-1, 0, 1]
    assert "negative numbers mean no label: -1 (1)" in capsys.readouterr().err


def test_a_person_says_which_labels_of_a_table_or_a_tree_mean_none(folder: Path, capsys):
    names = digits()[0]
    table = write_table((names[0], "255"), (names[1], "other"), (names[2], "4"))
    label, _, old = know(**table, unlabelled=[255, "other"])
    assert (old, label[:3].tolist()) == (["4"], [-1, -1, 0])
    assert "mine.csv: no label, by unlabelled: 255 (1), other (1)" in capsys.readouterr().err
    with pytest.raises(StageError, match=r"known\.digits\.unlabelled is 255"):
        know(**table, unlabelled=255)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("path,label\na,b.png,cat\n", "mine.csv, line 2: 3 fields under 2 columns: put a text"),
        ('path,label\n"a.png,cat\nb.png,dog\n', "no CSV (unexpected end of data)"),
        ("path,label,label\na.png,cat,dog\n", "mine.csv has two columns label: leave one"),
        ("path,labels\na.png,cat\n", "has the columns path, labels, expected path and label"),
        ("path,label\na.png;cat\n", "labels no image: its first row is 'a.png;cat' and ''"),
        ("", "has the columns (none), expected path and label"),
        (
            "pa\u200bth,label\na,b\n",
            r"has the columns 'pa\u200bth', label, expected",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_shown(folder: Path, raw: str, line: str):
    Path("mine.csv").write_text(raw, encoding="utf-8")
    with pytest.raises(StageError) as caught:
        know(table="mine.csv")
    assert line in str(caught.value)


def test_names_of_classes_are_free_beside_those_of_the_folders(folder: Path, capsys):
    """The scores go by the folders: a class of one's own is new to them."""
    names, truth = digits()[0], digits()[3]
    rows = [(names[0], "robin"), (names[1], "robin"), (names[2], str(truth[2]))]
    label, of_class, old = know(**write_table(*rows))
    assert old == [str(truth[2]), "robin"]
    assert of_class.tolist() == [truth[2], -1]
    assert label[:3].tolist() == [1, 1, 0]
    assert "1 known classes are none of digits's own (robin)" in capsys.readouterr().err


def test_the_old_classes_are_said_by_name(folder: Path, capsys):
    know(**HALF)
    assert "known: the known classes, in this order: 0, 1, 2, 3, 4\n" in capsys.readouterr().out


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
