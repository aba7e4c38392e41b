"""What the pages of the documentation say: their blocks of code, their code in the text, links."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# A block of code, with its language, or what stands in backticks in the text
COMMANDS = re.compile(f"{FENCE.pattern}|`([^`\\n]+)`", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"(dvc|make|pytest|ray|python -m|python tests|pip|git|pre-commit)\b[ /]\S")


class Block(NamedTuple):
    """A block of code: page, relative to the repository; line that it begins at; text."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(language: str) -> list[Block]:
    """All blocks of a language, of all pages: `yaml` is for params.yaml, `yml` for other files."""
    return [
        Block(name_of(page), text.count("\n", 0, found.start()) + 1, found[2])
        for page in PAGES
        for text in (page.read_text(),)
        for found in FENCE.finditer(text)
        if found[1] == language
    ]


def in_order() -> list[Path]:
    """The pages as somebody reads them: README, then in the order in which it names them."""
    first = PAGES[0]
    named = [ROOT / link.partition("#")[0] for link in links(first)]
    return list(dict.fromkeys([first, *(page for page in named if page in PAGES), *PAGES]))


def commands() -> list[tuple[str, str]]:
    """Page and text of each command, in the order of reading: of blocks for a shell and in text."""
    shown = list[tuple[str, str]]()
    for page in in_order():
        for found in COMMANDS.finditer(page.read_text()):
            block, said = found[2] if found[1] == "sh" else None, found[3]
            if block:
                lines = (line.partition("#")[0].split("&&") for line in block.splitlines())
                shown += [(name_of(page), command.strip()) for line in lines for command in line]
            elif said and OURS.match(said):
                shown.append((name_of(page), said))
    return [(page, command) for page, command in dict.fromkeys(shown) if command]


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def code(page: Path) -> list[str]:
    """What stands in backticks in the text."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """Where the page leads to within the repository: path, or path#heading."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if "://" not in link]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
