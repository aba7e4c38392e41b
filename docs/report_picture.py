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
WIDTH, HEIGHT = 1180, 1500  # pixels of the page that are shown
SHOWN = 900  # pixels, the width of the picture
COLOURS = 128


def main() -> None:
    """Draw the page, shrink it, save it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        sys.exit("report_picture: no chromium or google-chrome here: install one")
    if not REPORT.exists():
        sys.exit(f"report_picture: {REPORT} is not there: run `make repro`")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        options = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-background-networking", "--no-first-run", f"--user-data-dir={folder}"),
            *("--force-device-scale-factor=2", f"--window-size={WIDTH},{HEIGHT}"),
        ]
        subprocess.run(
            [browser, *options, f"--screenshot={shot}", REPORT.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(shot) as page:
            size = (SHOWN, round(page.height * SHOWN / page.width))
            small = page.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
