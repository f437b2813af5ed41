"""Compile the launches of a host function for a GPU that is not here, and read their registers and spills.

The function runs on fake CUDA tensors; instead of launching, each launch's kernel and arguments are written down and compiled.
"""

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
import triton
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from kernels import dispatch, split_kv

# Multiprocessors and L2 of a GPU of each compute capability: T4, A100, A10G, L4, H100, RTX Pro 6000.
DEVICES = {
    75: dispatch.Device(capability=75, num_sms=40, l2_bytes=4 << 20),
    80: dispatch.Device(capability=80, num_sms=108, l2_bytes=40 << 20),
    86: dispatch.Device(capability=86, num_sms=80, l2_bytes=6 << 20),
    89: dispatch.Device(capability=89, num_sms=58, l2_bytes=48 << 20),
    90: dispatch.Device(capability=90, num_sms=132, l2_bytes=50 << 20),
    120: dispatch.Device(capability=120, num_sms=188, l2_bytes=128 << 20),
}
SHARED_MEMORY_LIMIT = {75: 64 << 10, 80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 120: 99 << 10}
TYPES = {
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.float8_e4m3fn: "*fp8e4nv",
    torch.uint8: "*u8",
    torch.uint16: "*u16",
    torch.uint32: "*u32",
}
NOT_OPTIONS = ("grid", "warmup")
TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"


@dataclass(frozen=True)
class Compiled:
    kernel: str
    registers: int
    spill_bytes: int
    shared_bytes: int
    asm: dict


@contextmanager
def _recorded(capability: int):
    launches = []

    def run(self, *args, **kwargs):
        launches.append((self, args, kwargs))

    def counters(count, device):
        return torch.zeros(count, dtype=torch.int32, device=device)

    with (
        mock.patch.object(JITFunction, "run", run),
        mock.patch.object(dispatch, "device_of", lambda _: DEVICES[capability]),
        mock.patch.object(split_kv, "_counters", counters),  # asks the driver about streams
        mock.patch.object(FakeTensor, "data_ptr", lambda _: 0, create=True),
    ):
        for cached in vars(dispatch).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        with FakeTensorMode():
            yield launches
    for cached in vars(dispatch).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def compile_launches(function, capability: int) -> list[Compiled]:
    """Call ``function()``, which makes tensors on "cuda" and calls a kernel's host function; compile what it launches."""
    with _recorded(capability) as launches:
        function()
    return [_compile(*launch, capability) for launch in launches]


def _compile(kernel, args, kwargs, capability: int) -> Compiled:
    signature, constants, attributes = {}, {}, {}
    bound = dict(zip(kernel.arg_names, args, strict=False)) | {k: v for k, v in kwargs.items() if k in kernel.arg_names}
    constexprs = {parameter.name for parameter in kernel.params if parameter.is_constexpr}
    as_it_is = {parameter.name for parameter in kernel.params if parameter.do_not_specialize}
    for index, name in enumerate(kernel.arg_names):
        value = bound[name]
        if name in constexprs or value is None or (isinstance(value, int) and value == 1 and name not in as_it_is):
            signature[name], constants[(index,)] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[name], attributes[(index,)] = TYPES[value.dtype], [["tt.divisibility", 16]]
        elif isinstance(value, float):
            signature[name] = "fp32"
        elif hasattr(value, "block_shape"):
            element = TYPES[value.base.dtype].removeprefix("*")
            layout = f",{value.layout!r}" if hasattr(value, "layout") else ""  # only Gluon's say where a tile goes
            signature[name] = f"tensordesc<{element}{list(value.block_shape)}{layout}>"
        else:
            signature[name] = "i32" if -(2**31) <= value < 2**31 else "i64"
            if value % 16 == 0 and name not in as_it_is:
                attributes[(index,)] = [["tt.divisibility", 16]]
    options = {k: v for k, v in kwargs.items() if k not in kernel.arg_names and k not in NOT_OPTIONS}
    source = _source_class(kernel)(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    registers, spill_bytes = _resources(compiled.asm["ptx"], compiled.asm["cubin"])
    return Compiled(kernel.__name__, registers, spill_bytes, compiled.metadata.shared, compiled.asm)


def _source_class(kernel):
    if kernel.is_gluon():
        from triton.experimental.gluon._runtime import GluonASTSource

        return GluonASTSource
    return ASTSource


def _resources(ptx: str, cubin: bytes) -> tuple[int, int]:
    """Registers a thread, and bytes of spills, as the assembler counts them."""
    architecture = re.search(r"\.target (sm_\w+)", ptx).group(1)
    assembler = "ptxas-blackwell" if int(re.search(r"\d+", architecture).group()) >= 100 else "ptxas"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        done = subprocess.run(
            [TOOLS / assembler, "-v", f"-arch={architecture}", source, "-o", Path(folder, "kernel.cubin")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    return int(re.search(r"Used (\d+) registers", done.stderr).group(1)), int(spills.group(1)) + int(spills.group(2))
