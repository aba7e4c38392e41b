"""A kernel is used where it is right and faster; else plain torch is."""

import sys
import time
from collections.abc import Callable
from functools import partial

import pytest
import torch
from like_gpu import kernels

import cluster.kernels.gpu.available as module


def test_a_kernel_that_fails_or_errs_is_not_used(monkeypatch: pytest.MonkeyPatch):
    device = torch.device(kernels(monkeypatch))
    assert module.fused_blocks(device) is not None
    from cluster.kernels.gpu import collect, nearest3

    right = nearest3.nearest3

    def wrong(*told: object) -> nearest3.Lowest:
        index, score = right(*told)
        return nearest3.Lowest(index.flip(2), score)

    def failing(*told: object) -> None:
        raise RuntimeError("PassManager::run failed")

    faults = (nearest3, wrong, "wrong answers"), (collect, failing, "PassManager")
    for name, broken, fault in faults:
        with monkeypatch.context() as patch:
            patch.setattr(name, name.__name__.rpartition(".")[2], broken)
            patch.setattr(module, "_blocks", {})
            with pytest.warns(UserWarning, match=f"{fault}.*plain torch"):
                assert module.fused_blocks(device) is None
            assert module.fused_blocks(device) is None  # said once


def test_without_triton_plain_torch_is_used(monkeypatch: pytest.MonkeyPatch):
    import cluster.kernels.gpu

    monkeypatch.setitem(sys.modules, "cluster.kernels.gpu.launch", None)
    monkeypatch.delattr(cluster.kernels.gpu, "launch", raising=False)
    monkeypatch.setattr(module, "_blocks", {})
    assert module.fused_blocks(torch.device("cpu")) is None


def test_the_faster_one_is_found_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_fused_wins", {})
    calls = list[float]()
    monkeypatch.setattr(time, "perf_counter", lambda: sum(calls))

    def taking(seconds: float) -> torch.Tensor:
        calls.append(seconds)
        return torch.zeros(2, 2)

    def trials(*seconds: float) -> Callable[[], tuple[module.Work, module.Work]]:
        fused, plain = (partial(taking, each) for each in seconds)
        return lambda: (fused, plain)

    assert module.fused_is_faster(("a",), trials(0.001, 0.05))
    assert not module.fused_is_faster(("b",), trials(0.05, 0.001))
    before = len(calls)
    assert module.fused_is_faster(("a",), trials(9, 9))
    assert len(calls) == before
