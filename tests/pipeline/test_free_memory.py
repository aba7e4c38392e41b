"""runtime.memory_gb: auto follows the machine and the limits it is under."""

from pathlib import Path

import psutil
import pytest
from conftest import PARAMS, runtime

from pipeline.free_memory import LEAST, SHARE, memory_gb
from pipeline.params import Runtime, StageError, validated

GB = 10**9


def limited(folder: Path, files: tuple[str, str, str], most: str, taken: int, cache: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / files[0]).write_text(f"{most}\n")
    (folder / files[1]).write_text(f"{taken}\n")
    (folder / "memory.stat").write_text(f"anon {taken - cache}\n{files[2]} {cache}\n")


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 64 * GB

    monkeypatch.setattr(psutil, "virtual_memory", Memory)


def test_it_is_a_share_of_what_is_free_on_the_machine(tmp_path):
    assert memory_gb(tmp_path, tmp_path / "none") == 64 * SHARE


def test_a_container_has_less_than_its_machine(tmp_path):
    member = tmp_path / "member"
    member.write_text("0::/job/step\n")
    limited(tmp_path / "job", V2, str(24 * GB), 10 * GB, 6 * GB)  # the file cache is free
    limited(tmp_path / "job/step", V2, "max", 10 * GB, 0)
    assert memory_gb(tmp_path, member) == 20 * SHARE
    member.write_text("0::/\n")  # a namespace of its own: the limit lies at the top
    limited(tmp_path, V2, str(8 * GB), 2 * GB, GB)
    assert memory_gb(tmp_path, member) == 7 * SHARE


def test_so_has_one_under_the_first_version_of_cgroups(tmp_path):
    member = tmp_path / "member"
    member.write_text("9:name=systemd:/\n4:cpu,memory:/slurm/7\n0::/\n")
    limited(tmp_path / "memory", V1, str(2**63 - 4096), 30 * GB, 0)
    limited(tmp_path / "memory/slurm/7", V1, str(16 * GB), 4 * GB, 0)
    assert memory_gb(tmp_path, member) == 12 * SHARE


def test_there_is_a_least_amount(tmp_path):
    member = tmp_path / "member"
    member.write_text("0::/\n")
    limited(tmp_path, V2, str(GB), 2 * GB, 0)
    assert memory_gb(tmp_path, member) == LEAST


def test_auto_is_the_default_and_a_number_stays():
    assert PARAMS["runtime"]["memory_gb"] == "auto"
    assert runtime().memory_gb >= LEAST
    assert runtime(memory_gb=0.5).memory_gb == 0.5
    for wrong in (0, -1, True, "8", "much", None):
        with pytest.raises(StageError, match=r"runtime.memory_gb .* number above 0, or auto"):
            validated(Runtime, {**PARAMS["runtime"], "memory_gb": wrong}, "runtime")
