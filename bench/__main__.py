"""`python -m bench [part ...]`: run parts (the modules of this folder), print and keep the numbers.

A part has `PACKAGES`, whose versions matter, and `run()`, which returns rows of a table and raises
when the answers differ. One with `BY_PROCESSOR` has a file for each class of processor. One that
cannot run everywhere has `lacking()`: why not here, "" if it can; one with options of its own has
`main(arguments)` (`python -m bench gpu --help`).
Numbers of different machines do not compare; ratios do, more or less.
"""

import argparse
import importlib
import sys
from pathlib import Path

from bench._results import keep, processor_class, table


def main() -> None:
    files = Path(__file__).parent.glob("*.py")
    parts = sorted(file.stem for file in files if not file.stem.startswith("_"))
    first, *rest = sys.argv[1:] or [""]
    if first in parts and hasattr(alone := importlib.import_module(f"bench.{first}"), "main"):
        return alone.main(rest)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(parts)}; all if none is named")
    named = parser.parse_args().part
    if unknown := sorted(set(named) - set(parts)):
        parser.error(f"no part called {', '.join(unknown)}; there are: {', '.join(parts)}")
    for name in named or parts:
        part = importlib.import_module(f"bench.{name}")
        if why := getattr(part, "lacking", str)():
            if named:
                raise SystemExit(f"{name}: {why}")
            print(f"\n{name}: left out, {why}")
            continue
        rows = part.run()
        print(f"\n{name}: {part.__doc__.strip().splitlines()[0]}\n{table(rows)}")
        by_processor = getattr(part, "BY_PROCESSOR", False)
        keep(f"{name}.{processor_class()}" if by_processor else name, part.PACKAGES, rows)


if __name__ == "__main__":
    main()
