"""Packages that bench/gpu.py can use and does not find, and how to bring them without a network.

Machines with a GPU often have torch and little else, and no way out.
"""

import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = "wheels"  # git does not see it
# By the module that is imported. Those of the second kind need torch or Pillow, which are there.
NEEDED = {
    "pytest": "pytest", "pydantic": "pydantic", "yaml": "PyYAML", "tqdm": "tqdm",
    "numba": "numba", "scipy": "scipy", "sklearn": "scikit-learn", "h5py": "h5py",
    "PIL": "pillow", "safetensors": "safetensors", "psutil": "psutil", "jaxtyping": "jaxtyping",
    "onnxruntime": "onnxruntime", "lightning_utilities": "lightning-utilities",
}  # fmt: skip
BESIDE_TORCH = {
    "torchvision": "torchvision", "timm": "timm", "lightning_fabric": "lightning-fabric",
    "flash_kmeans": "flash-kmeans", "pillow_heif": "pillow-heif",
}  # fmt: skip
# Only to be compared with, and large, with the libraries of CUDA that it brings
OTHERS = {"faiss": "faiss-gpu"}
CUDA_OF_FAISS = ("nvidia-cuda-runtime-cu12", "nvidia-cublas-cu12", "nvidia-curand-cu12")
GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_27", "manylinux_2_28")


def missing() -> list[str]:
    """Names of packages."""
    every = {**NEEDED, **BESIDE_TORCH, **OTHERS}
    return [package for module, package in every.items() if find_spec(module) is None]


def installed() -> tuple[str, ...]:
    """Those, and torch, of which a version is known."""

    def known(package: str) -> bool:
        try:
            return bool(version(package))
        except PackageNotFoundError:
            return False

    every = ("torch", "triton", "numpy", *NEEDED.values(), *BESIDE_TORCH.values(), *OTHERS.values())
    return tuple(filter(known, every))


def advice(packages: Sequence[str]) -> str:
    """What to type where there is a network, and then here."""
    if not packages:
        return "all packages that this can use are installed"
    python = ".".join(map(str, sys.version_info[:2]))
    platforms = " ".join(f"--platform {libc}_{platform.machine()}" for libc in GLIBC)
    fetch = f"pip download --only-binary :all: --python-version {python} {platforms} -d {FOLDER}"
    alone = [pinned(each) for each in packages if each in BESIDE_TORCH.values()]
    apart = {*BESIDE_TORCH.values(), *OTHERS.values()}
    others = [pinned(each) for each in packages if each not in apart]
    compared = [pinned(each) for each in packages if each in OTHERS.values()]
    lines = [
        f"not installed: {', '.join(packages)}. Parts that need them say so. To bring them, in the",
        f"folder of Cairn where there is a network ({FOLDER}/ is left out of git, so copy it too):",
        *([f"  {fetch} {' '.join(others)}"] if others else []),
        *([f"  {fetch} --no-deps {' '.join(alone)}"] if alone else []),
        *([f"  {fetch} --no-deps {' '.join([*compared, *CUDA_OF_FAISS])}"] if compared else []),
        "and on this machine:",
        f"  pip install --no-index --no-deps --target {FOLDER}/site {FOLDER}/*.whl",
        f"  PYTHONPATH={FOLDER}/site python -m bench gpu",
    ]
    return "\n".join(lines)


def pinned(package: str) -> str:
    """The package in the version that the requirements name; torchvision in any, for it has to fit
    the torch that is there."""
    if package == "torchvision":
        return package
    lines = [line for file in sorted(ROOT.glob("requirements*.txt"))
             for line in file.read_text().splitlines()]  # fmt: skip
    found = [re.match(rf"{re.escape(package)}==[\w.]+", line, re.IGNORECASE) for line in lines]
    return next((match[0] for match in found if match), package)
