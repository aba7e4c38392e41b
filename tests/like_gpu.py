"""What is meant for a GPU, on the CPU: its steps in torch, and its kernels in Triton's interpreter.

Where there is a GPU, tests of the kernels run on it instead.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from cluster.kernels.low_precision import TF32, TF32_MASK, MatmulPrecision

SWITCH = torch.backends.cuda.matmul
TF32_WAY = MatmulPrecision(2 * TF32 + TF32**2, "tf32", SWITCH)
PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm", "linear"}

# What a GPU has to have done before the CPU goes on, since it decides a shape
WAITS = {"nonzero", "tolist", "item", "unique", "unique_consecutive", "bincount", "masked_select"}


def cut(x: Any) -> Any:
    if isinstance(x, torch.Tensor) and x.dtype == torch.float32:
        return (x.contiguous().view(torch.int32) & TF32_MASK).view(torch.float32)
    return x


def on_cpu(x: Any) -> Any:
    return "cpu" if isinstance(x, str | torch.device) and str(x) == "cuda" else x


class LikeGpu(TorchFunctionMode):
    """Tensors of the CPU say that they are a GPU's, and are multiplied as the switch says."""

    products = waits = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function == torch.Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return True
        if function is torch.device:  # a name, no tensor
            return function(*args, **(kwargs or {}))
        self.waits += getattr(function, "__name__", "") in WAITS
        args = tuple(map(on_cpu, args))
        kwargs = {name: on_cpu(value) for name, value in (kwargs or {}).items()}
        if getattr(function, "__name__", "") in PRODUCTS:
            self.products += 1
            if SWITCH.fp32_precision == "tf32":
                args = tuple(map(cut, args))
        return function(*args, **kwargs)


def kernels(monkeypatch: pytest.MonkeyPatch, *, fused: bool = True) -> str:
    """The device whose tensors the fused kernels take, and make them available, or not, to what is
    meant for a GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    none = dict.fromkeys(("cpu", "cuda", "cuda:0"))
    monkeypatch.setattr("cluster.kernels.gpu.available._blocks", {} if fused else none)
    if not fused:
        return device
    pytest.importorskip("triton", reason="triton is not installed")
    if device == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("without a GPU, kernels need TRITON_INTERPRET=1")
    return device
