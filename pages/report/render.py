"""The page itself: one file, no address in it, everything that users named escaped."""

from collections.abc import Sequence
from pathlib import Path

from pages.report.pictures.similar import Pair
from pages.report.section import Section
from pages.report.tables.costs import Costs


def page(
    parts: Sequence[Section],
    similar: Sequence[Pair],
    side: int,
    provenance: Sequence[tuple[str, str]],
    costs: Costs | None,
) -> str:
    """The HTML of all datasets, and of what looks like one in another. side: of the small pictures
    in pixels; provenance: headed lines."""
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
        side=side,
        provenance=provenance,
        costs=costs,
    )


def _lede(parts: Sequence[Section]) -> str:
    named = f"{len(parts)} datasets" if len(parts) > 1 else parts[0].name
    what = "Frozen and adapted" if any(part.adapted for part in parts) else "Frozen"
    return (
        f"{what} backbones, clustered and compared on {named}. "
        "Click the head of a column to sort by it."
    )
