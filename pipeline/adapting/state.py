"""The state of a training as named arrays, for checkpoints and for the epoch that is kept."""

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


class EpochLog(NamedTuple):
    """Of each epoch: steps taken so far, the mean loss, and the means of its parts, by name."""

    columns: list[str]
    rows: np.ndarray  # float64 [epoch, 1 + column]

    def write(self, path: Path) -> None:
        """A table for `dvc plots`."""
        with whole_text(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", "step", *self.columns])
            for epoch, (step, *means) in enumerate(self.rows.tolist(), 1):
                writer.writerow([epoch, int(step), *(f"{mean:.6g}" for mean in means)])


def optimizer_of(model: Model, run: Run) -> torch.optim.Optimizer:
    """The optimiser of all parameters that require a gradient."""
    groups = []
    for part, factor in ((model.tail, run.blocks_lr), (model.heads, 1.0)):
        trainable = [parameter for parameter in part.parameters() if parameter.requires_grad]
        groups += [  # biases and norms, which have one axis, get no weight decay
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": run.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
        for group in groups[-2:]:
            group["lr_factor"] = factor
    groups = [group for group in groups if group["params"]]
    if run.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=run.lr, momentum=MOMENTUM)
    return torch.optim.AdamW(groups, lr=run.lr)


def trained(model: Model) -> State:
    """All that training changes, by name: parameters, and running statistics of norms."""
    changing: dict[str, torch.Tensor] = {
        n: p for n, p in model.named_parameters() if p.requires_grad
    }
    if model.tail.training:
        changing |= dict(model.tail.named_buffers(prefix="tail"))
    return {f"model/{name}": value.detach().cpu().numpy() for name, value in changing.items()}


def load_trained(model: Model, state: Mapping[str, np.ndarray]) -> None:
    """Load what `trained` returned."""
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for key, value in state.items():
            own[key.removeprefix("model/")].copy_(torch.from_numpy(value))


def result(model: Model, objective: Objective) -> State:
    """The result of a run that would end now: trained weights and the objective's state."""
    own = {f"objective/{key}": value for key, value in objective.state_dict().items()}
    return {**trained(model), **own}


def load_result(model: Model, objective: Objective, state: State) -> None:
    """Load what `result` returned; changes nothing if `state` is empty."""
    if state:
        load_trained(model, _under("model", state, keep=True))
        objective.load_state_dict(_under("objective", state))


def state_of(
    at: int,
    sums: Mapping[str, torch.Tensor],
    log: EpochLog,
    best: State,
    model: Model,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
) -> State:
    """The state after `at` steps; its arrays may change in the next one."""
    return {
        "at": np.array(at),
        **{f"sum/{key}": value.cpu().numpy() for key, value in sums.items()},
        "log/columns": np.array(log.columns, "U64"),
        "log/rows": log.rows,
        **{f"best/{key}": value for key, value in best.items()},
        **result(model, objective),
        **{key: value.cpu().numpy() for key, value in named_state(optimizer).items()},
    }


def start(
    resume: State | None,
    model: Model,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    fabric: Fabric,
) -> tuple[int, dict[str, Any], EpochLog, State]:
    """Load the state of a killed run, if there is one. Returns steps taken, loss sums of the
    current epoch, the log, and the result of the best epoch so far."""
    if resume is None:
        return 0, {}, EpochLog([], np.zeros((0, 1))), {}
    load_result(model, objective, resume)
    adam = {key: value for key, value in resume.items() if key.startswith("adam/")}
    restore(optimizer, {key: torch.from_numpy(value) for key, value in adam.items()})
    sums = {
        key: torch.from_numpy(value).to(fabric.device)
        for key, value in _under("sum", resume).items()
    }
    log = EpochLog(resume["log/columns"].tolist(), resume["log/rows"])
    return int(resume["at"]), sums, log, _under("best", resume)


def _under(prefix: str, state: State, keep: bool = False) -> State:
    """The entries `prefix/...`; `keep` the prefix in their names, or remove it."""
    start = f"{prefix}/"
    return {
        k if keep else k.removeprefix(start): v for k, v in state.items() if k.startswith(start)
    }
