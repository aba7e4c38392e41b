"""What is remembered of files that were read: the digest of each, by its name, size, times, inode.

It lies beside the index, in no out of a stage: times are this machine's. It saves time alone, so
what is damaged is forgotten. What a run has read is kept on the way, too: a stopped one goes on.
"""

import json
import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

import store
from cluster.scratch import scratch_array, taken

Spec = Mapping[str, Any]  # a dataset's description, as under `datasets` in params.yaml

# The hash is of a name and what `images.stat_images` says of its file: 16 bytes, as two numbers, of
# which the first sorts. ENTRY is one that is kept on the way, HEAD stands before some of them.
ENTRY = np.dtype([("hash", "<u8", 2), ("digest", "u1", 16)])
HEAD = struct.Struct("<II")  # number of entries, their crc32


def hash_of(name: str, stat: tuple[int, ...]) -> bytes:
    """The 16 bytes by which a file's digest is found."""
    return blake2b(f"{name}\0{stat}".encode(), digest_size=16).digest()


class Seen:
    """What an earlier run wrote to `path` of an equal `spec`, and what one that was stopped left
    beside it. Many entries lie on the disk, mapped, sorted by their hash."""

    def __init__(self, path: Path, spec: Spec) -> None:
        self._path, self._part = path, path.with_suffix(".part")
        self._spec = json.dumps(dict(spec), sort_keys=True)
        entries, self._length = self._of_a_stopped_run()
        self._tables = [*self._written(), _sorted(entries["hash"], entries["digest"])]

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which files (uint64 [file, 2]) are known, bool [file], and the digest of each one that
        is, uint8 [file, 16]."""
        found, digest = np.zeros(len(hashes), bool), np.zeros((len(hashes), 16), np.uint8)
        for first, second, digests in self._tables:
            if len(first):
                at = np.minimum(np.searchsorted(first, hashes[:, 0]), len(first) - 1)
                here = (first[at] == hashes[:, 0]) & (second[at] == hashes[:, 1])
                found |= here
                digest[here] = digests[at[here]]
        return found, digest

    def keep(self, hashes: np.ndarray, digests: np.ndarray) -> None:
        """Keep some that were read now, for the case that this run is stopped."""
        entries = np.empty(len(hashes), ENTRY)
        entries["hash"], entries["digest"] = hashes, digests
        data = entries.tobytes()
        with suppress(OSError):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("r+b" if self._part.exists() else "w+b") as file:
                # Another run may have removed what was here
                file.seek(self._length if file.seek(0, os.SEEK_END) >= self._length else 0)
                file.write(HEAD.pack(len(entries), self._checksum(data)) + data)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
                self._length = file.tell()

    def save(self, hashes: np.ndarray, digests: np.ndarray) -> None:
        """Remember these files alone, those that were known among them."""
        first, second, digest = _sorted(hashes, digests)
        arrays = {"first": first, "second": second, "digest": digest}
        store.save(self._path, "seen", arrays, {"spec": self._spec})
        self._part.unlink(missing_ok=True)

    def _written(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        try:
            with store.read(self._path, "seen") as file:
                if file.attrs["spec"] != self._spec:
                    return []  # what is read of a file may hang on it
                first, second, digest = (file.mapped(n) for n in ("first", "second", "digest"))
        except (OSError, store.StoreError):
            return []
        return [(first, second, digest)] if len(first) == len(second) == len(digest) else []

    def _of_a_stopped_run(self) -> tuple[np.ndarray, int]:
        """The entries that it kept, as far as they are whole, and how far that is in the file."""
        places, end, nothing = list[tuple[int, int]](), 0, np.empty(0, ENTRY)
        try:
            with self._part.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                while len(head := file.read(HEAD.size)) == HEAD.size:
                    (count, crc), at = HEAD.unpack(head), file.tell()
                    if at + count * ENTRY.itemsize > size:
                        break
                    if self._checksum(file.read(count * ENTRY.itemsize)) != crc:
                        break
                    places.append((at, count))
                    end = file.tell()
                out, done = scratch_array(sum(count for _, count in places), ENTRY), 0
                for at, count in places:
                    file.seek(at)
                    some = np.fromfile(file, ENTRY, count)
                    if len(some) < count:  # another run has shortened it
                        return nothing, 0
                    out[done : done + count] = some
                    done += count
                return out, end
        except OSError:
            return nothing, 0

    def _checksum(self, data: bytes) -> int:
        return zlib.crc32(data, zlib.crc32(self._spec.encode()))


def _sorted(hashes: np.ndarray, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two numbers of each hash and its digest, by the hash. Sorting takes 16 bytes an entry."""
    order = np.argsort(hashes[:, 0], kind="stable")
    return taken(hashes[:, 0], order), taken(hashes[:, 1], order), taken(digests, order)
