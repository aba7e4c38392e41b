"""Whatever the bytes: an RGB picture or an ImagesError, no other exception, no warning."""

import sys
import warnings
from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from images import ImagesError, decode, decoding_memory

pillow_heif.register_heif_opener()

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "HEIF")
MODES = {
    "PNG": ("RGBA", "P", "L", "I;16", "1"),
    "TIFF": ("CMYK", "F", "I", "I;16", "L"),
    "GIF": ("P",),
}
LOOK = settings(
    deadline=None,
    database=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def seeds() -> list[bytes]:
    """Small honest files of each kind, mode and way to compress."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    made = []
    for kind in KINDS:
        for mode in ("RGB", *MODES.get(kind, ())):
            picture = (
                Image.fromarray(rng.integers(0, 65536, (9, 11), np.uint16))
                if mode == "I;16"
                else colour.convert(mode)
            )
            out = BytesIO()
            picture.save(out, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}))
            made.append(out.getvalue())
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        out = BytesIO()
        colour.save(out, "TIFF", compression=compression)
        made.append(out.getvalue())
    out = BytesIO()
    colour.save(out, "GIF", save_all=True, append_images=[colour.rotate(90)])
    made.append(out.getvalue())
    return made


SEEDS = seeds()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Headers that claim a gigapixel are tested elsewhere; here they would only take memory."""
    monkeypatch.setattr(sys.modules["images.decode"], "MAX_PIXELS", 1_000_000)


def attempt(raw: bytes) -> Image.Image | ImagesError:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return decode(raw)
        except ImagesError as error:
            return error


def survives(raw: bytes) -> None:
    found = attempt(raw)
    if not isinstance(found, ImagesError):
        assert decoding_memory(raw) > 0
    if isinstance(found, ImagesError):
        assert len(str(found).splitlines()) == 1
        return
    assert found.mode == "RGB"
    assert 0 < found.width * found.height <= 1_000_000
    assert len(found.tobytes()) == found.width * found.height * 3


@given(st.binary(max_size=200))
@LOOK
def test_random_bytes(raw):
    survives(raw)


@given(
    st.sampled_from([seed[:16] for seed in SEEDS]),
    st.binary(max_size=200),
)
@LOOK
def test_random_bytes_that_begin_like_an_image(head, raw):
    survives(head + raw)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
@LOOK
def test_damaged_images(raw, damage, kept):
    broken = bytearray(raw)
    for where, value in damage:
        broken[int(where * len(broken))] = value
    survives(bytes(broken[: max(1, int(kept * len(broken)))]))


@given(st.sampled_from(SEEDS), st.sampled_from(SEEDS), st.floats(0, 1), st.floats(0, 1))
@LOOK
def test_the_head_of_one_image_on_the_tail_of_another(one, other, i, j):
    survives(one[: int(i * len(one))] + other[int(j * len(other)) :])
