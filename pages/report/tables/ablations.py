"""The two curves of kmeans_selfsuper (arXiv 2008.10312): scores by k and by PCA dimensions."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from pages.report.tables.settings import Setting
from pipeline.io.whole import whole_text

SCORES = ("acc", "ari", "silhouette")
SAME_METHOD = {"overcluster": "kmeans"}  # k-means with more clusters: one curve


def by_k(settings: Sequence[Setting]) -> list[Setting]:
    """Those that differ from their run's first setting in k alone, on the images fitted on."""
    return _vary(settings, lambda s: s.k, lambda s: s.dims)


def by_dims(settings: Sequence[Setting]) -> list[Setting]:
    """Those that differ from their run's first setting in dims alone, on the images fitted on."""
    return _vary(settings, lambda s: s.dim, lambda s: s.k)


Line = tuple[str, str]  # backbone, method


def line(s: Setting) -> Line:
    """Which line of a chart a setting belongs to."""
    return s.backbone, SAME_METHOD.get(s.run, s.run)


def lines(settings: Sequence[Setting]) -> dict[Line, list[Setting]]:
    """The settings, line by line, in order of the lines."""
    keys = sorted({line(s) for s in settings})
    return {key: [s for s in settings if line(s) == key] for key in keys}


def write(path: Path, settings: Sequence[Setting], x: str) -> None:
    """The curves as a table for `dvc plots`; `x` is k, or dims: the width that was clustered."""
    spread = [name for score in SCORES for name in (score, f"{score}_sd")]
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "backbone", "method", "run", x, *spread])
        for s in settings:
            at = s.k if x == "k" else s.dim
            values = [value for score in SCORES for value in (s.mean[score], s.sd[score])]
            text = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
            writer.writerow([s.dataset, *line(s), s.run, at, *text])


def _vary(
    settings: Sequence[Setting], x: Callable[[Setting], int], same: Callable[[Setting], int]
) -> list[Setting]:
    own = [s for s in settings if s.own and s.split == "train"]
    first = {(s.dataset, s.backbone, s.run): s for s in own if s.setting == 0}
    out: dict[tuple[str, Line, int], Setting] = {}
    for s in own:
        if same(s) == same(first[s.dataset, s.backbone, s.run]):
            # Where two runs have the same point, such as k = classes, the first stands for both.
            out.setdefault((s.dataset, line(s), x(s)), s)
    return sorted(out.values(), key=lambda s: (s.dataset, line(s), x(s)))
