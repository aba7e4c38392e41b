"""What papers say, beside the scores of this project: `python -m recipes compare`.

A row a score of ours that recipes/published.yaml has a number for, on the split that the paper
scored; `--all`: every published number, of which no project is needed.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence

import backbones
import images
from pages.report.asked import Asked, asked
from pages.report.dataset import read_scores
from pages.report.tables.published import OF_DISCOVERY, OF_LABELS
from pages.report.tables.settings import Setting
from pipeline.params import StageError, did_you_mean
from pipeline.published import SAID, Number, read_published

OURS = ("dataset", "backbone", "run", "k", "split", "score", "ours", "published", "difference")
THEIRS = ("name", "dataset", "backbone", "method", "trained", "k", "split", "scores", "source")


def main(arguments: Sequence[str]) -> None:
    """Print the table, and below it what tells each number from ours."""
    parser = argparse.ArgumentParser(prog="python -m recipes compare", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every published number")
    everything = parser.parse_args(arguments).all
    try:
        numbers = read_published()
        print("\n".join(every(numbers) if everything else matching(numbers)))
    except StageError as error:
        raise SystemExit("\n".join(f"recipes: {line}" for line in str(error).split("\n"))) from None


def every(numbers: Sequence[Number]) -> list[str]:
    """All of them as lines."""
    body = [
        (n.name, n.of, n.on, n.method, n.trained or "no", str(n.k), n.split or "not said",
         ", ".join(f"{score} {value:g}" for score, value in n.scores().items()), n.source)
        for n in numbers
    ]  # fmt: skip
    return list(_aligned([THEIRS, *body]))


def matching(numbers: Sequence[Number]) -> list[str]:
    """Those that match a score of the project in this folder, as lines. StageError: see asked."""
    wanted = asked()
    found = [read_scores(wanted, dataset, numbers) for dataset in wanted.datasets]
    body, notes = list[tuple[str, ...]](), dict[str, None]()
    for scores in found:
        for settings, keys in ((scores.settings, OF_LABELS), (scores.partly, OF_DISCOVERY)):
            for setting in settings:
                for number, line in setting.published:
                    body += _rows(setting, number, keys)
                    notes[line] = None
    strange = list(dict.fromkeys(_unknown(numbers, wanted)))
    if not body:
        scored = sum(len(scores.settings) + len(scores.partly) for scores in found)
        return [
            f"None of the {len(numbers)} numbers of {SAID} is of a cell of this project "
            f"({scored} settings are scored): see `python -m recipes compare --all`",
            *strange,
        ]
    return [*_aligned([OURS, *body]), "", *notes, *strange]


def _unknown(numbers: Sequence[Number], wanted: Asked) -> Iterator[str]:
    """A line for each name that can match nothing; such as a slip of the pen."""
    for number in numbers:
        if isinstance(number.dataset, str):
            readers = images.readers()
            if number.dataset not in {*readers, *wanted.datasets}:
                near = did_you_mean(number.dataset, [*readers, *wanted.datasets])
                yield f"{SAID}: dataset {number.dataset} is no reader and none of yours{near}"
        for name in [number.backbone] if isinstance(number.backbone, str) else number.backbone:
            rows = backbones.names()
            if name not in {*rows, *wanted.backbones}:
                near = did_you_mean(name, [*rows, *wanted.backbones])
                yield f"{SAID}: backbone {name} is no row of the zoo and none of yours{near}"


def _rows(s: Setting, number: Number, keys: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for score, key in keys.items():
        theirs, mean, sd = getattr(number, key), 100 * s.mean[score], 100 * s.sd[score]
        if theirs is not None and mean == mean:  # not nan
            ours = f"{mean:.1f}" + (f" ± {sd:.1f}" if sd == sd else "")
            where = (s.dataset, s.backbone, s.run, str(s.k), s.split)
            name = f"{theirs:g} ({number.name})"
            yield (*where, key, ours, name, f"{mean - theirs:+.1f}")


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
