"""Which files are images: by their suffix where that is known, else by how their bytes begin."""

from collections import Counter

IMAGES = {
    *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "bmp", "dib", "gif", "tif", "tiff", "webp"),
    *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx"),
    *("heic", "heif", "hif", "avif"),
}
# What cameras write before any development. Most are TIFF by their first bytes, with a thumbnail
# where Pillow expects the picture, so they are never looked into.
RAW = {
    *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "k25", "kdc", "mef"),
    *("mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw"),
    "x3f",
}
# Not images, or not whole ones: a million of them need not be opened to know it
OTHERS = {
    *("mp4", "mov", "avi", "mkv", "m4v", "webm", "mpg", "mpeg", "wmv", "3gp", "mts", "m2ts"),
    *("mp3", "wav", "flac", "ogg", "m4a", "aac"),
    *("txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "md", "html", "htm", "log"),
    *("xmp", "aae", "thm", "ini", "db", "lnk", "url", "sqlite", "dvc"),
    *("pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "psd", "xcf", "ai", "eps"),
    *("svg", "py", "ipynb", "js", "css", "sh", "r", "m", "c", "cpp", "h", "java"),
    *("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "iso", "exe", "dll"),
    *("npy", "npz", "h5", "hdf5", "mat", "pt", "pth", "pkl", "parquet", "safetensors", "onnx"),
    *("part", "partial", "crdownload", "download", "tmp"),
}
HEAD = 32  # bytes that tell
_STARTS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0"),
    *(b"MM\0+", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
# What lies in the place of a picture, by how it begins
_OTHERWISE = {
    b"version https://git-lfs": "a pointer of Git LFS, not the picture: run `git lfs pull`",
    b"<!doctype html": "a web page, not a picture: the download went wrong, repeat it",
    b"<html": "a web page, not a picture: the download went wrong, repeat it",
    **dict.fromkeys(
        (b"ii*\0", b"mm\0*", b"ii+\0", b"mm\0+"),
        "a TIFF that is broken, or whose layout of bits is not read: save it with 8 or 16 bits a "
        "channel, or as PNG",
    ),
}
SEEN = 512  # bytes that tell what else a file is
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}
_BITMAP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}


def suffix(name: str) -> str:
    """Of a file's name, in small letters and without the point; "" where there is none."""
    dot = name.rfind(".")
    return name[dot + 1 :].lower() if dot > 0 else ""


def is_image(head: bytes) -> bool:
    """Whether a file that begins with these HEAD bytes is of a kind that is read."""
    return (
        head.startswith(_STARTS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)
        or (head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b"\n", b" ", b"\r"))
        or (head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS)
    )


def unread(start: bytes) -> str:
    """What a file is that begins with these SEEN bytes, and no picture that is read; "" where
    nobody knows."""
    if start and not start.strip(b"\0"):
        return "only zeros: a copy or a synchronisation that did not end, repeat it"
    begin = start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \r\n\t").lower()
    return next((what for word, what in _OTHERWISE.items() if begin.startswith(word)), "")


def counted(suffixes: Counter[str]) -> str:
    """300 .cr2, 2 without suffix"""
    words = [f"{n} .{s}" if s else f"{n} without suffix" for s, n in suffixes.most_common(8)]
    if rest := sum(suffixes.values()) - sum(n for _, n in suffixes.most_common(8)):
        words.append(f"{rest} of {len(suffixes) - 8} other kinds")
    return ", ".join(words)
