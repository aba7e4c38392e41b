"""The state of an optimiser as named tensors, for a checkpoint without pickles.

Importing this module also unwraps some methods of torch's optimisers: torch wraps them so that its
compiler leaves them alone, and imports the compiler for that, which takes a second. `step` still
runs without gradients, as in torch.
"""

import inspect
from collections.abc import Mapping

import torch

for _name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
    setattr(torch.optim.Optimizer, _name, inspect.unwrap(getattr(torch.optim.Optimizer, _name)))
for _kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
    _kind.step = torch.no_grad()(inspect.unwrap(_kind.step))  # type: ignore[method-assign]


def named_state(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """`adam/<number of the parameter>/<name>`; nothing before the first step."""
    state = optimizer.state_dict()["state"]
    return {f"adam/{n}/{name}": tensor for n, of in state.items() for name, tensor in of.items()}


def restore(optimizer: torch.optim.Optimizer, named: Mapping[str, torch.Tensor]) -> None:
    """Load what `named_state` returned; other names are ignored."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in named.items():
        what, *place = key.split("/")
        if what == "adam":
            state.setdefault(int(place[0]), {})[place[1]] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
