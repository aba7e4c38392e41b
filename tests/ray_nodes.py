"""A Ray cluster of several nodes on this machine, of which one can be killed."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import pytest
from conftest import ROOT, runtime

from pipeline.params import Runtime
from pipeline.ray.connect import connect
from pipeline.ray.tasks import over_ray

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install ray==2.60.0")

from ray.cluster_utils import Cluster  # noqa: E402

NODE = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
PATIENCE = "300"  # seconds for what takes two on an idle machine, and 30 or less where Ray decides
PATIENT = f"import pipeline.ray.connect\npipeline.ray.connect.HEALTH = {PATIENCE}\n"


def quarter_of_an_hour() -> Iterator[None]:
    """A fixture: a test that hangs fails after a quarter of an hour."""

    def stop(*_: object) -> None:
        raise TimeoutError("a quarter of an hour is over")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(900)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def two_nodes() -> Iterator[Cluster]:
    """A fixture of a module: a head that only leads, and two nodes of one core; we drive it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests/pipeline'}")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_health_check_period_ms", "500")  # a lost node is noticed in seconds
        patch.setenv("RAY_worker_niceness", "0")  # 15 where not said: nothing on a busy machine
        patch.setenv("RAY_gcs_server_port_wait_time_s", PATIENCE)
        patch.setenv("RAY_gcs_server_request_timeout_seconds", PATIENCE)
        wait = partialmethod(Cluster._wait_for_node, timeout=int(PATIENCE))
        patch.setattr(Cluster, "_wait_for_node", wait)
        patch.setattr("pipeline.ray.connect.HEALTH", float(PATIENCE))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
        for _ in range(2):
            cluster.add_node(num_cpus=1, **NODE)
        connect(on_ray(cluster))
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def on_ray(cluster: Cluster, **changes: object) -> Runtime:
    return runtime(engine="ray", ray_address=cluster.address, **changes)


def require_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Of what is lost: Ray itself says it on stdout, in 22 lines and more, and in C++ on stderr."""
    said = "".join(capfd.readouterr()).splitlines()
    assert (
        len([line for line in said if re.fullmatch("ray: the machine .* is lost; .*", line)]) == 1
    )
    assert not [
        line for line in said if "(raylet)" in line or "state-dump" in line or ".cc:" in line
    ]
    assert len(said) <= 6  # with bars, and what our stages say


def remove(nodes: Cluster, node: str) -> None:
    """Kill a node; the cluster knows it when this ends."""
    [lost] = [one for one in nodes.worker_nodes if one.node_id == node]
    nodes.remove_node(lost, allow_graceful=False)
    until = time.monotonic() + 60
    while any(one["NodeID"] == node and one["Alive"] for one in ray.nodes()):
        assert time.monotonic() < until, "the cluster does not notice that a node is gone"
        time.sleep(0.1)


@contextmanager
def losing_a_node(
    nodes: Cluster, module: str, capfd: pytest.CaptureFixture[str]
) -> Iterator[list[int]]:
    """`over_ray`, as `module` calls it, loses a node when its first task is done, others are being
    done and others are not taken yet: that is to be said in one line. Gives the numbers of the
    tasks that were done. In the end there are as many nodes as before."""
    done, lost = list[int](), list[str]()

    def losing(*arguments: Any) -> Iterator[tuple[int, Any]]:
        for number, answer in over_ray(*arguments):
            done.append(number)
            yield number, answer
            if not lost:
                lost.append(min(node.node_id for node in nodes.worker_nodes))
                remove(nodes, *lost)

    capfd.readouterr()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"{module}.over_ray", losing)
            yield done
        require_one_line(capfd)
    finally:
        for _ in lost:
            nodes.add_node(num_cpus=1, **NODE)
