"""Text towers: what a class is called, in the space of the image embeddings.

After CLIP (Radford et al., arXiv:2103.00020), as open_clip has it: tokenizer, text transformer and
logit scale of the model whose image tower a row of the zoo is. But: a row gives images alone, so
the text tower is asked for here, by the same row and from the same file of weights.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch

from backbones import from_open_clip
from backbones.row import Backbone, BackboneError, names
from backbones.row import row as row_of
from backbones.weights import fetch, opening

_AT_ONCE = 256  # texts


class TextTower:
    """Texts in, vectors out. width: of the embedding; scale: exp(logit_scale), what cosines of
    images and texts were multiplied with when the model was trained."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self._model, self._tokenizer, self._device = model.to(device), tokenizer, device
        self.scale = float(model.logit_scale.detach().exp())
        self.width = self.encode([""]).shape[1]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [text, width], as open_clip's encode_text gives it: not scaled to length 1."""
        if not len(texts):
            return np.empty((0, self.width), np.float32)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), _AT_ONCE):
                tokens = self._tokenizer(list(texts[start : start + _AT_ONCE])).to(self._device)
                parts.append(self._model.encode_text(tokens).float().cpu().numpy())
        return np.concatenate(parts)


class Pieces(NamedTuple):
    """What a text passes, for a network that makes its own tokens (backbones.tes).

    start, end: float32 [token_width], the embeddings of [SOT] and [EOT]; position: float32
    [context, token_width]; transformer: called with [text, token, token_width] and attn_mask;
    norm: the layer norm after it; projection: float32 [token_width, width].
    """

    start: torch.Tensor
    end: torch.Tensor
    position: torch.Tensor
    transformer: torch.nn.Module
    norm: torch.nn.Module
    projection: torch.Tensor


def load(row: Backbone, device: str) -> TextTower:
    """The text tower of a row, its weights fetched and checked, on "cpu", "cuda" or "cuda:1".

    Raises BackboneError: the row has none, or weights, tokenizer or device are not to be had.
    """
    tokenizer = _tokenizer(row)
    model = model_of(row).eval().requires_grad_(False)
    context = _transformer(row, model).context_length
    _hold(row, model, tokenizer)
    try:
        return TextTower(model, partial(tokenizer, context_length=context), torch.device(device))
    except (RuntimeError, AssertionError) as error:  # torch has either for a device it lacks
        reason = " ".join(str(error).split())[:160]
        raise BackboneError(f"{row.name}: no text tower on {device!r} ({reason})") from error


def model_of(row: Backbone, *, trained: bool = True) -> torch.nn.Module:
    """open_clip's model of a row, its weights fetched and checked unless it is not to be `trained`.
    Raises BackboneError: the row has no text tower of open_clip's own, or its file does not fit."""
    _require_open_clip(row)
    with opening(row):
        model = from_open_clip.both_towers(row, fetch(row) if trained else None)
    _transformer(row, model)
    return model


def pieces_of(row: Backbone, model: torch.nn.Module) -> Pieces:
    """The parts of the text tower of `model`, open_clip's model of this row. Raises BackboneError:
    it is not read at [EOT] with a causal mask, as CLIP is, or its projection is no matrix."""
    text, tokenizer = _transformer(row, model), _tokenizer(row)
    ends = [getattr(tokenizer, name, None) for name in ("sot_token_id", "eot_token_id")]
    pool = getattr(text, "text_pool_type", None) or getattr(text, "pool_type", None)
    causal, projection = text.attn_mask is not None, text.text_projection
    plain = isinstance(projection, torch.nn.Parameter) and getattr(text, "cls_emb", None) is None
    if None in ends or pool != "argmax" or not causal or not plain:
        raise BackboneError(
            f"{row.name}: its text tower is not read at [EOT] under a causal mask, as CLIP's is; "
            f"take one of {_some('clip_', 'laion2b_', 'datacomp_')}"
        )
    _hold(row, model, tokenizer)
    start, end = (text.token_embedding.weight[token].detach() for token in ends)
    return Pieces(
        start, end, text.positional_embedding.detach(), text.transformer, text.ln_final, projection
    )


def prompts(class_names: Sequence[str]) -> list[str]:
    """A photo of a {name}, for each. But: underscores are read as spaces, which GET's code keeps
    in the names of CUB and CIFAR-100, where CLIP's tokenizer makes tokens of them."""
    return [f"a photo of a {' '.join(name.replace('_', ' ').split())}" for name in class_names]


def _require_open_clip(row: Backbone) -> None:
    if row.loader != "open_clip":
        raise BackboneError(
            f"{row.name}: loader {row.loader} has no text tower; rows that have one: {_some('')}"
        )


def _transformer(row: Backbone, model: Any) -> Any:
    """What holds token_embedding, transformer, ln_final and text_projection: open_clip's CLIP
    itself, or the TextTransformer of its CustomTextCLIP."""
    text = getattr(model, "text", model)
    if not all(hasattr(text, part) for part in ("token_embedding", "transformer", "ln_final")):
        raise BackboneError(
            f"{row.name}: the text tower of {row.model} is a {type(text).__name__}, no transformer "
            f"of open_clip's own; rows that have one: {_some('')}"
        )
    return text


def _tokenizer(row: Backbone) -> Any:
    _require_open_clip(row)
    try:
        return _of_model(row.model)
    except Exception as error:  # the hub's client and transformers each have their own
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise BackboneError(
            f"{row.name}: its tokenizer is of the Hugging Face hub and not here ({reason}); "
            f"go online once, or take a row whose tokenizer is in open_clip: {_some('clip_')}"
        ) from error


@cache
def _of_model(model: str) -> Any:
    import open_clip

    return open_clip.get_tokenizer(model)


def _hold(row: Backbone, model: torch.nn.Module, tokenizer: Any) -> None:
    """A tokenizer of more words than the table of embeddings has would be an error within torch,
    and on a GPU one without a line."""
    known, words = getattr(tokenizer, "vocab_size", 0), _transformer(row, model).vocab_size
    if known > words:
        raise BackboneError(
            f"{row.name}: its tokenizer knows {known} tokens, its text tower {words}; correct "
            "text_cfg.vocab_size in the row's options"
        )


def _some(*beginnings: str) -> str:
    having = [name for name in names() if row_of(name).loader == "open_clip"]
    return ", ".join([name for name in having if name.startswith(beginnings)][:4])
