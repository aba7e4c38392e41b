"""Say of each machine that a Ray cluster loses that it is lost: in a line, where Ray has twenty."""

import sys
from collections.abc import Callable

from tqdm import tqdm


def watch() -> Callable[[], None]:
    """A function that names, on stderr, the machines that were lost since it was called last."""
    import ray

    def alive() -> dict[str, str]:
        return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}

    known = alive()

    def look() -> None:
        now = alive()
        for address in (known[node] for node in known.keys() - now.keys()):
            said = f"ray: the machine {address} is lost; the others take over what it had"
            tqdm.write(said, file=sys.stderr)  # above a bar
        known.clear()
        known.update(now)

    return look
