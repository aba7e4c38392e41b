"""Actors over a cluster, and the tasks that they take one after the other, as each is free.

An actor that is lost with its machine starts anew where there is room, and Ray gives it the task it
had. So that there is room at the end, actors without a task are let go.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pipeline.params import PARAMS, Runtime, StageError
from pipeline.ray.lost import watch

RESTARTS = 10  # of an actor: a task may kill whoever takes it
LOOK = 1.0  # seconds between two looks at how far the tasks are


class Share(NamedTuple):
    """How a cluster is divided: alike actors, of so many cores each, and a GPU if `device` is cuda.
    `runtime` is what holds for one of them."""

    actors: int
    cores: int
    runtime: Runtime


def divide(runtime: Runtime) -> Share:
    """An actor a GPU where there are any (`runtime.device`: auto, cuda), else one on each machine,
    or several on those with more cores than the smallest. Raises StageError where nothing fits."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpu = [m for m in machines if m.get("GPU", 0) >= 1]
    with_cores = [m for m in machines if m.get("CPU", 0) >= 1]
    if runtime.device not in ("auto", "cpu", "cuda"):
        raise StageError(
            f"{PARAMS}: runtime.device is {runtime.device}, but Ray says which GPU a task has: "
            "set auto, cuda or cpu"
        )
    if runtime.device == "cuda" and not with_gpu:
        raise StageError(f"{PARAMS}: runtime.device is cuda, but the Ray cluster has no GPU")
    if runtime.device != "cpu" and with_gpu:
        device, of_each = "cuda", [int(m["GPU"]) for m in with_gpu]
        cores = min(int(m.get("CPU", 0) // m["GPU"]) for m in with_gpu)
    elif with_cores:
        device, cores = "cpu", min(int(m["CPU"]) for m in with_cores)
        of_each = [int(m["CPU"] // cores) for m in with_cores]
    else:
        raise StageError("no machine of the Ray cluster has a core: ray start --num-cpus=…")
    changes = {
        "engine": "local",
        "device": device,
        "workers": runtime.workers or max(1, cores),
        "memory_gb": runtime.memory_gb / max(of_each),
    }
    return Share(sum(of_each), cores, runtime.model_copy(update=changes))


def start(share: Share, actor: type, held: tuple[Any, ...], number: int) -> list[Any]:
    """So many actors `actor(*held)`. held: small, since what is not travels by Ray's object store,
    from where an actor that starts anew may not get it again."""
    import ray

    kind: Any = ray.remote(
        num_cpus=share.cores,
        num_gpus=int(share.runtime.device == "cuda"),
        max_restarts=RESTARTS,
        max_task_retries=-1,  # tries on a machine whose loss is not known yet count, too
    )(actor)
    return [kind.remote(*held) for _ in range(number)]


def answer(reference: Any) -> Any:
    """What a task gave. Errors are raised as they were there; StageError when actors keep dying, or
    when Ray has stopped on this machine."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        if "owner has died" in str(error):  # that is what asks, here
            raise StageError(
                "Ray has stopped on this machine (logs: /tmp/ray/session_latest/logs): ray start "
                "it again, and run again to resume"
            ) from None
        raise StageError(
            f"a Ray actor died {RESTARTS + 1} times: look for what killed it in Ray's logs "
            "(/tmp/ray/session_latest/logs)"
        ) from None
    except ray.exceptions.RayError as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StageError(f"Ray gave up a task: {said}: look at Ray's logs") from None


def each(
    share: Share,
    actor: type,
    held: tuple[Any, ...],
    tasks: Iterable[tuple[Any, ...]],
    count: int,
    look: Callable[[], object] = lambda: None,
) -> Iterator[Any]:
    """What `actor(*held).run(*task)` gives for each of `count` tasks, as they come. A task is taken
    from its iterator when an actor is free for it; `look` is called every second. Errors: as
    `answer` raises them."""
    import ray

    idle = start(share, actor, held, min(share.actors, count))
    waiting, busy, look_for_lost = iter(tasks), dict[Any, Any](), watch()

    def give(task: tuple[Any, ...]) -> None:
        one = idle.pop()
        busy[one.run.remote(*task)] = one

    try:
        while True:
            while idle and (task := next(waiting, None)) is not None:
                give(task)
            idle.clear()  # no name may hold them longer, or they would keep their room
            if not busy:
                look_for_lost()
                return
            done, _ = ray.wait(list(busy), timeout=LOOK)
            look()
            if not done:
                look_for_lost()
                divide(share.runtime)  # says so where no machine is left
            for reference in done:
                yield answer(reference)
                idle.append(busy.pop(reference))
    finally:
        for one in busy.values():
            ray.kill(one)
