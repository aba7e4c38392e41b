"""curate and evaluate_curated as stages: what they write, for whom, and what they refuse."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from clustered import SPLITS, digits, split_of, write_dataset
from learning import CELL, RUNTIME, run_with_stops, write_neighbors, write_pca
from sklearn.metrics import adjusted_rand_score

import stages.curate
import stages.evaluate_curated
import store
from pages.report.chosen.curated import read_curated
from pages.report.chosen.pick import Examples
from pipeline.curating.written import REASONS
from pipeline.io.cell import Cell
from pipeline.params import Runtime, StageError, section

N = 120  # of train
PLAIN: dict[str, Any] = {
    "levels": (30, 6), "dims": 0, "resampling": 2, "nearest": 2, "images": 40, "leaves": "random",
    "duplicates": 0.02, "outliers": 2.0, "neighbors": 5, "radius": "auto",
    "coverage_images": 100, "links": False, "n_init": 1, "max_iter": 20, "tol": 1e-4,
    "init_images": 1000, "seed": 0,
}  # fmt: skip
OUT = CELL._replace(run="curate")
SHOWN = Examples(clusters=3, images=2)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path, "digits")
    write_pca(tmp_path, normalize=True)
    write_neighbors(tmp_path)


def curate(cell: Cell = OUT, runtime: Runtime = RUNTIME, **changes: Any) -> dict[str, Any]:
    params = stages.curate.Params(**{**PLAIN, **changes})
    found: dict[str, Any] = stages.curate.main(cell, params, SHOWN, runtime)
    return found


def read() -> dict[str, np.ndarray]:
    with store.read(OUT.curated, "curated") as file:
        names = ("row", "reason", "leader", "outlier", "k", "0/cluster")
        return {name: file[name] for name in names}


def written() -> dict[str, bytes]:
    """All that the run wrote, by name."""
    paths = [OUT.curated_examples, *OUT.curated.parent.iterdir()]
    return {path.name: path.read_bytes() for path in paths}


def table() -> list[dict[str, str]]:
    with OUT.curated.with_suffix(".csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_of_train_is_told_what_became_of_it_and_why():
    facts = curate(duplicates=0.05)
    found, rows, names = read(), table(), digits()[0]
    assert found["row"].tolist() == list(range(N))
    counts = np.bincount(found["reason"], minlength=4)
    assert [facts[reason] for reason in REASONS] == counts.tolist()
    assert counts[0] == 40
    assert counts.all()
    for image, row in enumerate(rows):
        reason = REASONS[found["reason"][image]]
        leader = names[found["leader"][image]]
        said = f"duplicate of {leader}" if reason == "duplicate" else reason
        assert (row["path"], row["split"], row["reason"]) == (names[image], "train", said)
        assert row["chosen"] == str(int(reason == "kept"))
        assert float(row["outlier"]) == pytest.approx(found["outlier"][image], abs=1e-4)
        assert row["level_1"] == str(found["0/cluster"][image])
        assert (reason == "duplicate") == (found["leader"][image] != image)
    listed = OUT.curated.with_suffix(".txt").read_text().splitlines()
    assert listed == [row["path"] for row in rows if row["chosen"] == "1"]
    assert set(rows[0]) == {"path", "split", "chosen", "reason", "outlier", "level_1", "level_2"}
    assert len(facts["k"]) == 2


def test_what_is_dropped_lies_within_epsilon_of_what_is_kept_for_it():
    curate(duplicates=0.05)
    found, x = read(), digits()[2].astype(np.float64)[:N]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    away = np.flatnonzero(found["leader"] != found["row"])
    assert len(away)
    cosine = (unit[away] * unit[found["leader"][away]]).sum(1)
    assert (cosine >= 0.95 - 1e-3).all()  # float16 is stored
    assert not np.isin(found["leader"][away], away).any()


def test_a_sample_is_more_even_than_one_at_random():
    facts = curate(levels=(0.25, 0.05), images=0.25)
    assert facts["kept"] == 30
    assert facts["balance"]["chosen"] > facts["balance"]["random"]
    assert 0 < facts["coverage"]["random"] < 1


def test_levels_are_clusters_of_clusters():
    curate(levels=(10,), resampling=0, n_init=5)
    label = digits()[3][:N]
    assert adjusted_rand_score(label, read()["0/cluster"]) > 0.4


def test_nearest_leaves_are_those_nearest_to_the_centroid():
    off = {"resampling": 0, "duplicates": "none", "outliers": "none"}
    curate(leaves="nearest", levels=(1,), images=10, **off)
    x = digits()[2][:N].astype(np.float16).astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    far = np.linalg.norm(unit - unit.mean(0), axis=1)
    assert set(np.flatnonzero(read()["reason"] == 0)) == set(np.argsort(far)[:10])


def test_what_is_off_drops_nothing():
    facts = curate(duplicates="none", outliers="none", images=119)
    assert (facts["duplicate"], facts["outlier"], facts["not drawn"]) == (0, 0, 1)


@pytest.mark.parametrize("changes", [{}, {"leaves": "nearest", "dims": 8}])
def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    curate(**changes)
    whole = written()
    for path in [OUT.curated_examples, *OUT.curated.parent.iterdir()]:
        path.unlink()
    _, saved = run_with_stops(lambda: curate(**changes), 2, monkeypatch, at="0/done")
    assert len(saved) >= 4
    assert written() == whole  # and no checkpoint


def test_memory_changes_nothing_and_another_seed_does():
    curate()
    before = written()
    curate(runtime=RUNTIME.model_copy(update={"memory_gb": 1e-9}))
    assert written() == before
    curate(seed=1)
    assert written() != before


def test_numbers_that_cannot_be_are_lowered_in_one_line(capsys: pytest.CaptureFixture[str]):
    facts = curate(levels=(500, 200, 6), images=1000)
    said = [line for line in capsys.readouterr().out.splitlines() if "asked for" in line]
    assert said[0] == (
        "curate: levels of 500, 200, 6 clusters are asked for, there are 120 images: levels of "
        "120, 6"
    )
    assert f"all {facts['kept']} are chosen" in said[1]
    assert len(said) == 2
    assert facts["kept"] + facts["duplicate"] + facts["outlier"] == N
    assert facts["not drawn"] == 0


def rewrite(x: np.ndarray) -> None:
    """The same images with other vectors."""
    _, ids, _, _ = digits()
    for path in OUT.features.iterdir():
        path.unlink()
    plan = store.Plan(
        "digits", "pixels", "1" * 32, x.shape[1], SPLITS, ids, np.arange(len(x)), split_of(len(x))
    )
    writer = store.FeatureWriter(OUT.features, plan)
    writer.put(writer.todo, x[writer.todo])
    writer.finish()
    write_pca(Path(), normalize=True)
    write_neighbors(Path())


def test_of_equal_images_one_is_kept(capsys: pytest.CaptureFixture[str]):
    rewrite(np.ones((160, 4), np.float32))
    facts = curate()
    assert (facts["k"], facts["kept"], facts["duplicate"], facts["outlier"]) == ([1], 1, 119, 0)
    assert facts["coverage"] == {"chosen": 1.0, "random": 1.0}
    out = capsys.readouterr().out
    assert "of 1 distinct vectors: levels of 1\n" in out
    assert "1 of 120 are no near-duplicates and no outliers: all 1 are chosen" in out
    json.dumps(facts, allow_nan=False)


def test_vectors_of_zeros_are_duplicates_of_one_another():
    x = digits()[2].copy()
    x[:5] = 0
    rewrite(x)
    curate(levels=(6,))
    leader = read()["leader"]
    assert len(set(leader[:5])) == 1
    assert leader[0] in range(5)


def test_more_neighbors_than_the_table_has_is_refused():
    with pytest.raises(StageError, match=r"set neighbors\.k to 20"):
        curate(neighbors=20)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("levels: [10, 20]", "fewer clusters at each level"),
        ("levels: []", "at least 1 item"),
        ("images: 1.5", "a share between 0 and 1"),
        ("images: 0", "a number of 1 or more"),
        ("duplicates: 2", "less than 1"),
        ("leaves: far", "'random' or 'nearest'"),
        ("outlier: 3", "did you mean 'outliers'"),
    ],
)
def test_a_mistake_in_its_section_is_refused_in_one_line(line: str, said: str):
    Path("params.yaml").write_text(yaml.safe_dump({"curate": json.loads(json.dumps(PLAIN))}))
    section(stages.curate.Params, "curate")
    changed = {**json.loads(json.dumps(PLAIN)), **yaml.safe_load(line)}
    Path("params.yaml").write_text(yaml.safe_dump({"curate": changed}))
    with pytest.raises(StageError, match=said) as refused:
        section(stages.curate.Params, "curate")
    assert len(str(refused.value).splitlines()) == 1


def test_links_hold_the_chosen_pictures_and_nothing_of_before(tmp_path: Path):
    names = digits()[0]
    Path("params.yaml").write_text("datasets: {digits: {from: digits}}\n")
    with pytest.raises(StageError, match=r"set curate\.links: false"):
        curate(links=True)
    root = tmp_path / "pictures"
    root.mkdir()
    Path("params.yaml").write_text(f"datasets: {{digits: {{from: folder, root: {root}}}}}\n")
    curate(links=True)
    links = {str(path.relative_to(OUT.links)) for path in OUT.links.rglob("*") if path.is_symlink()}
    chosen = {names[image] for image in np.flatnonzero(read()["reason"] == 0)}
    assert links == chosen
    curate(links=False)
    assert not OUT.links.exists()


def test_what_is_shown_is_how_alike_and_how_strange():
    curate(duplicates=0.1)
    found, of, names = read(), read_curated(OUT).arrays, digits()[0]
    place = {name: image for image, name in enumerate(names)}
    sizes = np.bincount(found["leader"], minlength=N) - 1
    assert len(of["name"]) == 3
    assert of["size"].tolist() == [sizes[place[name]] for name in of["name"]]
    assert of["size"][0] == sizes.max()
    x = digits()[2].astype(np.float16).astype(np.float64)
    for name, group, like in zip(
        of["dropped_name"], of["dropped_group"], of["dropped_similarity"], strict=True
    ):
        one, other = place[name], place[of["name"][group]]
        assert found["leader"][one] == other
        cosine = x[one] @ x[other] / np.sqrt((x[one] @ x[one]) * (x[other] @ x[other]))
        assert like == pytest.approx(cosine, abs=1e-6)
    order = np.argsort(-found["outlier"], kind="stable")
    order = order[found["leader"][order] == order]  # no copy is shown
    assert [place[name] for name in of["strange_name"]] == order[:100].tolist()


def test_the_balance_of_classes_before_and_after():
    curate()
    cell = CELL._replace(run="evaluate_curated")
    facts = stages.evaluate_curated.main(cell, "curate")
    label, chosen = digits()[3][:N], read()["reason"] == 0
    with cell.metric("evaluate_curated_curate.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["images"]) for row in rows] == np.bincount(label).tolist()
    assert [int(row["chosen"]) for row in rows] == np.bincount(label[chosen]).tolist()
    share = np.bincount(label[chosen]) / chosen.sum()
    assert facts["after"]["entropy"] == pytest.approx(-(share * np.log(share)).sum())
    assert facts["classes"] == 10


def test_without_labels_there_is_no_balance():
    write_dataset(Path(), "digits", labelled=False)
    curate()
    facts = stages.evaluate_curated.main(CELL._replace(run="evaluate_curated"), "curate")
    assert facts == {"classes": 0}


def test_labels_of_other_images_are_refused():
    curate()
    store.save(
        CELL.labels,
        "labels",
        {"label": np.zeros(3, np.int32)},
        {"dataset": "digits", "classes": []},
    )
    with pytest.raises(StageError, match="is not of the images"):
        stages.evaluate_curated.main(CELL._replace(run="evaluate_curated"), "curate")
