"""Networks of form "get": an image's own feature beside that of its pseudo text.

After GET (Wang et al., arXiv:2403.09974, stage 2). Image: CLIP's ViT up to the vector before its
projection (768 wide for ViT-B/16), its last blocks trained. Text: the image embedding of CLIP as it
was, the frozen network of form "tes" behind it, and a trained linear layer to the same width.

But: both halves have length 1, so that a linear head with zeros for one of them looks at the other
alone; and the blocks before the first trained one, which both branches share, are there once, where
the original holds three CLIPs.
"""

import copy
from dataclasses import replace
from typing import Literal

import torch

from backbones import blocks, from_open_clip
from backbones.row import Backbone, BackboneError
from backbones.tes import Synthesizer, Tes, number

TrainBlocks = int | Literal["all"]


class Dual(torch.nn.Module):
    """Tokens [image, ...] → float32 [image, 2 width], image and text, each half of length 1.

    visual: tokens → class token [image, width], its last blocks trained; frozen: the same before
    any training; projection: float32 [width, projected]; widen: the trained linear layer.
    """

    projection: torch.Tensor

    def __init__(
        self,
        visual: torch.nn.Module,
        frozen: torch.nn.Module,
        projection: torch.Tensor,
        synthesizer: Synthesizer,
        seed: int,
    ) -> None:
        super().__init__()
        self.visual, self.frozen, self.synthesizer = visual, frozen, synthesizer
        self.register_buffer("projection", projection.detach().clone())
        width, projected = projection.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.widen = torch.nn.Linear(projected, width)
        self.frozen.eval().requires_grad_(False)
        self.synthesizer.eval().requires_grad_(False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            pseudo = self.synthesizer(self.frozen(tokens) @ self.projection)
        pair = self.visual(tokens), self.widen(pseudo)
        return torch.cat([torch.nn.functional.normalize(half, dim=1) for half in pair], 1)


class Get(torch.nn.Module):
    """Normalised float32 [image, 3, size, size] → [image, 2 width]."""

    def __init__(self, tes: Tes, train_blocks: TrainBlocks, seed: int) -> None:
        """tes: left as it is. Raises BackboneError: its image tower is no ViT of open_clip's own,
        or has fewer blocks."""
        super().__init__()
        tower, synthesizer = copy.deepcopy(tes.image), copy.deepcopy(tes.synthesizer)
        projection = from_open_clip.projection_of(tes.base, tower)
        tower.proj = None  # type: ignore[assignment]
        row = replace(tes.base, output="class_token", dim=projection.shape[0])
        trunk, visual = blocks.cut(row, tower, train_blocks)
        self.trunk, self._train_blocks = trunk, train_blocks
        self._trained = [name for name, p in visual.named_parameters() if p.requires_grad]
        # A part of a network knows the whole: what the trunk has is not copied with it.
        frozen = copy.deepcopy(visual, {id(shared): shared for shared in trunk.parameters()})
        self.tail = Dual(visual, frozen, projection, synthesizer, seed)
        self.eval().requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.tail(self.trunk(pixels))

    def cut(self, train_blocks: TrainBlocks) -> blocks.Cut:
        """trunk: what both branches share; tail: the rest, of which the last blocks of the image
        branch and the linear layer are trained. Raises BackboneError for another `train_blocks`
        than the network was made with."""
        if train_blocks != self._train_blocks:
            raise BackboneError(
                f"train_blocks is {train_blocks}, but this network of GET was made to train "
                f"{self._train_blocks}; write that, or start anew from the TES run"
            )
        self.eval().requires_grad_(False)
        self.tail.widen.requires_grad_(True)
        for name in self._trained:
            self.tail.visual.get_parameter(name).requires_grad_(True)
        if train_blocks == "all":
            self.tail.visual.train()
        return blocks.Cut(self.trunk, self.tail)


def start(tes: Tes, *, train_blocks: TrainBlocks, seed: int) -> Get:
    """A network to be trained, from a trained one of form "tes". Raises BackboneError."""
    return Get(tes, train_blocks, seed)


def build(row: Backbone, base: torch.nn.Module) -> Get:
    """The network of an adapted row, in which nothing but the structure is right before its file is
    loaded, strictly. base: the network of its base row, of form "tes"; options: train_blocks.
    Raises BackboneError."""
    if not isinstance(base, Tes):
        raise BackboneError(
            f"{row.name}: GET begins with a network of form tes, found {type(base).__name__}; "
            "adapt with objective tes first"
        )
    if row.output != "both":
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected both")
    blocks_trained = row.options.get("train_blocks")
    if blocks_trained not in (0, "all"):
        blocks_trained = number(row, "train_blocks")
    return Get(base, blocks_trained, 0)
