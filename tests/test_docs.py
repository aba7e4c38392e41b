"""The documentation is what the code says. `python tests/test_docs.py` writes its tables anew."""

import re
import sys
import tomllib
from itertools import groupby
from pathlib import Path

import pytest
from documents import PAGES, ROOT, blocks, code, headings, links, name_of

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import images
from backbones import Backbone, names, row
from bench._accuracy_rows import kept
from store.kinds import KINDS

README_LINES = 150
MADE = {"data", "metrics", "report", "exports"}  # folders that are made, by stages or a user
MADE_LATER = {"backbones/zoo.lock"}
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|yaml|yml|md|ipynb|txt|lock|j2|cff|toml)")


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


def kinds_of_file() -> str:
    lines = ["| kind | place | arrays |", "|---|---|---|"]
    for name, kind in KINDS.items():
        arrays = ", ".join(f"`{key}` {a.dtype} [{a.axes}]" for key, a in kind.arrays.items())
        lines.append(f"| {name} | `{kind.place}` | {arrays} |")
    return "\n".join(lines)


TABLES = {
    "readers": (ROOT / "docs/own_images.md", readers),
    "backbones": (ROOT / "docs/backbones.md", zoo),
    "kinds": (ROOT / "docs/store.md", kinds_of_file),
    "accuracy": (ROOT / "docs/benchmarks.md", kept),
}


def with_table(name: str) -> str:
    """The page of a table, with the table as the code has it."""
    page, table = TABLES[name]
    place = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
    text, found = re.subn(
        place, lambda m: f"{m[1]}{table()}\n{m[2]}", page.read_text(), flags=re.DOTALL
    )
    assert found == 1, f"{page} has {found} places for the table {name}"
    return text


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_what_the_code_says(name: str):
    page, _ = TABLES[name]
    assert page.read_text() == with_table(name), "run: python tests/test_docs.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_of_make_is_there(page: Path):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`|\()make (\w+)", page.read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_stage_is_described():
    said = {word for page in PAGES if "docs" in page.parts for word in code(page)}
    for path in (ROOT / "stages").glob("[!_]*.py"):
        assert path.stem in said, path.stem


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page: Path):
    for name in {name for word in code(page) for name in word.split()} - MADE_LATER:
        placeholder = re.search("NAME|DATASET|BACKBONE|RUN", name)
        if FILE.fullmatch(name) and name.split("/")[0] not in MADE and not placeholder:
            assert (ROOT / name).exists(), name


def test_what_readme_says_lies_where_does():
    (tree,) = (block for block in blocks("") if block.page == "README.md")
    for name in re.findall(r"^(\S+)  ", tree.text, re.MULTILINE):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    for link in links(page):
        path, _, heading = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), link
        if heading:
            assert heading in headings(there), link


def test_every_page_can_be_reached_from_readme():
    waiting, seen = [ROOT / "README.md"], set[Path]()
    while waiting:
        page = waiting.pop()
        seen.add(page)
        to = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        waiting += [other for other in to & set(PAGES) if other not in seen]
    assert seen == set(PAGES)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


if __name__ == "__main__":
    for name, (page, _) in TABLES.items():
        page.write_text(with_table(name))
