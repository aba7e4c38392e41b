"""Who may import whom, what a file in each folder is, and how long it may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each package may import of ours: stages → pages → pipeline → the four leaves, none of which
# imports another. Only the bench stands outside.
LEAVES = ("store", "images", "backbones", "cluster")
MAY_IMPORT = {
    **{leaf: {leaf} for leaf in LEAVES},
    "pipeline": {"pipeline", *LEAVES},
    "pages": {"pages", "pipeline", *LEAVES},
    "stages": {"stages", "pages", "pipeline", *LEAVES},
    "recipes": {"recipes", "pages", "pipeline", "images", "backbones"},
    "bench": {"bench", "stages", "pages", "pipeline", *LEAVES},
}
# The same of the rooms of a package: a room imports itself and those that are named
ROOMS = {
    "cluster": {
        "errors": set[str](),
        "scratch": {"errors"},
        "metrics": {"errors"},
        "vectors": {"errors"},
        "kernels": {"errors", "vectors"},
        "kmeans": {"errors", "vectors", "kernels"},
        "neighbors": {"errors", "vectors", "kernels", "kmeans"},
        "spectral": {"errors", "scratch", "vectors", "kernels", "kmeans", "neighbors"},
        "block_model": {
            "errors",
            "scratch",
            "vectors",
            "kernels",
            "kmeans",
            "neighbors",
            "spectral",
        },
        "naming": {"errors", "vectors"},
        "ranking": {"errors", "metrics", "spectral", "block_model"},
        "heads": {"errors", "vectors", "kernels", "kmeans", "metrics"},
        "map": {"errors", "vectors", "kernels", "kmeans", "neighbors", "spectral"},
        "consensus": {"errors", "metrics"},
        "curate": {"errors", "vectors", "kernels", "kmeans", "neighbors"},
        "estimate_k": {"errors", "vectors", "kernels", "kmeans", "metrics", "neighbors"},
        "objectives": {"errors", "vectors", "kernels", "kmeans", "heads", "metrics"},
        "probes": {"errors", "vectors", "kernels", "kmeans", "heads", "neighbors"},
        "suggest": {
            "errors",
            "vectors",
            "kmeans",
            "neighbors",
            "spectral",
            "block_model",
            "metrics",
        },
    },
    "pipeline": {
        "yaml_as_dvc": set[str](),
        "free_memory": set(),
        "params": {"yaml_as_dvc", "free_memory"},
        "names": {"params"},
        "graph": {"params", "names"},
        "cost": set[str](),
        "kept": {"yaml_as_dvc", "params"},
        "published": {"yaml_as_dvc", "params"},
        "links": {"params"},
        "io": {"params"},
        "confidence": {"params", "io"},
        "ray": {"params"},
        "similar": {"params", "io"},
        "naming": {"params", "io"},
        "review": {"params", "io", "confidence"},
        "fitting": {"params", "io", "ray"},
        "curating": {"params", "io", "fitting", "ray"},
        "searching": {"params", "io", "fitting", "ray"},
        "indexing": {"params", "io", "ray"},
        "embedding": {"params", "io", "ray", "indexing"},
        "ranking": {"params", "io"},
        "export": {"params", "io", "links", "fitting"},
        "adapting": {"yaml_as_dvc", "params", "io", "fitting", "embedding"},
    },
}
HEAVY = {"torch", "torchvision", "timm", "open_clip", "tensorflow", "tensorflow_hub", "tf_keras"}
HEAVY |= {"sklearn", "faiss", "onnxruntime", "ray", "scipy", "umap"}  # each costs seconds to import

SOURCES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
OUTSIDE = {"__init__", "__main__"}  # of a package, not of a room
STAGES = [path for path in sorted((ROOT / "stages").glob("*.py")) if path.name != "__init__.py"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Dotted names of the modules that import statements among `nodes` ask for."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports here are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def anywhere(path: Path) -> set[str]:
    return imported(ast.walk(ast.parse(path.read_text())))


def at_the_top(path: Path) -> set[str]:
    """What importing the file imports: not what lies in functions or under TYPE_CHECKING."""

    def walk(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
        for node in nodes:
            yield node
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for part in ("body", "orelse", "finalbody"):
                    yield from walk(getattr(node, part, []))

    return imported(walk(ast.parse(path.read_text()).body))


def tops(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def loaded_with(path: Path) -> set[str]:
    """The heavy libraries that importing one of our files loads, itself or through ours."""
    seen: set[Path] = set()
    waiting, heavy = [path], set[str]()
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        names = at_the_top(here)
        heavy |= tops(names) & HEAVY
        for name in {name_of(here).removesuffix(".py").replace("/", "."), *names}:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                place = ROOT.joinpath(*parts[:end])
                found = (place.with_suffix(".py"), place / "__init__.py")
                waiting += [file for file in found if file.is_file()]
    return heavy


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_imports_only_what_its_package_may(path: Path):
    package = path.relative_to(ROOT).parts[0]
    ours = tops(anywhere(path)) & (MAY_IMPORT.keys() | {"tests"})
    assert ours <= MAY_IMPORT[package]


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.relative_to(ROOT).parts[0] in ROOMS and p.stem not in OUTSIDE],
    ids=name_of,
)
def test_a_room_imports_only_what_lies_below_it(path: Path):
    package, room = path.relative_to(ROOT).with_suffix("").parts[:2]
    found = {name.split(".")[1] for name in anywhere(path) if name.startswith(f"{package}.")}
    assert found & ROOMS[package].keys() <= ROOMS[package][room] | {room}


@pytest.mark.parametrize("folder", sorted({p.parent for p in SOURCES}), ids=name_of)
def test_a_folder_can_be_looked_over(folder: Path):
    """But: images, stages, backbones and bench hold a file a dataset, stage, loader and case."""
    modules = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
    many = {"images", "stages", "backbones", "bench"}
    assert len(modules) <= 16 or name_of(folder) in many


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_has_one_idea_and_says_so(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    assert path.stem not in {"utils", "util", "common", "helpers", "helper", "base", "misc"}
    assert ast.get_docstring(ast.parse(text)), "a module docstring says what the file is"


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_every_file_in_stages_is_a_stage(path: Path):
    tree = ast.parse(path.read_text())
    mains = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main"]
    assert len(mains) == 1
    assert ast.get_docstring(mains[0]), "it is the stage's --help"
    last = ast.unparse(tree.body[-1])
    assert last.startswith("if __name__ == '__main__':\n    run(main"), "with what it writes"
    assert f"stages.{path.stem}" in (ROOT / "dvc.yaml").read_text().split()


@pytest.mark.parametrize("package", ["store", "images", "backbones", "pipeline", "pages", "stages"])
def test_importing_a_package_loads_no_heavy_library(package: str):
    assert loaded_with(ROOT / package / "__init__.py") == set()


def test_what_the_import_statements_say_is_so():
    code = "import sys, store, store.foreign, images, images.decode, backbones, stages; "
    code += f"print(sorted({HEAVY!r} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr


def test_the_review_page_starts_without_heavy_libraries():
    """They are imported for what needs them: suggestions, the map, search by a file."""
    assert loaded_with(ROOT / "pages/review/server/app.py") == set()


NEED_NO_TORCH = {"evaluate", "evaluate_discovery", "export", "import", "index", "known", "report"}
NEED_NO_TORCH |= {"vocabulary", "embed", "pca"}  # they import it where they compute with it


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_a_stage_starts_without_libraries_that_it_may_not_need(path: Path):
    """A newcomer's first run starts thirty stages: each of these imports would take a second."""
    may = set() if path.stem in NEED_NO_TORCH else {"torch"}
    assert loaded_with(path) & (HEAVY | {"matplotlib", "pandas", "pyarrow"}) <= may


def test_scores_and_optimizers_need_neither_scikit_learn_nor_torchs_compiler():
    code = "import sys, numpy as np, torch, cluster.probes.linear_probe, images; "
    code += "from cluster.metrics.clustering import label_scores, silhouettes, stability; "
    code += "torch.optim.LBFGS([torch.zeros(1, requires_grad=True)]).state_dict(); "
    code += "w = torch.ones(1, requires_grad=True); w.sum().backward(); "
    code += "o = [o([w], 0.1) for o in (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)]; "
    code += "[(each.step(), each.state_dict()) for each in o]; o[0].zero_grad(); "
    code += "label_scores(np.eye(2, dtype=int), None); stability(np.eye(2, dtype=int)); "
    code += (
        "silhouettes(np.eye(4), np.array([[0, 0, 1, 1]])); images.list_images({'from': 'digits'}); "
    )
    code += "print(sorted({'sklearn', 'torch._dynamo'} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parent.name in ("images", "store")], ids=name_of
)
def test_images_and_store_import_heavy_libraries_only_in_functions(path: Path):
    assert not tops(at_the_top(path)) & HEAVY


@pytest.mark.parametrize("path", sorted((ROOT / "backbones").glob("*.py")), ids=name_of)
def test_torch_and_tensorflow_are_never_both_loaded(path: Path):
    found = loaded_with(path)
    assert not ({"torch"} <= found and {"tensorflow", "tensorflow_hub", "tf_keras"} & found)
    inside = tops(anywhere(path))
    assert not ("torch" in inside and "tensorflow" in inside)


def test_only_the_store_knows_hdf5():
    assert {p.parent.name for p in SOURCES if "h5py" in tops(anywhere(p))} - {"bench"} == {"store"}


@pytest.mark.parametrize("path", sorted((ROOT / "cluster").rglob("*.py")), ids=name_of)
def test_the_numerics_know_no_files_and_no_settings(path: Path):
    """But scratch, whose files have no name and end with the arrays that lie in them."""
    if path == ROOT / "cluster/scratch.py":
        return
    assert not tops(anywhere(path)) & {"pathlib", "os", "io", "json", "yaml", "csv", "argparse"}


def test_the_tests_mirror_the_folders():
    """Those of a file lie where it lies; on top are those of the whole."""
    folders = {p.relative_to(ROOT / "tests").parent for p in (ROOT / "tests").rglob("*.py")}
    assert {folder for folder in folders if not (ROOT / folder).is_dir()} == set()


def test_no_two_files_of_tests_have_the_same_name():
    """pytest, which imports each by its name alone, would not collect the second."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("*.py"))
    assert names == sorted(set(names))
