"""What Triton calls instead of a GPU's driver: binaries are kept, and a launch is written into the case's book."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Any

import torch

from grader.sandbox.case import current_case
from grader.sandbox.record import format as record
from grader.sandbox.record.commands import Binary, Launch, Parameter, Pointer, Scalar, TensorMap
from grader.sandbox.record.cubin import facts
from grader.sandbox.record.gpus import launched
from grader.sandbox.recording.launch_book import pattern_of

_INTEGERS = {"i8": "<b", "i16": "<h", "i32": "<i", "i64": "<q", "u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q"}
_FLOATS = {"fp16": "<e", "fp32": "<f", "f32": "<f", "fp64": "<d"}
_DESCRIPTOR = re.compile(r"tensordesc<([^\[>]*)\[([^\]]*)\]")
# Triton numbers TMA's element types as the device does; the driver's CUtensorMapDataType differs in these three.
_DEVICE_TO_HOST = {8: 10, 9: 8, 10: 9}
_TF32 = 11


class Utils:
    """Instead of the driver's C part: a binary is kept, and its number is the function's handle."""

    def __init__(self, inner: Any) -> None:
        self.get_device_properties = inner.get_device_properties

    def load_binary(self, name: str, kernel: bytes, shared: int, device: int) -> tuple[int, int, int, int, int]:
        if len(kernel) > record.BINARY_LIMIT:
            text = f"the kernel {name} compiles to {len(kernel):,} bytes; {record.BINARY_LIMIT:,} are allowed."
            raise current_case.rules().refuse(text)
        _cubins.append(bytes(kernel))
        registers, spills = _resources(name, _cubins[-1])
        return 0, len(_cubins), registers, spills, 1024


def _resources(name: str, cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and 32-bit words that it spills, as the driver would answer."""
    kernel = facts(cubin).kernels[name]
    return kernel.registers, kernel.frame_bytes // 4


_cubins: list[bytes] = []
_ptx: dict[int, str] = {}


class Launcher:
    """Triton makes one for each kernel, and calls it to launch."""

    def __init__(self, src: Any, metadata: Any) -> None:
        self._signature = list(src.signature.values())
        self._metadata = metadata

    def __call__(self, *arguments: Any) -> None:
        function, values = arguments[4], arguments[9:]  # between: stream, packed metadata, hooks
        grid = launched(arguments[:3])
        if 0 in grid:
            return
        metadata = self._metadata
        if metadata.profile_scratch_size:
            raise current_case.rules().refuse("a kernel that is instrumented for profiling cannot be recorded.")
        maps = list(getattr(metadata, "tensordesc_meta", None) or ())
        launch = Launch(
            binary=function,
            kernel=metadata.name,
            grid=grid,
            num_warps=metadata.num_warps,
            num_ctas=metadata.num_ctas,
            shared_bytes=metadata.shared,
            cooperative=bool(metadata.launch_cooperative_grid),
            pdl=bool(metadata.launch_pdl),
            parameters=tuple(_parameters(self._signature, values, maps)),
        )
        binary = Binary(cubin=_cubins[function - 1], ptx=_ptx.get(function, ""))
        scratch_size = math.prod(grid) * metadata.num_ctas * metadata.global_scratch_size
        current_case.plan().launch(launch, binary, scratch_size)


def _parameters(signature: list[Any], values: Any, maps: list[Any]) -> Iterator[Parameter]:
    """The kernel's parameters: constexpr ones are left out, tuples opened, descriptors taken apart as the compiler does."""
    for kind, value in zip(signature, values, strict=True):
        if isinstance(kind, tuple):
            yield from _parameters(list(kind), value, maps)
        elif kind == "constexpr":
            continue
        elif kind.startswith("tensordesc"):
            yield from _descriptor(kind, value, maps.pop(0) if maps else None)
        elif kind.startswith("*"):
            yield _pointer(value)
        else:
            yield _scalar(kind, value)


def _pointer(value: Any) -> Pointer:
    if value is None:
        return Pointer(buffer=None)
    if not hasattr(value, "data_ptr"):
        raise current_case.rules().refuse("a pointer that is given as a number cannot be recorded; pass the tensor.")
    buffer, offset = current_case.plan().place(value)
    return Pointer(buffer=buffer, offset=offset)


def _scalar(kind: str, value: Any) -> Scalar:
    if kind in ("i1", "u1"):
        return Scalar(type=kind, data=bytes([bool(value)]))
    if kind == "bf16":
        return Scalar(type=kind, data=pattern_of(float(value), torch.bfloat16))
    if kind in _FLOATS:
        return Scalar(type=kind if kind != "f32" else "fp32", data=struct.pack(_FLOATS[kind], value))
    if kind not in _INTEGERS:
        raise current_case.rules().refuse(f"a kernel's parameter of type {kind} cannot be recorded.")
    return Scalar(type=kind, data=struct.pack(_INTEGERS[kind], int(value)))


def _descriptor(kind: str, value: Any, form: dict[str, Any] | None) -> Iterator[Parameter]:
    """A host-side descriptor: a TMA map, or its parts where the target has no TMA; shape and strides behind either."""
    if not _DESCRIPTOR.match(kind):
        raise current_case.rules().refuse(f"a descriptor of type {kind} cannot be recorded.")
    shape, strides = [int(size) for size in value.shape], [int(step) for step in value.strides]
    if form is None:
        yield _pointer(value.base)
        yield from (_scalar("i64", number) for number in (*shape, *strides))
        yield _scalar("i1", value.padding == "nan")
        if hasattr(value, "round_f32_to_tf32"):
            yield _scalar("i1", value.round_f32_to_tf32)
    else:
        yield _tensor_map(value, form, shape, strides)
    yield from (_scalar("i32", size) for size in shape)
    yield from (_scalar("i64", step) for step in strides)


def _tensor_map(value: Any, form: dict[str, Any], shape: list[int], strides: list[int]) -> TensorMap:
    pointer = _pointer(value.base)
    if pointer.buffer is None:
        raise current_case.rules().refuse("a descriptor of a tensor without elements cannot be made.")
    inner = shape[:-1] + [shape[-1] * (2 if form["fp4_padded"] else 1)]
    data_type = _DEVICE_TO_HOST.get(form["elem_type"], form["elem_type"])
    return TensorMap(
        buffer=pointer.buffer,
        offset=pointer.offset,
        data_type=_TF32 if getattr(value, "round_f32_to_tf32", False) else data_type,
        shape=tuple(reversed(inner)),
        strides=tuple(step * form["elem_size"] for step in reversed(strides[:-1])),
        box=tuple(int(size) for size in reversed(form["block_size"])),
        swizzle=form["swizzle"],
        nan_fill=value.padding == "nan",
    )


def keep_ptx(module: Any, function: int, name: str, metadata_group: dict[str, str], digest: str) -> None:
    for file, path in metadata_group.items():
        if file.endswith(".ptx"):
            with open(path, "rb") as text:
                _ptx[function] = text.read(record.PTX_LIMIT).decode("ascii", errors="replace").replace("\ufffd", "?")
