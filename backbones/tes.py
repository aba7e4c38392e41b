"""Networks of form "tes": an image says of itself what its caption might.

After GET's text embedding synthesizer (Wang et al., arXiv:2403.09974, stage 1). The image embedding
of a frozen CLIP passes one trained linear layer, which makes words of it: pseudo tokens. [SOT], the
words and [EOT] pass the frozen text transformer, and what stands at [EOT], projected, is the pseudo
text embedding, in the space of image and text embeddings.

But: each half of the vector, image and text, has length 1, so that both count alike in whatever is
made of the two; and of the table of tokens just [SOT] and [EOT] are kept, and of the positions just
those in use, so that a file of this network is smaller than CLIP's own.
"""

from typing import Any, Literal

import torch

from backbones import blocks, text
from backbones.row import Backbone, BackboneError, base_of

OUTPUTS = ("both", "image", "text")


class PseudoText(torch.nn.Module):
    """The frozen text tower behind words of the network's own making: float32 [image, word,
    token_width] → [image, width]."""

    start: torch.Tensor
    end: torch.Tensor
    position: torch.Tensor
    projection: torch.Tensor
    mask: torch.Tensor

    def __init__(self, pieces: text.Pieces, n_words: int) -> None:
        super().__init__()
        length = n_words + 2
        self.transformer, self.norm = pieces.transformer, pieces.norm
        self.register_buffer("start", pieces.start.clone())
        self.register_buffer("end", pieces.end.clone())
        self.register_buffer("position", pieces.position[:length].clone())
        self.register_buffer("projection", pieces.projection.detach().clone())
        later = torch.full((length, length), -torch.inf).triu(1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        shape = len(words), 1, -1
        tokens = torch.cat([self.start.expand(shape), words, self.end.expand(shape)], 1)
        tokens = self.transformer(tokens + self.position, attn_mask=self.mask)
        return self.norm(tokens[:, -1]) @ self.projection


class Synthesizer(torch.nn.Module):
    """Image embedding float32 [image, width] → pseudo text embedding [image, width], no length
    changed. The layer `words` alone is trained."""

    def __init__(self, pseudo: PseudoText, width: int, n_words: int, seed: int) -> None:
        super().__init__()
        self.pseudo, self._shape = pseudo, (n_words, len(pseudo.start))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.words = torch.nn.Linear(width, n_words * len(pseudo.start))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.pseudo(self.words(image).unflatten(1, self._shape))


class _Tail(torch.nn.Module):
    """Image embedding → what `output` says."""

    def __init__(self, synthesizer: Synthesizer, output: str) -> None:
        super().__init__()
        self.synthesizer, self._output = synthesizer, output

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        halves = []
        if self._output != "text":
            halves.append(torch.nn.functional.normalize(image, dim=1))
        if self._output != "image":
            halves.append(torch.nn.functional.normalize(self.synthesizer(image), dim=1))
        return torch.cat(halves, 1)


class Tes(torch.nn.Module):
    """Normalised float32 [image, 3, size, size] → [image, 2 width], image and pseudo text, each
    half of length 1; or [image, width], the half that `output` names. base: the open_clip row."""

    def __init__(
        self, base: Backbone, image: torch.nn.Module, synthesizer: Synthesizer, output: str
    ) -> None:
        super().__init__()
        self.base, self.image, self.tail = base, image, _Tail(synthesizer, output)
        self.eval().requires_grad_(False)

    @property
    def synthesizer(self) -> Synthesizer:
        return self.tail.synthesizer

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.tail(self.image(pixels))

    def cut(self, train_blocks: int | Literal["all"]) -> blocks.Cut:
        """trunk: the image tower, [image, width]; tail: the rest, of which the linear layer is
        trained. Raises BackboneError for any `train_blocks` but 0."""
        if train_blocks != 0:
            raise BackboneError(
                f"train_blocks is {train_blocks}, but TES keeps all of CLIP frozen; write 0"
            )
        self.eval().requires_grad_(False)
        self.synthesizer.words.requires_grad_(True)
        return blocks.Cut(self.image, self.tail)


def start(row: Backbone, *, n_words: int, seed: int) -> Tes:
    """A network to be trained, from the weights of an open_clip row; GET has 7 words. Raises
    BackboneError: the row has no such text tower, its weights are not to be had, or its output is
    not the embedding that meets the text's."""
    _require_projected(row)
    return _made(row, text.model_of(row), None, n_words, seed, "both")


def build(row: Backbone, base: torch.nn.Module) -> Tes:
    """The network of an adapted row, in which nothing but the structure is right before its file is
    loaded, strictly. base: the image tower of its base row, [image, width]; options: base, the
    facts of that row, an open_clip one, and n_words. Raises BackboneError."""
    if row.output not in OUTPUTS:
        raise BackboneError(f"{row.name}: no output {row.output!r}; expected {', '.join(OUTPUTS)}")
    under, n_words = base_of(row), number(row, "n_words")
    _require_projected(under)
    return _made(under, text.model_of(under, trained=False), base, n_words, 0, row.output)


def number(row: Backbone, option: str) -> int:
    """A whole number from 1 on among the options of an adapted row."""
    found = row.options.get(option)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise BackboneError(
            f"{row.name}: options.{option} is {found!r}, expected a whole number from 1 on"
        )
    return found


def _made(
    row: Backbone,
    model: Any,
    image: torch.nn.Module | None,
    n_words: int,
    seed: int,
    output: str,
) -> Tes:
    pieces = text.pieces_of(row, model)
    longest = len(pieces.position) - 2
    if not 1 <= n_words <= longest:
        raise BackboneError(
            f"{row.name}: {n_words} pseudo tokens, but its text tower reads texts of 1 to {longest}"
        )
    synthesizer = Synthesizer(PseudoText(pieces, n_words), row.dim, n_words, seed)
    return Tes(row, model.visual if image is None else image, synthesizer, output)


def _require_projected(row: Backbone) -> None:
    if row.output != "projected":
        raise BackboneError(
            f"{row.name}: TES begins with the image embedding of a CLIP that meets the text's, and "
            f"this row's output is {row.output}; take a CLIP of output projected"
        )
