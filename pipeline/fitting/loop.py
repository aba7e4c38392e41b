"""Train the heads of every setting and seed and write their clusters; a killed run resumes.

The seeds of a setting are trained one after the other (pipeline.fitting.heads) or all at once, as
the heads of one learner (pipeline.fitting.batched_seeds).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cluster.heads.model import predict, stacked
from cluster.heads.training import Batch, History, Learner, Schedule, State, train
from cluster.vectors.rows import Rows
from pipeline.fitting.by_dims import fit_by_dims
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.fitting.choose_head import Chooser, by_loss
from pipeline.fitting.epochs import Fitted, warn_if_collapsed, write_epochs
from pipeline.io.clusters import How, save_clusters
from pipeline.io.known import Known
from pipeline.io.space import Space
from pipeline.params import Runtime, Section, torch_device

PER_HEAD = ("loss", "criterion", "entropy", "live")  # arrays of a history, [epoch, head]

# The checkpoint of a training of the current setting, by the training's name
CheckpointOf = Callable[[str], Checkpoint]
# From k, the seeds of a training and its checkpoints: the heads, and what draws their batches
Build = Callable[[int, Sequence[int], CheckpointOf], tuple[Learner[Batch], Callable[[int], Batch]]]


def fit_heads(
    space: Space,
    settings: Sequence[tuple[int, int]],
    prepare: Callable[[Rows, int], Build[Batch]],
    schedule: Schedule,
    n_epochs: int,
    inputs: dict[str, Any],
    runtime: Runtime,
    *,
    batched: bool,
    memory_gb: float,
    watched: np.ndarray,
    known: Known | None,
    seeds: Sequence[int],
    clusters: Path,
    epochs: Path,
    how: How,
    advice: str,
    choose: Chooser = by_loss,
    finish: Callable[[dict[str, np.ndarray], Rows], None] = lambda found, rows: None,
) -> None:
    """Train on `train` for every setting (k, dims) and seed; write CLUSTERS of all images, and
    EPOCHS (csv).

    prepare: called with the vectors to fit and their dims, once for all k and seeds; its result
    builds a learner. inputs: all that the result depends on (see checkpoint_inputs) but for k, dims
    and seeds. batched: whether all seeds are trained at once, each a head of the learner; else each
    seed is trained by itself, and its head of the lowest criterion is kept. memory_gb: RAM that the
    vectors given to `prepare` may take. watched: int64 [image], images of train whose clusters are
    saved for every epoch, if the learner watches any. known: labelled images, which are assigned to
    the clusters of their classes. advice: what to do when a head collapses. choose: by what the
    kept head is chosen, once trained. finish: called with the arrays of a setting and the vectors
    of all images; it may change and add arrays.
    """
    device = torch_device(runtime.device)
    checkpoints, logs = list[Checkpoint](), list[list[Fitted]]()

    def fit(dims: int, ks: list[int], fitted: Rows, rows: Rows) -> Iterator[dict[str, np.ndarray]]:
        build = prepare(fitted, dims)
        for k in ks:
            logs.append([])
            for group in [seeds] if batched else [[seed] for seed in seeds]:
                follows = {**inputs, "k": k, "dims": dims, "seeds": list(group)}
                place = partial(_open, checkpoints, clusters, f"k{k}-d{dims}", follows)
                learner, draw = build(k, group, place)
                name = setting_name(clusters, k, dims)
                label, suffix = ("all", "") if batched else (f"s{group[0]}", f" seed={group[0]}")
                history = train_with_checkpoint(
                    learner, draw, schedule, n_epochs, place(label), name + suffix
                )
                history = choose(learner, fitted, history)
                for fitted_seed in _of_seeds(learner, history, group, batched):
                    warn_if_collapsed(name, fitted_seed, k, advice)
                    logs[-1].append(fitted_seed)
                del learner, draw  # before the next ones are built
            found = arrays(logs[-1], rows, device)
            if logs[-1][0].history.watched.shape[1]:
                found["watched"] = space.found.row[space.train[watched]]
                found["watched_assignment"] = np.stack([f.history.watched for f in logs[-1]])
            finish(found, rows)
            yield found if known is None else _pinned(found, space.train, known.label)

    fits = fit_by_dims(space, settings, memory_gb, fit)
    write_epochs(epochs, settings, logs)
    save_clusters(
        clusters, space.found, space.basis, settings, fits,
        how=how, seeds=seeds, old=known.old if known else (),
    )  # fmt: skip
    for checkpoint in checkpoints:
        checkpoint.remove()


def checkpoint_inputs(space: Space, params: Section, inputs: dict[str, Any]) -> dict[str, Any]:
    """All that a training depends on besides its k, dims and seeds, to identify its checkpoint."""
    of_store = {"encoder": space.found.encoder, "id": space.found.id, "split": space.found.split}
    settings = params.model_dump(mode="json", exclude={"k", "dims", "seeds"})
    return {**settings, **inputs, **of_store, **space.basis._asdict()}


def setting_name(clusters: Path, k: int, dims: int) -> str:
    """A setting, as messages and progress bars name it."""
    return f"{clusters.stem} k={k}" + f" dims={dims}" * bool(dims)


def train_with_checkpoint(
    learner: Learner[Batch],
    draw: Callable[[int], Batch],
    schedule: Schedule,
    n_epochs: int,
    checkpoint: Checkpoint,
    name: str,
) -> History:
    """Train from the start, or from where a killed run stopped; `name`: of the progress bar."""
    resumed_at = int(checkpoint.resume["at"]) if checkpoint.resume else 0
    newest: list[Callable[[], State]] = []
    with tqdm(
        total=schedule.steps, initial=resumed_at, desc=name, disable=None, unit="step"
    ) as bar:

        def progress(steps: int, history: History) -> None:
            if len(history.loss) and steps == history.step[-1]:
                best = history.criterion[-1].argmin()
                loss, live = history.loss[-1, best], history.live[-1, best]
                bar.set_postfix(loss=f"{loss:.3f}", live=live, refresh=False)
            bar.update(steps - bar.n)

        def offer(state: Callable[[], State]) -> None:
            newest[:] = [state]
            checkpoint.offer(state)

        history = train(
            learner, draw, schedule, n_epochs,
            resume=checkpoint.resume, checkpoint=offer, progress=progress,
        )  # fmt: skip
    if newest:
        checkpoint.save(newest[0]())
    return history


def arrays(fitted: Sequence[Fitted], rows: Rows, device: str) -> dict[str, np.ndarray]:
    """The arrays of one setting for the kind clusters."""
    head = stacked([f.head for f in fitted])
    return {
        **head._asdict(),
        **predict(rows, head, device=device)._asdict(),
        "loss": np.array([f.loss for f in fitted]),
    }


def _open(
    checkpoints: list[Checkpoint], clusters: Path, setting: str, follows: dict[str, Any], name: str
) -> Checkpoint:
    """A checkpoint, which is listed so that it is removed once the clusters are written."""
    checkpoints.append(Checkpoint(clusters, f"{setting}-{name}", follows))
    return checkpoints[-1]


def _of_seeds(
    learner: Learner[Batch], history: History, seeds: Sequence[int], batched: bool
) -> list[Fitted]:
    """Each seed's own head, or the best head of a single seed."""
    last = history.criterion[-1]
    if not batched:
        best = int(last.argmin())
        return [Fitted(seeds[0], learner.head(best), float(last[best]), history)]
    return [
        Fitted(seed, learner.head(head), float(last[head]), _of_head(history, head))
        for head, seed in enumerate(seeds)
    ]


def _of_head(history: History, head: int) -> History:
    one = {name: getattr(history, name)[:, head : head + 1] for name in PER_HEAD}
    return history._replace(**one)


def _pinned(
    found: dict[str, np.ndarray], train: np.ndarray, label: np.ndarray
) -> dict[str, np.ndarray]:
    """Labelled images are in the cluster of their class, with probability 1."""
    labelled = label >= 0
    found["assignment"][:, train[labelled]] = label[labelled]
    found["probability"][:, train[labelled]] = 1
    return found
