"""Where the page comes from: program, libraries and machine, as far as they can be told.

What may change a number from one machine to another: docs/why_results_differ.md.
"""

import datetime
import importlib.metadata
import platform
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.params import count_cores

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ("core", "", "gpu", "ray")  # requirements-core.txt, requirements.txt, ...
# By LLVM's names of the features of a processor: what multiplies matrices fast, best first
ARITHMETIC = {
    "amx-bf16": "AMX",
    "avx512bf16": "avx512_bf16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "bf16": "bf16",
    "neon": "NEON",
}
PATIENCE = 10  # seconds, for other programs


def provenance() -> list[tuple[str, str]]:
    """Headed lines for the page; what cannot be told has none."""
    lines = [
        ("Program", _program()),
        ("Python", platform.python_version()),
        ("Libraries", ", ".join(libraries())),
        ("Processor", _processor()),
        ("GPU", gpus()),
        ("System", f"{platform.system()} {platform.machine()}"),
        ("Date", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d} (UTC)"),
    ]
    return [(head, line) for head, line in lines if line]


def libraries() -> list[str]:
    """The requirements that are pinned and installed, each with the version that is here."""
    found = []
    for name in REQUIREMENTS:
        path = ROOT / f"requirements{f'-{name}' if name else ''}.txt"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for pinned in re.findall(r"^([\w.-]+)==", text, re.MULTILINE):
            try:
                found.append(f"{pinned} {importlib.metadata.version(pinned)}")
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def gpus() -> str:
    """The names of NVIDIA GPUs; nothing where there is none."""
    names = _said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    counts = Counter(name.strip() for name in names)
    return ", ".join(f"{n} × {name}" if n > 1 else name for name, n in counts.items())


def commit() -> str:
    """That of this program and whether its files were changed since; nothing outside git.

    But: dvc.lock, which DVC writes while it runs, does not count.
    """
    if _git("rev-parse", "--show-toplevel") != str(ROOT):
        return ""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    at = _git("rev-parse", "--short=12", "HEAD")
    return f"commit {at}{', with changes' if changed else ''}" if at else ""


def _program() -> str:
    path = ROOT / "pyproject.toml"
    if not path.exists():
        return commit()
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return ", ".join(filter(None, (f"{project['name']} {project['version']}", commit())))


def _processor() -> str:
    """Its name, the cores that this process may use, and the widest arithmetic that it has."""
    cores = count_cores()
    parts = [_processor_name(), f"{cores} core{'s' * (cores > 1)}", ", ".join(_arithmetic())]
    return " · ".join(filter(None, parts))


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.+)", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _arithmetic() -> Sequence[str]:
    try:
        from llvmlite import binding
    except ImportError:
        return []
    has = binding.get_host_cpu_features()
    return [name for feature, name in ARITHMETIC.items() if has.get(feature)]


def _git(*arguments: str) -> str:
    return _said("git", "-C", str(ROOT), *arguments)


def _said(program: str, *arguments: str) -> str:
    """What a program prints; nothing where it is not there, or fails."""
    if not shutil.which(program):
        return ""
    try:
        ran = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
