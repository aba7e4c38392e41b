"""From pictures to vectors: order, batches, several readers, failures."""

import threading

import numpy as np
import pytest

from backbones.stream import Batch, Reader, stream

SIDE = 2


class Broken(Exception):
    """What a picture that cannot be read raises."""


class Mean:
    """An encoder of one dim, which keeps the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[int] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.shapes.append(len(images))
        return images.reshape(len(images), -1).mean(axis=1, keepdims=True, dtype=np.float32)


def picture(row: int) -> list[np.ndarray | None]:
    """Of the brightness of its number; every third is broken, the second reader has odd ones."""
    if row % 3 == 0:
        raise Broken
    pixels = np.full((SIDE, SIDE, 3), row, np.uint8)
    return [pixels, pixels if row % 2 else None]


def run(readers: list[Reader], rows: np.ndarray, **settings: int) -> list[Batch]:
    asked = {"batch_size": 10, "workers": 3, "forwards": 2, **settings}
    return list(stream(readers, picture, rows, failure=Broken, **asked))


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
def test_rows_come_in_order_with_their_vectors(batch_size: int, workers: int):
    rows = np.arange(47)[::-1]
    readers = [Reader(Mean(), 1, padded) for padded in (False, True)]
    batches = run(readers, rows, batch_size=batch_size, workers=workers)
    assert [len(batch.rows) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate([batch.rows for batch in batches]), rows)
    first, second = (np.concatenate([b.vectors[at] for b in batches])[:, 0] for at in (0, 1))
    readable = rows % 3 != 0
    np.testing.assert_array_equal(first, np.where(readable, rows, 0))
    np.testing.assert_array_equal(second, np.where(readable & (rows % 2 == 1), rows, 0))
    failed = [row for batch in batches for row in batch.failures]
    assert failed == rows[~readable].tolist()


def test_only_a_padded_reader_is_given_more_than_its_pictures():
    alone, padded = Mean(), Mean()
    run([Reader(alone, 1, False), Reader(padded, 1, True)], np.arange(25))
    assert sum(alone.shapes) == 16
    assert set(padded.shapes) == {10}


def test_nothing_to_show_is_shown_to_nobody():
    reader = Mean()
    assert len(run([Reader(reader, 1, True)], np.array([0, 3, 6]))) == 1
    assert run([Reader(reader, 1, True)], np.array([], int)) == []
    assert reader.shapes == []


def test_what_was_encoded_before_an_error_is_delivered():
    begun = threading.Event()

    def stopping(row: int) -> list[np.ndarray | None]:
        if row == 20:
            assert begun.wait(600)
            raise KeyboardInterrupt
        return [np.zeros((SIDE, SIDE, 3), np.uint8)]

    def encode(images: np.ndarray) -> np.ndarray:
        begun.set()
        return np.zeros((len(images), 1), np.float32)

    batches = stream(
        [Reader(encode, 1, False)], stopping, np.arange(40),
        batch_size=10, workers=1, forwards=2, failure=Broken,
    )  # fmt: skip
    assert next(batches).rows.tolist() == list(range(10))
    with pytest.raises(KeyboardInterrupt):
        list(batches)
