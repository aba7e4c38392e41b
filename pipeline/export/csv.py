"""csv: UTF-8, a header, lines end in a line feed."""

from pathlib import Path

from pipeline.export.table import Table
from pipeline.io.table import in_parts, write_csv
from pipeline.io.whole import whole_text


def write(path: Path, table: Table) -> str:
    """A column a column."""
    with whole_text(path) as file:
        write_csv(file, list(table.columns), in_parts(list(table.columns.values())))
    return ""
