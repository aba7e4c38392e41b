"""A small, randomly initialised CLIP in open_clip's own configuration format, as a row."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import backbones.cpu_torchvision  # noqa: F401  before open_clip
from backbones import Backbone
from backbones.row import read_row

# What a file of open_clip's model_configs holds; its custom_text is force_custom_text here.
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def facts(folder: Path, *, seed: int = 0, **options: Any) -> dict[str, Any]:
    """The facts of a row, as zoo.yaml has them, of a CLIP whose weights are written into `folder`;
    options: what is other than in CONFIG."""
    import open_clip

    chosen = {**CONFIG, **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model("ViT-B-16", **chosen)
    path = folder / f"tiny_clip_{seed}.safetensors"
    save_file(model.state_dict(), path)
    return {
        "loader": "open_clip",
        "model": "ViT-B-16",
        "weights": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "dim": chosen["embed_dim"],
        "input": {
            "size": 32, "resize": 32, "fit": "crop", "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
        },
        "output": "projected",
        "revision": 1,
        "method": "none",
        "data": "none",
        "paper": "none",
        "licence": "none",
        "source": "this repository",
        "confirmed": True,
        "options": chosen,
    }  # fmt: skip


def row_in(folder: Path, *, seed: int = 0, **options: Any) -> Backbone:
    """The row of such a CLIP."""
    return read_row("tiny_clip", facts(folder, seed=seed, **options))
