"""Which classes the benchmarks of category discovery take for known ("old"), the rest being new.

NAME.txt beside has a line a group, with the numbers of its classes: `old`, then, where that is
published, the new ones as `hard`, `medium` and `easy` to tell from the old ones.

After the splits of GCD (arXiv:2201.02609) and of the Semantic Shift Benchmark (arXiv:2110.06207).
But: old classes are in ascending order, on which no draw depends; the new ones keep theirs.
"""

from pathlib import Path


def groups(name: str) -> dict[str, list[int]]:
    """The class numbers of each group of the dataset called `name`."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {group: [int(n) for n in numbers] for group, *numbers in map(str.split, lines)}
