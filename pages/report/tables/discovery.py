"""Category discovery: how well methods that know some classes, and others, sort all images."""

from collections.abc import Sequence

from cluster.metrics.discovery import PROTOCOLS, SUBSETS
from pages.report import section
from pages.report.tables import lineage, published, table
from pages.report.tables.settings import Setting, headlines

HINTS = {
    "all": "accuracy on all unlabelled images",
    "old": "on those of known classes",
    "new": "on those of classes of which no image is labelled",
}
BY = {"v2": "one matching", "v2b": "one matching, mean over classes", "v1": "old and new apart"}


def columns(ways: Sequence[str] = ("v2",)) -> list[table.Column]:
    """All, Old and New; of several ways each with its name."""
    return [
        table.Column(
            f"{part}_{way}", part.title() + f" {way}" * (len(ways) > 1),
            f"{HINTS[part]}; {BY[way]}", 100, 1, "all",
        )
        for way in ways for part in SUBSETS
    ]  # fmt: skip


def tables(
    settings: Sequence[Setting], taught: Sequence[str], steps: Sequence[lineage.Step]
) -> list[section.Table]:
    """One table of the headlines by v2; folded in, every setting by all ways, and what `steps` of
    adapting made. `taught`: backbones that have seen the known labels."""
    if not table.scored(settings, columns()):
        return []
    first, ways = lineage.apart(headlines(settings), steps), published.columns(columns(PROTOCOLS))
    seen = lineage.said(taught, [s.backbone for s in settings])
    more = section.filled(
        "", f"Every setting, by all ways.{seen}", settings, table.scored(settings, ways)
    )
    said = section.over_seeds(first)
    images = f"{first[0].images:,} unlabelled images of train"
    caption = f"{said}; in %, by v2, on {images}. {_who(first)}{seen}"
    return [
        section.filled(
            "Category discovery",
            f"{caption} {table.shaded(columns())}",
            first,
            table.scored(first, published.columns(columns())),
            section.whole_of(more, first, "by v2, v2b and v1"),
            more,
        )
    ]


def _who(settings: Sequence[Setting]) -> str:
    """Which methods knew labels: to compare the others with them is not fair."""
    knew = list(dict.fromkeys(s.run for s in settings if s.labelled))
    most = max((s.labelled for s in settings), default=0)
    blind = list(dict.fromkeys(s.run for s in settings if not s.labelled))
    out = f"{', '.join(knew)} knew the class of {most:,} other images."
    return out + f" {', '.join(blind)} knew none, and stand for comparison." * bool(blind)
