"""A vision transformer on a GPU: images a second by our engine, beside the network alone.

Weights are drawn and pixels are ready, so that neither files nor decoding count: bench/embed.py
measures those. Ours begins with pixels in RAM and ends with vectors in RAM; the bare network has
its pixels on the GPU and leaves its vectors there.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from bench._alone import Row, row
from bench._gpu_device import once, seconds

ROW, MODEL = "timm_vit_base_patch16_224", "vit_base_patch16_224"
BATCHES = (32, 256, 1024)


def network(
    device: str, model: str = MODEL, side: int = 224, batches: tuple[int, ...] = BATCHES
) -> Iterator[Row]:
    """Alone, as autocast multiplies and with weights of bfloat16; this needs timm alone."""
    with suppress(ImportError):  # of pydantic
        import backbones.cpu_torchvision  # noqa: F401  before timm, where torch is a CPU's
    import timm

    bare = timm.create_model(model, pretrained=False, num_classes=0, global_pool="token")
    bare = bare.eval().requires_grad_(False).to(device)
    for dtype, how in ((torch.float32, "autocast"), (torch.bfloat16, "bfloat16")):
        bare.to(dtype)
        for size in batches:
            pixels = torch.randn(size, 3, side, side, device=device, dtype=dtype)
            rate = _bare(bare, pixels, how == "autocast")
            yield row(f"bare {model}, {how}, batch {size}", rate, "images/s", device=device)


def embed(
    device: str, images: int = 8192, model: str = MODEL, dim: int = 768, side: int = 224,
    batches: tuple[int, ...] = BATCHES,
) -> Iterator[Row]:  # fmt: skip
    """By the engine, and by the stream that feeds it in the stage embed; this needs pydantic."""
    import backbones
    from backbones import from_timm
    from backbones.engine import Whole, encoder
    from backbones.stream import Reader, stream

    of = replace(backbones.row(ROW), model=model, weights="none", dim=dim)
    of = replace(of, input=replace(of.input, size=side))
    encode = encoder(from_timm.build(of, None), of, device)
    whole = Whole(from_timm.build(of, None), of).eval().requires_grad_(False)
    some = np.random.default_rng(0).integers(0, 256, (max(batches), side, side, 3), np.uint8)
    with torch.inference_mode():
        expected = whole(torch.from_numpy(some[:8])).numpy()
    apart = np.abs(encode(some[:8]) - expected).max() / np.abs(expected).max()
    held = f"{apart:.0e} of the largest feature from float32 on a CPU"
    for size in batches:
        took = seconds(partial(encode, some[:size]), device, 3)
        yield row(f"our engine, batch {size}", size / took, "images/s", held, device)
    for size in batches:
        found = stream(
            [Reader(encode, dim, device != "cpu")], lambda at: [some[at % len(some)]],
            np.arange(images), batch_size=size, workers=4, forwards=2, failure=ValueError,
        )  # fmt: skip
        took = once(partial(deque, found, 0), device)  # keeps nothing
        yield row(f"our stream, batch {size}", images / took, "images/s", device=device)


def _bare(bare: torch.nn.Module, pixels: torch.Tensor, autocast: bool) -> float:
    """Images a second."""
    kind = pixels.device.type
    with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=autocast):
        return len(pixels) / seconds(partial(bare, pixels), str(pixels.device))
