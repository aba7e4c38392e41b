"""Images as users have them: in any mode, an upright RGB picture, or a refusal that says why."""

import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from images import ImagesError, decode, decoding_memory, picture_size

pillow_heif.register_heif_opener()  # to write it


def file(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def pixels(raw: bytes | np.ndarray) -> list:
    picture = decode(raw)
    assert (type(picture), picture.mode) == (Image.Image, "RGB")
    return np.asarray(picture).tolist()


def photo(width: int = 40, height: int = 24) -> Image.Image:
    """Smooth, and different towards each corner."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], 2).astype(np.uint8))


def png(width: int, height: int, depth: int, colour: int, data: bytes, *more: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write; `more` are chunks before the pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", head), *(chunk(m[:4], m[4:]) for m in more)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [*chunks, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize(
    "kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG2000", "AVIF", "HEIF"]
)
def test_every_kind_of_file_is_read(kind):
    options = {"WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}}.get(kind, {})
    found = np.asarray(decode(file(photo(), kind, **options))).astype(int)
    off = 25 if kind in ("GIF", "AVIF", "HEIF") else 0
    assert abs(found - np.asarray(photo())).max() <= off


def test_a_jpeg_is_read():
    found = np.asarray(decode(file(photo(), "JPEG", quality=95))).astype(int)
    assert abs(found - np.asarray(photo())).max() <= 12


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_photographs_of_a_telephone_stand_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ImageOps.exif_transpose(Image.open(BytesIO(file(photo(), "PNG", exif=exif))))
    found = decode(file(photo(), "HEIF", quality=95, exif=exif.tobytes()))
    assert found.size == upright.size
    assert abs(np.asarray(found).astype(int) - np.asarray(upright)).max() <= 25


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_clear_picture_of_a_telephone_lies_on_white(kind):
    found = np.asarray(decode(file(Image.new("RGBA", (32, 32), (9, 9, 9, 0)), kind)))
    assert found.min() >= 250


def test_grey_becomes_three_equal_channels():
    assert pixels(file(Image.new("L", (1, 1), 77))) == [[[77, 77, 77]]]
    assert pixels(file(Image.new("1", (1, 1), 1))) == [[[255, 255, 255]]]


def test_a_palette_is_looked_up():
    picture = Image.new("P", (1, 1), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    assert pixels(file(picture)) == [[[10, 20, 30]]]


def test_transparent_parts_lie_on_white():
    row = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 128]]], np.uint8)
    opaque, clear, half = pixels(file(Image.fromarray(row)))[0]
    assert opaque == [200, 100, 0]
    assert clear == [255, 255, 255]
    assert np.allclose(half, [227, 177, 127], atol=1)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_lies_on_white(kind):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([9, 9, 9, 10, 20, 30])
    assert pixels(file(picture, kind, transparency=0)) == [[[255, 255, 255], [10, 20, 30]]]


def test_other_ways_of_transparency_lie_on_white_too():
    assert pixels(file(Image.new("LA", (1, 1), (5, 0)))) == [[[255, 255, 255]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([9, 9, 9, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    assert pixels(file(palette, transparency=b"\x00\xff")) == [[[255, 255, 255], [10, 20, 30]]]
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert pixels(file(rgb, transparency=(1, 2, 3))) == [[[255, 255, 255], [4, 5, 6]]]
    grey = Image.fromarray(np.array([[7, 8]], np.uint8))
    assert pixels(file(grey, transparency=7)) == [[[255, 255, 255], [8, 8, 8]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    deep = np.array([[0, 128, 257, 0x7FFF, 0xFF00, 0xFFFF]] * 8, np.uint16)
    found = np.array(pixels(file(Image.fromarray(deep), kind)))[0, :, 0]
    assert found.tolist() == np.rint(deep[0] / 257).tolist()


def test_big_endian_sixteen_bits_are_the_same():
    deep = Image.fromarray(np.array([[0, 0x1234, 0xFFFF]], ">u2"))
    assert deep.mode == "I;16B"
    assert [p[0] for p in pixels(file(deep, "TIFF"))[0]] == [0, 18, 255]


def test_sixteen_bit_colour_is_scaled():
    raw = png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 0x8000, 0xFFFF, 0x1234, 0x00FF, 0xFF00))
    assert np.allclose(pixels(raw), [[[0, 128, 255], [18, 1, 255]]], atol=1)


def test_a_plain_text_pgm_with_an_odd_maximum_is_scaled():
    assert [p[0] for p in pixels(b"P2 3 1 1000\n0 500 1000\n")[0]] == [0, 128, 255]


def grey(values: list[float], kind: type) -> list[int]:
    return [p[0] for p in pixels(file(Image.fromarray(np.array([values], kind)), "TIFF"))[0]]


def test_integers_and_floats_are_stretched_from_darkest_to_brightest():
    assert grey([-1000, 0, 1000], np.int32) == [0, 128, 255]
    assert grey([100_000, 100_510], np.int32) == [0, 255]
    assert grey([-5.0, 0, 5.0], np.float32) == [0, 128, 255]
    assert grey([-3e38, 0, 3e38], np.float32) == [0, 128, 255]


def test_floats_from_zero_to_one_are_taken_for_what_they_mean():
    assert grey([0.25, 0.5], np.float32) == [64, 128]
    assert grey([0, 0], np.float32) == [0, 0]


def test_what_is_no_number_does_no_harm():
    assert grey([np.nan, 0, 1, np.inf, -np.inf], np.float32) == [0, 0, 255, 255, 0]
    assert grey([np.nan, np.nan], np.float32) == [0, 0]
    assert grey([7, 7], np.float32) == [0, 0]
    signalling = np.array([[0x7F800001, 0x7F7FFFFF, 0]], np.uint32).view(np.float32)
    assert pixels(file(Image.fromarray(signalling), "TIFF"))[0][1] == [255, 255, 255]


def test_cmyk_is_converted():
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert np.allclose(pixels(file(ink, "TIFF")), [0, 255, 255])
    # Adobe writes JPEG's inks the other way round, and Pillow both writes and reads it so.
    assert np.allclose(pixels(file(ink, "JPEG", quality=95)), [0, 255, 255], atol=4)


@pytest.mark.parametrize("orientation", range(10))
def test_the_size_of_a_picture_is_that_of_the_upright_one(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = file(photo(), "JPEG", exif=exif)
    assert picture_size(raw) == decode(raw).size
    assert picture_size(np.zeros((5, 7), np.uint8)) == (7, 5)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_cameras_rotation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = file(photo(), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(raw))).convert("RGB")
    assert pixels(raw) == np.asarray(upright).tolist()
    assert decode(raw).size == ((24, 40) if orientation in (5, 6, 7, 8) else (40, 24))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08"]
)
def test_broken_exif_is_still_a_picture(exif):
    assert decode(file(photo(), "JPEG", exif=exif)).size == (40, 24)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if kind == "WEBP" else {}
    raw = file(red, kind, save_all=True, append_images=[blue], **options)
    assert pixels(raw)[0][0] == [255, 0, 0]


def test_arrays_are_pictures_too():
    assert pixels(np.array([[7]], np.uint8)) == [[[7, 7, 7]]]
    colour = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert pixels(colour) == colour.tolist()
    assert pixels(colour[::-1, ::-1]) == colour[::-1, ::-1].tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ImagesError, match=r"is no image; expected uint8 \[height, width\]"):
        decode(array)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP", "JPEG2000"])
def test_a_truncated_file_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    raw = file(Image.fromarray(noise), kind)
    for part in (0.9, 0.5):
        with pytest.raises(ImagesError):
            decode(raw[: int(len(raw) * part)])


def test_an_empty_file_says_so():
    with pytest.raises(ImagesError, match=r"empty \(0 bytes\)"):
        decode(b"")


@pytest.mark.parametrize("raw", [b"\1", b"hello", b"404 <html>", b"%PDF-1.7", b"\x89PNG\r\n"])
def test_what_is_no_image_is_refused(raw):
    with pytest.raises(ImagesError, match="no image, or of an unknown kind; JPEG, PNG"):
        decode(raw)


def test_formats_that_run_programs_are_not_even_tried():
    with pytest.raises(ImagesError, match="no image, or of an unknown kind"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")


def test_a_picture_beyond_pillows_limit_is_read_without_a_warning():
    big = png(20_000, 10_000, 1, 0, bytes(2501) * 10_000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert decode(big).size == (20_000, 10_000)
    assert not caught


def test_a_decompression_bomb_is_refused_before_it_goes_off():
    with pytest.raises(
        ImagesError, match=r"too large: 60000 x 60000 pixels, at most 1,073,741,824"
    ):
        decode(png(60_000, 60_000, 8, 2, b""))


def test_pillows_warnings_do_not_get_out():
    # An impossible animation, of which Pillow warns.
    raw = png(1, 1, 8, 0, b"\0\x05", b"acTL" + bytes(8))
    with pytest.warns(UserWarning, match="Invalid APNG"):
        Image.open(BytesIO(raw))
    for _ in range(2):  # the filters outside are restored in between
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert pixels(raw) == [[[5, 5, 5]]]
        assert not caught
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert pixels(raw) == [[[5, 5, 5]]]


@pytest.mark.parametrize("where", ["profile", "packed", "comment"])
def test_a_png_with_a_large_profile_or_comment_is_sound(where):
    large = np.random.default_rng(0).integers(32, 127, 3_000_000, np.uint8).tobytes()
    chunk = {
        "profile": b"iCCPmine\0\0" + zlib.compress(large),
        "packed": b"zTXtmine\0\0" + zlib.compress(large),
        "comment": b"iTXtmine\0\1\0\0\0" + zlib.compress(large),
    }[where]
    assert pixels(png(1, 1, 8, 0, b"\0\x05", chunk)) == [[[5, 5, 5]]]
    many = [b"zTXtmine\0\0" + zlib.compress(large[:900_000])] * 80
    assert pixels(png(1, 1, 8, 0, b"\0\x05", *many)) == [[[5, 5, 5]]]


def test_a_photograph_is_decoded_whole_and_a_huge_jpeg_at_a_part_of_its_size(monkeypatch):
    raw = file(photo(400, 320), "JPEG", quality=95)
    whole = np.asarray(decode(raw)).astype(int)
    assert whole.shape == (320, 400, 3)
    before = decoding_memory(raw)
    monkeypatch.setattr(sys.modules["images.decode"], "REDUCE_FROM", 100_000)
    monkeypatch.setattr(sys.modules["images.decode"], "REDUCE_TO", 80)
    found = np.asarray(decode(raw)).astype(int)
    assert found.shape == (80, 100, 3)
    means = whole.reshape(80, 4, 100, 4, 3).mean((1, 3))
    assert abs(found - means).max() <= 6
    assert decoding_memory(raw) - len(raw) == (before - len(raw)) / 16
    assert decode(file(photo(400, 320), "PNG")).size == (400, 320)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16", "F"])
@pytest.mark.parametrize("side", [100, 2000])
def test_the_memory_of_decoding_is_known_from_the_header(mode, side):
    if mode == "I;16":
        picture = Image.fromarray(np.zeros((side, side), np.uint16))
    else:
        picture = Image.new(mode, (side, side))
    raw = file(picture, "TIFF")
    each = 12 if mode in ("RGB", "L") else 20
    assert decoding_memory(raw) == len(raw) + each * side * side


def test_the_memory_of_what_is_no_image_is_not_known():
    with pytest.raises(ImagesError, match="no image, or of an unknown kind"):
        decoding_memory(b"hello")
    assert decoding_memory(np.zeros((2, 3), np.uint8)) == 12


def test_errors_are_one_line():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    raw = file(Image.fromarray(noise), "JPEG")
    with pytest.raises(ImagesError) as caught:
        decode(raw[: len(raw) // 2])
    assert "\n" not in str(caught.value)
    assert "truncated" in str(caught.value)


def test_threads_decode_as_one_does():
    raws = [file(photo(30 + i, 20), kind) for i in range(8) for kind in ("JPEG", "PNG", "GIF")] * 4
    alone = [decode(raw).tobytes() for raw in raws]
    with ThreadPoolExecutor(8) as pool:
        assert [picture.tobytes() for picture in pool.map(decode, raws)] == alone


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><html>404", "a web page, not a picture"),
        (b"\0" * 4096, "only zeros: a copy or a synchronisation"),
    ],
)
def test_what_lies_in_the_place_of_a_picture_is_told(raw: bytes, line: str):
    with pytest.raises(ImagesError, match=line):
        decode(raw)
