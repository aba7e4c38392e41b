"""The page itself: one file, no address in it, everything that users named escaped."""

from collections.abc import Sequence
from pathlib import Path

from pages.report.pictures.examples import Shown
from pages.report.pictures.similar import Pair
from pages.report.section import Section


def page(parts: Sequence[Section], similar: Sequence[Pair], shown: Shown) -> str:
    """The HTML of all datasets, and of what looks like one in another."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        datasets=parts,
        similar=similar,
        lede=_lede(parts),
        per_cluster=shown.per_cluster,
        side=shown.side,
    )


def _lede(parts: Sequence[Section]) -> str:
    named = f"{len(parts)} datasets" if len(parts) > 1 else parts[0].name
    what = "Frozen and adapted" if any(part.adapted for part in parts) else "Frozen"
    return (
        f"{what} backbones, clustered and compared on {named}. "
        "Click the head of a column to sort by it."
    )
