"""What says without labels how many clusters there may be; nothing is chosen by it."""

import json
from collections.abc import Sequence
from pathlib import Path


def how_many(metrics: Path, dataset: str, backbones: Sequence[str]) -> list[str]:
    """A line for each backbone whose graph of neighbours stage `spectral` has looked at."""
    out = []
    for backbone in backbones:
        path = metrics / dataset / f"{backbone}.spectral.json"
        if path.exists():
            out.append(f"{backbone}: {_of_graph(json.loads(path.read_text()))}")
    return out


def _of_graph(found: dict) -> str:
    looked_at = len(found["eigenvalues"]) - 1
    said = f"no eigengap of its neighbour graph is to be seen up to k = {looked_at}"
    if "eigengap_k" in found:
        k = found["eigengap_k"]
        said = f"the largest eigengap of its neighbour graph up to k = {looked_at} is at k = {k}"
    parts, alone = found["components"], found["isolated"]
    if parts > 1:
        said += f"; the graph falls into {parts} parts"
    if alone:
        said += f"; {alone} image{'s have' if alone > 1 else ' has'} no neighbour in it"
    return f"{said}."
