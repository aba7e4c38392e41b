"""Whatever people's labels, names and tables hold, and however many of their images are equal: it
comes back as it was meant, or is refused in one line. (Settings and files: test_fuzz.)"""

import csv
import shlex
import unicodedata
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import store
from cluster.neighbors.equal_rows import count_distinct
from cluster.vectors.rows import ArrayRows
from images import ImagesError, natural, number_classes, same_text
from pipeline.fitting.feasible_k import feasible_k
from pipeline.io.absent import Absent
from pipeline.io.cell import Cell
from pipeline.io.table import SEPARATORS, read_table
from pipeline.names import RESERVED, require_names
from pipeline.params import StageError

LOOK = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ACCENTS = "aé\u0301e ñ日1027-.,;|\t\"'\\ß²"
WORDS = st.text(ACCENTS, max_size=5) | st.sampled_from(["nan", "-1", "1.0", "01", "10", "2", ""])


def require_one_line(error: Exception) -> None:
    assert len(str(error).splitlines()) == 1
    assert str(error).strip()


@LOOK
@given(values=st.lists(WORDS, min_size=1, max_size=12))
def test_texts_are_numbered_by_what_they_say(values: list[str]):
    try:
        label, names, _ = number_classes(values, "labels")
    except ImagesError as error:
        require_one_line(error)
        return
    assert names == sorted(set(names), key=natural)
    assert sorted({*label.tolist()} - {-1}) == list(range(len(names)))  # each class has an image
    alike = [same_text(value) for value in values]
    for one, class_of_one in zip(alike, label.tolist(), strict=True):
        if class_of_one >= 0 and "." not in names[class_of_one] and "." not in one:
            assert names[class_of_one] == one
        assert one or class_of_one == -1
    for form in ("NFC", "NFD"):  # however they are spelled, and in whatever order they come
        spelled = [f" {unicodedata.normalize(form, value)}" for value in values]
        again, names_again, _ = number_classes(spelled[::-1], "labels")
        assert names_again == names
        assert again.tolist() == label.tolist()[::-1]


@LOOK
@given(
    values=st.lists(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12)
)
def test_whole_numbers_of_any_size_are_names(values: list[int]):
    kept = {value for value in values if value >= 0}
    if len(set(values)) > 1 and min(values) < 0 and len(kept) < 2:  # are they two classes?
        with pytest.raises(ImagesError, match=r"is -[0-9]+ a class[?]"):
            number_classes(np.array(values, np.int64), "labels")
        return
    label, names, _ = number_classes(np.array(values, np.int64), "labels")
    assert names == [str(value) for value in sorted(kept)]
    for value, found in zip(values, label.tolist(), strict=True):
        assert found == -1 if str(value) not in names else names[found] == str(value)


@settings(LOOK, max_examples=60)
@given(name=st.text("aZé\u0301ö日_-. @/$#:2\n'\"", max_size=6) | st.text(max_size=6))
def test_a_name_is_a_folder_and_a_word_or_another_one_is_offered(
    name: str, tmp_path_factory: pytest.TempPathFactory
):
    try:
        require_names({"datasets": {name: {}}})
    except StageError as error:
        offered = str(error).rpartition("call it ")[2]
        assert name in RESERVED or offered in RESERVED or not require_names({"known": {offered: 1}})
        return
    folder = tmp_path_factory.mktemp("named")
    (folder / name).mkdir()
    assert [path.name for path in folder.iterdir()] == [name]
    assert shlex.split(f"python -m stages.index {name}")[3:] == [name]
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({name: 1}, allow_unicode=True), encoding="utf-8")
    assert load_yaml(str(path)) == {name: 1}


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str]]]:
    """A table as a spreadsheet may write it, and its rows (path, label)."""
    rows = draw(st.lists(st.tuples(WORDS, WORDS), max_size=6))
    separator, pad = draw(st.sampled_from(SEPARATORS)), draw(st.sampled_from(["", " "]))
    out = StringIO()
    every = draw(st.booleans()) or bool(pad)  # blanks outside of quotes go
    table = csv.writer(
        out,
        delimiter=separator,
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL,
    )
    out.write(draw(st.sampled_from(["", f"sep={separator}\n"])))
    out.write(separator.join(["Path", f"{pad}n", f"{pad}LABEL{pad}"]) + "\n")
    table.writerows((path, "0", label) for path, label in rows)
    return out.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))), rows


@settings(LOOK, max_examples=60)
@given(table=tables())
def test_a_table_gives_back_its_rows_however_it_is_written(table, tmp_path: Path):
    raw, rows = table
    (tmp_path / "t.csv").write_bytes(raw)
    assert read_table(tmp_path / "t.csv", ("path", "label")) == rows


@LOOK
@given(
    values=st.lists(st.sampled_from([-0.0, 0.0, 1.0, 2.0]), min_size=2, max_size=24),
    enough=st.integers(1, 12),
)
def test_distinct_vectors_are_counted_as_far_as_is_asked(values: list[float], enough: int):
    x = np.array(values[: len(values) // 2 * 2], np.float32).reshape(-1, 2)
    assert count_distinct(ArrayRows(x), enough) == min(enough, len(np.unique(x, axis=0)))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cell, store.Features]:
    """A folder with 12 images of train, of 4 distinct vectors; four classes are expected."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("few")
        patch.chdir(folder)
        cell = Cell("few", "pixels", "kmeans")
        row, split = np.arange(12), np.zeros(12, np.uint8)
        ids = np.random.default_rng(1).integers(0, 256, (12, 16)).astype(np.uint8)
        plan = store.Plan("few", "pixels", "0" * 32, 3, ["train"], ids, row, split)
        with store.FeatureWriter(cell.features, plan) as writer:
            writer.put(writer.todo, np.eye(5, 3, dtype=np.float32)[writer.todo % 5] + 1)
            writer.finish()
        index = {"name": np.array([f"{i}.png" for i in row], object), "digest": ids, "split": split}
        attrs = {"dataset": "few", "splits": ["train"], "n_classes": 4}
        store.save(cell.images, "index", index, attrs)
        return folder, cell, store.Features(folder / cell.features)


@settings(LOOK, max_examples=50)
@given(k=st.lists(st.integers(1, 20) | st.sampled_from(["0.5x", "1x", "1.5x", "9x"]), min_size=1))
def test_any_k_fits_the_distinct_vectors_or_is_left_out(few, k: list[int | str]):
    (folder, cell, found), limit = few, 4  # rows 3 and 4 of eye(5, 3) are equal
    times = {"0.5x": 2, "1x": 4, "1.5x": 6, "9x": 36}
    asked = dict.fromkeys(times.get(each, each) for each in k)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if min(asked) > limit:
            written = any(isinstance(each, int) for each in k)
            with pytest.raises(StageError if written else Absent, match=r"^k is .*choose k from 1"):
                feasible_k(cell, k, found, np.arange(12), cell.k)
            return
        fit = feasible_k(cell, k, found, np.arange(12), cell.k)
    assert fit == [each for each in asked if each <= limit]
