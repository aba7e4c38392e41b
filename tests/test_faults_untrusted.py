"""What comes from others, weights and archives, is never run and stays where it is put."""

import ast
import contextlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from backbones import saved_models
from backbones.row import BackboneError, _NoDuplicates, row
from pipeline.yaml_as_dvc import Loader

SOURCES = [
    path
    for package in (
        "store",
        "images",
        "backbones",
        "cluster",
        "pipeline",
        "pages",
        "stages",
        "recipes",
        "bench",
    )
    for path in sorted((ROOT / package).rglob("*.py"))
]
UNPICKLING = {
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "torch.hub",
}
RUNNING = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.startfile"}
SAFE_LOADERS = {"_NoDuplicates", "Loader"}  # of yaml: both are CSafeLoader, or made of it


def dangers(path: Path) -> list[str]:
    """Calls and imports that could run what a file says, by line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [f"import {a.name}" for a in node.names if a.name in UNPICKLING]
        if isinstance(node, ast.ImportFrom) and node.module in UNPICKLING:
            found.append(f"from {node.module}")
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases):
            own = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            found += [] if "find_class" in own else [f"line {node.lineno}: may find any class"]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
        bad = (
            name in RUNNING
            or name in {"pickle.load", "pickle.loads", "pickle.Unpickler"}
            or (name == "torch.load" and given.get("weights_only") != "True")
            or (name.endswith(("np.load", "read_array")) and given.get("allow_pickle") == "True")
            or (name == "yaml.load" and given.get("Loader") not in SAFE_LOADERS)
            or name in {"yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "torch.jit.load"}
            or given.get("shell", "False") != "False"
            or given.get("trust_remote_code", "False") != "False"
            or (name.endswith(".extractall") and given.get("filter") != "'data'")
            or name == "tempfile.mktemp"
        )
        found += [f"line {node.lineno}: {ast.unparse(node)}"] if bad else []
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_runs_what_a_file_says(path: Path):
    assert dangers(path) == []


@pytest.mark.parametrize(
    "code",
    [
        "pickle.load(f)", "from joblib import load", "eval(x)", "torch.load(f)", "import dill",
        "np.load(f, allow_pickle=True)", "torch.load(f, weights_only=False)", "yaml.load(t)",
        "subprocess.run(c, shell=True)", "class A(pickle.Unpickler): pass",
        "tar.extractall(f)", "yaml.load(t, Loader=yaml.Loader)",
    ],
)  # fmt: skip
def test_the_look_for_dangers_finds_them(code: str, tmp_path: Path):
    (tmp_path / "a.py").write_text(code)
    assert dangers(tmp_path / "a.py")


def test_loaders_of_yaml_build_no_objects():
    for loader in (_NoDuplicates, Loader):
        with pytest.raises(yaml.YAMLError):
            yaml.load("!!python/name:os.system", loader)


def member(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    data = b"evil" if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    return info, data


EVIL = {
    "up": [member("../evil", tarfile.REGTYPE)],
    "absolute": [member("{outside}/evil", tarfile.REGTYPE)],
    "link out": [member("a", tarfile.SYMTYPE, "{outside}"), member("a/evil", tarfile.REGTYPE)],
    "hard link": [member("a", tarfile.LNKTYPE, "{outside}/secret"), member("a", tarfile.REGTYPE)],
    "link to read": [member("saved_model.pb", tarfile.SYMTYPE, "{outside}/secret")],
    "device": [member("saved_model.pb", tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("filters", [True, False])  # of tarfile: Python 3.11.4 has them
@pytest.mark.parametrize("what", EVIL)
def test_an_archive_writes_and_reads_nothing_outside_its_folder(
    what, filters, tmp_path, monkeypatch
):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no filters")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for info, data in EVIL[what]:
            info.name = info.name.replace("{outside}", str(outside))
            info.linkname = info.linkname.replace("{outside}", str(outside))
            tar.addfile(info, io.BytesIO(data))

    def served(address: str, path: Path) -> None:
        path.write_bytes(archive.getvalue())

    monkeypatch.setattr(saved_models, "download", served)
    folder = tmp_path / "cache" / "module"
    evil = replace(row("pixels"), weights="https://x.org/m")
    with contextlib.suppress(BackboneError):
        saved_models._download(evil, folder)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert {path.name for path in tmp_path.iterdir()} <= {"outside", "cache"}
    inside = list((tmp_path / "cache").rglob("*"))
    assert all(path.resolve().is_relative_to(tmp_path / "cache") for path in inside)
    assert not [path for path in inside if path.is_file() and path.read_bytes() == b"secret"]
