"""The modules of the review page: each parses, none writes HTML from data or asks another host."""

import re
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "pages/review/static"
MODULES = sorted(STATIC.rglob("*.js"))
IMPORTED = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")


def name_of(path: Path) -> str:
    return path.relative_to(STATIC).as_posix()


def test_every_module_parses():
    playwright = pytest.importorskip("playwright", reason="playwright brings node along")
    node = Path(playwright.__file__).parent / "driver/node"
    if not node.exists():
        pytest.skip("playwright has no node here")
    code = "const {readFileSync} = require('fs'); const {SourceTextModule} = require('vm');"
    code += "for (const path of process.argv.slice(1)) try { new SourceTextModule(readFileSync("
    code += "path, 'utf8')) } catch (error) { console.log(path, String(error)) }"
    command = [str(node), "--experimental-vm-modules", "--no-warnings", "-e", code]
    ran = subprocess.run([*command, *map(str, MODULES)], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_one_idea_and_says_so(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    assert text.startswith(("//", "/*")), "what the module is"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_a_module_imports_is_there(path: Path):
    for name in IMPORTED.findall(path.read_text()):
        assert (path.parent / name).resolve().is_file(), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_are_text_and_never_html(path: Path):
    wrong = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert not re.findall(wrong, path.read_text())


@pytest.mark.parametrize("path", [p for p in sorted(STATIC.rglob("*")) if p.is_file()], ids=name_of)
def test_nothing_is_asked_of_another_host(path: Path):
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.findall(r"https?://|[\"'(]//", text)


def test_the_modules_of_the_first_view_are_fetched_at_once():
    """Else each is asked for when the one that imports it has come."""
    statically = re.compile(
        r"""^(?:import|export)\b[^;]*?from\s+["'](\.[^"']+)["']""", re.MULTILINE
    )
    todo, first = [STATIC / "main.js", STATIC / "views/clusters.js"], set[Path]()
    while todo:
        path = todo.pop().resolve()
        if path not in first:
            first.add(path)
            todo += [path.parent / name for name in statically.findall(path.read_text())]
    text = (STATIC / "index.html").read_text()
    told = re.findall(r'(?:modulepreload" href|module" src)="static/([^"]+)"', text)
    assert sorted(told) == sorted(name_of(path) for path in first)


def test_the_page_has_no_script_or_style_of_its_own():
    text = (STATIC / "index.html").read_text()
    assert not re.findall(r"<style|\sstyle=|<script(?![^>]*\bsrc=)|\son\w+=", text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(scheme: str):
    """Contrast of text by WCAG 2.1 (relative luminance, section 1.4.3): at least 4.5."""
    roots = re.findall(r":root \{(.*?)\}", (STATIC / "page.css").read_text(), re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#\w+)", roots[0] if scheme == "light" else roots[1]))
    pairs = [("fg", "bg"), ("fg", "card"), ("muted", "bg"), ("muted", "card"), ("accent", "bg")]
    for text, ground in [*pairs, ("accent", "card"), ("on-accent", "accent")]:
        assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours #rgb or #rrggbb."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """WCAG's relative luminance."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    share = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in share]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
