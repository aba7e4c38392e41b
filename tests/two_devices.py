"""A CPU that passes for two devices: tensors remember whether they are a GPU's, and do not mix.

What a GPU refuses is refused here: an operation on tensors of both devices, and numpy() of a GPU's.
As in torch, scalar tensors of the CPU may take part in anything, and CPU indices select from a
GPU's tensor.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
FACTS = {"__get__", "__set__", "__repr__", "__len__", "__hash__", "size", "dim", "numel", "stride"}
FACTS |= {"is_contiguous", "is_floating_point", "element_size", "data_ptr"}
INDEXING = {"__getitem__", "__setitem__"}


def on_gpu(x: torch.Tensor) -> bool:
    return getattr(x, "_on_gpu", False)


def mark(found: Any, gpu: bool) -> Any:
    """Remember the device of all tensors in what a function returned."""
    for x in tree_leaves(found):
        if type(x) is torch.Tensor:
            x._on_gpu = gpu  # type: ignore[attr-defined]
    return found


def names_gpu(x: Any) -> bool:
    return isinstance(x, str | torch.device) and str(x).startswith("cuda")


class TwoDevices(TorchFunctionMode):
    """Inside, tensors made on or moved to "cuda" are a GPU's, and stay on the CPU."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(function, "__name__", "")
        if function == torch.Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return on_gpu(args[0])
        if function == torch.Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if on_gpu(args[0]) else torch.device("cpu")
        if function is torch.device:  # a name, no tensor
            return function(*args, **kwargs)
        if name in FACTS:  # properties such as x.T are tensors
            return mark(function(*args, **kwargs), on_gpu(args[0]))
        gpu = self._device_of_result(name, args, kwargs)
        told, named = tree_map(lambda x: "cpu" if names_gpu(x) else x, (args, kwargs))
        found = function(*told, **named)
        if args and found is args[0] and on_gpu(found) != gpu:
            found = found.clone()  # moved, which on one device it was not
        return mark(found, gpu)

    def _device_of_result(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        asked = [kwargs.get("device"), *(args[1:] if name == "to" else ())]
        asked = [each for each in asked if isinstance(each, str | torch.device)]
        if asked:
            return names_gpu(asked[0])
        if name in ("cpu", "from_numpy"):
            return False
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if not tensors:
            return False
        first = on_gpu(tensors[0])
        if name == "numpy":
            assert not first, "numpy() of a tensor on a GPU"
        if name in INDEXING:
            index = [x for x in tree_leaves(args[1]) if isinstance(x, torch.Tensor)]
            assert first or not any(map(on_gpu, index)), "a GPU's index into a tensor of the CPU"
            if index and name == "__setitem__" and isinstance(args[2], torch.Tensor):
                assert not args[2].dim() or on_gpu(args[2]) == first, "values of another device"
            return first
        if name == "copy_":
            return first
        devices = {on_gpu(x) for x in tensors if x.dim() or on_gpu(x)} or {False}
        assert len(devices) == 1, f"{name} of tensors on two devices"
        return devices.pop()
