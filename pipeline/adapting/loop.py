"""The training loop of a backbone: steps, epochs, a log of each epoch, and resuming after a kill.

Lightning Fabric provides GPUs, half precision and communication between GPUs. A batch is split
between all GPUs, which exchange their outputs, so that the loss compares all images of the batch
and the gradient is that of the whole batch for any number of GPUs. The parts of a batch that
`accumulate` adds up are separate: only images of the same part are compared.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from cluster.heads.training import Schedule
from cluster.objectives import Drawn, Objective
from cluster.vectors.rows import ArrayRows
from pipeline.adapting.model import Model
from pipeline.adapting.settings import Run
from pipeline.adapting.state import (
    EpochLog,
    load_result,
    optimizer_of,
    result,
    start,
    state_of,
)
from pipeline.adapting.tokens import Source, numbers
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.params import StageError

PREFETCH = 2  # batches that are read while one trains
FEATURE_BATCH = 256  # images of a forward pass before an epoch


def train(
    fabric: Fabric,
    model: Model,
    objective: Objective,
    source: Source,
    run: Run,
    images: int,
    checkpoint: Checkpoint,
    name: str,
    on_epoch: Callable[[EpochLog], object],
) -> EpochLog:
    """Train `model` for all epochs; it ends with the weights of the epoch that is kept. images:
    their number in train; on_epoch: called with the log after each epoch.

    Raises StageError when the loss is not finite. A resumed run ends with the same result as an
    uninterrupted one.
    """
    steps = max(1, round(images / len(objective.draw(0).label)))  # of an epoch
    schedule = Schedule(run.epochs * steps, run.lr, run.min_lr, round(run.warmup * steps))
    optimizer = optimizer_of(model, run)
    wrapped, stepper = fabric.setup(model, optimizer)
    wrapped.mark_forward_method("features")
    at, sums, log, best = start(checkpoint.resume, model, optimizer, objective, fabric)
    bar = tqdm(
        total=schedule.steps, initial=at, desc=name, unit="step",
        disable=None if fabric.is_global_zero else True,
    )  # fmt: skip
    with bar:
        for step, drawn, tokens in _prefetched(fabric, objective, source, run, at, schedule.steps):
            if step % steps == 0 and objective.needs_features:
                _before_epoch(fabric, wrapped, objective, source, images, step // steps)
            for group in optimizer.param_groups:
                group["lr"] = group["lr_factor"] * schedule.at(step)
            with _seeded(fabric, run, step):
                found = _step(fabric, wrapped, objective, drawn, tokens, run, step / steps)
            # Without a confident image there is no gradient, but momentum would move the weights.
            if float(found.get("confident", 1.0)) > 0:
                stepper.step()
            stepper.zero_grad()
            sums = {key: sums.get(key, 0.0) + value.double() for key, value in found.items()}
            if (step + 1) % steps == 0:
                log = _append_epoch(log, sums, step + 1, steps, name)
                sums = {}
                on_epoch(log)
                bar.set_postfix(loss=f"{log.rows[-1, 1]:.3f}", refresh=False)
                if run.keep == "best" and log.rows[:, 1].argmin() == len(log.rows) - 1:
                    best = {key: value.copy() for key, value in result(model, objective).items()}
            bar.update()
            if fabric.is_global_zero:
                state = partial(state_of, step + 1, sums, log, best, model, optimizer, objective)
                checkpoint.offer(state)
                if step + 1 == schedule.steps:
                    checkpoint.save(state())
    load_result(model, objective, best)
    return log


@contextmanager
def _seeded(fabric: Fabric, run: Run, step: int) -> Iterator[None]:
    """Dropout and the like also depend on the seed and the number of the step only."""
    devices = [fabric.device] if fabric.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        drawn = np.random.default_rng([run.seed, step, fabric.global_rank]).integers(2**63)
        torch.manual_seed(int(drawn))
        yield


def _step(
    fabric: Fabric,
    wrapped: Any,
    objective: Objective,
    drawn: Drawn,
    tokens: torch.Tensor,
    run: Run,
    epoch: float,
) -> dict[str, torch.Tensor]:
    """Compute the gradients of one batch; returns its loss and the parts of it, by name. tokens: of
    this GPU's images, see _own."""
    parts, world = run.accumulate, fabric.world_size
    each = len(drawn.label) // (parts * world)
    # Strided, so that every part and GPU gets labelled and unlabelled images
    deal = np.arange(each * parts * world).reshape(each, parts, world)
    total: dict[str, torch.Tensor] = {}
    for part in range(parts):
        mine = slice(part, each * parts, parts)  # deal[:, part, own rank], among this GPU's
        all_of_it = deal[:, part].T.ravel()
        with fabric.no_backward_sync(wrapped, enabled=part < parts - 1):
            outputs = tuple(
                _gathered(fabric, out) for out in wrapped(tokens[:, mine].to(fabric.device))
            )
            here = Drawn(drawn.image[:, all_of_it], drawn.label[all_of_it])
            loss = objective.loss(outputs, here, epoch)
            fabric.backward(loss.total / parts)
        for key, value in {"loss": loss.total, **loss.parts}.items():
            total[key] = total.get(key, 0.0) + value.detach() / parts
    return total


def _own(fabric: Fabric) -> slice:
    """The images of a batch that this GPU processes, of all parts."""
    return slice(fabric.global_rank, None, fabric.world_size)


def require_parts(images: int, run: Run, fabric: Fabric) -> None:
    """Raise StageError if a part of a batch would have fewer than two images, or a GPU none."""
    parts, world = run.accumulate, fabric.world_size
    if images < parts * max(2, world):
        raise StageError(
            f"a batch of {images} images is too small for {parts} parts on {world} GPUs: each part "
            "needs two images or more, and each GPU one or more"
        )


def _gathered(fabric: Fabric, out: torch.Tensor) -> torch.Tensor:
    """[slot, image, ...] of all GPUs, concatenated by rank."""
    if fabric.world_size == 1:
        return out
    found: Any = fabric.all_gather(out, sync_grads=True)  # [GPU, slot, image, ...]
    return found.transpose(0, 1).flatten(1, 2)


@torch.no_grad()
def _before_epoch(
    fabric: Fabric, wrapped: Any, objective: Objective, source: Source, images: int, epoch: int
) -> None:
    """Call `objective.before_epoch` with the features of the centre view of all images of train,
    which lie in a temporary file, since they may be larger than the RAM."""
    training, start = wrapped.tail.training, 0
    wrapped.tail.eval()
    with tempfile.TemporaryFile() as file:
        while start < images:
            here = np.arange(start, min(start + FEATURE_BATCH, images))
            tokens = source("centre", here, np.zeros(len(here), np.int64))
            found = wrapped.features(tokens.to(fabric.device)).float().cpu().numpy()
            file.write(found.tobytes())
            start += len(here)
        file.flush()
        rows = np.memmap(file, np.float32, "r", shape=(images, found.shape[1]))
        objective.before_epoch(ArrayRows(rows), epoch)
    wrapped.tail.train(training)


def _prefetched(
    fabric: Fabric, objective: Objective, source: Source, run: Run, first: int, last: int
) -> Iterator[tuple[int, Drawn, torch.Tensor]]:
    """The steps with their batches and the tokens of this GPU's images; the next ones are read in
    a thread."""
    own = _own(fabric)

    def read(step: int) -> tuple[int, Drawn, torch.Tensor]:
        drawn = objective.draw(step)
        views = numbers(objective.slots, drawn.image.shape[1], run.views, run.seed, step)
        slots = zip(objective.slots, drawn.image[:, own], views[:, own], strict=True)
        return step, drawn, torch.stack([source(*slot) for slot in slots])

    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        waiting: list[Future] = []
        try:
            for step in range(first, last):
                waiting.append(pool.submit(read, step))
                if len(waiting) > PREFETCH:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _append_epoch(
    log: EpochLog, sums: Mapping[str, torch.Tensor], step: int, steps: int, name: str
) -> EpochLog:
    means = {key: float(value) / steps for key, value in sums.items()}
    if not np.isfinite(means["loss"]):
        raise StageError(f"{name}: after {step} steps the loss is not finite: lower lr")
    row = np.array([[step, *means.values()]])
    before = log.rows if log.columns else row[:0]
    return EpochLog(list(means), np.concatenate([before, row]))
