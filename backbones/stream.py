"""From pictures to vectors at the pace of the slower of the two: decoding, forward passes and what
the caller does with the result all overlap, with a bounded number of batches under way."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from backbones import Encoder

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batch(NamedTuple):
    """rows: int64 [image]; vectors: float32 [image, dim], of no meaning where a picture failed;
    failures: row → the exception; and the seconds that one thread spent on each part."""

    rows: np.ndarray
    vectors: np.ndarray
    failures: dict[int, Exception]
    decode_seconds: float
    forward_seconds: float


class _Pixels(NamedTuple):
    rows: np.ndarray
    pixels: np.ndarray
    failures: dict[int, Exception]
    seconds: float


def stream(
    encoder: Encoder,
    picture: Callable[[int], np.ndarray],
    rows: np.ndarray,
    *,
    side: int,
    batch_size: int,
    workers: int,
    forwards: int,
    failure: type[Exception],
) -> Iterator[Batch]:
    """Encode `picture(row)` (uint8 [side, side, 3]) for all `rows` (int64 [image]), in order.

    `workers` threads decode (Pillow lets go of Python's lock), `forwards` threads call the encoder:
    one on a CPU, two on a GPU, whose queue then never runs dry. An exception of type `failure` from
    `picture` is kept beside its row; any other ends the stream. Every batch has the same shape, the
    last one padded: equal shapes make equal bytes, whatever was embedded before.
    """

    def decode(at: np.ndarray) -> _Pixels:
        start = time.perf_counter()
        failures: dict[int, Exception] = {}
        pixels = np.zeros((batch_size, side, side, 3), np.uint8)
        for i, row in enumerate(at.tolist()):
            try:
                pixels[i] = picture(row)
            except failure as error:
                failures[row] = error
        return _Pixels(at, pixels, failures, time.perf_counter() - start)

    def encode(batch: _Pixels) -> Batch:
        start = time.perf_counter()
        vectors = encoder(batch.pixels)[: len(batch.rows)]
        seconds = time.perf_counter() - start
        return Batch(batch.rows, vectors, batch.failures, batch.seconds, seconds)

    batches = (rows[low : low + batch_size] for low in range(0, len(rows), batch_size))
    with ThreadPoolExecutor(workers) as decoders, ThreadPoolExecutor(forwards) as encoders:
        decoded = _ahead(decoders, decode, batches, workers + 1)
        yield from _ahead(encoders, encode, decoded, forwards)


def _ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], depth: int
) -> Iterator[Result]:
    """The results of `work` in order, with up to `depth` items under way."""
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # an error further down: do not start what was only planned
        for future in pending:
            future.cancel()
