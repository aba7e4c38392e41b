"""Train the heads of every setting and seed and write their clusters; a killed run resumes.

The seeds of a setting are trained one after the other (pipeline.fitting.heads.learn) or all at
once, as the heads of one learner (pipeline.fitting.heads.batched_seeds).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cluster.heads.model import predict, stacked
from cluster.vectors.rows import Rows
from pipeline.fitting.by_dims import fit_by_dims
from pipeline.fitting.checkpoint import remove_checkpoint
from pipeline.fitting.heads.epochs import Fitted, warn_if_collapsed, write_epochs
from pipeline.fitting.heads.on_ray import train_on_ray
from pipeline.fitting.heads.training import Plan, setting_name, train_seeds
from pipeline.io.clusters import save_clusters
from pipeline.params import Runtime, torch_device


def fit_heads(
    plan: Plan, runtime: Runtime, remake: Callable[[Runtime], Plan] | None = None
) -> None:
    """Train all that is planned; write the clusters of all images, and the table of the epochs.

    remake: makes the plan anew on another machine, for its own runtime. Where it is given and the
    engine is ray, each setting and seed is a task of the cluster.
    """
    device = torch_device(runtime.of_driver().device)
    checkpoints, logs = list[Path](), list[list[Fitted]]()
    elsewhere = {}
    if remake and runtime.engine == "ray":
        elsewhere = train_on_ray(plan, remake, runtime)

    def fit(dims: int, ks: list[int], fitted: Rows, rows: Rows) -> Iterator[dict[str, np.ndarray]]:
        build = None if elsewhere else plan.prepare(fitted, dims)
        for k in ks:
            logs.append([])
            for group in [plan.seeds] if plan.batched else [[seed] for seed in plan.seeds]:
                if build is None:
                    trained = elsewhere[k, dims, group[0]]
                else:
                    trained = train_seeds(plan, fitted, build, k, dims, group)
                for fitted_seed in trained.fitted:
                    name = setting_name(plan.clusters, k, dims)
                    warn_if_collapsed(name, fitted_seed, k, plan.advice)
                logs[-1].extend(trained.fitted)
                checkpoints.extend(trained.checkpoints)
            found = arrays(logs[-1], rows, device)
            if logs[-1][0].history.watched.shape[1]:
                found["watched"] = plan.space.found.row[plan.space.train[plan.watched]]
                found["watched_assignment"] = np.stack([f.history.watched for f in logs[-1]])
            plan.finish(found, rows)
            known = plan.known
            yield found if known is None else _pinned(found, plan.space.train, known.label)

    fits = fit_by_dims(plan.space, plan.settings, plan.memory_gb, fit)
    write_epochs(plan.epochs, plan.settings, logs)
    save_clusters(
        plan.clusters, plan.space.found, plan.space.basis, plan.settings, fits,
        how=plan.how, seeds=plan.seeds, old=plan.known.old if plan.known else (),
    )  # fmt: skip
    for checkpoint in checkpoints:
        remove_checkpoint(checkpoint)


def arrays(fitted: Sequence[Fitted], rows: Rows, device: str) -> dict[str, np.ndarray]:
    """The arrays of one setting for the kind clusters."""
    head = stacked([f.head for f in fitted])
    return {
        **head._asdict(),
        **predict(rows, head, device=device)._asdict(),
        "loss": np.array([f.loss for f in fitted]),
    }


def _pinned(
    found: dict[str, np.ndarray], train: np.ndarray, label: np.ndarray
) -> dict[str, np.ndarray]:
    """Labelled images are in the cluster of their class, with probability 1."""
    labelled = label >= 0
    found["assignment"][:, train[labelled]] = label[labelled]
    found["probability"][:, train[labelled]] = 1
    return found
