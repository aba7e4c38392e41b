"""A kernel is used where it is right and faster; else plain torch is."""

import sys
import time

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

    for name, broken in ((nearest3, wrong), (collect, failing)):
        with monkeypatch.context() as patch:
            patch.setattr(name, name.__name__.rpartition(".")[2], broken)
            patch.setattr(module, "_blocks", {})
            assert module.fused_blocks(device) is None


def test_without_triton_plain_torch_is_used(monkeypatch: pytest.MonkeyPatch):
    import cluster.kernels.gpu

    monkeypatch.setitem(sys.modules, "cluster.kernels.gpu.launch", None)
    monkeypatch.delattr(cluster.kernels.gpu, "launch", raising=False)
    monkeypatch.setattr(module, "_blocks", {})
    assert module.fused_blocks(torch.device("cpu")) is None


def test_the_faster_one_is_found_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_fused_wins", {})
    calls = []

    def taking(seconds: float) -> torch.Tensor:
        calls.append(seconds)
        time.sleep(seconds)
        return torch.zeros(2, 2)

    assert module.fused_is_faster(("a",), lambda: taking(0.001), lambda: taking(0.05))
    assert not module.fused_is_faster(("b",), lambda: taking(0.05), lambda: taking(0.001))
    before = len(calls)
    assert module.fused_is_faster(("a",), lambda: taking(9), lambda: taking(9))
    assert len(calls) == before
