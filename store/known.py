"""The vectors that lie in a folder already, in finished shards or in what a killed run left."""

from pathlib import Path

import numpy as np

from store.shard import Plan, Shard, shard_files, try_shard


class Known:
    """Finds stored vectors by the digest of their image, whatever their row is now."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Look through the shards of `folder` that the same encoder filled."""
        self._shards = [s for s in map(try_shard, shard_files(folder)) if s and _same(s, plan)]
        keys, places = [_key(np.empty((0, 16), np.uint8))], [np.empty((0, 2), np.int64)]
        for number, shard in enumerate(self._shards):
            stored = np.repeat(shard.done, shard.block)[: len(shard.id)]
            rows = np.flatnonzero(stored & (shard.readable == 1))
            keys.append(_key(shard.id[rows]))
            places.append(np.stack([np.full(len(rows), number), rows], axis=1))
        self._key, first = np.unique(np.concatenate(keys), return_index=True)
        self._place = np.concatenate(places)[first]
        self._dim, self._dtype = plan.dim, plan.dtype

    def vectors(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of `ids` (uint8 [image, 16]) are known: int64 [found], and [found, dim] as
        they are stored.

        A vector whose block is damaged is not known.
        """
        sound = np.zeros(len(ids), bool)
        vectors = np.empty((len(ids), self._dim), self._dtype)
        if len(self._key):
            key = _key(ids)
            at = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
            place, match = self._place[at], self._key[at] == key
            for number in np.unique(place[match, 0]).tolist():
                here = np.flatnonzero(match & (place[:, 0] == number))
                shard, rows = self._shards[number], place[here, 1]
                blocks, block_of = np.unique(rows // shard.block, return_inverse=True)
                sound[here] = shard.sound(blocks)[block_of]
                vectors[here] = shard.features[rows]
        return np.flatnonzero(sound), vectors[sound]


def _same(shard: Shard, plan: Plan) -> bool:
    encoder, dim = shard.attrs["encoder"], shard.attrs["dim"]
    return (encoder, dim, shard.features.dtype.name) == (plan.encoder, plan.dim, plan.dtype)


def _key(ids: np.ndarray) -> np.ndarray:
    # All are 16 bytes, so that S's disregard of trailing zeros cannot confuse two of them.
    return np.ascontiguousarray(ids).view("S16").ravel()
