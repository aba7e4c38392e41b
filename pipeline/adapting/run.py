"""A run of `adapt`: build the model, train it, and save it as a backbone."""

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

import backbones
from backbones import adapted, blocks
from backbones.engine import Whole
from cluster.heads.model import Linear
from cluster.objectives import Objective
from cluster.vectors.standardize import Scale, fold_scale, identity_scale
from pipeline.adapting import build
from pipeline.adapting.inputs import Inputs
from pipeline.adapting.loop import require_parts, train
from pipeline.adapting.model import Model
from pipeline.adapting.state import EpochLog
from pipeline.adapting.tokens import Source, cached, pixels, recomputed
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.io.learned import Learned, save_learned
from pipeline.params import Runtime, StageError

TIMEOUT = timedelta(days=30)  # of collectives: other GPUs wait while one stores tokens


def train_and_save(
    run: Any,
    wanted: str,
    inputs: Inputs,
    device: str,
    runtime: Runtime,
    frozen: Path,
    checkpoint: Checkpoint,
    out: Path,
    epochs: Path,
) -> None:
    """Train, then write the folder OUT and the table EPOCHS; see stages.adapt."""
    fabric = fabric_of(run, device, runtime)
    row, name = backbones.row(inputs.base), out.name
    network = build.network(run, inputs)
    dim = _dim(network, row)
    cut = blocks.cut(row, network, run.train_blocks)
    objective = build.objective(run, wanted, inputs, dim, str(fabric.device))
    if not (objective.learned() or any(p.requires_grad for p in cut.tail.parameters())):
        raise StageError(
            f"{wanted}: with train_blocks: 0 nothing of {inputs.base} is trained, and "
            f"{run.objective} saves no head: set 1 or more"
        )
    require_parts(len(objective.draw(0).label), run, fabric)
    source = _source(cut, row, run, inputs, objective, runtime, frozen, fabric)
    tail = Whole(cut.tail, row) if run.train_blocks == "all" else cut.tail
    if tail.training and fabric.world_size > 1 and fabric.device.type == "cuda":
        tail = blocks.synchronized(tail)  # batch statistics of all GPUs
    # The features of tes and get are wider than those of the base
    scale = inputs.scale if len(inputs.scale.mean) == dim else identity_scale(dim)
    model = Model(tail, objective, scale)

    def write_log(log: EpochLog) -> None:
        if fabric.is_global_zero:
            log.write(epochs)

    images = len(inputs.collection.plan.id)
    train(fabric, model, objective, source, run, images, checkpoint, name, write_log)
    if not fabric.is_global_zero:
        raise SystemExit(0)  # the first process alone writes, what the stage cost too
    if idle := getattr(objective, "idle", 0):
        print(
            f"adapt: in {idle} steps of {name} no image was confident and nothing was learned: "
            "lower its threshold, or train the scan for longer"
        )
    heads = {which: _unscaled(head, scale) for which, head in objective.learned().items()}
    written = _save(run, inputs, row, network.cpu().eval(), dim, heads, out)
    plan, labelled = inputs.collection.plan, inputs.known.label >= 0
    save_learned(
        out / "learned.h5",
        Learned(
            plan.dataset, written.digest, heads, objective.unit,
            plan.row[labelled], inputs.known.label[labelled], inputs.known.old, run.seed,
        ),
        name,
    )  # fmt: skip
    checkpoint.remove()
    print(f"adapt: {name} is trained" + f", and with it {', '.join(heads)}" * bool(heads))


def fabric_of(run: Any, device: str, runtime: Runtime) -> Fabric:
    """Lightning Fabric on one device, or on several GPUs that share each batch."""
    kind, _, index = device.partition(":")
    strategy: Any = DDPStrategy(timeout=TIMEOUT) if runtime.gpus > 1 else "auto"
    if kind == "cpu":
        # Two processes on a CPU are for tests of the code for two GPUs.
        found = Fabric(
            accelerator="cpu", devices=runtime.gpus, strategy=strategy, precision="32-true"
        )
        return _launched(found)
    if runtime.gpus > torch.cuda.device_count():
        raise StageError(
            f"runtime.gpus is {runtime.gpus}, torch sees {torch.cuda.device_count()}: set fewer"
        )
    # Deterministic kernels, so that a resumed run ends with the same weights.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # bfloat16 has float32's range, so no loss scaling is needed; older GPUs emulate it, slowly.
    half = run.amp and torch.cuda.get_device_capability()[0] >= 8
    devices: Any = [int(index)] if index and runtime.gpus == 1 else runtime.gpus
    precision: Any = "bf16-mixed" if half else "32-true"
    found = Fabric(accelerator="cuda", devices=devices, strategy=strategy, precision=precision)
    return _launched(found)


def _launched(fabric: Fabric) -> Fabric:
    fabric.launch()
    return fabric


def _source(
    cut: blocks.Cut,
    row: backbones.Backbone,
    run: Any,
    inputs: Inputs,
    objective: Objective,
    runtime: Runtime,
    frozen: Path,
    fabric: Fabric,
) -> Source:
    """The source of the tokens that the trained blocks read."""
    device, of = str(fabric.device), inputs.collection
    if run.frozen_features == "cached":
        kinds = [*objective.slots, *(["centre"] if objective.needs_features else [])]
        with fabric.rank_zero_first():  # the others then find the tokens stored
            return cached(cut.trunk, row, of, run, kinds, frozen, runtime, device)
    read = pixels(row, of, run, runtime)
    return read if run.train_blocks == "all" else recomputed(cut.trunk, read, row, device)


def _unscaled(head: Linear, scale: Scale) -> Linear:
    """The head for unscaled features."""
    weight, bias = fold_scale(torch.from_numpy(head.weight), torch.from_numpy(head.bias), scale)
    return Linear(weight.numpy(), bias.numpy())


def _dim(network: torch.nn.Module, row: backbones.Backbone) -> int:
    """The width of the network's features, which may differ from its row's (tes, get)."""
    side = row.input.size
    with torch.inference_mode():
        return int(network.eval()(torch.zeros(1, 3, side, side)).shape[1])


def _save(
    run: Any,
    inputs: Inputs,
    row: backbones.Backbone,
    network: torch.nn.Module,
    dim: int,
    heads: Mapping[str, Linear],
    out: Path,
) -> backbones.Backbone:
    """Save the folder that `embed` reads."""
    form, output, extra = "plain", row.output, dict[str, Any]()
    if run.objective == "tes":
        form, output, extra = "tes", run.output, {"n_words": run.words}
        dim = dim if output == "both" else dim // 2
    if run.objective == "get":
        form, output, extra = "get", "both", {"train_blocks": run.train_blocks}
    if run.train_blocks == 0 and heads:
        # Else two runs of equal weights and other heads would have one digest, and runs that start
        # from their heads would not notice the difference.
        tensors = {name: torch.from_numpy(head.weight) for name, head in heads.items()}
        extra["heads"] = hashlib.blake2b(safetensors.torch.save(tensors), digest_size=8).hexdigest()
    return adapted.save(
        out, row, network,
        form=form, output=output, dim=dim, extra=extra,
        method=f"{row.method}; adapted by {run.objective}",
        data=f"{row.data}; {inputs.collection.plan.dataset}",
    )  # fmt: skip
