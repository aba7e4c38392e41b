"""Digests of images as text, as decisions have them."""

import numpy as np


def hex_digests(digest: np.ndarray) -> list[str]:
    """uint8 [image, byte] → a text of two signs a byte each."""
    images, size = digest.shape
    text = np.ascontiguousarray(digest).tobytes().hex()
    return [text[at : at + 2 * size] for at in range(0, 2 * size * images, 2 * size)]
