"""Training resumes after any interruption with equal results; steps, epochs, learning rate."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import one_thread

from cluster import ClusterError
from cluster.heads import temi as of_temi
from cluster.heads.model import Linear
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.scan import Scan
from cluster.heads.scan import Settings as ScanSettings
from cluster.heads.selflabel import SelfLabel
from cluster.heads.selflabel import Settings as SelfLabelSettings
from cluster.heads.temi import Temi
from cluster.heads.training import History, Learner, Schedule, State, train
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import fit_scale

N, DIM, K, BATCH, STEPS, EPOCHS = 40, 6, 4, 12, 11, 3
RNG = np.random.default_rng(0)
ROWS = ArrayRows(np.eye(K, DIM)[np.arange(N) % K] * 3 + RNG.normal(size=(N, DIM)))
NEAR = ((np.arange(N)[:, None] + np.arange(1, 4) * K) % N).astype(np.int32)
SCALE = fit_scale(ROWS)
GATHER = standardized_gather(ROWS, "cpu", 1, SCALE)
WATCHED = GATHER(np.arange(7))


def temi(seed: int = 0) -> Temi:
    settings = of_temi.Settings(3, 8, 5, "temi", 0.6, 0.1, 0.9, 0.9, 0.01, frozen=4)
    return Temi(DIM, K, settings, scale=SCALE, watched=WATCHED, seed=seed)


def scan(seed: int = 0) -> Scan:
    held, settings = GATHER(np.stack([np.arange(9), NEAR[:9, 0]])), ScanSettings(3, 5.0, 0.01)
    return Scan(DIM, K, settings, scale=SCALE, watched=WATCHED, held_out=held, seed=seed)


def selflabel(seed: int = 0) -> SelfLabel:
    rng = np.random.default_rng(seed)
    head = Linear(rng.normal(size=(1, K, DIM)).astype("f4"), np.zeros((1, K), "f4"))
    return SelfLabel(head, SelfLabelSettings(0.9, True, 0.01), scale=SCALE, watched=WATCHED)


_quick = pytest.fixture(autouse=True)(one_thread)
LEARNERS = [temi, scan, selflabel]


def trained(
    learner: Learner,
    *,
    steps: int = STEPS,
    epochs: int = EPOCHS,
    warmup: int = 3,
    resume: State | None = None,
    stop: int = -1,
    draw: Callable[[int], torch.Tensor] | None = None,
) -> tuple[History | None, State]:
    """Train, up to step `stop` if that comes; what was told, and a copy of the last state."""
    last: State = {}

    def keep(state: Callable[[], State]) -> None:
        last.update({name: array.copy() for name, array in state().items()})
        if last["at"] == stop:
            raise KeyboardInterrupt

    pairs, schedule = Pairs(NEAR, BATCH, 0), Schedule(steps, 1e-2, 1e-4, warmup)
    draw = draw or (lambda step: GATHER(pairs.at(step)))
    try:
        told = train(learner, draw, schedule, epochs, resume=resume, checkpoint=keep)
    except KeyboardInterrupt:
        return None, last
    return told, last


def assert_equal(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("make", LEARNERS)
def test_a_run_stopped_at_any_step_ends_as_one_that_never_was(make: Callable[[], Learner]):
    whole = make()
    told, state = trained(whole)
    for stop in range(1, STEPS):
        _, left = trained(make(), stop=stop)
        again = make()
        told_again, state_again = trained(again, resume=left)
        assert_equal(state, state_again)
        assert_equal(told._asdict(), told_again._asdict())
        for one, other in zip(whole.head(0), again.head(0), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", LEARNERS)
def test_a_finished_run_has_nothing_left_to_do(make: Callable[[], Learner]):
    told, state = trained(make())
    again = make()
    told_again, _ = trained(again, resume=state, draw=lambda step: pytest.fail("a step"))
    assert_equal(told._asdict(), told_again._asdict())


@pytest.mark.parametrize("make", LEARNERS)
def test_equal_seed_equal_result(make: Callable[..., Learner]):
    first, second, other = (trained(make(seed))[1] for seed in (5, 5, 6))
    assert_equal(first, second)
    weight = next(iter(make().state()))
    assert (first[weight] != other[weight]).any()


@pytest.mark.parametrize(("steps", "epochs", "ends"), [
    (11, 3, [4, 7, 11]), (6, 6, [1, 2, 3, 4, 5, 6]), (1, 1, [1]), (2, 5, [1, 2]), (10, 1, [10]),
])  # fmt: skip
def test_epochs_divide_the_steps(steps: int, epochs: int, ends: list[int]):
    told, _ = trained(temi(), steps=steps, epochs=epochs)
    assert told.step.tolist() == ends
    shapes = [array.shape for array in told]
    of_heads, n = (len(ends), 3), len(ends)
    assert shapes == [of_heads, of_heads, of_heads, of_heads, (n,), (n, 7)]
    assert all(np.isfinite(array).all() for array in told)


@pytest.mark.parametrize("make", LEARNERS)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 50), (3, 30)])
def test_short_trainings_work(make: Callable[[], Learner], steps: int, warmup: int):
    """TEMI's own schedule stops with an error when it is shorter than the warm-up (T5)."""
    told, _ = trained(make(), steps=steps, warmup=warmup, epochs=1)
    assert told.step.tolist() == [steps]
    assert np.isfinite(told.loss).all()


def test_an_epoch_records_the_mean_loss_the_entropy_and_the_live_clusters():
    class Told:
        """Two heads that say what they are told to: the first uses two clusters, 3 to 1."""

        n_heads, k, device = 2, 3, "cpu"

        def step(self, x: torch.Tensor, lr: float):
            from cluster.heads.training import Step

            sizes = torch.tensor([[3, 1, 0], [0, 4, 0]])
            return Step(torch.tensor([float(x), 10.0]), sizes)

        judge = staticmethod(lambda mean: -mean)
        watch = staticmethod(lambda head: np.array([head]))
        state = staticmethod(dict)

    schedule = Schedule(4, 1.0, 0.0, 0)
    told = train(Told(), lambda step: torch.tensor(step), schedule, 2)
    assert told.loss.tolist() == [[0.5, 10], [2.5, 10]]
    assert told.criterion.tolist() == [[-0.5, -10], [-2.5, -10]]
    assert told.live.tolist() == [[2, 1], [2, 1]]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert told.entropy[:, 0] == pytest.approx([entropy] * 2)
    assert told.entropy[:, 1].tolist() == [0, 0]
    assert told.watched.tolist() == [[1], [1]]


def test_the_rate_rises_in_even_steps_and_falls_along_half_a_cosine():
    at = [Schedule(steps=8, lr=1.0, min_lr=0.2, warmup=4).at(step) for step in range(8)]
    fall = [0.2 + 0.8 * (1 + math.cos(math.pi * part)) / 2 for part in (0, 0.25, 0.5, 0.75)]
    assert at == pytest.approx([0.25, 0.5, 0.75, 1.0, *fall])
    assert at[6] == pytest.approx(0.6)


def test_a_rate_that_never_falls_is_a_constant():
    schedule = Schedule(steps=5, lr=0.3, min_lr=0.3, warmup=0)
    assert [schedule.at(step) for step in range(5)] == pytest.approx([0.3] * 5)


@pytest.mark.parametrize("make", [temi, scan])
def test_a_loss_that_is_no_number_ends_the_training(make: Callable[[], Learner]):
    with pytest.raises(ClusterError, match="after 4 steps the loss is not finite"):
        trained(make(), draw=lambda step: torch.full((2, BATCH, DIM), math.nan))
