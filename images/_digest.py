"""The name that an image's content gives it: equal bytes, equal digest, wherever they lie."""

from hashlib import blake2b

import numpy as np

from images._listing import Raw

SIZE = 16


def digest(raw: Raw) -> bytes:
    """The 16 bytes of BLAKE2b of a file's bytes; of an array: its shape and dtype, then its pixels.

    The shape goes first because 2 x 8 and 4 x 4 grey pixels may be the same bytes.
    """
    made = blake2b(digest_size=SIZE)
    if isinstance(raw, np.ndarray):
        made.update(f"{raw.shape} {raw.dtype.str}\n".encode())
        raw = np.ascontiguousarray(raw).tobytes()
    made.update(raw)
    return made.digest()
