"""The stage embed on a GPU: ViT-B/16 of drawn weights over JPEG files, beside its two ceilings.

Those are what all cores decode, and what the engine encodes of pixels that are ready in RAM; the
bare network has its pixels on the GPU and leaves its vectors there, and is held to its operations.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from bench._alone import Row, row
from bench._gpu_timing import Clock, ceilings, once, seconds

if TYPE_CHECKING:
    from backbones import Backbone

DIFFERENT = 200  # photographs; the files are copies that differ by a comment


class Sizes(NamedTuple):
    """sample: of files that are decoded alone."""

    images: int
    sample: int
    model: str
    dim: int
    side: int
    batches: tuple[int, ...]


FULL = Sizes(20_000, 2000, "vit_base_patch16_224", 768, 224, (32, 256))
TINY = Sizes(10, 8, "test_vit", 64, 160, (2,))


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """The bare network needs timm alone, the others pydantic too."""
    with suppress(ImportError):  # of pydantic
        import backbones.cpu_torchvision  # noqa: F401  before timm, where torch is a CPU's
    import timm

    best = ceilings(device)
    bare = timm.create_model(sizes.model, pretrained=False, num_classes=0, global_pool="token")
    bare = bare.eval().requires_grad_(False)
    each = operations(bare, sizes.side)
    bare.to(device, torch.bfloat16)
    pixels = torch.randn(
        max(sizes.batches), 3, sizes.side, sizes.side, device=device, dtype=torch.bfloat16
    )
    with torch.inference_mode():
        rate = len(pixels) / seconds(partial(bare, pixels), device)
    yield row(
        f"bare {sizes.model}, bfloat16, batch {len(pixels)}", rate, "images/s", "", device,
        1 / best.seconds(each),
    )  # fmt: skip
    del bare, pixels
    yield from _ours(device, sizes, clock)


def _ours(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    from backbones import from_timm
    from backbones.engine import Whole, encoder
    from bench import embed as of_cpu
    from bench._photographs import copies

    of = untrained(sizes.model, sizes.dim, sizes.side)
    encode = encoder(from_timm.build(of, None), of, device)
    whole = Whole(from_timm.build(of, None), of).eval().requires_grad_(False)
    shape = max(sizes.batches), sizes.side, sizes.side, 3
    some = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with torch.inference_mode():
        expected = whole(torch.from_numpy(some[:8])).numpy()
    apart = np.abs(encode(some[:8]) - expected).max() / np.abs(expected).max()
    held = f"{apart:.0e} of the largest feature from float32 on a CPU"
    for size in sizes.batches:
        forward = size / seconds(partial(encode, some[:size]), device, 3)
        yield row(f"our engine, batch {size}", forward, "images/s", held, device)
        held = ""
    with TemporaryDirectory() as name, chdir(name):
        root = Path(name, "photographs")
        files: list[str] = []
        cores = of_cpu.CORES
        took = once(lambda: files.extend(copies(root, sizes.images, DIFFERENT, cores)), "cpu")
        pictures = of_cpu.listed(root, files)
        sample = of_cpu.first(pictures, sizes.sample)
        with ThreadPoolExecutor(cores) as pool:
            decode = sizes.sample / once(partial(of_cpu.decode_all, of, sample, pool), "cpu")
        said = f"on {cores} cores; {took:.2g} s to write {len(files):,} files"
        yield row("decoding alone", decode, "images/s", said)
        bound = min(decode, forward)
        number = clock.rounds(sizes.images, 1 / bound, 0.7, least=min(sizes.images, 512))
        made = f"{number:,} files" + f" of {sizes.images:,}, for want of time" * (
            number < sizes.images
        )
        taken = once(
            lambda: of_cpu.embed(
                of, encode, of_cpu.first(pictures, number), Path("out", of.name), device=device
            ),
            device,
        )
        slower = "decoding" if decode < forward else "the engine"
        said = f"bound by {slower}; {number / taken / forward:.2f} of the engine"
        yield row(f"the stage, {made}", number / taken, "images/s", said, device, bound)


def untrained(model: str, dim: int, side: int) -> "Backbone":
    """A row of the zoo, with drawn weights."""
    import backbones

    of = backbones.row("timm_vit_base_patch16_224")
    of = replace(of, name="drawn", model=model, weights="none", dim=dim)
    return replace(of, input=replace(of.input, size=side))


def operations(network: torch.nn.Module, side: int) -> float:
    """Of a forward pass of one image."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side))
    return float(counter.get_total_flops())
