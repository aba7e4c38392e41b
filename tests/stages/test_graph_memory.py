"""What clusters a graph of any size: the bytes of its runs do not depend on blocks and memory."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustered import N
from learning import CELL, call, runtime, write_all, write_pca
from test_dcsbm_stage import GRAPH, KMEANS
from test_dcsbm_stage import PLAIN as DCSBM
from test_spectral_stage import PLAIN as SPECTRAL
from test_spectral_stage import write_vectors

from cluster import scratch
from cluster.block_model import nearest_candidates
from cluster.spectral import distinct_points, row_blocks, snn_graph, spectral
from pipeline.fitting import train_graph
from pipeline.io import neighbors
from stages import finish

SETTINGS: dict[str, dict[str, Any]] = {
    "spectral": SPECTRAL,
    "dcsbm": {**DCSBM, "k": (10,), "seeds": (0,)},
    "finish": GRAPH,
}


def bytes_of(folder: Path, stage: str, memory_gb: float) -> bytes:
    """What the stage writes, run with so much memory for vectors."""
    memory = runtime(memory_gb=memory_gb)
    if stage != "finish":
        call(folder, stage, SETTINGS[stage], runtime=memory)
        return (folder / CELL._replace(run=stage).clusters).read_bytes()
    with contextlib.chdir(folder):
        finish.main(CELL._replace(run=stage), "kmeans", finish.Params(**GRAPH), memory)
        return CELL._replace(run="kmeans_finished").clusters.read_bytes()


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, all of them in files without a name."""
    for module in (row_blocks, snn_graph, distinct_points, spectral, neighbors, scratch):
        monkeypatch.setattr(module, "ROWS", 50)
    monkeypatch.setattr(snn_graph, "COST", 2000)
    monkeypatch.setattr(train_graph, "VOTING", 30)
    monkeypatch.setattr(nearest_candidates, "TAKEN", 20)
    monkeypatch.setattr(scratch, "LIMIT", 0)


@pytest.mark.parametrize("twice", [False, True], ids=["distinct", "some twice"])
@pytest.mark.parametrize("stage", SETTINGS)
def test_blocks_and_memory_change_no_byte(
    tmp_path: Path, stage: str, twice: bool, monkeypatch: pytest.MonkeyPatch
):
    write_all(tmp_path)
    if twice:
        x = np.random.default_rng(0).normal(size=(N, 24))
        x[N // 3 : N // 2] = x[: N // 2 - N // 3]
        write_vectors(tmp_path, x)
        write_pca(tmp_path)
    call(tmp_path, "kmeans", {**KMEANS, "dims": (0,)})
    expected = bytes_of(tmp_path, stage, 1.0)
    small(monkeypatch)
    for memory_gb in (1.0, 1e-9):
        assert bytes_of(tmp_path, stage, memory_gb) == expected
