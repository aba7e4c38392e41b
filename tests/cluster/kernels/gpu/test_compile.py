"""The kernels compile for GPUs that are not here, to tensor core instructions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from cluster.kernels.gpu.collect import _collect
from cluster.kernels.gpu.launch import SIZES
from cluster.kernels.gpu.nearest3 import _nearest3

POINTERS = {"x": "bf16", "c": "bf16", "query": "bf16", "target": "bf16", "squares": "fp32"}
POINTERS |= {"score": "fp32", "cut": "fp32", "value": "fp32", "index": "i32", "own": "i32"}
POINTERS |= {"count": "i32", "position": "i32"}
capability = int(sys.argv[1])
for blocks in [SIZES[0 if capability == 90 else 2]]:
    for kernel in (_nearest3, _collect):
        names = kernel.arg_names
        given = {"D": 128, "BM": blocks.rows, "BN": blocks.columns, "BK": blocks.dims}
        given["UPCAST"] = False
        types = {
            name: "constexpr" if name in given
            else "*" + POINTERS[name] if name in POINTERS else "i32"
            for name in names
        }
        pointers = [(at,) for at, name in enumerate(names) if name in POINTERS]
        aligned = {at: [["tt.divisibility", 16]] for at in pointers}
        source = ASTSource(
            fn=kernel, signature=types, attrs=aligned,
            constexprs={(names.index(name),): value for name, value in given.items()},
        )
        made = compile(
            source, target=GPUTarget("cuda", capability, 32),
            options={"num_warps": blocks.warps, "num_stages": blocks.stages},
        )
        needed = blocks.shared_bytes(capability // 10)
        assert made.metadata.shared <= needed + 8192, (made.metadata.shared, needed)
        assert ("wgmma.mma_async" if capability == 90 else "mma.sync") in made.asm["ptx"]
"""
ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("capability", ["80", "90"])
def test_kernels_compile_for(capability: str, tmp_path: Path):
    pytest.importorskip("triton", reason="triton is not installed")
    here = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    here.pop("TRITON_INTERPRET", None)
    script = tmp_path / "compile_kernels.py"  # triton reads the source of kernels from files
    script.write_text(CODE)
    ran = subprocess.run(
        [sys.executable, str(script), capability], env=here, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
