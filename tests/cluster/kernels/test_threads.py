"""Work on cores: in order, one thread inside of a thread, and what is left out after an error."""

import threading
from collections.abc import Iterator

import pytest

from cluster.kernels.threads import each_on_one_core, on_cores, on_one_core


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)


def test_results_come_in_order_whichever_is_first():
    second = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second.wait(20)  # so it ends after the other
        second.set()
        return number * number

    assert list(each_on_one_core(work, range(4))) == [0, 1, 4, 9]
    assert list(each_on_one_core(work, range(0))) == []


def test_work_inside_of_a_core_keeps_to_it():
    """Else threads would wait for those that wait for them."""

    def work(number: int) -> set[int]:
        inside: set[int] = set()
        on_cores(lambda start: inside.add(threading.get_ident()), range(5))
        inside.add(on_one_core(threading.get_ident))
        return inside

    assert all(len(threads) == 1 for threads in each_on_one_core(work, range(6)))


def test_an_error_is_raised_and_what_has_not_begun_is_left_out():
    done: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("the first")
        done.append(number)
        threading.Event().wait(0.05)

    found: Iterator[None] = each_on_one_core(work, range(200))
    with pytest.raises(ValueError, match="the first"):
        next(found)
    threading.Event().wait(0.2)
    assert len(done) < 100
