"""README's tables are made from the code. `python tests/test_readme.py` writes them anew."""

import re
import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import images  # noqa: E402
from backbones import Backbone, names, row  # noqa: E402
from store.kinds import markdown  # noqa: E402

README = ROOT / "README.md"


def readers() -> str:
    lines = ["| from | reads | options |", "|---|---|---|"]
    for name in images.readers():
        reader = images.reader(name)
        options = "<br>".join(f"`{option}`: {says}" for option, says in reader.options.items())
        lines.append(f"| `{name}` | {reader.summary.rstrip('.')} | {options} |")
    every = "`splits`, `train`: lists of splits<br>`part`: the share of each split's images to keep"
    lines.append(f"| every reader | | {every}<br>`classes`: a number |")
    return "\n".join(lines)


def zoo() -> str:
    lines = ["| method | backbones | library |", "|---|---|---|"]

    def family(backbone: Backbone) -> tuple[str, str]:
        return backbone.method, backbone.loader

    for (method, loader), rows in groupby(map(row, names()), family):
        lines.append(f"| {method} | {', '.join(f'`{r.name}`' for r in rows)} | {loader} |")
    return "\n".join(lines)


TABLES = {"readers": readers, "backbones": zoo, "kinds": markdown}


def with_tables(text: str) -> str:
    for name, table in TABLES.items():
        place = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        text, found = re.subn(
            place, lambda m, table=table: f"{m[1]}{table()}\n{m[2]}", text, flags=re.DOTALL
        )
        assert found == 1, f"README has {found} places for the table {name}"
    return text


def test_the_tables_say_what_the_code_says():
    text = README.read_text()
    assert text == with_tables(text), "run: python tests/test_readme.py"


def test_every_command_of_make_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`|\()make (\w+)", README.read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_stage_is_in_the_picture():
    text = README.read_text()
    for path in (ROOT / "stages").glob("[!_]*.py"):
        assert re.search(rf"\b{path.stem}\b", text), path.stem


def test_every_file_that_is_named_exists():
    named = re.findall(
        r"`((?:backbones|images|stages|store|cluster)/\w+\.\w+)`", README.read_text()
    )
    made_later = {"backbones/zoo.lock"}
    for name in set(named) - made_later:
        assert "NAME" in name or (ROOT / name).exists(), name


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
