"""STL-10, Fashion-MNIST and the digits in their published form, written here by hand."""

import gzip
import struct
import sys

import numpy as np
import pytest
from listed import splits_of
from sklearn.datasets import load_digits

from images import ImagesError, decode, list_images, open_images, stat_images

STL10 = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def stl10(tmp_path):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for seed, (split, n) in enumerate({"train": 3, "test": 2, "unlabeled": 4}.items()):
        # Colour, then column, then row: Matlab's order.
        random(seed, n, 96, 96, 3).transpose(0, 3, 2, 1).tofile(folder / f"{split}_X.bin")
    np.array([1, 10, 2], np.uint8).tofile(folder / "train_y.bin")
    np.array([9, 1], np.uint8).tofile(folder / "test_y.bin")
    (folder / "class_names.txt").write_text("\n".join(STL10) + "\n")
    return tmp_path


def test_stl10_has_a_split_without_labels(stl10):
    listing = list_images({"from": "stl10", "root": str(stl10)})
    assert splits_of(listing) == ["train"] * 3 + ["test"] * 2 + ["unlabeled"] * 4
    assert listing.labels.tolist() == [0, 9, 1, 8, 0, -1, -1, -1, -1]
    assert listing.classes == STL10
    assert listing.names[-1] == "unlabeled/00003"


def test_stl10_images_stand_upright(stl10):
    spec = {"from": "stl10", "root": str(stl10)}
    read = open_images(spec)
    for seed, (split, n) in enumerate({"train": 3, "test": 2, "unlabeled": 4}.items()):
        for i in range(n):
            assert np.array_equal(read(f"{split}/{i:05}"), random(seed, n, 96, 96, 3)[i])
    assert type(read("train/00000")) is np.ndarray
    assert decode(read("train/00000")).size == (96, 96)
    assert stat_images(spec)("train/00000") is None


def test_stl10_is_mapped_not_read(stl10):
    # 27 GB that take no room: reading them would not fit.
    with (stl10 / "stl10_binary/unlabeled_X.bin").open("wb") as file:
        file.truncate(27_648 * 1_000_000)
    read = open_images({"from": "stl10", "root": str(stl10)})
    assert read("unlabeled/999999").sum() == 0


def test_stl10_may_do_without_the_unlabeled_images_or_fit_on_them(stl10):
    spec = {"from": "stl10", "root": str(stl10)}
    assert len(list_images({**spec, "splits": ["train", "test"]}).names) == 5
    both = list_images({**spec, "train": ["train", "unlabeled"]})
    assert splits_of(both).count("train") == 7


@pytest.mark.parametrize("file", ["test_X.bin", "test_y.bin", "unlabeled_X.bin", "class_names.txt"])
def test_stl10_with_a_file_missing_is_refused(stl10, file):
    (stl10 / "stl10_binary" / file).unlink()
    for what in (list_images, open_images):
        with pytest.raises(ImagesError, match=f"lacks {file}"):
            what({"from": "stl10", "root": str(stl10)})


@pytest.mark.parametrize("size", [0, 27_647, 27_649])
def test_stl10_cut_short_is_refused(stl10, size):
    (stl10 / "stl10_binary/test_X.bin").write_bytes(bytes(size))
    for what in (list_images, open_images):
        with pytest.raises(ImagesError, match=f"has {size} bytes, which is no number of images"):
            what({"from": "stl10", "root": str(stl10)})


@pytest.mark.parametrize("labels", [[1], [1, 2, 3], [0, 1], []])
def test_stl10_labels_that_do_not_fit_are_refused(stl10, labels):
    np.array(labels, np.uint8).tofile(stl10 / "stl10_binary/test_y.bin")
    with pytest.raises(ImagesError, match="labels count from 1"):
        list_images({"from": "stl10", "root": str(stl10)})


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


@pytest.fixture(params=["FashionMNIST/raw", "."])
def fashion(request, tmp_path):
    folder = tmp_path / request.param
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (stem, labels) in enumerate({"train": [9, 0, 3], "t10k": [1, 9]}.items()):
        images = idx(random(seed, len(labels), 28, 28))
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(np.array(labels, np.uint8)))
    return folder, {"from": "fashion_mnist", "root": str(tmp_path)}


def test_fashion_mnist_is_read_gzipped_or_not(fashion):
    _, spec = fashion
    listing = list_images(spec)
    assert listing.names == [
        "train/00000",
        "train/00001",
        "train/00002",
        "test/00000",
        "test/00001",
    ]
    assert splits_of(listing) == ["train"] * 3 + ["test"] * 2
    assert listing.labels.tolist() == [9, 0, 3, 1, 9]
    assert (listing.classes[0], listing.classes[9]) == ("T-shirt/top", "Ankle boot")
    read = open_images(spec)
    assert np.array_equal(read("train/00002"), random(0, 3, 28, 28)[2])
    assert np.array_equal(read("test/00001"), random(1, 2, 28, 28)[1])
    assert decode(read("test/00001")).size == (28, 28)
    assert stat_images(spec)("test/00001") is None


def test_fashion_mnist_with_half_its_files_is_refused(fashion):
    folder, spec = fashion
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    for what in (list_images, open_images):
        with pytest.raises(ImagesError, match="but lacks t10k-images-idx3-ubyte; add"):
            what(spec)


def damaged() -> dict[str, bytes]:
    whole = idx(random(1, 2, 28, 28))
    return {
        "cut short": gzip.compress(whole[:-1]),
        "no gzip": b"hello",
        "empty": b"",
        "half a gzip": gzip.compress(whole)[:-20],
        "other axes": gzip.compress(idx(random(0, 2, 784))),
        "no bytes": gzip.compress(whole.replace(b"\0\0\x08", b"\0\0\x0d", 1)),
    }


@pytest.mark.parametrize("how", damaged())
def test_a_damaged_idx_file_is_named(fashion, how):
    folder, spec = fashion
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(damaged()[how])
    with pytest.raises(ImagesError, match=r"t10k-images-idx3-ubyte\.gz.*delete it"):
        open_images(spec)


def test_images_and_labels_of_different_number_are_refused(fashion):
    folder, spec = fashion
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([1], np.uint8)))
    with pytest.raises(ImagesError, match="t10k holds 2 images but 1 labels"):
        open_images(spec)


def test_debians_fashion_mnist_is_found(tmp_path):
    import images.fashion_mnist as module

    if not module.DEBIAN.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    listing = list_images({"from": "fashion_mnist", "root": str(tmp_path)})
    assert (splits_of(listing).count("train"), splits_of(listing).count("test")) == (60_000, 10_000)
    assert np.bincount(listing.labels).tolist() == [7000] * 10


def test_the_digits_have_a_split_of_our_own():
    spec = {"from": "digits"}
    listing = list_images(spec)
    assert (splits_of(listing).count("train"), splits_of(listing).count("test")) == (1437, 360)
    assert listing.classes == [str(i) for i in range(10)]
    assert set(listing.labels.tolist()) == set(range(10))
    assert (listing.names[0], listing.names[-1]) == ("train/00000", "test/00359")
    assert stat_images(spec)("test/00000") is None


def test_the_digits_span_black_to_white():
    spec = {"from": "digits"}
    read = open_images(spec)
    found = np.array([read(name) for name in list_images(spec).names])
    assert found.dtype == np.uint8
    assert found.shape == (1797, 8, 8)
    assert (found.min(), found.max(), len(np.unique(found))) == (0, 255, 17)


def test_the_digits_are_those_of_scikit_learn():
    spec, digits = {"from": "digits"}, load_digits()
    listing, read = list_images(spec), open_images(spec)
    assert np.array_equal(listing.labels, digits.target)
    pixels = np.rint(digits.images * (255 / 16))
    assert np.array_equal([read(name) for name in listing.names], pixels)


def test_without_scikit_learn_the_digits_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImagesError, match="pip install scikit-learn"):
        list_images({"from": "digits"})
