"""The vectors that lie in a folder already, in finished shards or in what a killed run left."""

from pathlib import Path

import numpy as np

from store.errors import StoreError
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

    def vectors(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of `ids` (uint8 [image, 16]) are known: int64 [found], and float16 [found, dim].

        A vector whose block is damaged is not known.
        """
        if not len(self._key):
            return np.empty(0, np.int64), np.empty((0, 0), np.float16)
        key = _key(ids)
        at = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
        found = np.flatnonzero(self._key[at] == key)
        place = self._place[at[found]]
        sound = np.array([self._sound(shard, row) for shard, row in place.tolist()], bool)
        found, place = found[sound], place[sound]
        vectors = np.empty((len(found), self._shards[0].features.shape[1]), np.float16)
        for number in np.unique(place[:, 0]):
            here = place[:, 0] == number
            vectors[here] = self._shards[number].features[place[here, 1]]
        return found, vectors

    def _sound(self, shard: int, row: int) -> bool:
        try:
            self._shards[shard].check(np.array([row]))
        except StoreError:
            return False
        return True


def _same(shard: Shard, plan: Plan) -> bool:
    return (shard.attrs["encoder"], shard.attrs["dim"]) == (plan.encoder, plan.dim)


def _key(ids: np.ndarray) -> np.ndarray:
    # All are 16 bytes, so that S's disregard of trailing zeros cannot confuse two of them.
    return np.ascontiguousarray(ids).view("S16").ravel()
