"""Whatever a user writes into params.yaml, a row, a recipe or a file to import: understood, or
refused in one line, never with a traceback. (Images: test_images_decode_any_bytes.)"""

import copy
import importlib
import json
import os
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from conftest import ROOT, runtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backbones
import images
import stages
import stages.fuse_part
import stages.index
import stages.known
import store
from backbones.row import Backbone, read_row
from pages.report import asked
from pages.report.chosen.pick import Examples
from pages.report.tables import lineage
from pipeline.adapting.settings import LEARNS_FROM, read_run
from pipeline.curating.settings import Params as Curating
from pipeline.indexing.vectors import Vectors, list_vectors
from pipeline.io.labelled import of_table, of_tree
from pipeline.io.origin import FACTS, Imported, Source, folder_of, read_origin, write_imported
from pipeline.links import pictures
from pipeline.params import Runtime, StageError, section
from pipeline.ranking.settings import RankSettings
from recipes import RecipeError
from recipes.merge import merge
from store.foreign import open_matrix, read_column

PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
OBJECTIVES: dict[str, Any] = yaml.safe_load((ROOT / "recipes/objectives.yaml").read_text())
SECTIONS = {
    path.stem: importlib.import_module(f"stages.{path.stem}").Params
    for path in sorted((ROOT / "stages").glob("*.py"))
    if "\nclass Params(" in path.read_text() and path.stem not in ("import", "backbone")
} | {"runtime": Runtime, "examples": Examples, "fuse": stages.fuse_part.Fuse, "rank": RankSettings,
     "curate": Curating}  # fmt: skip
IMPORTED = importlib.import_module("stages.import").Params
FORMS = (
    {"old": 5, "labelled": 0.5, "seed": 0},
    {"table": "t.csv"},
    {"tree": "known"},
    {"review": True},
)
SPECS = (
    {"from": "digits"},
    {"from": "folder", "root": "photos", "classes": 20, "tree": "split/class", "part": 0.5},
    {"from": "folder", "root": "photos", "splits": ["a", "b"], "train": ["a"]},
    {"from": "folder", "root": "photos", "exclude": ["*.gif", "a/b*"], "depth": 12},
)
VECTORS = {"from": "vectors", "ids": "a.npy", "labels": "b.npz:y", "splits": "c", "rows": 3}
# What YAML may hold where something else is expected
JUNK = st.one_of(
    st.sampled_from([
        None, "", "x", "auto", "1x", "-1x", "all", "~", "~nobody/x", "a\nb", "\x00", "\ud7ff", "=1",
        True, 0, -1, 1, 10**30, -(10**30), 0.5, 1e308, float("nan"), float("inf"),
        [], {}, [None], [[]], [1, "a"], {"a": 1}, {1: 2}, {None: None}, {date(2020, 1, 1): 1},
        date(2020, 1, 1), b"\xff\x00", {"a"},
    ]),
    st.text(max_size=8), st.integers(), st.floats(),
)  # fmt: skip
LOOK = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OURS = {"StageError", "StoreError", "ImagesError", "BackboneError", "ClusterError", "RecipeError"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return tmp_path


def understood_or_refused(look: Callable[[], object]) -> bool:
    """Whether `look` works; if not it says what is wrong, as one line to a user."""
    try:
        look()
    except OSError as error:  # a stage says which file
        line = error.strerror or ""
    except Exception as error:
        if type(error).__name__ not in OURS:
            raise
        line = stages.one_line(error)
    else:
        return True
    assert line.strip()
    assert len(line.splitlines()) == 1
    return False


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """`good` with one to three mistakes in it."""
    out = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        out = _changed(draw, out)
    return out


def _changed(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value, key=str)))
        what = draw(st.sampled_from(["into", "into", "into", "drop", "more", "rename"]))
        if what == "into":
            return {**value, key: _changed(draw, value[key])}
        rest = {k: v for k, v in value.items() if k != key}
        if what == "drop":
            return rest
        new = draw(st.one_of(st.text(max_size=6), st.sampled_from([None, 1, 2.5, True])))
        return {**(value if what == "more" else rest), new: draw(JUNK)}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _changed(draw, value[at]), *value[at + 1 :]]
    return draw(JUNK)


def write(params: Any) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")


@settings(LOOK, max_examples=300)
@given(data=st.data())
def test_a_section_with_mistakes_is_refused_in_one_line(data):
    name = data.draw(st.sampled_from(list(SECTIONS)))
    write({name: data.draw(mutated(PARAMS[name]))})
    model = SECTIONS[name]
    if understood_or_refused(lambda: section(model, name)):
        found = section(model, name)  # what is understood is plain, finite and of the said types
        json.dumps(found.model_dump(mode="json"), allow_nan=False)


@settings(LOOK, max_examples=100)
@given(data=st.data())
def test_a_run_of_adapt_with_mistakes_is_refused_in_one_line(data):
    objective = data.draw(st.sampled_from(sorted(set(OBJECTIVES) - {"common"})))
    run = {**OBJECTIVES[objective], "objective": objective, "dataset": "digits"}
    run |= {"backbone": "pixels", "learns_from": LEARNS_FROM[objective][0]}
    write({"adapted": {"mine": run}})
    read_run("mine")  # without a mistake it is understood
    write(data.draw(mutated({"adapted": {"mine": run}})))
    understood_or_refused(lambda: read_run("mine"))


@settings(LOOK, max_examples=150)
@given(data=st.data())
def test_a_dataset_with_mistakes_is_refused_in_one_line(data):
    (Path("photos") / "a" / "c").mkdir(parents=True, exist_ok=True)
    (Path("photos") / "a" / "c" / "1.png").touch()
    spec = data.draw(mutated(data.draw(st.sampled_from(SPECS))))
    for look in (images.list_images, images.open_images, images.stat_images, images.old_classes):
        understood_or_refused(partial(look, spec))
    write({"datasets": {"mine": spec}})
    understood_or_refused(lambda: pictures("mine", "leave it"))


@settings(LOOK, max_examples=80)
@given(data=st.data())
def test_known_and_imported_with_mistakes_are_refused_in_one_line(data):
    write({"known": {"mine": data.draw(mutated(data.draw(st.sampled_from(FORMS))))}})
    understood_or_refused(
        lambda: section(stages.known._form("known.mine"), "known.mine")  # type: ignore[arg-type]
    )
    imported = {"features": "f-{dataset}.npy", "ids": "l.npy:y", "dataset": "mine"}
    write({"imported": {"mine": data.draw(mutated(imported))}, "datasets": {"mine": {}}})
    understood_or_refused(lambda: section(IMPORTED, "imported.mine"))
    understood_or_refused(lambda: importlib.import_module("stages.import").main("mine"))


@settings(LOOK, max_examples=80)
@given(data=st.data())
def test_a_dataset_of_vectors_with_mistakes_is_refused_in_one_line(data):
    np.save("a.npy", np.array(["x", "y", "z"]))
    for good in (VECTORS, {"from": "vectors", "rows": 3}):
        spec = data.draw(mutated(good))
        write({"datasets": {"mine": spec}})
        if not understood_or_refused(lambda: section(Vectors, "datasets.mine")):
            understood_or_refused(lambda: list_vectors("mine"))
        elif (section(Vectors, "datasets.mine").rows or 0) < 1000:  # or it takes long
            understood_or_refused(lambda: stages.index.main("mine", runtime()))


@settings(LOOK, max_examples=80)
@given(data=st.data())
def test_facts_of_a_backbone_with_mistakes_are_refused_in_one_line(data):
    imported = Imported("mine", {"digits": Source("a.npy", "", "0" * 32)})
    write_imported(imported)
    assert read_origin("mine") == imported
    path = folder_of("mine") / FACTS
    path.write_text(json.dumps(data.draw(mutated(json.loads(path.read_text()))), default=str))
    understood_or_refused(lambda: read_origin("mine"))
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    understood_or_refused(lambda: read_origin("mine"))


REPORTED = (
    "datasets", "known", "backbones", "resized", "imported", "adapted", "fused", "all", "runs",
    "similar",
    "similar_by_labels",
)  # fmt: skip


@settings(LOOK, max_examples=120)
@given(data=st.data())
def test_what_the_report_reads_with_mistakes_is_refused_in_one_line(data):
    good = {key: PARAMS[key] for key in REPORTED}
    runs = {"a": "pixels", "b": "a"}
    runs = {
        name: {"dataset": "digits", "objective": "gcd", "backbone": runs[name]} for name in runs
    }
    good["adapted"] = runs
    write(data.draw(mutated(good)))
    understood_or_refused(asked.asked)
    understood_or_refused(lambda: asked.words("runs.export_discovered"))
    understood_or_refused(lambda: lineage.steps(asked.adaptations(), "digits"))


WORDS = (
    "2020-01-01", "2020-99-99", "!!timestamp x", "!!bool x", "!!int ''", "!!binary x", "!!set [a]",
    "!!python/object/apply:os.system ['touch ran']", "&a [*a]", "*a", "{<<: 3}", "? [a]",
    "[" * 3000,
    "9" * 5000, "1e999", "0x_", "'", '"\\ud800"', "\t", "%YAML 9.9", "---\n...\n--- 1", "a: b: c",
    "<<", "{k: 1", "|", "- -", "#", "''", ".nan", "1:30", "0o9", "\x07", "{1: 2, [a]: 3}",
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("place", ["kmeans: {}", "kmeans:\n  k: {}", "{}"])
def test_any_yaml_is_refused_in_one_line(word: str, place: str):
    Path("params.yaml").write_text(place.replace("{}", word))
    assert not understood_or_refused(lambda: section(SECTIONS["kmeans"], "kmeans"))
    assert not Path("ran").exists()


@settings(LOOK, max_examples=60)
@given(at=st.floats(0, 1, exclude_max=True), new=st.binary(max_size=4), cut=st.integers(0, 4))
def test_any_bytes_in_params_are_refused_in_one_line(at, new, cut):
    text = yaml.safe_dump({"kmeans": PARAMS["kmeans"]}).encode()
    start = int(at * len(text))
    Path("params.yaml").write_bytes(text[:start] + new + text[start + cut :])
    understood_or_refused(lambda: section(SECTIONS["kmeans"], "kmeans"))


ZOO = yaml.safe_load((ROOT / "backbones/zoo.yaml").read_text())


@settings(LOOK, max_examples=200)
@given(data=st.data())
def test_a_row_with_mistakes_is_refused_by_its_name(data):
    name = data.draw(st.sampled_from(sorted(ZOO)))
    facts = data.draw(mutated(ZOO[name]))
    if not isinstance(facts, dict):
        return

    def look() -> None:
        row = read_row(name, facts)
        assert isinstance(row, Backbone)
        assert len(row.digest) == 32

    understood_or_refused(look)


@settings(LOOK, max_examples=60)
@given(data=st.data())
def test_the_row_of_a_folder_with_mistakes_is_refused(data):
    base = {**ZOO["resnet18_small"], "name": "resnet18_small"}
    good = {
        **ZOO["resnet18_small"], "loader": "adapted", "weights": "model.safetensors",
        "sha256": "0" * 64, "options": {"base": base, "form": "timm"},
    }  # fmt: skip
    folder = Path("mine")
    folder.mkdir(exist_ok=True)
    facts = data.draw(mutated(good))
    (folder / "row.yaml").write_text(yaml.safe_dump(facts))
    understood_or_refused(lambda: backbones.row("mine/").digest)
    raw = bytearray((folder / "row.yaml").read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / "row.yaml").write_bytes(raw)
    understood_or_refused(lambda: backbones.row("mine/").digest)


RECIPE = yaml.safe_load((ROOT / "recipes/cub.yaml").read_text())
MERGED = ("datasets", "known", "backbones", "resized", "imported", "adapted", "runs")
FEW = {key: PARAMS[key] for key in MERGED}


@settings(LOOK, max_examples=60)
@given(data=st.data())
def test_a_recipe_into_params_with_mistakes_is_merged_or_refused(data):
    params = data.draw(mutated(FEW))
    style = data.draw(st.sampled_from([True, False, None]))
    text = yaml.safe_dump(params, default_flow_style=style)

    def look() -> None:
        found = yaml.safe_load(merge(text, RECIPE).text)
        assert "cub" in found["datasets"]

    understood_or_refused(look)


def files(folder: Path) -> dict[str, bytes]:
    """A sound file of each kind that stage import reads, by name."""
    import pyarrow
    import pyarrow.parquet
    import torch

    x, y = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32), np.arange(6) % 2
    np.save(folder / "a.npy", x)
    np.savez(folder / "a.npz", x=x, y=y)
    torch.save({"x": torch.from_numpy(x), "y": torch.from_numpy(y)}, folder / "a.pt")
    columns = {"x": pyarrow.array(x.tolist()), "y": y}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
    with h5py.File(folder / "a.h5", "w", libver="v110") as file:
        file["x"], file["y"] = x, y
    return {path.name: path.read_bytes() for path in sorted(folder.glob("a.*"))}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files(tmp_path_factory.mktemp("sound"))


@settings(LOOK, max_examples=60)
@given(
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
    kept=st.floats(0.2, 1),
)
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.parquet", "a.pt"])
def test_a_damaged_file_to_import_is_refused_or_read_in_bounds(sound, name, flips, kept):
    raw = bytearray(sound[name])
    for where, value in flips:
        raw[int(where * len(raw))] = value
    Path(name).write_bytes(raw[: int(kept * len(raw))])

    def look() -> None:
        matrix = open_matrix(name)
        assert sum(len(block) for block in matrix.blocks()) == matrix.rows

    understood_or_refused(look)
    understood_or_refused(lambda: read_column(name))


@settings(LOOK, max_examples=80)
@given(text=st.one_of(
    st.binary(max_size=60),
    st.lists(st.lists(st.text(max_size=6), max_size=3).map(",".join), max_size=4)
    .map(lambda rows: "\n".join(["path,label", *rows]).encode("utf-8", "replace")),
))  # fmt: skip
def test_any_table_of_labels_is_read_or_refused_in_one_line(text):
    Path("t.csv").write_bytes(text)
    understood_or_refused(lambda: of_table("t.csv", ["a", "a/b.png"], ""))


@settings(LOOK, max_examples=60)
@given(folder=st.text(max_size=8), names=st.lists(st.text(max_size=8), max_size=4))
def test_any_tree_of_labels_is_read_or_refused_in_one_line(folder, names):
    understood_or_refused(lambda: of_tree(folder, names))


@pytest.mark.parametrize("said", ["one\ntwo", "a\r\x1b[31m\x00b", " \u2028 "])
def test_a_refusal_is_one_line_whatever_it_names(said: str):
    line = stages.one_line(StageError(f"{said}: is not there"))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert line.endswith(": is not there")


def test_mutations_reach_every_section():
    """The fuzzing above is of all that params.yaml holds; a new section is fuzzed too."""
    others = {*REPORTED, "overcluster", "sskmeans_balanced", "assign", "discover"}
    others |= {"kmeans_sweep", "overcluster_sweep", "temi_long", "umap_kmeans_2d", "export_named"}
    others |= {"embedded"}
    assert set(PARAMS) - others == {*SECTIONS} - {"similar"}
    assert issubclass(RecipeError, Exception)
    assert issubclass(store.StoreError, Exception)
