"""Names in params.yaml: those that can be folders, stages and words, and what is said of others."""

import numpy as np
import pytest
import yaml
from conftest import ROOT, Project
from dvc.utils.serialize import load_yaml, modify_yaml

from pipeline.names import RESERVED, require_names
from pipeline.params import StageError
from pipeline.yaml_as_dvc import Loader
from recipes.__main__ import FOLDER, known
from recipes.merge import merge


def read(text: str):
    return yaml.load(text, Loader)


@pytest.mark.parametrize("name", ["birds", "no", "y", "2024_a", "_x", "dino-v2", "vögel", "'2024'"])
def test_a_word_is_a_name(name: str):
    require_names(read(f"datasets: {{{name}: {{from: digits}}}}"))


@pytest.mark.parametrize("name", ["2024", "2024-05-01", "1.5", "1e3", "~", "null", "true", "0x10"])
def test_what_is_no_text_to_yaml_is_told_with_the_quotes_that_mend_it(name: str):
    """DVC would make no stage of it, and say nothing."""
    with pytest.raises(StageError, match=r"datasets: .* is no text to YAML"):
        require_names(read(f"datasets: {{{name}: {{from: digits}}}}"))


@pytest.mark.parametrize(
    ("name", "better"),
    [("my photos", "my_photos"), ("a.b", "a_b"), ("a/b", "a_b"), ("..", "mine"), ("-x", "x"),
     ("a@b", "a_b"), ("12:30", "12_30"), ("a$b", "a_b"), ("🐦", "mine"), ("", "mine")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["datasets", "backbones", "adapted", "known"])
def test_what_would_be_no_folder_is_told_with_a_name_that_is_one(
    where: str, name: str, better: str
):
    with pytest.raises(StageError, match=rf"{where}: .*call it {better}$"):
        require_names({where: {name: {}}})
    with pytest.raises(StageError, match=rf"runs.kmeans: .*call it {better}$"):
        require_names({"runs": {"kmeans": [name]}})


def test_a_file_without_settings_has_no_names():
    for text in ("", "- datasets", "datasets:", "datasets: [birds]", "runs: {kmeans: kmeans}"):
        require_names(read(text))


def test_names_that_are_one_folder_on_some_disks_are_refused():
    for one, other in (("birds", "Birds"), ("vo\u0308gel", "vögel")):
        with pytest.raises(StageError, match="are one folder on many disks"):
            require_names({"datasets": {one: {}, other: {}}})
    with pytest.raises(StageError, match="are one folder"):
        require_names({"backbones": {"clip": {}}, "imported": {"CLIP": {}}})
    require_names({"datasets": {"birds": {}}, "backbones": {"Birds": {}}})


@pytest.mark.parametrize("name", RESERVED)
def test_a_dataset_is_not_called_as_a_folder_of_another_use(project: Project, name: str):
    project.params["datasets"] = {name: {"from": "digits"}}
    assert "the name of another folder below data/" in project.refusal("index", name)
    assert not (project.folder / "data" / name).exists()


def test_no_run_and_no_split_takes_the_place_of_what_a_stage_cost(project: Project):
    with pytest.raises(StageError, match=r"runs\.temi: cost is, in metrics, what a stage has cost"):
        require_names({"runs": {"temi": ["cost"]}})
    np.save(project.folder / "splits.npy", np.array(["train", "cost"]))
    project.params["datasets"] = {"texts": {"from": "vectors", "splits": "splits.npy"}}
    assert "datasets.texts: a split: cost is, in metrics" in project.refusal("index", "texts")


def test_a_stage_of_another_dataset_tells_of_a_name_that_dvc_leaves_out(project: Project):
    project.params["datasets"] = {"digits": {"from": "digits"}, 2024: {"from": "digits"}}
    assert "write '2024'" in project.refusal("index", "digits")


def test_a_dataset_called_no_is_read_by_its_name(project: Project):
    project.params["datasets"] = {}
    project.write_params()
    text = (project.folder / "params.yaml").read_text()
    text = text.replace("datasets: {}", "datasets: {no: {from: digits}}")
    assert read(text)["datasets"] == {"no": {"from": "digits"}}


SCALARS = (
    *("no", "No", "NO", "yes", "on", "off", "y", "true", "True", "FALSE", "null", "~", "Null"),
    *("1", "-3", "+4", "1.5", "1e3", "1e-3", "-1.E+3", ".5", ".inf", "-.INF", "12:30", "0x1F"),
    *("0o17", "1_000", "a", "1.2.3", "1e", "e3", ".", "-", "1-2", "0.1_5"),
)


def test_scalars_are_read_as_dvc_reads_them(tmp_path):
    path = tmp_path / "params.yaml"
    text = "".join(f"k{at}: {scalar}\n" for at, scalar in enumerate(SCALARS) if scalar != "-")
    path.write_text(text)
    ours, theirs = read(text), load_yaml(str(path))
    for key, value in theirs.items():
        assert (type(ours[key]), ours[key]) == (type(value), value), text.splitlines()[int(key[1:])]


def test_the_project_s_settings_are_read_as_dvc_reads_them():
    for path in [ROOT / "params.yaml", *FOLDER.glob("*.yaml")]:
        assert read(path.read_text()) == load_yaml(str(path))


def test_settings_that_dvc_wrote_take_every_recipe(tmp_path):
    """`dvc exp run -S` writes params.yaml anew: without the anchors that nothing refers to."""
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    with modify_yaml(str(path)) as params:
        params["kmeans"]["n_init"] = 5
    before = read((ROOT / "params.yaml").read_text())
    for section in ("kmeans", "kmeans_sweep"):
        before[section]["n_init"] = 5
    assert read(path.read_text()) == before
    for name in known():
        merged = merge(path.read_text(), read((FOLDER / f"{name}.yaml").read_text()))
        assert merged.added
        assert set(read(merged.text)) >= set(before)
