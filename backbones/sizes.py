"""A row of the zoo at another size of its pictures, or at several, of which the mean is taken.

The picture is scaled as for the row's own size, so that as much of it is seen: `resize` keeps its
ratio to `size`. At several sizes the vector is the mean of the unit vectors, at unit length again;
what preprocess gives are then the pixels of all squares, one after the other.

Networks of convolutions take any size. Transformers get their position embeddings resampled, by
timm or open_clip; those of torchvision and the modules of tfhub have one size and keep it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backbones.row import Backbone, BackboneError

if TYPE_CHECKING:
    from backbones import Encoder

LEAST = 16  # pixels: networks halve a picture four or five times
_ONE_SIZE = {"pixels": "its vector is the picture", "tfhub": "its module is of one size"}


def at_sizes(row: Backbone, sizes: str) -> Backbone:
    """The row NAME@SIZES; sizes: a number of pixels, or several joined by +. Raises BackboneError
    where they are no such numbers, or the row has one size for good."""
    each = sizes.split("+")
    found = tuple(int(size) for size in each if size.isascii() and size.isdecimal())
    if len(found) < len(each) or len(set(found)) < len(found) or min(found) < LEAST:
        raise BackboneError(
            f"{row.name}@{sizes}: expected one size in pixels, {LEAST} or more, or different ones, "
            f"such as {row.name}@160 or {row.name}@96+128+160"
        )
    if row.loader in _ONE_SIZE:
        raise BackboneError(
            f"{row.name} has no other size than {row.input.size}: {_ONE_SIZE[row.loader]}; take "
            "the size away"
        )
    largest = _at(row, max(found))
    name = f"{row.name}@{'+'.join(map(str, found))}"
    return replace(largest, name=name, sizes=found if len(found) > 1 else ())


def each_size(row: Backbone) -> Iterator[Backbone]:
    """The rows of one size each that a row of several is the mean of."""
    for size in row.sizes:
        yield replace(_at(row, size), sizes=())


def mean_of_sizes(row: Backbone, load: Callable[[Backbone], "Encoder"]) -> "Encoder":
    """The encoder of a row of several sizes: uint8 [image, pixel, 3], the squares of all sizes one
    after the other, → float32 [image, dim]. load: that of a row of one size."""
    encoders = [(one.input.size, load(one)) for one in each_size(row)]
    pixels = sum(size * size for size, _ in encoders)

    def encode(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.shape[1:] != (pixels, 3):
            raise BackboneError(
                f"{row.name}: got {images.dtype} {list(images.shape)}, expected uint8 "
                f"[image, {pixels}, 3]; make it with backbones.preprocess"
            )
        total, start = np.zeros((len(images), row.dim)), 0
        for size, one in encoders:
            squares = images[:, start : start + size * size].reshape(-1, size, size, 3)
            total += _unit(one(np.ascontiguousarray(squares)).astype(np.float64))
            start += size * size
        return _unit(total).astype(np.float32)

    return encode


def fit_size(row: Backbone, network: Any) -> Any:
    """A network of timm, weights in, for pictures of the row's size. Raises BackboneError where it
    takes no other than its own."""
    size = row.input.size
    patches: Any = getattr(network, "patch_embed", None)
    own = getattr(patches, "img_size", None)
    if "@" not in row.name or own is None or own == (size, size):
        return network  # convolutions, or a row that says all there is to say
    patch = max(patches.patch_size)
    if size % patch:
        near = [down for down in (size // patch * patch, -(-size // patch) * patch) if down]
        raise BackboneError(
            f"{row.name}: {size} pixels are no multiple of its patches of {patch}; take "
            f"{' or '.join(map(str, near))}"
        )
    if getattr(network, "dynamic_img_size", False):
        return network
    if not hasattr(network, "set_input_size"):
        raise BackboneError(
            f"{row.name}: {row.model} takes pictures of {own[0]} pixels only; take the size away"
        )
    network.set_input_size(img_size=(size, size))
    return network


def _at(row: Backbone, size: int) -> Backbone:
    resize = round(row.input.resize * size / row.input.size)
    return replace(row, input=replace(row.input, size=size, resize=resize))


def _unit(x: np.ndarray) -> np.ndarray:
    """At length 1; a vector of zeros stays."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
