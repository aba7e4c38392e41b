"""All that changes while a backbone trains, as named arrays: for a checkpoint, and for the epoch
that is kept."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.training import State
from cluster.objectives import Objective
from pipeline.adapting.model import Model
from pipeline.adapting.settings import Run
from pipeline.io.whole import whole_text

MOMENTUM = 0.9


class Told(NamedTuple):
    """Of each epoch: steps made so far, the mean loss, and that of its parts, by name."""

    columns: list[str]
    rows: np.ndarray  # float64 [epoch, column]

    def write(self, path: Path) -> None:
        """A table for `dvc plots`."""
        with whole_text(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", "step", *self.columns])
            for epoch, (step, *means) in enumerate(self.rows.tolist(), 1):
                writer.writerow([epoch, int(step), *(f"{mean:.6g}" for mean in means)])


def optimizer_of(model: Model, run: Run) -> torch.optim.Optimizer:
    """Of all parameters that require a gradient."""
    groups = []
    for part, share in ((model.tail, run.blocks_lr), (model.heads, 1.0)):
        learns = [parameter for parameter in part.parameters() if parameter.requires_grad]
        groups += [  # biases and norms have one axis: they do not decay
            {"params": [p for p in learns if p.ndim > 1], "weight_decay": run.weight_decay},
            {"params": [p for p in learns if p.ndim <= 1], "weight_decay": 0.0},
        ]
        for group in groups[-2:]:
            group["share"] = share
    groups = [group for group in groups if group["params"]]
    if run.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=run.lr, momentum=MOMENTUM)
    return torch.optim.AdamW(groups, lr=run.lr)


def trained(model: Model) -> State:
    """All that training changes, by name: parameters, and what norms have seen."""
    changing: dict[str, torch.Tensor] = {
        n: p for n, p in model.named_parameters() if p.requires_grad
    }
    if model.tail.training:
        changing |= dict(model.tail.named_buffers(prefix="tail"))
    return {f"model/{name}": value.detach().cpu().numpy() for name, value in changing.items()}


def put(model: Model, state: Mapping[str, np.ndarray]) -> None:
    """Set what `trained` gave."""
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for key, value in state.items():
            own[key.removeprefix("model/")].copy_(torch.from_numpy(value))


def result(model: Model, objective: Objective) -> State:
    """What a run would end as now: what it has trained, and by what its heads are chosen."""
    memory = {f"memory/{key}": value for key, value in objective.memory().items()}
    return {**trained(model), **memory}


def bring(model: Model, objective: Objective, state: State) -> None:
    """End as `result` was; as it is now if that is empty."""
    if state:
        put(model, _under("model", state, keep=True))
        objective.remember(_under("memory", state))


def state_of(
    at: int,
    sums: Mapping[str, torch.Tensor],
    told: Told,
    best: State,
    model: Model,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
) -> State:
    """The state after `at` steps; its arrays may change in the next one."""
    return {
        "at": np.array(at),
        **{f"sum/{key}": value.cpu().numpy() for key, value in sums.items()},
        "told/columns": np.array(told.columns, "U64"),
        "told/rows": told.rows,
        **{f"best/{key}": value for key, value in best.items()},
        **result(model, objective),
        **{key: value.cpu().numpy() for key, value in named_state(optimizer).items()},
    }


def begin(
    resume: State | None,
    model: Model,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    fabric: Fabric,
) -> tuple[int, dict[str, Any], Told, State]:
    """Where a killed run was, or the start: steps made, sums of the running epoch, what was told,
    and the best epoch so far."""
    if resume is None:
        return 0, {}, Told([], np.zeros((0, 1))), {}
    bring(model, objective, resume)
    adam = {key: value for key, value in resume.items() if key.startswith("adam/")}
    restore(optimizer, {key: torch.from_numpy(value) for key, value in adam.items()})
    sums = {
        key: torch.from_numpy(value).to(fabric.device)
        for key, value in _under("sum", resume).items()
    }
    told = Told(resume["told/columns"].tolist(), resume["told/rows"])
    return int(resume["at"]), sums, told, _under("best", resume)


def _under(prefix: str, state: State, keep: bool = False) -> State:
    """The entries `prefix/...`, by the rest of their names, or whole."""
    start = f"{prefix}/"
    return {
        k if keep else k.removeprefix(start): v for k, v in state.items() if k.startswith(start)
    }
