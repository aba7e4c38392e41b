"""From pictures to vectors at the pace of the slower of the two: decoding, forward passes and what
the caller does with the result all overlap, with a bounded number of pictures under way. Several
backbones may look at the same picture."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from backbones import Encoder

PIECE = 4  # pictures that a thread decodes in one go: few, so that all threads end together

Item = TypeVar("Item")
Result = TypeVar("Result")
Seen = Sequence[np.ndarray | None]  # a picture, as uint8 [side, side, 3] for each reader


class Reader(NamedTuple):
    """An encoder with the width of its vectors. `padded`: it is given batches of one shape only,
    the last one filled up, because equal shapes make equal bytes on a GPU. A CPU takes each picture
    alone, so there it would only cost time."""

    encoder: Encoder
    dim: int
    padded: bool


class Batch(NamedTuple):
    """rows: int64 [image]; vectors: float32 [image, dim] for each reader, 0 where it was given no
    picture; failures: row → the exception; and the seconds that one thread spent on each part."""

    rows: np.ndarray
    vectors: list[np.ndarray]
    failures: dict[int, Exception]
    decode_seconds: float
    forward_seconds: float


class _Decoded(NamedTuple):
    rows: np.ndarray
    seen: dict[int, Seen]  # by the place in `rows`
    failures: dict[int, Exception]
    seconds: float


def stream(
    readers: Sequence[Reader],
    picture: Callable[[int], Seen],
    rows: np.ndarray,
    *,
    batch_size: int,
    workers: int,
    forwards: int,
    failure: type[Exception],
) -> Iterator[Batch]:
    """Encode `picture(row)` for all `rows` (int64 [image]), in order, by every reader for which it
    is not None.

    `workers` threads decode (Pillow lets go of Python's lock), `forwards` threads call the
    encoders: more than one, so that there is always a next batch. An exception of type `failure`
    from `picture` is kept beside its row; any other ends the stream.
    """

    def decode(at: np.ndarray) -> _Decoded:
        start = time.perf_counter()
        found = _Decoded(at, {}, {}, 0.0)
        for place, row in enumerate(at.tolist()):
            try:
                found.seen[place] = picture(row)
            except failure as error:
                found.failures[row] = error
        return found._replace(seconds=time.perf_counter() - start)

    def encode(batch: _Decoded) -> Batch:
        start = time.perf_counter()
        size = len(batch.rows)
        vectors = [
            _encoded(
                reader, {at: seen[number] for at, seen in batch.seen.items()}, size, batch_size
            )
            for number, reader in enumerate(readers)
        ]
        seconds = time.perf_counter() - start
        return Batch(batch.rows, vectors, batch.failures, batch.seconds, seconds)

    pieces = [
        rows[low : min(low + PIECE, start + batch_size)]
        for start in range(0, len(rows), batch_size)
        for low in range(start, min(start + batch_size, len(rows)), PIECE)
    ]
    with ThreadPoolExecutor(workers) as decoders, ThreadPoolExecutor(forwards) as encoders:
        decoded = _ahead(decoders, decode, pieces, workers + -(-batch_size // PIECE))
        yield from _ahead(encoders, encode, _batches(decoded, batch_size), forwards)


def _encoded(
    reader: Reader, pictures: dict[int, np.ndarray | None], size: int, batch_size: int
) -> np.ndarray:
    """The vectors of those `pictures` that are there, at their places among `size`."""
    vectors = np.zeros((size, reader.dim), np.float32)
    given = {at: pixels for at, pixels in pictures.items() if pixels is not None}
    if given:
        places, pixels = list(given), np.stack(list(given.values()))
        if reader.padded:
            blank = np.zeros((batch_size - len(pixels), *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, blank])
        vectors[places] = reader.encoder(pixels)[: len(places)]
    return vectors


def _batches(pieces: Iterable[_Decoded], batch_size: int) -> Iterator[_Decoded]:
    """Pieces joined; none of them reaches over the end of a batch."""
    waiting: list[_Decoded] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(len(piece.rows) for piece in waiting) == batch_size:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(pieces: list[_Decoded]) -> _Decoded:
    seen, failures, start = dict[int, Seen](), dict[int, Exception](), 0
    for piece in pieces:
        seen |= {start + place: pixels for place, pixels in piece.seen.items()}
        failures |= piece.failures
        start += len(piece.rows)
    rows = np.concatenate([piece.rows for piece in pieces])
    return _Decoded(rows, seen, failures, sum(piece.seconds for piece in pieces))


def _ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], depth: int
) -> Iterator[Result]:
    """The results of `work` in order, with up to `depth` items under way. When `items` ends in an
    error, what is begun already comes first."""
    pending: deque[Future[Result]] = deque()
    waiting = iter(items)
    try:
        while True:
            try:
                item = next(waiting)
            except StopIteration:
                break
            except BaseException:
                while pending and not pending[0].cancel():
                    yield pending.popleft().result()
                raise
            pending.append(pool.submit(work, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # an error further down: do not start what was only planned
        for future in pending:
            future.cancel()
