"""adapt: each objective from the images to a backbone, and going on after a stop."""

import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import adapting
import forks
import killed
import numpy as np
import pytest
import torch
import yaml
from adapting import BASE, FROZEN, RESNET, folder_of, told, train, weights, written
from conftest import environment, of_stages
from learning import RUNTIME, run_with_stops

import backbones
import store
from backbones import blocks
from cluster.objectives import Loss
from cluster.objectives.scan import Scan
from cluster.objectives.simclr import Simclr
from pipeline.fitting import checkpoint
from pipeline.io.origin import write_zoo_row
from pipeline.params import StageError, section
from stages import embed
from tests import tiny_clip

_quiet = pytest.fixture(autouse=True)(adapting.quiet)
PARTS = {  # what the table of epochs tells besides the loss
    "simclr": {"info_nce"},
    "scan": {"consistency", "entropy"},
    "gcd": {"info_nce", "sup_con"},
    "simgcd": {"classifier", "info_nce", "sup_con"},
    "selex": {"unsupervised", "supervised"},
    "hyp_simgcd": {"classifier", "angle", "distance"},
    "hyp_selex": {"angle", "distance"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapting.write_collection(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return adapting.go_to_copy(made, tmp_path, monkeypatch)


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


def base_weights(base: str = BASE) -> dict[str, torch.Tensor]:
    return blocks.build(backbones.row(base)).state_dict()


@pytest.mark.parametrize("objective", PARTS)
def test_what_comes_out_is_a_backbone_of_which_the_last_block_has_learned(objective: str):
    out = train(objective)
    network = blocks.build(backbones.row(str(out)))
    last = {name for name, _ in network.named_parameters() if name.startswith("blocks.2.")}
    assert changed(base_weights(), weights(out)) == last
    table = told(objective)
    assert [(row["epoch"], row["step"]) for row in table] == [(1, 4), (2, 8)]
    assert table[0].keys() == {"epoch", "step", "loss", *PARTS[objective]}
    assert all(math.isfinite(value) for row in table for value in row.values())
    found = store.Features(adapting.embed_digits(objective))
    assert (found.backbone, found.encoder) == (objective, backbones.row(str(out)).digest)
    before = store.Features(adapting.features(BASE))
    assert np.abs(found.block(0, 90) - before.block(0, 90)).max() > 1e-3
    left = sorted(path.name for path in out.parent.iterdir())
    assert left == sorted([BASE, objective])  # no checkpoint


def test_self_labelling_goes_on_with_the_head_of_a_scan():
    train("scan", epochs=1)
    adapting.embed_digits("scan")
    out = train("selflabel", backbone="scan")
    assert told("selflabel")[0].keys() == {"epoch", "step", "loss", "confident"}
    assert all(row["confident"] > 0 for row in told("selflabel"))
    names = changed(weights(folder_of("scan")), weights(out))
    assert names
    assert all(name.startswith("blocks.2.") for name in names)
    adapting.embed_digits("selflabel")
    with store.read(adapting.sort("selflabel")[0] / "learned.h5", "clusters") as file:
        assert file.attrs["backbone"] == "selflabel"


def test_with_all_blocks_norms_see_as_well():
    adapting.embed_digits(RESNET)
    out = train("simclr", backbone=RESNET, train_blocks="all", frozen_features="recompute", views=0)
    learned = changed(base_weights(RESNET), weights(out))
    assert {"bn1.running_mean", "bn1.num_batches_tracked", "bn1.weight"} <= learned
    assert learned == base_weights(RESNET).keys()
    assert not FROZEN.exists()


def test_with_no_block_the_heads_alone_learn():
    out = train("simgcd", train_blocks=0)
    assert changed(base_weights(), weights(out)) == set()
    assert told("simgcd")[1]["loss"] < told("simgcd")[0]["loss"]
    assert (out / "learned.h5").exists()


@pytest.mark.parametrize("objective", ["simclr", "scan", "gcd", "simgcd", "selex"])
def test_a_seed_makes_the_same_bytes_and_another_seed_others(objective: str):
    first = written(train(objective, epochs=1))
    again = written(train(objective, epochs=1))
    assert first == again
    other = written(train(objective, epochs=1, seed=1))
    assert other["model.safetensors"] != first["model.safetensors"]
    assert other[f"{objective}.csv"] != first[f"{objective}.csv"]


def test_a_changed_dtype_of_the_base_changes_what_embed_depends_on():
    first = written(train("simclr", epochs=1))
    write_zoo_row(backbones.row(BASE), "float32")
    embed.main(adapting.digits(BASE), section(embed.Params, "embed"), RUNTIME)
    out = train("simclr", epochs=1)
    assert (out / "stored.json").exists()
    assert store.Features(adapting.embed_digits("simclr")).dtype == "float32"
    on = train("simclr", name="on", backbone="simclr", epochs=1)
    assert (on / "stored.json").exists()
    adapting.embed_digits(BASE)  # float16 again
    assert written(train("simclr", epochs=1)) == first


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch) -> str:
    adapting.own_zoo(monkeypatch, tiny_clip=tiny_clip.facts(Path.cwd()))
    adapting.embed_digits("tiny_clip")
    return "tiny_clip"


def test_tes_makes_texts_of_images_and_get_goes_on_from_there(clip: str):
    tes = train("tes", backbone=clip, train_blocks=0, output="both", lr=1e-3)
    assert told("tes")[0].keys() == {"epoch", "step", "loss", "align", "distill"}
    both = store.Features(adapting.embed_digits("tes"))
    assert both.dim == 48
    halves = both.block(0, 90).reshape(90, 2, 24)
    np.testing.assert_allclose(np.linalg.norm(halves, axis=2), 1, atol=1e-2)  # float16
    get = train("get", backbone="tes")
    assert {"image_classifier", "text_classifier", "cico", "loss"} <= told("get")[0].keys()
    assert all(math.isfinite(value) for row in told("get") for value in row.values())
    assert weights(get).keys() != weights(tes).keys()
    assert store.Features(adapting.embed_digits("get")).dim == 64
    known_nothing, discovered = adapting.sort("get")
    assert {path.stem for path in discovered.glob("*.h5")} == {
        "learned_image", "learned_text", "learned_mean",
    }  # fmt: skip
    assert not list(known_nothing.glob("*.h5"))


def test_tes_learns_without_the_name_of_any_class(clip: str):
    train("tes", learns_from="features", backbone=clip, train_blocks=0, output="text")
    assert told("tes")[0].keys() == {"epoch", "step", "loss", "align"}
    assert store.Features(adapting.embed_digits("tes")).dim == 24


def test_the_names_of_a_table_are_those_that_are_taught(clip: str):
    found = {}
    for word in ("bird", "house"):
        rows = [f"{digit},{word} {digit}" for digit in range(10)]
        Path("names.csv").write_text("\n".join(["class,name", *rows]))
        common: dict[str, Any] = {"backbone": clip, "train_blocks": 0, "epochs": 1}
        found[word] = written(train("tes", names="names.csv", **common))
    assert found["bird"]["tes.csv"] != found["house"]["tes.csv"]


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        ("simgcd", {"accumulate": 2}),
        ("selex", {"accumulate": 2}),
        ("scan", {"heads": 2, "optimizer": "adamw", "keep": "best"}),
        (
            "simclr",
            {"train_blocks": "all", "frozen_features": "recompute", "views": 0, "epochs": 1},
        ),
        (
            "gcd",
            {
                "backbone": "forgetful",
                "train_blocks": "all",
                "frozen_features": "recompute",
                "epochs": 1,
            },
        ),
    ],
)
def test_a_run_that_is_stopped_again_and_again_ends_as_one_that_is_not(
    objective: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    if "backbone" in changes:  # one that drops values at random while it learns
        options = {**adapting.VIT["options"], "proj_drop_rate": 0.2}
        adapting.own_zoo(monkeypatch, forgetful={**adapting.VIT, "options": options})
        adapting.embed_digits("forgetful")
    undisturbed = written(train(objective, "run", **changes))
    for path in folder_of("run").iterdir():
        path.unlink()

    def go_on() -> None:
        torch.rand(1)  # no run may hinge on what was drawn before it
        train(objective, "run", **changes)

    stops, saved = run_with_stops(go_on, 3, monkeypatch)
    assert stops > 1
    # The last state is saved once more when all is done
    assert sorted(set(saved)) == list(range(1, max(saved) + 1))
    assert written(folder_of("run")) == undisturbed


PART = "selex.adapt.????????????.part"
AFTER_SEVEN_STEPS = """
import adapting, pytest
from pipeline.fitting import checkpoint
from pipeline.io.origin import write_zoo_row
adapting.own_zoo(pytest.MonkeyPatch(), **{adapting.BASE: adapting.VIT})
checkpoint.SECONDS_BETWEEN = -1.0  # saved at each step
die_after(checkpoint.Checkpoint, "save", 7)
"""


def test_a_killed_process_goes_on_as_if_nothing_had_been(folder: Path):
    name = adapting.write_run("selex", epochs=3)  # of 4 steps
    before = killed.first(AFTER_SEVEN_STEPS)
    at = (of_stages().socket, "stages.adapt", [name], environment(), folder)
    _, said = (it := forks.Captured(*at, before=before)).communicate()
    assert it.returncode == -signal.SIGKILL, said
    assert not folder_of("selex").exists()
    (left,) = folder_of("selex").parent.glob(PART)
    with np.load(left) as state:
        assert state["at"] == 7
    resumed = written(train("selex", epochs=3))
    assert not left.exists()
    shutil.rmtree(folder_of("selex"))
    assert written(train("selex", epochs=3)) == resumed


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch has no gloo")
def test_two_processes_that_share_each_batch_learn_as_one_does(folder: Path):
    adapting.embed_digits(RESNET)
    alone = train("selex", "alone", backbone=RESNET)
    shutil.rmtree(FROZEN)  # one of the two fills it, the other waits
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["runtime"]["gpus"] = 2
    Path("params.yaml").write_text(yaml.safe_dump(params))
    of_both = adapting.write_run("selex", "shared", backbone=RESNET)
    command = [sys.executable, "-m", "stages.adapt", of_both]
    it = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert it.returncode == 0, it.stderr
    assert "Starting with 2 processes" in it.stderr
    assert it.stdout.count("is trained") == 1
    for one, both in zip(told("alone"), told("shared"), strict=True):
        assert both == pytest.approx(one, rel=1e-4)
    shared = weights(folder_of("shared"))
    for name, value in weights(alone).items():
        torch.testing.assert_close(shared[name], value, atol=1e-3, rtol=0)
    assert (shared["layer4.1.conv2.weight"] != base_weights(RESNET)["layer4.1.conv2.weight"]).any()


@pytest.mark.parametrize(("keep", "epoch"), [("best", 2), ("last", 4)])
def test_the_epoch_of_the_lowest_loss_is_kept_or_the_last(
    keep: str, epoch: int, monkeypatch: pytest.MonkeyPatch
):
    def falls_then_grows(self: Simclr, outputs: Any, drawn: Any, epoch: float) -> Loss:
        found = plain(self, outputs, drawn, epoch)
        return found._replace(total=found.total + 100 * abs(epoch - 1.5))

    def noted(self: checkpoint.Checkpoint, state: dict[str, np.ndarray]) -> None:
        states[int(state["at"])] = {key: value.copy() for key, value in state.items()}

    plain, states = Simclr.loss, dict[int, dict[str, np.ndarray]]()
    monkeypatch.setattr(Simclr, "loss", falls_then_grows)
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", -1.0)
    monkeypatch.setattr(checkpoint.Checkpoint, "save", noted)
    kept = weights(train("simclr", keep=keep, epochs=4))
    assert np.argmin([row["loss"] for row in told("simclr")]) == 1
    name = "attn.qkv.weight"
    expected, other = (states[4 * e][f"model/tail.0.{name}"] for e in (epoch, 6 - epoch))
    np.testing.assert_array_equal(kept[f"blocks.2.{name}"], expected)
    assert (expected != other).any()


def test_the_head_of_the_best_epoch_is_the_best_of_that_epoch(monkeypatch: pytest.MonkeyPatch):
    kept, plain = list[int](), Scan.loss

    def turns(self: Scan, outputs: Any, drawn: Any, epoch: float) -> Loss:
        """Head 0 is the best of the first epoch, which is the best one; then head 1 is."""
        found = plain(self, outputs, drawn, epoch)
        self._recent[:] = torch.tensor([0.0, 1.0] if epoch < 1 else [1.0, 0.0])
        return found._replace(total=found.total + 100 * (epoch >= 1))

    def noted(self: Scan) -> Any:
        kept.append(int(self._recent[0].argmin()))
        return learned(self)

    learned = Scan.learned
    monkeypatch.setattr(Scan, "loss", turns)
    monkeypatch.setattr(Scan, "learned", noted)
    for keep, head in (("best", 0), ("last", 1)):
        train("scan", heads=2, keep=keep)
        assert kept[-1] == head


def test_a_loss_that_is_no_number_ends_in_one_line(monkeypatch: pytest.MonkeyPatch):
    plain = Simclr.loss

    def broken(self: Simclr, outputs: Any, drawn: Any, epoch: float) -> Loss:
        found = plain(self, outputs, drawn, epoch)
        return found._replace(total=found.total * (math.nan if epoch > 1 else 1.0))

    monkeypatch.setattr(Simclr, "loss", broken)
    line = "^simclr: after 8 steps the loss is not finite: lower lr$"
    with pytest.raises(StageError, match=line):
        train("simclr")
    assert not (folder_of("simclr") / "row.yaml").exists()
