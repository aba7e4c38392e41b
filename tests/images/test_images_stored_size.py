"""The size of an image file by its header."""

from pathlib import Path

import pytest
from PIL import Image

from images import ImagesError, decode, stored_size


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_it_is_width_and_height(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd 'name' ü.{suffix}"
    Image.new("RGB", (7, 3)).save(path)
    assert stored_size(path) == (7, 3)


def test_it_is_that_of_the_file_whatever_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (7, 3)).save(path := tmp_path / "turned.jpg", exif=exif)
    assert stored_size(path) == (7, 3)
    assert decode(path.read_bytes()).size == (3, 7)


def test_what_is_no_image_or_gone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    for name in ("text.png", "empty.png", "gone.png"):
        with pytest.raises(ImagesError, match="the image cannot be decoded"):
            stored_size(tmp_path / name)
