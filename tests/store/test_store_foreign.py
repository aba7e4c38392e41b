"""Features and columns from files of other programs: read as they are, or refused in one line."""

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import store
from store import foreign
from store.foreign import open_matrix, read_column, read_texts

VECTORS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)


def whole(source: Path | str) -> np.ndarray:
    matrix = open_matrix(str(source))
    blocks = list(matrix.blocks())
    assert [block.shape[1] for block in blocks] == [matrix.dim] * len(blocks)
    array = np.concatenate(blocks)
    assert len(array) == matrix.rows
    np.testing.assert_array_equal(np.concatenate(list(matrix.blocks())), array)  # twice over
    return array


def lists(array: np.ndarray, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(array.tolist(), type=kind or pa.list_(pa.float32()))


def save_torch(path: Path, content: object, **how: bool) -> Path:
    torch = pytest.importorskip("torch")
    torch.save(content, path, **how)
    return path


def refusal(call, source: Path | str) -> str:
    with pytest.raises(store.StoreError) as caught:
        call(str(source))
    message = str(caught.value)
    assert "\n" not in message
    assert Path(str(source)).name.partition(":")[0] in message
    return message


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint8"])
def test_numbers_of_any_dtype_come_as_they_are(tmp_path: Path, dtype: str):
    array = (VECTORS * 50).astype(dtype) if dtype != "uint8" else np.arange(40, dtype=dtype)
    array = array.reshape(10, 4)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", features=array)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = array
    for name in ("a.npy", "a.npz", "a.h5"):
        found = whole(tmp_path / name)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, array)


def test_long_files_come_in_blocks(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(foreign, "BLOCK", 3)
    np.save(tmp_path / "a.npy", VECTORS)
    np.save(tmp_path / "columns.npy", np.asfortranarray(VECTORS))
    pq.write_table(pa.table({"v": lists(VECTORS)}), tmp_path / "a.parquet", row_group_size=4)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("deep/down/v", data=VECTORS, chunks=(2, 4), compression="gzip")
    for name in ("a.npy", "columns.npy", "a.parquet", "a.hdf5", "a.hdf5:deep/down/v"):
        np.testing.assert_array_equal(whole(tmp_path / name), VECTORS)
    assert len(list(open_matrix(str(tmp_path / "a.npy")).blocks())) == 4


def test_a_key_chooses_among_several_arrays(tmp_path: Path):
    np.savez(tmp_path / "a.npz", image=VECTORS, text=VECTORS + 1, label=np.arange(10))
    np.testing.assert_array_equal(whole(f"{tmp_path}/a.npz:text"), VECTORS + 1)
    assert read_column(f"{tmp_path}/a.npz").tolist() == list(range(10))
    said = refusal(open_matrix, f"{tmp_path}/a.npz")
    assert "not one array alone" in said
    assert "found: image 10 x 4 of float32, text 10 x 4 of float32, label 10 of int64" in said
    assert f"write {tmp_path}/a.npz:KEY" in said
    assert "did you mean" in refusal(open_matrix, f"{tmp_path}/a.npz:texts")
    assert "no array 'label' that fits" in refusal(open_matrix, f"{tmp_path}/a.npz:label")


def test_a_colon_may_be_part_of_a_file_name(tmp_path: Path):
    np.save(tmp_path / "a:b.npy", VECTORS)
    np.testing.assert_array_equal(whole(tmp_path / "a:b.npy"), VECTORS)
    with h5py.File(tmp_path / "12:30.H5", "w") as file:
        file["x"] = VECTORS
        file["y"] = VECTORS * 2
    np.testing.assert_array_equal(whole(f"{tmp_path}/12:30.H5:/y"), VECTORS * 2)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", x=VECTORS)
    np.testing.assert_array_equal(whole("~/a.npz:x"), VECTORS)


def test_columns_are_whole_numbers_or_text_in_every_format(tmp_path: Path):
    number, text = np.arange(10) - 1, np.array(["Möwe", "owl"] * 5)
    np.save(tmp_path / "n.npy", number)
    np.savez(tmp_path / "c.npz", number=number, text=text, bytes=np.char.encode(text, "utf-8"))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["number"] = number
        file["text"] = text.astype(object)
        file["bytes"] = np.char.encode(text, "utf-8")
        file["no text"] = np.array([b"\xff\xfe"] * 10)
    table = {"number": number, "text": text, "v": lists(VECTORS)}
    pq.write_table(pa.table(table), tmp_path / "c.parquet")
    category = pa.array(text).dictionary_encode()
    pq.write_table(pa.table({"text": category}), tmp_path / "d.parquet")
    for source in ("n.npy", "c.npz:number", "c.h5:number", "c.parquet:number"):
        found = read_column(f"{tmp_path}/{source}")
        assert (found.dtype.kind, found.tolist()) == ("i", number.tolist())
    for source in ("c.npz:text", "c.npz:bytes", "c.h5:text", "c.h5:bytes", "c.parquet:text"):
        found = read_column(f"{tmp_path}/{source}")
        assert (found.dtype.kind, found.tolist()) == ("U", text.tolist())
    assert read_column(f"{tmp_path}/d.parquet").tolist() == text.tolist()
    assert "can't decode" in refusal(read_column, f"{tmp_path}/c.h5:no text")


def test_parquet_vectors_may_be_any_kind_of_list(tmp_path: Path):
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float32(), 4), pa.large_list(pa.float16())):
        array = VECTORS.astype(np.float16) if "half" in str(kind) else VECTORS
        values = [[np.float16(x) for x in row] for row in array] if array is not VECTORS else array
        column = pa.array(values if array is not VECTORS else VECTORS.tolist(), type=kind)
        pq.write_table(pa.table({"id": list(range(10)), "v": column}), tmp_path / "a.parquet")
        np.testing.assert_allclose(whole(tmp_path / "a.parquet"), array)


@pytest.mark.parametrize("width", [None, 2])
def test_ragged_parquet_vectors_are_refused_though_they_could_be_reshaped(tmp_path: Path, width):
    if width is None:
        column = pa.array([[1.0], [2.0, 3.0, 4.0], [5.0, 6.0]])
    else:  # an empty place that reading would close up
        column = pa.array([[1.0, 2.0], None, [3.0, 4.0]], type=pa.list_(pa.float64(), width))
    pq.write_table(pa.table({"v": column}), tmp_path / "a.parquet")
    said = refusal(whole, tmp_path / "a.parquet")
    assert "has vectors of lengths" in said or "has missing vectors" in said


def test_parquet_vectors_of_another_width_further_down_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(foreign, "BLOCK", 2)
    column = pa.array([[1.0, 2.0], [1.0, 2.0], [1.0], [2.0]])
    pq.write_table(pa.table({"v": column}), tmp_path / "a.parquet")
    matrix = open_matrix(str(tmp_path / "a.parquet"))
    with pytest.raises(store.StoreError, match=r"a\.parquet: .*lengths \[1\], not 2"):
        list(matrix.blocks())


def test_missing_values_of_a_parquet_column_are_empty_texts(tmp_path: Path):
    table = pa.table({"text": ["a", None, "b"], "number": [1, None, 3]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_column(f"{tmp_path}/a.parquet:text").tolist() == ["a", "", "b"]
    assert read_column(f"{tmp_path}/a.parquet:number").tolist() == ["1", "", "3"]


def test_parquet_lists_of_text_are_no_vectors(tmp_path: Path):
    pq.write_table(pa.table({"v": [["a"], ["b"]]}), tmp_path / "a.parquet")
    assert "holds no vectors of numbers" in refusal(open_matrix, tmp_path / "a.parquet")
    pq.write_table(pa.table({"v": pa.array([], pa.list_(pa.float32()))}), tmp_path / "b.parquet")
    assert "holds no vectors of numbers" in refusal(open_matrix, tmp_path / "b.parquet")


def test_torch_files_hold_a_tensor_or_a_dictionary_of_them(tmp_path: Path):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(VECTORS)
    found = {
        "a.pt": (tensor, {}),
        "legacy.pth": (tensor, {"_use_new_zipfile_serialization": False}),
        "named.pt": ({"features": tensor, "labels": torch.arange(10), "note": "text"}, {}),
        "trained.pt": (torch.nn.Parameter(tensor), {}),
    }
    for name, (content, how) in found.items():
        np.testing.assert_array_equal(whole(save_torch(tmp_path / name, content, **how)), VECTORS)
    assert read_column(f"{tmp_path}/named.pt:labels").tolist() == list(range(10))
    brain = save_torch(tmp_path / "brain.pt", tensor.to(torch.bfloat16))
    np.testing.assert_allclose(whole(brain), VECTORS, rtol=1e-2)


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_pickles_are_refused_and_never_run(tmp_path: Path, capsys):
    objects = np.array([Evil(), None], object)
    np.save(tmp_path / "evil.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "evil.npz", objects)
    save_torch(tmp_path / "evil.pt", {"x": Evil()})
    (tmp_path / "raw.npy").write_bytes(b"\x80\x04\x95" + b"junk" * 50)
    for name in ("evil.npy", "evil.npz", "evil.pt", "raw.npy"):
        refusal(open_matrix, tmp_path / name)
        refusal(read_column, tmp_path / name)
    assert "unpickled" not in capsys.readouterr().out


def test_an_array_of_objects_does_not_hide_its_neighbours(tmp_path: Path):
    np.savez(tmp_path / "a.npz", v=VECTORS, names=np.array(["a", None] * 5, object))
    np.testing.assert_array_equal(whole(tmp_path / "a.npz"), VECTORS)
    assert "Python objects are never read" in refusal(read_column, f"{tmp_path}/a.npz:names")


def test_scalars_and_empty_datasets_of_an_hdf5_file_are_passed_over(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = VECTORS
        file["title"] = "some text"
        file["nothing"] = h5py.Empty("f4")
        file["count"] = 7
    np.testing.assert_array_equal(whole(tmp_path / "a.h5"), VECTORS)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(10), "found: arr_0 10 of float64; save one vector an image, [image, dim]"),
        (np.zeros((2, 3, 4)), "found: arr_0 2 x 3 x 4 of float64; save one vector an image, such"),
        (
            np.zeros((1, 3, 4), "f4"),
            "1 x 3 x 4 of float32; save it without its axes of length 1 (axis 0)",
        ),
        (np.zeros((3, 4, 1, 1)), "save it without its axes of length 1 (axis 2, 3)"),
        (np.zeros((0, 4)), "expected numbers"),
        (np.zeros((4, 0)), "expected numbers"),
        (np.zeros((3, 4), complex), "expected numbers"),
        (np.array([["a", "b"]]), "expected numbers"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(tmp_path: Path, array: np.ndarray, message: str):
    np.savez(tmp_path / "a.npz", array)
    assert message in refusal(open_matrix, tmp_path / "a.npz")


def test_what_is_no_column_is_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", VECTORS)
    said = refusal(read_column, tmp_path / "a.npy")
    assert "found: 10 x 4 of float32; save one value an image; of one-hot labels the argmax" in said


@pytest.mark.parametrize("suffix", foreign.SUFFIXES)
def test_a_broken_file_is_refused_in_every_format(tmp_path: Path, suffix: str):
    for name, data in (("empty", b""), ("text", b"this is no such file\n" * 30)):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(data)
        refusal(open_matrix, path)
        refusal(read_column, path)


def test_a_missing_or_unknown_file_is_refused_with_what_is_known(tmp_path: Path):
    assert "write FILE, or FILE:KEY" in refusal(open_matrix, tmp_path / "a.npy")
    (tmp_path / "a.csv").write_text("1,2")
    assert "cannot read .csv; known: .npy" in refusal(open_matrix, tmp_path / "a.csv")
    (tmp_path / "folder.npy").mkdir()
    assert "no file" in refusal(open_matrix, tmp_path / "folder.npy")


def test_tensors_lie_in_dictionaries_and_lists_however_deep(tmp_path: Path):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(VECTORS)
    deep = {"train": {"x": tensor, "y": torch.arange(10)}, "test": [tensor + 1]}
    path = save_torch(tmp_path / "deep.pt", deep)
    np.testing.assert_array_equal(whole(f"{path}:train/x"), VECTORS)
    np.testing.assert_array_equal(whole(f"{path}:test/0"), VECTORS + 1)
    assert read_column(str(path)).tolist() == list(range(10))
    said = refusal(open_matrix, path)
    assert "found: train/x 10 x 4 of float32, train/y 10 of int64, test/0 10 x 4" in said


def test_a_list_of_tensors_is_to_be_made_one(tmp_path: Path):
    torch = pytest.importorskip("torch")
    path = save_torch(tmp_path / "list.pt", list(torch.from_numpy(VECTORS)))
    said = refusal(open_matrix, path)
    assert "save the list as one array, by stack" in said
    assert "0 4 of float32, 1 4 of float32, " in said
    assert "… 10 in all, 9 4 of float32" in said
    path = save_torch(tmp_path / "batches.pt", list(torch.from_numpy(VECTORS).split(3)))
    assert "save the list as one array, by cat" in refusal(open_matrix, path)


def test_numpy_arrays_in_a_torch_file_are_said_to_be_in_the_wrong_one(tmp_path: Path):
    path = save_torch(tmp_path / "numpy.pt", {"x": VECTORS})
    said = refusal(open_matrix, path)
    assert "holds other Python objects than tensors, such as numpy arrays" in said
    assert "save a dictionary of tensors, or an npz file" in said


def test_a_table_with_a_column_a_dim(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(foreign, "BLOCK", 3)
    columns = {f"f{dim}": VECTORS[:, dim] for dim in range(4)}
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"id": list("abcdefghij"), "label": range(10), **columns}), path)
    said = refusal(open_matrix, path)
    assert f"for a column a dim write {path}:f*" in said
    assert "id of string, label of int64, f0 of float, f1 of float" in said
    np.testing.assert_array_equal(whole(f"{path}:f*"), VECTORS)
    columns["f2"] = pa.array([None, *VECTORS[1:, 2]])
    pq.write_table(pa.table(columns), path)
    assert "column 'f2' has missing values" in refusal(whole, f"{path}:f*")
    assert "no array 'g*' that fits" in refusal(open_matrix, f"{path}:g*")


def test_an_array_of_python_objects_says_how_to_save_texts(tmp_path: Path):
    np.save(tmp_path / "names.npy", np.array(["a", None], object), allow_pickle=True)
    said = refusal(read_column, tmp_path / "names.npy")
    assert "it holds Python objects; save texts as array.astype(str)" in said


def test_an_array_an_image_a_sparse_matrix_and_a_table_of_text_say_what_to_save(tmp_path: Path):
    np.savez(tmp_path / "each.npz", **{f"{i}.png": VECTORS[i] for i in range(4)})
    assert "by stack, and their names as ids" in refusal(open_matrix, tmp_path / "each.npz")
    sparse = {name: np.arange(4) for name in ("data", "indices", "indptr")}
    np.savez(tmp_path / "sparse.npz", **sparse, format=b"csr", shape=(2, 2))
    assert "a sparse matrix of scipy: save its toarray()" in refusal(
        open_matrix, tmp_path / "sparse.npz"
    )
    (tmp_path / "labels.csv").write_text("label\na\n")
    said = refusal(read_column, tmp_path / "labels.csv")
    assert "save the table as parquet and write labels.parquet:COLUMN" in said
    pq.write_table(pa.table({"v": [[1.0, 2.0], None]}), tmp_path / "gap.parquet")
    assert "column 'v' has missing vectors" in refusal(whole, tmp_path / "gap.parquet")


@pytest.mark.parametrize("block", [1, 4, 100])
def test_texts_are_the_column_as_text(tmp_path, monkeypatch, block):
    monkeypatch.setattr(foreign, "BLOCK", block)
    text = np.array(["a", "Vögel/ü", "", "日本", "e"])
    bytes_of = np.char.encode(text, "utf-8")
    np.savez(tmp_path / "a.npz", u=text, s=bytes_of, i=np.arange(5), f=np.arange(5) / 2)
    np.save(tmp_path / "b.npy", bytes_of)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["text"] = text.astype(object)
    pq.write_table(pa.table({"t": ["a", None, "c"], "i": [1, 2, None]}), tmp_path / "d.parquet")
    for source in (
        *(f"a.npz:{key}" for key in "usif"),
        *("b.npy", "c.h5:text", "d.parquet:t", "d.parquet:i"),
    ):
        expected = read_column(f"{tmp_path}/{source}").astype(str).tolist()
        assert list(read_texts(f"{tmp_path}/{source}")) == expected
    with pytest.raises(store.StoreError, match="no file"):
        list(read_texts(f"{tmp_path}/e.npy"))
