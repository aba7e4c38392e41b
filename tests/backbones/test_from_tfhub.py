"""The TensorFlow Hub loader, on real modules written here as their authors published theirs.

TensorFlow and torch are never in one process, and pytest's has torch: so all of TensorFlow's part
runs once in a process of its own, which is this file as a program, and leaves its findings behind.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from backbones import Backbone, BackboneError, from_tfhub, names, row, weights

DEVICES: list[Any] = []
if __name__ != "__main__":  # the program has no torch
    from blobs import DEVICES

ROWS = [name for name in names() if row(name).loader == "tfhub"]


class Findings(NamedTuple):
    """arrays: what the encoders gave; errors: how they refused; told: the rest; stderr: all of it.
    torch and tensorflow_hub are looked for before this file's own comparison imports the latter."""

    arrays: dict[str, np.ndarray]
    errors: dict[str, str]
    told: dict[str, Any]
    stderr: str


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("tensorflow")
    done = run(folder)
    with np.load(folder / "arrays.npz") as arrays:
        found = dict(arrays)
    notes = json.loads((folder / "notes.json").read_text())
    return Findings(found, notes["errors"], notes["told"], done.stderr)


def run(folder: Path, *device: str) -> subprocess.CompletedProcess[str]:
    """Run this file as a program."""
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, str(folder), *device],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done


def pictures(side: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def projection(dim: int) -> np.ndarray:
    return np.random.default_rng(dim).normal(size=(3, dim)).astype(np.float32)


def pooled(side: int, low: float) -> np.ndarray:
    """The mean of each channel, of pixels scaled to [low, 1]."""
    scaled = pictures(side).astype(np.float64) / 255 * (1 - low) + low
    return scaled.mean(axis=(1, 2)).astype(np.float32)


def bigbigan(tf: Any, folder: Path, dim: int) -> Path:
    """TensorFlow 1's hub format with BigBiGAN's two encoder signatures (as its colab prints them),
    whose features are relu(mean over pixels @ projection(dim))."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 256, 256, 3])
        w = v1.get_variable("w", initializer=projection(dim))
        wz = v1.get_variable("wz", initializer=np.ones((dim, 120), np.float32))
        avepool = tf.nn.relu(tf.matmul(tf.reduce_mean(x, [1, 2]), w))
        mean = tf.matmul(avepool, wz)
        sample = mean + tf.random.normal(tf.shape(mean))
        session.run(v1.global_variables_initializer())
        outputs = {"z_mean": mean, "z_sample": sample, "z_stdev": tf.nn.softplus(mean)}
        outputs |= {"default": sample, "avepool_feat": avepool}
        outputs |= {"bn_crelu_feat": tf.concat([avepool, -avepool], 1)}
        signature = v1.saved_model.signature_def_utils.predict_signature_def
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            tags=[],
            signature_def_map={
                "encode": signature({"x": x}, outputs),
                "default": signature({"x": x}, {"default": sample}),
            },
        )
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef, format: FORMAT_V3
    return folder


def simclr(tf: Any, folder: Path, dim: int) -> Path:
    """TensorFlow 2's SavedModel as SimCLR publishes it: called with `trainable`, a dictionary.
    Training mode takes the mean of the batch away, as its batch normalisation would."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(projection(dim))

        @tf.function
        def __call__(self, inputs: Any, trainable: bool) -> dict[str, Any]:
            pixels = tf.reduce_mean(inputs, [1, 2])
            if trainable:
                pixels = pixels - tf.reduce_mean(pixels, 0)
            return {
                "initial_conv": inputs,
                "final_avg_pool": tf.matmul(pixels, self.w),
                "logits_sup": tf.zeros((tf.shape(inputs)[0], 1000)),
            }

    module = Module()
    images = tf.TensorSpec((None, 224, 224, 3), tf.float32)
    for trainable in (False, True):
        module.__call__.get_concrete_function(images, trainable)
    tf.saved_model.save(module, str(folder))
    return folder


def nameless(tf: Any, folder: Path) -> Path:
    """A Keras-like module: its call gives a bare tensor, its signature a named one."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 224, 224, 3), tf.float32)])
        def __call__(self, images: Any) -> Any:
            return tf.reduce_mean(images, [1, 2])

        @tf.function(input_signature=[tf.TensorSpec((None, 224, 224, 3), tf.float32)])
        def serve(self, images: Any) -> dict[str, Any]:
            return {"feature": tf.reduce_mean(images, [1, 2])}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except BackboneError as error:
        return str(error)
    return "not refused"


def program(folder: Path) -> None:
    """Everything that needs TensorFlow; run in a process of its own."""
    weights.LOCK = folder / "zoo.lock"
    arrays: dict[str, np.ndarray] = {}
    errors: dict[str, str] = {}
    told: dict[str, Any] = {}
    with from_tfhub._quiet():  # only the loader's own silence is to be judged
        import tensorflow as tf

        write: dict[str, Callable[[Any, Path, int], Path]] = {"encode": bigbigan, "call": simclr}
        places = {
            name: write[row(name).model](tf, folder / name, row(name).dim) for name in ROWS
        } | {"nameless": nameless(tf, folder / "nameless")}

    def local(name: str, /, **change: Any) -> Backbone:
        return replace(row(name), **{"weights": str(places[name]), **change})

    for name in ROWS:
        encode = from_tfhub.load(local(name), "cpu")
        images = pictures(row(name).input.size)
        arrays[name] = encode(images)
        told[f"{name} alone"] = bool((encode(images[1:2]) == arrays[name][1:2]).all())
    told["torch"] = "torch" in sys.modules
    told["tensorflow_hub"] = "tensorflow_hub" in sys.modules
    arrays["none"] = encode(images[:0])
    served = local(
        "simclr2_resnet50",
        name="served",
        weights=str(places["nameless"]),
        model="serving_default",
        options={},
        output="feature",
        dim=3,
    )
    arrays["served"] = from_tfhub.load(served, "cpu")(pictures(224))

    mine = local("bigbigan_resnet50")
    simclr2 = local("simclr2_resnet50")
    refused = {
        "the latent": (replace(mine, output="default"), "cpu"),
        "no output": (replace(mine, output=""), "cpu"),
        "a misspelt output": (replace(mine, output="avgpool_feat"), "cpu"),
        "a misspelt signature": (replace(mine, model="encoder"), "cpu"),
        "a call of TensorFlow 1": (replace(mine, model="call"), "cpu"),
        "options for a signature": (replace(mine, options={"trainable": False}), "cpu"),
        "the logits": (replace(simclr2, output="logits_sup"), "cpu"),
        "a map of features": (replace(simclr2, output="initial_conv"), "cpu"),
        "an unknown option": (replace(simclr2, options={"training": False}), "cpu"),
        "pictures too large": (replace(simclr2, input=mine.input), "cpu"),
        "a nameless tensor": (replace(served, model="call"), "cpu"),
        "no GPU": (mine, "cuda:7"),
        "no such device": (mine, "tpu"),
    }
    for title, (backbone, device) in refused.items():
        errors[title] = refusal(lambda b=backbone, d=device: from_tfhub.load(b, d))
    errors["a wrong size"] = refusal(lambda: encode(pictures(96)))
    (places["nameless"] / "saved_model.pb").write_bytes(b"no protocol buffer")
    damaged = replace(served, name="damaged")
    errors["a damaged module"] = refusal(lambda: from_tfhub.load(damaged, "cpu"))

    with from_tfhub._quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources
        import tensorflow_hub

        module = tensorflow_hub.load(str(places["bigbigan_resnet50"]))
        scaled = tf.constant(pictures(256) / 127.5 - 1, tf.float32)
        theirs = module.signatures["encode"](scaled)
        arrays["tensorflow_hub"] = theirs["avepool_feat"].numpy()
        module = tensorflow_hub.load(str(places["simclr2_resnet50"]))
        scaled = tf.constant(pictures(224) / 255, tf.float32)
        arrays["trained"] = module(scaled, trainable=True)["final_avg_pool"].numpy()
    np.savez(folder / "arrays.npz", **arrays)
    (folder / "notes.json").write_text(json.dumps({"errors": errors, "told": told}))


def on_device(folder: Path, device: str) -> None:
    """One module on a device, and what TensorFlow then sees; in a process of its own."""
    import tensorflow as tf

    weights.LOCK = folder / "zoo.lock"
    name = "simclr2_resnet50"
    found: dict[str, Any] = {"gpus": len(tf.config.list_physical_devices("GPU"))}
    if device == "cpu" or found["gpus"]:
        place = folder / name
        if not place.exists():
            done = subprocess.run(
                [sys.executable, __file__, str(place), "write"], capture_output=True, text=True
            )  # there, since what has run on a device can no longer be hidden
            assert done.returncode == 0, done.stderr
        encode = from_tfhub.load(replace(row(name), weights=str(place)), device)
        np.save(folder / f"{device}.npy", encode(pictures(224)))
        found["visible"] = len(tf.config.get_visible_devices("GPU"))
    print(json.dumps(found))


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_gives_the_features_of_the_module(device: str, tmp_path: Path) -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    found = json.loads(run(tmp_path, device).stdout)
    if device != "cpu" and not found["gpus"]:
        pytest.skip("this TensorFlow sees no GPU")
    expected = pooled(224, 0) @ projection(row("simclr2_resnet50").dim)
    np.testing.assert_allclose(np.load(tmp_path / f"{device}.npy"), expected, rtol=1e-3, atol=1e-3)
    assert found["visible"] == (found["gpus"] if device != "cpu" else 0)


def test_on_a_cpu_no_gpu_is_reserved() -> None:
    """A TensorFlow for CUDA takes the memory of every GPU that it sees, whatever it computes on."""
    hidden: list[tuple[list[str], str]] = []
    threading = SimpleNamespace(
        set_intra_op_parallelism_threads=int, set_inter_op_parallelism_threads=int
    )
    config = SimpleNamespace(
        threading=threading, set_visible_devices=lambda seen, kind: hidden.append((seen, kind))
    )
    place = from_tfhub._device(SimpleNamespace(config=config), row("simclr2_resnet50"), "cpu")
    assert place == "/CPU:0"
    assert hidden == [([], "GPU")]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_reads_its_published_module(name: str, findings: Findings) -> None:
    dim = row(name).dim
    if row(name).model == "encode":  # pixels in [-1, 1]
        expected = np.maximum(pooled(256, -1) @ projection(dim), 0)
    else:  # pixels in [0, 1]
        expected = pooled(224, 0) @ projection(dim)
    assert findings.arrays[name].dtype == np.float32
    assert findings.arrays[name].shape == (3, dim)
    np.testing.assert_allclose(findings.arrays[name], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ROWS)
def test_a_picture_gives_the_same_bytes_in_any_company(name: str, findings: Findings) -> None:
    assert findings.told[f"{name} alone"]


def test_it_agrees_with_the_library_of_tensorflow_hub(findings: Findings) -> None:
    np.testing.assert_allclose(
        findings.arrays["bigbigan_resnet50"],
        findings.arrays["tensorflow_hub"],
        rtol=1e-5,
        atol=1e-5,
    )


def test_simclr_is_not_called_in_training_mode(findings: Findings) -> None:
    found = findings.arrays["simclr2_resnet50"]
    assert np.abs(found - findings.arrays["trained"]).max() > 0.1


def test_the_latent_of_bigbigan_is_refused(findings: Findings) -> None:
    error = findings.errors["the latent"]
    assert "output 'default' is [120] a image, the row says 2048" in error
    assert "widths: avepool_feat 2048, bn_crelu_feat 4096, default 120" in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("no output", "name the output to read"),
        ("a misspelt output", "no output 'avgpool_feat'; did you mean avepool_feat?"),
        ("a misspelt signature", "no signature 'encoder'; did you mean encode?"),
        ("a call of TensorFlow 1", "cannot be called; take a signature as model: default, encode"),
        ("options for a signature", "expected one input, the images, and no options"),
        ("the logits", "output 'logits_sup' is [1000] a image, the row says 2048"),
        ("a map of features", "output 'initial_conv' is [224, 224, 3] a image"),
        ("an unknown option", "correct model, options or input"),
        ("pictures too large", "fails on a picture of 256 x 256"),
        ("a nameless tensor", "a tensor without a name; take a signature as model"),
        ("no GPU", "no device 'cuda:7', TensorFlow sees"),
        ("no such device", "no device 'tpu'; expected"),
        ("a wrong size", "expected uint8 [image, 256, 256, 3]"),
        ("a damaged module", "TensorFlow cannot load"),
    ],
)
def test_it_refuses_in_one_line(title: str, message: str, findings: Findings) -> None:
    assert message in findings.errors[title]
    assert "\n" not in findings.errors[title]


def test_a_signature_names_what_a_call_does_not(findings: Findings) -> None:
    np.testing.assert_allclose(findings.arrays["served"], pooled(224, 0), rtol=1e-4)


def test_no_pictures_give_no_vectors(findings: Findings) -> None:
    assert findings.arrays["none"].shape == (0, row(ROWS[-1]).dim)


def test_torch_is_not_loaded_beside_tensorflow(findings: Findings) -> None:
    assert not findings.told["torch"]
    assert not findings.told["tensorflow_hub"]  # nor is that one needed


def test_tensorflow_keeps_quiet(findings: Findings) -> None:
    assert findings.stderr == ""


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder]:
            program(Path(folder))
        case [folder, "write"]:
            import tensorflow

            simclr(tensorflow, Path(folder), row("simclr2_resnet50").dim)
        case [folder, device]:
            on_device(Path(folder), device)
