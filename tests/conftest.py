"""A project folder of its own for each test: params.yaml, and stages run as a user runs them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from stages import Runtime

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: see stages

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that no worker begins it when the others are done (which takes
    --no-loadscope-reorder, as `make test` has it)."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


def runtime(**changes: Any) -> "Runtime":
    """That of params.yaml on the CPU, with changes."""
    from stages import Runtime  # here: tests of the numerics run where pydantic is not installed

    said = yaml.safe_load((ROOT / "params.yaml").read_text())["runtime"]
    return Runtime(**{**said, "device": "cpu", **changes})


def one_thread() -> Iterator[None]:
    """To be made a fixture: arrays as small as those of the tests are slower with several."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Project:
    """A folder with a params.yaml; `stage` runs one stage in it, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
        self.params["runtime"]["device"] = "cpu"

    def write_params(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        self.write_params()
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{name}", *arguments],
            cwd=self.folder,
            # One thread: other tests use the other cores
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stage(self, name: str, *arguments: str) -> str:
        """Run a stage that has to work; what it printed."""
        process = self.start(name, *arguments)
        out, error = process.communicate()
        assert process.returncode == 0, error
        return out + error

    def refusal(self, name: str, *arguments: str) -> str:
        """Run a stage that has to refuse; the one line in which it does."""
        process = self.start(name, *arguments)
        _, error = process.communicate()
        assert process.returncode == 1, error
        lines = error.strip().splitlines()
        assert len(lines) == 1, error
        assert lines[0].startswith(f"{name}: ")
        return lines[0]

    def index(self, dataset: str) -> str:
        return self.stage(
            "index", dataset, f"data/images/{dataset}.h5", f"data/labels/{dataset}.h5"
        )

    def embed_arguments(self, dataset: str, backbone: str) -> tuple[str, ...]:
        return (
            backbone,
            f"data/images/{dataset}.h5",
            f"data/features/{dataset}/{backbone}",
            f"data/views/{dataset}/{backbone}",
            f"data/unreadable/{dataset}/{backbone}.csv",
            f"metrics/{dataset}/{backbone}.embed.json",
        )

    def embed(self, dataset: str, backbone: str = "pixels") -> str:
        return self.stage("embed", *self.embed_arguments(dataset, backbone))

    def store(self, dataset: str, backbone: str = "pixels") -> Path:
        return self.folder / "data/features" / dataset / backbone


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
