"""A run of `adapt` from the network it begins with to the folder it ends in."""

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
from cluster.vectors.standardize import Scale, absorbed, unscaled
from pipeline.adapting import begin
from pipeline.adapting.given import Given
from pipeline.adapting.loop import require_parts, train
from pipeline.adapting.model import Model
from pipeline.adapting.state import Told
from pipeline.adapting.tokens import Source, cached, live, pixels
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.io.learned import Learned, save_learned
from pipeline.params import Runtime, StageError

PATIENCE = timedelta(days=30)  # the other GPUs wait while one stores tokens


def work(
    run: Any,
    wanted: str,
    given: Given,
    device: str,
    runtime: Runtime,
    frozen: Path,
    checkpoint: Checkpoint,
    out: Path,
    epochs: Path,
) -> None:
    """Train, then write OUT and EPOCHS; see stages.adapt."""
    fabric = _fabric(run, device, runtime)
    row, name = backbones.row(given.base), out.name
    network = begin.network(run, given)
    dim = _dim(network, row)
    cut = blocks.cut(row, network, run.train_blocks)
    objective = begin.objective(run, wanted, given, dim, str(fabric.device))
    if not (objective.learned() or any(p.requires_grad for p in cut.tail.parameters())):
        raise StageError(
            f"{wanted}: with train_blocks: 0 nothing of {given.base} learns, and {run.objective} "
            "keeps no head: set 1 or more"
        )
    require_parts(len(objective.draw(0).label), run, fabric)
    source = _source(cut, row, run, given, objective, runtime, frozen, fabric)
    tail = Whole(cut.tail, row) if run.train_blocks == "all" else cut.tail
    if tail.training and fabric.world_size > 1 and fabric.device.type == "cuda":
        tail = blocks.synchronized(tail)  # norms see the whole batch too
    # What tes and get give is wider than what they begin with
    scale = given.scale if len(given.scale.mean) == dim else unscaled(dim)
    model = Model(tail, objective, scale)

    def tell(told: Told) -> None:
        if fabric.is_global_zero:
            told.write(epochs)

    images = len(given.collection.plan.id)
    train(fabric, model, objective, source, run, images, checkpoint, name, tell)
    if not fabric.is_global_zero:
        raise SystemExit(0)  # the first process alone writes, what the stage cost too
    if idle := getattr(objective, "idle", 0):
        print(
            f"adapt: in {idle} steps of {name} no image was sure and nothing was learned: lower "
            "its threshold, or train the scan for longer"
        )
    heads = {what: _unscaled(head, scale) for what, head in objective.learned().items()}
    written = _save(run, given, row, network.cpu().eval(), dim, heads, out)
    plan, labelled = given.collection.plan, given.known.label >= 0
    save_learned(
        out / "learned.h5",
        Learned(
            plan.dataset, written.digest, heads, objective.unit,
            plan.row[labelled], given.known.label[labelled], given.known.old, run.seed,
        ),
        name,
    )  # fmt: skip
    checkpoint.remove()
    print(f"adapt: {name} is trained" + f", and with it {', '.join(heads)}" * bool(heads))


def _fabric(run: Any, device: str, runtime: Runtime) -> Fabric:
    """Lightning's hand on the devices: one, or several GPUs that share each batch."""
    kind, _, index = device.partition(":")
    strategy: Any = DDPStrategy(timeout=PATIENCE) if runtime.gpus > 1 else "auto"
    if kind == "cpu":
        # Two processes on a CPU are for tests: they take the way of two GPUs.
        found = Fabric(
            accelerator="cpu", devices=runtime.gpus, strategy=strategy, precision="32-true"
        )
        return _launched(found)
    if runtime.gpus > torch.cuda.device_count():
        raise StageError(
            f"runtime.gpus is {runtime.gpus}, torch sees {torch.cuda.device_count()}: set fewer"
        )
    # Equal steps in equal order: what a killed run did not see must not make it another one.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # bfloat16 has float32's range, so nothing is scaled; older GPUs only emulate it, slowly.
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
    given: Given,
    objective: Objective,
    runtime: Runtime,
    frozen: Path,
    fabric: Fabric,
) -> Source:
    """What the trained blocks read."""
    device, of = str(fabric.device), given.collection
    if run.trunk == "cached":
        kinds = [*objective.slots, *(["centre"] if objective.looks else [])]
        with fabric.rank_zero_first():  # the others find it stored
            return cached(cut.trunk, row, of, run, kinds, frozen, runtime, device)
    read = pixels(row, of, run, runtime)
    return read if run.train_blocks == "all" else live(cut.trunk, read, row, device)


def _unscaled(head: Linear, scale: Scale) -> Linear:
    """The head for features as the network gives them."""
    weight, bias = absorbed(torch.from_numpy(head.weight), torch.from_numpy(head.bias), scale)
    return Linear(weight.numpy(), bias.numpy())


def _dim(network: torch.nn.Module, row: backbones.Backbone) -> int:
    """The width of what the network gives, which may be more than its row says (tes, get)."""
    side = row.input.size
    with torch.inference_mode():
        return int(network.eval()(torch.zeros(1, 3, side, side)).shape[1])


def _save(
    run: Any,
    given: Given,
    row: backbones.Backbone,
    network: torch.nn.Module,
    dim: int,
    heads: Mapping[str, Linear],
    out: Path,
) -> backbones.Backbone:
    """The folder that `embed` reads."""
    form, output, extra = "plain", row.output, dict[str, Any]()
    if run.objective == "tes":
        form, output, extra = "tes", run.output, {"n_words": run.words}
        dim = dim if output == "both" else dim // 2
    if run.objective == "get":
        form, output, extra = "get", "both", {"train_blocks": run.train_blocks}
    if run.train_blocks == 0 and heads:
        # Else two runs of equal weights would be one, and who goes on from a head not told of it
        tensors = {name: torch.from_numpy(head.weight) for name, head in heads.items()}
        extra["heads"] = hashlib.blake2b(safetensors.torch.save(tensors), digest_size=8).hexdigest()
    return adapted.save(
        out, row, network,
        form=form, output=output, dim=dim, extra=extra,
        method=f"{row.method}; adapted by {run.objective}",
        data=f"{row.data}; {given.collection.plan.dataset}",
    )  # fmt: skip
