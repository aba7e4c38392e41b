"""More than 8 bits a channel: packed, as a negative, in colour, with fewer bits than there is room.

TIFF and PNG are written here by hand, for Pillow writes none of these.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from images import ImagesError, decode, open_images
from images._deep import BRIGHTEST

GREY = np.array([[0, 1024, 2048, 4095]] * 3)  # 12 bits
COLOUR = np.stack([GREY, GREY[:, ::-1], GREY // 2], axis=2)


def tiff(
    values: np.ndarray,
    bits: int,
    *,
    photometric: int = 1,
    planar: int = 1,
    order: str = "<",
    sample_format: int = 1,
) -> bytes:
    """An uncompressed TIFF of `values` [height, width] or [height, width, channel]."""
    height, width, *channels = values.shape
    samples = channels[0] if channels else 1
    strips = [values[..., c] for c in range(samples)] if planar == 2 else [values]
    rows = [strip.reshape(height, -1) for strip in strips]
    data = [_packed(r) if bits == 12 else r.astype(f"{order}i{bits // 8}").tobytes() for r in rows]
    blob, entries, starts = b"", list[bytes](), list[int]()

    def add(tag: int, kind: str, *of: int) -> None:
        nonlocal blob
        raw = struct.pack(f"{order}{len(of)}{kind}", *of)
        if len(raw) > 4:
            blob, raw = blob + raw, struct.pack(f"{order}I", 8 + len(blob))
        what = struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[kind], len(of))
        entries.append(what + raw.ljust(4, b"\0"))

    for strip in data:
        starts.append(8 + len(blob))
        blob += strip + b"\0" * (len(strip) % 2)
    for tag, of in (
        (256, [width]),
        (257, [height]),
        (258, [bits] * samples),
        (259, [1]),
        (262, [photometric]),
    ):
        add(tag, "H", *of)
    add(273, "I", *starts)
    add(277, "H", samples)
    add(278, "H", height)
    add(279, "I", *map(len, data))
    add(284, "H", planar)
    add(339, "H", *[sample_format] * samples)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(blob))
    return head + blob + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + b"\0" * 4


def _packed(rows: np.ndarray) -> bytes:
    """Two values in three bytes; each row begins with a byte of its own."""
    bits = ("".join(f"{value:012b}" for value in row) for row in rows)
    whole = (row + "0" * (-len(row) % 8) for row in bits)
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in whole)


def png(values: np.ndarray, colour_type: int) -> bytes:
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def seen(raw: bytes | np.ndarray) -> np.ndarray:
    return np.asarray(decode(raw))


def in_8_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(values / 4095 * 255).astype(np.uint8)


def of_depth(folder: Path, raw: bytes, depth: int = 12) -> np.ndarray:
    (folder / "a.tif").write_bytes(raw)
    return open_images({"from": "folder", "root": str(folder), "depth": depth})("a.tif")


@pytest.mark.parametrize("width", [3, 4])
def test_packed_twelve_bits_are_scaled_by_twelve_bits(width, tmp_path):
    raw = tiff(GREY[:, -width:], 12)
    assert np.array_equal(seen(raw)[..., 0], in_8_bits(GREY[:, -width:]))
    assert BRIGHTEST not in decode(raw).info  # the file itself says how many count
    assert np.array_equal(seen(of_depth(tmp_path, raw, 16)), seen(raw))


def test_white_is_zero_is_a_negative_in_16_bits_too(tmp_path):
    raw = tiff(GREY * 16, 16, photometric=0)
    assert np.array_equal(seen(raw), 255 - seen(tiff(GREY * 16, 16)))
    assert np.array_equal(of_depth(tmp_path, tiff(GREY, 16, photometric=0)), 255 - in_8_bits(GREY))


@pytest.mark.parametrize(
    "raw",
    [tiff(COLOUR, 16, photometric=2), tiff(COLOUR, 16, photometric=2, order=">"), png(COLOUR, 2)],
    ids=["little", "big", "png"],
)
def test_twelve_bits_in_16_of_colour_are_noticed_and_read_when_asked(raw, tmp_path):
    dark = decode(raw)
    assert (np.asarray(dark).max(), dark.info[BRIGHTEST]) == (15, 4095)
    assert np.array_equal(of_depth(tmp_path, raw), in_8_bits(COLOUR))
    with pytest.raises(ImagesError, match=r"a\.tif has the value 4,095, and depth: 10 says"):
        of_depth(tmp_path, raw, 10)


def test_eight_bits_in_16_of_colour_are_black_and_noticed(tmp_path):
    raw = png(COLOUR // 16, 2)
    assert (seen(raw).max(), decode(raw).info[BRIGHTEST]) == (0, 255)
    assert np.array_equal(of_depth(tmp_path, raw, 8), COLOUR // 16)
    assert decode(png(COLOUR * 0, 2)).info[BRIGHTEST] == 0  # black has no depth to tell
    clear = np.concatenate([COLOUR // 16, np.full((3, 4, 1), 65535)], axis=2)
    assert decode(png(clear, 6)).info[BRIGHTEST] == 255


def test_full_16_bits_of_colour_stay_as_they_were(tmp_path):
    raw = png(COLOUR * 16, 2)
    assert np.array_equal(seen(raw), COLOUR * 16 >> 8)
    assert decode(raw).info[BRIGHTEST] > 2**15


def test_depth_says_where_it_cannot_be_applied(tmp_path):
    clear = np.concatenate([COLOUR, np.full((3, 4, 1), 65535)], axis=2)
    with pytest.raises(ImagesError, match="16 bits a channel and transparency, and depth cannot"):
        of_depth(tmp_path, png(clear, 6))
    ppm = b"P6 4 3 65535\n" + COLOUR.astype(">u2").tobytes()
    assert decode(ppm).info[BRIGHTEST] < 2**14
    with pytest.raises(ImagesError, match="the format PPM, and depth cannot"):
        of_depth(tmp_path, ppm)
    cut = png(COLOUR, 2)[:60]
    assert of_depth(tmp_path, cut) == cut  # broken: whoever decodes it says so


def test_channels_that_lie_apart_are_refused_rather_than_mixed():
    with pytest.raises(ImagesError, match=r"16 bits a channel whose channels lie apart"):
        decode(tiff(COLOUR * 16, 16, photometric=2, planar=2))


def test_signed_bytes_are_no_unsigned_ones():
    raw = tiff(np.array([[-128, 0, 127]]), 8, sample_format=2)
    assert seen(raw)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("bad", [tiff(COLOUR, 12, photometric=2), tiff(GREY, 12, order=">")])
def test_other_packed_files_are_refused_in_one_line(bad):
    with pytest.raises(ImagesError, match="TIFF that is broken, or whose layout of bits is not"):
        decode(bad)
