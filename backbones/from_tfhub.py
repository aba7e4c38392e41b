"""Modules of TensorFlow Hub and other SavedModels, of TensorFlow 1 or 2: SimCLR, BigBiGAN.

After tensorflow_hub.KerasLayer. But: the output is always named by the row (see named_output), the
module need not come from a hub, one picture gives the same bytes in any company, and TensorFlow
keeps quiet. Torch is never loaded here.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from backbones import Encoder
from backbones.named_output import Read, read_output
from backbones.row import ZOO, Backbone, BackboneError
from backbones.saved_models import fetch


def load(row: Backbone, device: str) -> Encoder:
    """See backbones.load. `row.weights` may also be a local folder that holds a saved_model.pb."""
    if not row.output or row.output == "none":
        raise BackboneError(f"{row.name}: name the output to read in {ZOO.name}; none is assumed")
    folder = fetch(row)
    with _quiet():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        place = _device(tf, row, device)
        with tf.device(place):
            return _encoder(tf, read_output(tf, row, folder), row, place)


def _encoder(tf: Any, read: Read, row: Backbone, place: str) -> Encoder:
    size = row.input.size
    mean, std = np.array(row.input.mean, np.float32), np.array(row.input.std, np.float32)

    # autograph off: it would rewrite these functions and wrap every exception of theirs.
    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
    def whole(images: Any) -> Any:
        return tf.cast(read((tf.cast(images, tf.float32) / 255 - mean) / std), tf.float32)

    def forward(images: np.ndarray) -> np.ndarray:
        with tf.device(place):
            return whole(images).numpy()

    # On a CPU each image alone on one thread, so that neither its neighbours nor the number of
    # threads reach its arithmetic: equal picture, equal bytes. On a GPU the batch as it comes.
    pool = ThreadPoolExecutor(_cores(), thread_name_prefix="encode")
    alone = place.startswith("/CPU")

    def encode(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
            raise BackboneError(
                f"{row.name}: got {images.dtype} {list(images.shape)}, expected uint8 "
                f"[image, {size}, {size}, 3]; make it with backbones.preprocess"
            )
        if not len(images):
            return np.empty((0, row.dim), np.float32)
        return np.concatenate(
            list(pool.map(forward, np.array_split(images, len(images) if alone else 1)))
        )

    try:
        found = encode(np.zeros((1, size, size, 3), np.uint8)).shape
    except (tf.errors.OpError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise BackboneError(
            f"{row.name}: the module fails on a picture of {size} x {size} ({reason}); correct "
            f"model, options or input in {ZOO.name}"
        ) from error
    if found != (1, row.dim):
        raise BackboneError(
            f"{row.name}: output {row.output!r} gives {list(found)[1:]} a image, the row says "
            f"{row.dim}; correct output or dim in {ZOO.name}"
        )
    return encode


def _device(tf: Any, row: Backbone, device: str) -> str:
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise BackboneError(f'{row.name}: no device {device!r}; expected "cpu", "cuda" or "cuda:1"')
    if kind == "cpu":
        with contextlib.suppress(RuntimeError):  # too late where TensorFlow has run before
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(_cores())
            tf.config.set_visible_devices([], "GPU")  # else it reserves the memory of each
        return "/CPU:0"
    gpus = tf.config.get_visible_devices("GPU")
    if int(index or 0) >= len(gpus):
        raise BackboneError(
            f"{row.name}: no device {device!r}, TensorFlow sees {len(gpus)} GPUs; take cpu"
        )
    with contextlib.suppress(RuntimeError):  # already in use, so already set
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    # On a GPU some kernels sum in any order unless told not to; random ops then need a seed.
    tf.random.set_seed(0)
    tf.config.experimental.enable_op_determinism()
    return f"/GPU:{index or 0}"


def _cores() -> int:
    granted = getattr(os, "sched_getaffinity", None)  # Linux: what this process may use
    return len(granted(0)) if granted else os.cpu_count() or 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TensorFlow greets on stderr from C++, before any of its own switches is read; so the stream
    itself is set aside while it is loaded. Exceptions still come through."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
