"""A project folder of its own for each test: params.yaml, and stages in processes of their own."""

import contextlib
import copy
import errno
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forks
import pytest
import yaml

if TYPE_CHECKING:
    from pipeline.params import Runtime

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: see stages
if "PYTEST_XDIST_WORKER" in os.environ:  # also before: the other workers use the other cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Else each of hundreds of processes compiles all that it imports of ours, and pytest each test
sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = False, ""
if not Path("/dev/nvidiactl").exists():  # else kernels are tested on the GPU
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton is imported: see like_gpu

ROOT = Path(__file__).parents[1]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
OBJECTIVES: dict[str, Any] = yaml.safe_load((ROOT / "recipes/objectives.yaml").read_text())
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast

# Tests of the numerics do without what is tried here

with contextlib.suppress(ImportError):
    import beartype  # noqa: F401
    import jaxtyping

    # Dtypes and shapes of k-means are checked in tests (tower: an int is a float, as in PEP 484)
    jaxtyping.install_import_hook(
        "cluster.kmeans", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    )

with contextlib.suppress(ImportError):
    import hypothesis

    # No example fails for the time that it takes: the machine may be busy
    hypothesis.settings.register_profile(
        "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def no_power_cut() -> Iterator[None]:
    """What is written is not awaited, here and in forks: no test cuts the power, and a kill loses
    nothing that was written. Tests of os.fsync itself put their own in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # a descriptor that is none is an error still
        yield


# Files of half a minute of work and more, the longest first
LONGEST = (
    *("test_ray.py", "test_pipeline.py", "test_ray_stages.py", "test_docs_commands.py"),
    *("test_ray_lost.py", "test_bench_gpu.py"),
    *("test_dvc.py", "test_pipeline_changes.py", "test_adapt.py", "test_page_in_browser.py"),
    *("test_absent.py", "test_store_kill.py", "test_faults.py", "test_from_checkpoint.py"),
    *("test_adapt_tokens.py", "test_text.py", "test_export.py", "test_heads_stages.py"),
    *("test_learned.py", "test_coarse.py", "test_fuzz.py", "test_low_precision.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker begins one when the others are done (which takes
    --no-loadscope-reorder, as `make test` has it)."""
    place = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


# What stages import of others. Nothing of ours is: each stage has to find its own modules
# (and neither torchvision, which backbones.cpu_torchvision goes before, nor what starts threads)
LIBRARIES = (
    *("h5py", "numba", "numba.np.arrayobj", "numba.np.npyimpl", "safetensors.torch", "scipy.io"),
    *("pydantic.dataclasses", "pydantic.type_adapter", "sklearn.cluster", "sklearn.datasets"),
    *("sklearn.metrics", "torch", "torch._dynamo", "tqdm", "yaml", "PIL.ImageOps", "jaxtyping"),
)


@functools.cache
def of_stages() -> forks.Forks:
    """Where the processes of stages are forked, started when the first one is wanted."""
    return forks.Forks(LIBRARIES, ROOT)


def pytest_sessionfinish() -> None:
    if of_stages.cache_info().currsize:
        of_stages().close()


def runtime(**changes: Any) -> "Runtime":
    """That of params.yaml on the CPU, with changes."""
    # Here: tests of the numerics run where pydantic is not installed
    from pipeline.params import Runtime

    return Runtime(**{**PARAMS["runtime"], "device": "cpu", **changes})


def environment() -> dict[str, str]:
    return {**os.environ, **forks.ENVIRONMENT, "PYTHONPATH": str(ROOT)}


def one_thread() -> Iterator[None]:
    """To be made a fixture: arrays as small as those of the tests are slower with several."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Project:
    """A folder with a params.yaml; `stage` runs one stage in it, in a process of its own.

    That is a fork of one that has imported the libraries, or, if `command`, a new Python, as a user
    starts it: of each kind of thing that is tested by forks, some test has it by command too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = ""  # Python that runs in the process of a stage before it does
        self.params = copy.deepcopy(PARAMS)
        self.params["runtime"]["device"] = "cpu"

    def write_params(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.dump(self.params, Dumper=DUMPER))

    def start(self, name: str, *arguments: str, before: str = "") -> forks.Captured:
        """Start a stage; `before`: as the project's, for this one."""
        self.write_params()
        return forks.Captured(
            of_stages().socket, f"stages.{name}", arguments, environment(), self.folder,
            before=self.before + before,
        )  # fmt: skip

    def command(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a stage as a user does: by a command, which a new Python runs."""
        self.write_params()
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{name}", *arguments],
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stage(self, name: str, *arguments: str, command: bool = False) -> str:
        """Run a stage that has to work; what it printed."""
        process = (self.command if command else self.start)(name, *arguments)
        out, error = process.communicate()
        assert process.returncode == 0, error
        return out + error

    def refusal(self, name: str, *arguments: str, command: bool = False) -> str:
        """Run a stage that has to refuse; the one line in which it does."""
        process = (self.command if command else self.start)(name, *arguments)
        _, error = process.communicate()
        assert process.returncode == 1, error
        lines = error.strip().splitlines()
        assert len(lines) == 1, error
        assert lines[0].startswith(f"{name}: ")
        return lines[0]

    def index(self, dataset: str, *, command: bool = False) -> str:
        return self.stage("index", dataset, command=command)

    def backbone(self, name: str = "pixels") -> None:
        """Look a row of the zoo up, unless there is a backbone of that name, of whatever origin."""
        if not (self.folder / "data/backbones" / name).exists():
            self.params["backbones"].setdefault(name, {})
            self.stage("backbone", name)

    def embed_arguments(self, dataset: str, backbone: str) -> tuple[str, ...]:
        """What stage embed is given; the backbone is there then."""
        self.backbone(backbone)
        return dataset, backbone

    def embed(self, dataset: str, backbone: str = "pixels", *, command: bool = False) -> str:
        return self.stage("embed", *self.embed_arguments(dataset, backbone), command=command)

    def store(self, dataset: str, backbone: str = "pixels") -> Path:
        return self.folder / "data" / dataset / backbone / "features"

    def metrics(self, name: str, dataset: str = "digits", backbone: str = "pixels") -> Any:
        """What a stage said of itself, of the run NAME, without what it cost."""
        path = self.folder / "metrics" / dataset / backbone / f"{name}.json"
        facts = json.loads(path.read_text())
        del facts["cost"]
        return facts


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No connection is made: the seconds that each might have taken, and each pause between two."""
    seconds = list[float]()

    def refuse(address: tuple[str, int], timeout: Any = None, *_: object, **__: object) -> None:
        seconds.append(float(timeout))  # None is for ever, and no float
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr("urllib3.util.connection.create_connection", refuse)
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
