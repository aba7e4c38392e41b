"""The vectors of words by a text tower, encoded once and kept for other runs and datasets.

They lie in data/frozen/words, by the digest of the backbone's row and of the words. A killed run
goes on after its last minute.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import backbones
from pipeline.io.arrays import read_arrays, save_arrays
from pipeline.io.cell import FROZEN
from pipeline.params import StageError

AT_ONCE = 256  # words
SECONDS_BETWEEN = 60.0  # between saves


def encoded(row: backbones.Backbone, words: Sequence[str], device: str) -> np.ndarray:
    """float32 [word, dim] of `a photo of a {word}`. Raises BackboneError: the text tower cannot be
    had."""
    from backbones import text

    path = FROZEN / "words" / f"{row.name}-{_digest(row, words)}.npz"
    done = _read(path)
    if len(done) == len(words):
        return done
    tower = text.load(row, device)
    parts, at, saved = [done] if len(done) else [], len(done), time.monotonic()
    with tqdm(total=len(words), initial=at, desc=f"words {row.name}", unit="word") as bar:
        while at < len(words):
            some = words[at : at + AT_ONCE]
            parts.append(tower.encode(text.prompts(some)))
            at += len(some)
            bar.update(len(some))
            if at == len(words) or time.monotonic() - saved > SECONDS_BETWEEN:
                parts = [np.concatenate(parts)]
                save_arrays(path, {"vectors": parts[0]})
                saved = time.monotonic()
    return parts[0]


def _digest(row: backbones.Backbone, words: Sequence[str]) -> str:
    digest = hashlib.blake2b(row.digest.encode(), digest_size=8)
    digest.update("\n".join(words).encode())
    return digest.hexdigest()


def _read(path: Path) -> np.ndarray:
    try:
        return read_arrays(path)["vectors"]
    except FileNotFoundError:
        return np.empty((0, 0), np.float32)
    except (ValueError, LookupError) as error:
        raise StageError(f"{path} is damaged ({error}): remove it to encode anew") from None
