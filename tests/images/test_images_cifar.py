"""CIFAR-10, -20 and -100 in their published form: Python 2 pickles, written here by hand."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from listed import splits_of

from images import ImagesError, decode, list_images, open_images, stat_images

COARSE = [f"group {i}" for i in range(20)]
FINE = [f"kind {i:02}" for i in range(100)]
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905


def text(value: str) -> bytes:
    raw = value.encode("latin1")
    return b"T" + struct.pack("<i", len(raw)) + raw


def python2(value: object) -> bytes:
    """The instructions by which Python 2 and its numpy pickle a value (protocol 2)."""
    if isinstance(value, dict):
        items = b"".join(python2(k) + python2(v) for k, v in value.items())
        return b"}(" + items + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    assert isinstance(value, np.ndarray)
    by_column = not value.flags.c_contiguous
    raw = value.tobytes(order="F" if by_column else "C").decode("latin1")
    shape = python2(value.shape[0]) + python2(value.shape[1]) + b"\x86"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = b"K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(" + state + b"tb"
    order = b"\x88" if by_column else b"\x89"
    return array + b"(K\x01" + shape + dtype + order + text(raw) + b"tb"


def write(file: Path, value: object, how=python2) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x80\x02" + how(value) + b"." if how is python2 else how(value))


def pixels(seed: int, n: int) -> np.ndarray:
    """uint8 [image, 32, 32, 3]"""
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)


def rows(images: np.ndarray) -> np.ndarray:
    """As published: 1,024 red, 1,024 green, 1,024 blue."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), 3072))


@pytest.fixture
def cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        batch = {"batch_label": name, "labels": [i, 9], "data": rows(pixels(i, 2))}
        write(folder / name, {**batch, "filenames": ["a_s_1.png", "b_s_2.png"]})
    write(folder / "batches.meta", {"num_cases_per_batch": 2, "label_names": CIFAR10})
    return tmp_path


@pytest.fixture
def cifar100(tmp_path):
    folder = tmp_path / "cifar-100-python"
    for seed, (name, fine) in enumerate({"train": [0, 99, 5], "test": [7]}.items()):
        batch = {"fine_labels": fine, "coarse_labels": [f // 5 for f in fine]}
        write(folder / name, {**batch, "data": rows(pixels(seed, len(fine)))})
    write(folder / "meta", {"fine_label_names": FINE, "coarse_label_names": COARSE})
    return tmp_path


def test_the_pickles_written_here_are_what_python_takes_them_for(cifar10):
    raw = (cifar10 / "cifar-10-batches-py/data_batch_3").read_bytes()
    raw = raw.replace(b"numpy.core", b"numpy._core")  # or today's numpy warns
    found = pickle.loads(raw, encoding="latin1")
    assert found["labels"] == [2, 9]
    assert np.array_equal(found["data"], rows(pixels(2, 2)))


def test_cifar10_is_five_batches_and_a_test(cifar10):
    spec = {"from": "cifar10", "root": str(cifar10)}
    listing = list_images(spec)
    assert listing.names[:3] == ["train/00000", "train/00001", "train/00002"]
    assert splits_of(listing) == ["train"] * 10 + ["test"] * 2
    assert listing.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert listing.labels.dtype == np.int32
    assert listing.classes == CIFAR10
    read = open_images(spec)
    for i in range(10):
        assert np.array_equal(read(f"train/{i:05}"), pixels(i // 2, 2)[i % 2])
    assert np.array_equal(read("test/00001"), pixels(5, 2)[1])
    assert np.array_equal(np.asarray(decode(read("test/00001"))), pixels(5, 2)[1])
    assert stat_images(spec)("test/00001") is None


def test_train_is_not_test(cifar10):
    spec = {"from": "cifar10", "root": str(cifar10)}
    read, names = open_images(spec), list_images(spec).names
    assert len({read(name).tobytes() for name in names}) == len(names)


def test_cifar100_and_cifar20_are_the_same_images_under_other_labels(cifar100):
    fine, coarse = ({"from": f"cifar{n}", "root": str(cifar100)} for n in (100, 20))
    assert list_images(fine).labels.tolist() == [0, 99, 5, 7]
    assert list_images(coarse).labels.tolist() == [0, 19, 1, 1]
    assert list_images(fine).classes == FINE
    assert list_images(coarse).classes == COARSE
    assert list_images(fine).names == list_images(coarse).names
    for name in list_images(fine).names:
        assert np.array_equal(open_images(fine)(name), open_images(coarse)(name))
    assert np.array_equal(open_images(coarse)("train/00002"), pixels(0, 3)[2])


def test_an_array_stored_by_column_is_the_same(cifar10):
    file = cifar10 / "cifar-10-batches-py/test_batch"
    write(file, {"labels": [5, 9], "data": np.asfortranarray(rows(pixels(5, 2)))})
    read = open_images({"from": "cifar10", "root": str(cifar10)})
    assert np.array_equal(read("test/00001"), pixels(5, 2)[1])


def test_a_copy_pickled_by_todays_python_is_read_too(cifar10):
    batch = {"labels": [5, 9], "data": rows(pixels(5, 2))}
    file = cifar10 / "cifar-10-batches-py/test_batch"
    write(file, batch, lambda value: pickle.dumps(value, protocol=2))
    read = open_images({"from": "cifar10", "root": str(cifar10)})
    assert np.array_equal(read("test/00001"), pixels(5, 2)[1])


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_a_pickle_that_would_run_something_is_refused(cifar10):
    file, trace = cifar10 / "cifar-10-batches-py/test_batch", cifar10 / "was here"
    write(file, {"labels": Evil(trace)}, pickle.dumps)
    for what in (list_images, open_images):
        with pytest.raises(ImagesError, match=r"asks for pathlib.*, which no CIFAR file does"):
            what({"from": "cifar10", "root": str(cifar10)})
    assert not trace.exists()


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "numpy\nload", "_codecs\ndecode"])
def test_no_other_function_is_found(cifar10, name):
    file = cifar10 / "cifar-10-batches-py/test_batch"
    file.write_bytes(b"c" + name.encode() + b"\n(S'true'\ntR.")
    with pytest.raises(ImagesError, match="which no CIFAR file does"):
        list_images({"from": "cifar10", "root": str(cifar10)})


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "Ran out of input"),
        (b"hello", "is no CIFAR file"),
        (b"\x80\x02].", "holds a list, not a dictionary"),
        (b"\x80\x02" + python2({"labels": [1]}) + b".", "has no data or no labels"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(cifar10, raw, said):
    file = cifar10 / "cifar-10-batches-py/test_batch"
    file.write_bytes(raw)
    with pytest.raises(ImagesError, match=said) as caught:
        list_images({"from": "cifar10", "root": str(cifar10)})
    assert str(file) in str(caught.value)


def test_a_file_cut_short_is_refused(cifar10):
    file = cifar10 / "cifar-10-batches-py/data_batch_2"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ImagesError, match=r"delete .* to have it downloaded again"):
        list_images({"from": "cifar10", "root": str(cifar10)})


def test_images_without_labels_are_refused(cifar10):
    file = cifar10 / "cifar-10-batches-py/test_batch"
    write(file, {"labels": [1], "data": rows(pixels(0, 2))})
    with pytest.raises(ImagesError, match=r"holds data \[2, 3072\] for 1 labels"):
        list_images({"from": "cifar10", "root": str(cifar10)})


def test_a_label_beyond_the_classes_is_refused(cifar10):
    file = cifar10 / "cifar-10-batches-py/test_batch"
    write(file, {"labels": [10], "data": rows(pixels(0, 1))})
    with pytest.raises(ImagesError, match="labels from 0 to 10, but there are 10 classes"):
        list_images({"from": "cifar10", "root": str(cifar10)})


def test_a_missing_split_is_an_error_and_nothing_stands_in_for_it(cifar10, cifar100):
    (cifar10 / "cifar-10-batches-py/test_batch").unlink()
    (cifar100 / "cifar-100-python/test").unlink()
    for name in ("cifar10", "cifar20", "cifar100"):
        for what in (list_images, open_images):
            with pytest.raises(ImagesError, match=r"lacks test"):
                what({"from": name, "root": str(cifar10)})


@pytest.mark.parametrize("name", ["train/00010", "val/00000", "train/-1", "train/x", "train", ""])
def test_an_image_that_is_not_there_is_an_images_error(cifar10, name):
    with pytest.raises(ImagesError, match="names are like train/00000"):
        open_images({"from": "cifar10", "root": str(cifar10)})(name)
