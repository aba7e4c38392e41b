"""The words that stage names proposes for the clusters of a run: one form, written and read."""

from pathlib import Path
from typing import NamedTuple

from pipeline.io.absent import Absent, read_mark
from pipeline.io.cell import Cell
from pipeline.io.whole import facts_in, write_json
from pipeline.params import StageError

Words = list[tuple[str, float]]  # how probable each is in the cluster, most probable first


class Proposals(NamedTuple):
    """seed, k: of the clustering, the run's first setting and its seed of lowest loss; by: who
    named it; words: of each cluster, none of one without images."""

    seed: int
    k: int
    by: str
    words: list[Words]


def place(cell: Cell, run: str) -> Path:
    """The file for later stages."""
    return cell.file(f"names/{run}.json")


def facts_place(cell: Cell, run: str) -> Path:
    """The same for the report, beside what the stage cost."""
    return cell.metric(f"names_{run}.json")


def write_proposals(path: Path, found: Proposals) -> None:
    """As JSON."""
    write_json(path, found._asdict())


def read_proposals(path: Path) -> Proposals:
    """What was written there. Raises Absent where no one can name the clusters, StageError where
    nothing is there."""
    if not path.exists():
        raise StageError(f"{path} is not there: run `dvc repro names`")
    if (why := read_mark(path)) is not None:
        raise Absent(why)
    with facts_in(path) as facts:
        words = [[(str(w), float(share)) for w, share in cluster] for cluster in facts["words"]]
        return Proposals(int(facts["seed"]), int(facts["k"]), str(facts["by"]), words)
