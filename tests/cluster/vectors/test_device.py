"""What fits on a GPU."""

import pytest
import torch

from cluster.vectors.device import CELLS, cells_on_gpu, fits_on_gpu, rows_on_gpu
from cluster.vectors.rows import TILE

GB = 2**30


def memory(monkeypatch: pytest.MonkeyPatch, free: int, reserved: int, allocated: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated)


def test_memory_that_torch_keeps_for_itself_is_free(monkeypatch: pytest.MonkeyPatch):
    memory(monkeypatch, 1 * GB, 60 * GB, 2 * GB)
    assert fits_on_gpu(29 * GB // 4, "cuda")
    assert not fits_on_gpu(30 * GB // 4, "cuda")
    assert not fits_on_gpu(1, "cpu")


def test_arrays_of_a_step_grow_with_the_memory(monkeypatch: pytest.MonkeyPatch):
    sizes = []
    for free in (0, 1 * GB, 4 * GB, 140 * GB):
        memory(monkeypatch, free, 0, 0)
        sizes.append(cells_on_gpu("cuda:0"))
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == CELLS
    assert sizes[2] * 4 * 8 <= 4 * GB


@pytest.mark.parametrize("dim", [2, 768, 8192, 10**6])
def test_a_gpu_takes_many_rows_whatever_their_dims(dim: int):
    rows = rows_on_gpu(dim)
    assert rows % TILE == 0
    assert rows == TILE or rows * dim <= 2**28
    assert dim > 1024 or rows >= 2**17
