"""Make docs/report.png, the picture in README.md: the top of the report, by a headless Chromium.

    make repro && python docs/report_picture.py

Needs chromium or google-chrome on the PATH. The page is drawn at twice its size and shrunk, which
keeps its letters legible in a file of few colours.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
REPORT, PICTURE = ROOT / "report/index.html", ROOT / "docs/report.png"
WIDTH, HEIGHT = 1280, 1170  # pixels of the page that are shown
SHOWN = 800  # pixels, the width of the picture
COLOURS = 128
# Of the first dataset the first clusters of the best clustering, and the first table
STYLE = """<style>
section ~ section, .dataset > *, .sizes, .sizes ~ .note, .card:nth-child(n+3) { display: none }
.dataset > h2, .dataset > h3, .dataset > div.sheet { display: block }
.dataset > .scroll:not(.scroll ~ .scroll) { display: block }
</style>"""


def main() -> None:
    """Draw the page, shrink it, save it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        sys.exit("report_picture: no chromium or google-chrome here: install one")
    if not REPORT.exists():
        sys.exit(f"report_picture: {REPORT} is not there: run `make repro`")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        text = REPORT.read_text(encoding="utf-8")
        page.write_text(text.replace("</head>", f"{STYLE}</head>"), encoding="utf-8")
        options = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-background-networking", "--no-first-run", f"--user-data-dir={folder}"),
            *("--force-device-scale-factor=2", f"--window-size={WIDTH},{HEIGHT}"),
        ]
        subprocess.run(
            [browser, *options, f"--screenshot={shot}", page.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(shot) as drawn:
            size = (SHOWN, round(drawn.height * SHOWN / drawn.width))
            small = drawn.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
