"""A function over a Ray cluster, task by task: for tasks of which none needs another's answer.

The function is made by whoever takes the first task, and kept, so that it can hold what is large:
vectors in RAM, a table, a backbone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

from pipeline.params import Runtime
from pipeline.ray.actors import divide, each
from pipeline.ray.connect import connect
from pipeline.ray.place import enter

Prepare = Callable[[Runtime], Callable[..., Any]]  # from what holds for one actor: the function
TASKS = 4  # blocks an actor, so that all end together


def over_ray(
    prepare: Prepare, tasks: Iterable[tuple[Any, ...]], count: int, runtime: Runtime
) -> Iterator[tuple[int, Any]]:
    """The number of each of `count` tasks and what `prepare(runtime)(*task)` gives for it, as they
    come.

    prepare: called once an actor, in the folder of the project, with a runtime of engine local;
    to be found by its name in a module, or a `partial` of such. A task is taken from its iterator
    when an actor is free for it. Raises StageError where no cluster can be had, and what the
    function raises.
    """
    connect(runtime)
    import ray

    share = divide(runtime)
    # It may hold large arrays: a copy a machine, as long as it is here
    once = ray.put(prepare)
    numbered = ((once, number, *task) for number, task in enumerate(tasks))
    yield from each(share, Worker, (Path.cwd(), share.runtime), numbered, count)


def answers_in_order(
    prepare: Prepare,
    tasks: Sequence[tuple[Any, ...]],
    runtime: Runtime,
    progress: Callable[[int], object],
) -> list[Any]:
    """All answers of `over_ray`, in the order of the tasks. progress: called with the number of
    each task as its answer comes."""
    found: list[Any] = [None] * len(tasks)
    for number, answer in over_ray(prepare, tasks, len(tasks), runtime):
        found[number] = answer
        progress(number)
    return found


def blocks(n: int, most: int, runtime: Runtime) -> list[tuple[int, int]]:
    """Where blocks of n rows start and stop: some for each actor, and of `most` rows at most."""
    connect(runtime)
    size = max(1, min(most, -(-n // (TASKS * divide(runtime).actors))))
    return [(start, min(start + size, n)) for start in range(0, n, size)]


@final
class Worker:
    """An actor with the function, once it has a task for it."""

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        self._folder, self._runtime = folder, runtime
        self._work: Callable[..., Any] | None = None

    def run(self, prepare: Prepare, number: int, *task: Any) -> tuple[int, Any]:
        """The number of the task and its answer."""
        enter(self._folder)
        if self._work is None:
            self._work = prepare(self._runtime)
        return number, self._work(*task)
