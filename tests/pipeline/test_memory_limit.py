"""The memory of all threads that decode stays within its bound."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pipeline.embedding.dark import Dark
from pipeline.embedding.memory_limit import MemoryLimit


def test_threads_never_hold_more_than_there_is():
    limit, lock, now, peak = MemoryLimit(100), threading.Lock(), 0, 0

    def work(size: int) -> None:
        nonlocal now, peak
        with limit.held(size):
            with lock:
                now += min(size, 100)
                peak = max(peak, now)
            time.sleep(1e-4)
            with lock:
                now -= min(size, 100)

    sizes = np.random.default_rng(0).choice([1, 10, 40, 99, 100, 5000], 300).tolist()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, sizes))
    assert (now, peak) == (0, 100)


def test_a_picture_larger_than_the_room_has_it_alone_and_its_turn_comes():
    limit, order = MemoryLimit(10), list[str]()
    begun = threading.Event()

    def large() -> None:
        begun.set()
        with limit.held(1000):
            order.append("large")

    def small() -> None:
        with limit.held(1):
            order.append("small")

    with ThreadPoolExecutor(2) as pool, limit.held(5):
        first = pool.submit(large)
        begun.wait()
        while not limit._queue:
            time.sleep(1e-3)
        second = pool.submit(small)
        time.sleep(0.02)
        assert order == []  # who came later does not go first, although there is limit
        done = (first, second)
    assert [one.result() for one in done] == [None, None]
    assert order == ["large", "small"]


def test_an_error_gives_the_room_back():
    limit = MemoryLimit(10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limit.held(10):
            raise ZeroDivisionError
    assert limit._taken == 0


def test_dark_pictures_of_sixteen_bits_are_counted_and_said_once():
    dark = Dark()
    for brightest in (4031, 900, 60_000, None):
        picture = Image.new("RGB", (1, 1))
        if brightest is not None:
            picture.info["brightest_of_16_bits"] = brightest
        dark.see(picture)
    assert dark.said("scans") == (
        "2 of 3 pictures with 16 bits a channel have no value above 4,031 of 65,535 and are nearly "
        "black: if 12 bits count, say depth: 12 of scans"
    )
    assert dark.said("scans") == ""
