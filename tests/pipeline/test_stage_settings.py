"""params.yaml: what is wrong in it is said in one line, before anything is computed."""

from typing import Literal

import pytest
import yaml
from conftest import ROOT, Project, runtime

import pipeline.params
from pages.report.chosen.pick import Examples
from pipeline.io.origin import OfZoo
from pipeline.params import Section, StageError, section
from pipeline.ranking.settings import RankSettings


class Settings(Section):
    n_init: int
    tol: float
    metric: Literal["euclidean", "cosine"]


GOOD = {"n_init": 3, "tol": 0.1, "metric": "cosine"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda content: (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))


def test_a_section_becomes_a_frozen_model(write):
    write({"kmeans": GOOD})
    found = section(Settings, "kmeans")
    assert found.n_init == 3
    with pytest.raises(ValueError, match="frozen"):
        found.n_init = 4


def test_a_whole_number_may_stand_for_a_float(write):
    write({"kmeans": {**GOOD, "tol": 0}})
    assert section(Settings, "kmeans").tol == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"kmeans": {**GOOD, "n_int": 1}}, "kmeans.n_int is not a setting; did you mean 'n_init'"),
        ({"kmeans": {"n_init": 3, "tol": 0.1}}, "kmeans.metric is missing"),
        ({"kmeans": {**GOOD, "n_init": "3"}}, "kmeans.n_init is '3': Input should be a valid int"),
        ({"kmeans": {**GOOD, "n_init": True}}, "kmeans.n_init is True"),
        ({"kmeans": {**GOOD, "metric": "cosin"}}, "kmeans.metric is 'cosin': Input should be 'euc"),
        ({"kmean": GOOD}, "the file has no 'kmeans'; did you mean 'kmean'"),
        ({"kmeans": {"n_int": 1}}, r"n_int is not a setting.*\(and 3 more\)"),
    ],
)
def test_a_mistake_is_named_with_its_key(write, content, said):
    write(content)
    with pytest.raises(StageError, match=said):
        section(Settings, "kmeans")


def test_no_params_file_and_no_yaml_are_said_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="run in the folder that holds it"):
        section(Settings, "kmeans")
    (tmp_path / "params.yaml").write_text("kmeans: [1")
    with pytest.raises(StageError, match="not valid YAML"):
        section(Settings, "kmeans")


def test_the_projects_own_params_fit_every_stage(monkeypatch):
    import importlib

    monkeypatch.chdir(ROOT)
    found = {
        "overcluster": "kmeans", "kmeans_sweep": "kmeans", "overcluster_sweep": "kmeans",
        "temi_long": "temi", "sskmeans_balanced": "sskmeans", "similar_by_labels": "similar",
    }  # fmt: skip
    for path in sorted((ROOT / "stages").glob("*.py")):
        module = importlib.import_module(f"stages.{path.stem}") if path.stem[0] != "_" else None
        if hasattr(module, "Params") and path.stem not in ("import", "backbone"):
            found[path.stem] = path.stem
    for name, stage in found.items():
        section(importlib.import_module(f"stages.{stage}").Params, name)
    section(pipeline.params.Runtime, "runtime")
    section(Examples, "examples")
    section(RankSettings, "rank")
    for name in pipeline.params.read_params("backbones"):
        section(OfZoo, f"backbones.{name}")
    assert {"embed", "pca", "kmeans", "evaluate", "report"} <= set(found)


def test_a_wrong_key_stops_a_stage_in_one_line(project: Project):
    project.params["pca"]["withen"] = True
    line = project.refusal("pca", "x", "y")
    assert line == "pca: params.yaml: pca.withen is not a setting; did you mean 'whiten'?"


def test_a_runtime_that_this_machine_lacks_is_said_so(project: Project):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    project.index("digits")
    project.params["runtime"]["device"] = "cuda"
    line = project.refusal("embed", *project.embed_arguments("digits", "pixels"))
    assert "runtime.device is cuda, but torch sees no GPU" in line


def test_every_stage_says_what_it_does(project: Project):
    for path in sorted((ROOT / "stages").glob("[!_]*.py")):
        said = project.stage(path.stem, "--help")
        assert f"python -m stages.{path.stem}" in said
        assert len(said.splitlines()) > 6


def test_words_that_a_stage_does_not_have_are_refused(project: Project):
    for arguments in (("pca", "digits"), ("pca", "a", "b", "c"), ("index", "a", "--run", "b")):
        process = project.start(*arguments)
        _, error = process.communicate()
        assert process.returncode == 2
        assert f"usage: python -m stages.{arguments[0]}" in error


def test_a_run_is_a_section_of_its_own(project: Project):
    project.params["kmeans_more"] = {**project.params["kmeans"], "n_int": 3}
    line = project.refusal("kmeans", "x", "y", "--run", "kmeans_more")
    said = "params.yaml: kmeans_more.n_int is not a setting; did you mean 'n_init'?"
    assert line == f"kmeans: {said}"
    line = project.refusal("kmeans", "x", "y", "--run", "kmeans_moer")
    assert line == "kmeans: params.yaml: the file has no 'kmeans_moer'; did you mean 'kmeans_more'?"


def test_who_asks_a_cluster_of_gpus_may_have_none(monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device, own in (("cuda", "cpu"), ("cpu", "cpu"), ("auto", "auto")):
        assert runtime(engine="ray", device=device).of_driver().device == own
    assert runtime(device="cuda").of_driver().device == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime(engine="ray", device="cuda").of_driver().device == "cuda"
    assert runtime(engine="ray", device="cpu").of_driver().device == "cpu"
