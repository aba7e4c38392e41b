"""Trainings of heads over a Ray cluster: a task is one setting and seed."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

from tqdm import tqdm

from cluster.vectors.rows import Rows
from pipeline.fitting.heads.training import Build, Plan, Trained, train_seeds
from pipeline.params import Runtime
from pipeline.ray.tasks import over_ray


def train_on_ray(
    plan: Plan, remake: Callable[[Runtime], Plan], runtime: Runtime
) -> dict[tuple[int, int, int], Trained]:
    """Each setting (k, dims) and seed, trained by whoever is free for it. Checkpoints are those of
    one machine, so another goes on where one was lost."""
    tasks = [(k, dims, seed) for k, dims in plan.settings for seed in plan.seeds]
    out = dict[tuple[int, int, int], Trained]()
    bar = tqdm(total=len(tasks), desc=plan.clusters.stem, disable=None, unit="training")
    prepare = partial(_trainer, remake)
    with bar:
        for number, (trained, said) in over_ray(prepare, tasks, len(tasks), runtime):
            out[tasks[number]] = trained
            for line in said.splitlines():
                bar.write(line)
            bar.update()
    return out


def _trainer(
    remake: Callable[[Runtime], Plan], runtime: Runtime
) -> Callable[[int, int, int], tuple[Trained, str]]:
    """Trains one setting and seed: what came of it, and what was printed. The vectors of the last
    dims are kept."""
    plan, prepared = remake(runtime), dict[int, tuple[Rows, Build[Any]]]()

    def train_one(k: int, dims: int, seed: int) -> tuple[Trained, str]:
        with redirect_stdout(io.StringIO()) as said:
            if dims not in prepared:
                prepared.clear()  # two copies would not fit
                rows = plan.space.fitted(dims, plan.memory_gb)
                prepared[dims] = rows, plan.prepare(rows, dims)
            trained = train_seeds(plan, *prepared[dims], k, dims, [seed])
        return trained, said.getvalue()

    return train_one
