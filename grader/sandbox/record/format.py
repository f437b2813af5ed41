"""The launch record: what a submission's entry function does on a GPU for one case, as data. Its format, writer and parser.

    offset  bytes
    0       8       magic, b"LAUNCHES"
    8       4       version, u32 little-endian
    12      4       length of the header, u32 little-endian
    16      …       header: JSON, UTF-8
    …       …       blobs: for each binary its cubin, then its PTX, one after the other with nothing between or behind

The header names the target, the argument tensors in the form they were recorded with, the scratch buffers, the binaries (by
SHA-256 and sizes) and the commands in order: a `Fill` writes a pattern, a `Launch` starts a kernel, a `Choice` holds the
alternatives of an autotuner. A launch lists every parameter of the kernel, the compiler's own scratch pointers included, so
that whoever replays it needs to know nothing of Triton. Nothing here is a program: a replayer only copies numbers.

A record comes from a process that may be hostile. `parse` takes nothing for granted: every name, type, count and size is
checked, every offset lies inside its buffer, every launch gives its kernel the parameters that the binary declares, and none
can ask for more than its GPU has.
"""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from collections.abc import Sequence
from typing import Any

from grader.sandbox.record import cubin
from grader.sandbox.record.commands import (
    DTYPES,
    SCALARS,
    Alternative,
    Binary,
    Choice,
    Command,
    Fill,
    Launch,
    Parameter,
    Pointer,
    Record,
    Scalar,
    Tensor,
    TensorMap,
    parameter_bytes,
)
from grader.sandbox.record.gpus import GPUS, GRID_LIMITS

MAGIC = b"LAUNCHES"
VERSION = 1
_PREFIX = struct.Struct("<8sII")

RECORD_LIMIT = 32 << 20  # bytes
BINARY_LIMIT = 4 << 20
PTX_LIMIT = 1 << 20  # bytes of one text; a recorder keeps the beginning of a longer one
PTX_IN_ALL_LIMIT = 8 << 20
READ_LIMIT = 1 << 20  # bytes of attributes that are read in all binaries together
OWN_MEMORY_LIMIT = 64 << 10  # bytes of a binary's global variables, which are in no scratch buffer
HEADER_LIMIT = 4 << 20
LAUNCH_LIMIT = 64  # of one call, whichever alternatives are chosen
ALTERNATIVE_LIMIT = 64
COMMAND_LIMIT = 2048  # in the whole record, alternatives included
BUFFER_LIMIT = 256
PARAMETER_LIMIT = 256
SIZE_LIMIT = 1 << 40  # bytes of a buffer
ALIGNMENT = 256  # bytes; what a replayer aligns every buffer to, as CUDA's allocator does

PATTERN_SIZES = (1, 2, 4, 8)
_KERNEL_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,511}")
_ARGUMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL = re.compile(r"[ -~]{0,200}")


class RecordError(ValueError):
    """What was handed in is not a launch record; the message says in one sentence why."""


def dump(record: Record) -> bytes:
    """The record as bytes; `parse` is the inverse."""
    binaries = [{"sha256": item.sha256, "cubin": len(item.cubin), "ptx": len(item.ptx.encode())} for item in record.binaries]
    header = {
        "target": record.target,
        "tensors": [dataclasses.asdict(tensor) for tensor in record.tensors],
        "scratch": list(record.scratch),
        "binaries": binaries,
        "commands": [_plain_command(command) for command in record.commands],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    blobs = (part for item in record.binaries for part in (item.cubin, item.ptx.encode()))
    return _PREFIX.pack(MAGIC, VERSION, len(text)) + text + b"".join(blobs)


def parse(data: bytes, *, arguments: Sequence[str], written: Sequence[str] = ("out",)) -> Record:
    """A record, checked.

    Args:
        data: from a process that may be hostile.
        arguments: names of the entry function's arguments; a record can speak of no other.
        written: those that it writes; no other may be filled.

    Raises:
        RecordError: anything is not as it must be.
    """
    if len(data) > RECORD_LIMIT:
        raise RecordError(f"the record has {len(data)} bytes; the most is {RECORD_LIMIT}")
    if len(data) < _PREFIX.size:
        raise RecordError("the record is cut off")
    magic, version, length = _PREFIX.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise RecordError("this is not a record of a known version")
    if length > HEADER_LIMIT or _PREFIX.size + length > len(data):
        raise RecordError("the header is too long")
    try:
        header = json.loads(data[_PREFIX.size : _PREFIX.size + length].decode())
        return _Parser(arguments, written).record(header, data[_PREFIX.size + length :])
    except RecordError:
        raise
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError) as error:
        raise RecordError(f"the header is malformed ({type(error).__name__})") from error


class _Parser:
    """Turns a header into a Record, field by field."""

    def __init__(self, arguments: Sequence[str], written: Sequence[str]) -> None:
        self._arguments, self._written = tuple(arguments), tuple(written)
        self._sizes: dict[str | int, int] = {}
        self._kernels: list[dict[str, cubin.Kernel]] = []
        self._commands = 0
        self._shared_limit = 0

    def record(self, header: Any, blobs: bytes) -> Record:
        _keys(header, ("target", "tensors", "scratch", "binaries", "commands"), "header")
        target = header["target"]
        if not isinstance(target, str) or target not in GPUS:
            raise RecordError("target is not a GPU that is known here")
        self._shared_limit = GPUS[target].shared_per_block
        tensors = tuple(self._tensor(item) for item in _items(header["tensors"], BUFFER_LIMIT, "tensors"))
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise RecordError("a tensor is named twice")
        scratch = tuple(_integer(size, 1, SIZE_LIMIT, "scratch") for size in _items(header["scratch"], BUFFER_LIMIT, "scratch"))
        self._sizes = {tensor.name: tensor.size for tensor in tensors} | dict(enumerate(scratch))
        binaries = _read_binaries(_items(header["binaries"], BUFFER_LIMIT, "binaries"), blobs)
        self._kernels = _kernels(binaries)
        commands = tuple(self._command(item) for item in _items(header["commands"], COMMAND_LIMIT, "commands"))
        most = sum(_most_launches(command) for command in commands)
        if most > LAUNCH_LIMIT:
            raise RecordError(f"the call makes {most} launches; the most is {LAUNCH_LIMIT}")
        return Record(target=target, tensors=tensors, scratch=scratch, binaries=binaries, commands=commands)

    def _tensor(self, item: Any) -> Tensor:
        _keys(item, ("name", "shape", "strides", "dtype"), "tensor")
        name = _match(_ARGUMENT_NAME, item["name"], "tensor name")
        if name not in self._arguments:
            raise RecordError(f"{name} is no argument of the entry function")
        shape = tuple(_integer(size, 0, SIZE_LIMIT, "shape") for size in _items(item["shape"], 8, "shape"))
        strides = tuple(_integer(stride, 0, SIZE_LIMIT, "strides") for stride in _items(item["strides"], 8, "strides"))
        if len(shape) != len(strides):
            raise RecordError(f"{name} has {len(shape)} axes and {len(strides)} strides")
        if not isinstance(item["dtype"], str) or item["dtype"] not in DTYPES:
            raise RecordError(f"{name} has an unknown dtype")
        tensor = Tensor(name=name, shape=shape, strides=strides, dtype=item["dtype"])
        if tensor.size > SIZE_LIMIT:
            raise RecordError(f"{name} is larger than {SIZE_LIMIT} bytes")
        return tensor

    def _command(self, item: Any) -> Command:
        if isinstance(item, dict) and set(item) == {"alternatives"}:
            alternatives = _items(item["alternatives"], ALTERNATIVE_LIMIT, "alternatives")
            if not alternatives:
                raise RecordError("a choice has no alternatives")
            return Choice(alternatives=tuple(self._alternative(alternative) for alternative in alternatives))
        return self._plain(item)

    def _alternative(self, item: Any) -> Alternative:
        _keys(item, ("label", "commands"), "alternative")
        commands = tuple(self._plain(command) for command in _items(item["commands"], COMMAND_LIMIT, "commands"))
        return Alternative(label=_match(_LABEL, item["label"], "label"), commands=commands)

    def _plain(self, item: Any) -> Fill | Launch:
        self._commands += 1
        if self._commands > COMMAND_LIMIT:
            raise RecordError(f"there are more than {COMMAND_LIMIT} commands")
        if isinstance(item, dict) and "pattern" in item:
            return self._fill(item)
        return self._launch(item)

    def _fill(self, item: Any) -> Fill:
        _keys(item, ("buffer", "offset", "size", "pattern"), "fill")
        pattern = _hex(item["pattern"], PATTERN_SIZES, "pattern")
        buffer, offset = self._place(item["buffer"], item["offset"])
        if isinstance(buffer, str) and buffer not in self._written:
            raise RecordError(f"a fill would change the input {buffer}")
        size = _integer(item["size"], 1, self._sizes[buffer] - offset, "size of a fill")
        if size % len(pattern) or offset % len(pattern):
            raise RecordError("a fill is not a multiple of its pattern")
        return Fill(buffer=buffer, offset=offset, size=size, pattern=pattern)

    def _launch(self, item: Any) -> Launch:
        _keys(item, tuple(field.name for field in dataclasses.fields(Launch)), "launch")
        num_ctas = _integer(item["num_ctas"], 1, 16, "num_ctas")
        if num_ctas & (num_ctas - 1):
            raise RecordError(f"num_ctas={num_ctas} is not a power of two")
        sizes = _items(item["grid"], 3, "grid")
        if len(sizes) != 3:
            raise RecordError("a grid has three numbers")
        x, y, z = (_integer(size, 1, limit, "grid") for size, limit in zip(sizes, GRID_LIMITS, strict=True))
        if x * num_ctas > GRID_LIMITS[0]:
            raise RecordError("a grid has too many blocks")
        launch = Launch(
            binary=_integer(item["binary"], 0, len(self._kernels) - 1, "binary"),
            kernel=_match(_KERNEL_NAME, item["kernel"], "kernel name"),
            grid=(x, y, z),
            num_warps=_integer(item["num_warps"], 1, 32, "num_warps"),
            num_ctas=num_ctas,
            shared_bytes=_integer(item["shared_bytes"], 0, self._shared_limit, "shared_bytes"),
            cooperative=_boolean(item["cooperative"], "cooperative"),
            pdl=_boolean(item["pdl"], "pdl"),
            parameters=tuple(
                self._parameter(parameter) for parameter in _items(item["parameters"], PARAMETER_LIMIT, "parameters")
            ),
        )
        self._check_kernel(launch)
        return launch

    def _check_kernel(self, launch: Launch) -> None:
        """The driver reads as many parameters, of such sizes, as the binary says; so there must be as many here."""
        kernel = self._kernels[launch.binary].get(launch.kernel)
        if kernel is None:
            raise RecordError(f"the binary has no kernel {launch.kernel}")
        if tuple(map(parameter_bytes, launch.parameters)) != kernel.parameter_bytes:
            raise RecordError(f"the parameters of {launch.kernel} are not those that its binary takes")
        if kernel.threads and kernel.threads != 32 * launch.num_warps:
            raise RecordError(f"{launch.kernel} is made for {kernel.threads} threads a block")

    def _parameter(self, item: Any) -> Parameter:
        if isinstance(item, dict) and "type" in item:
            _keys(item, ("type", "data"), "scalar")
            if not isinstance(item["type"], str) or item["type"] not in SCALARS:
                raise RecordError("a scalar has an unknown type")
            return Scalar(type=item["type"], data=_hex(item["data"], (SCALARS[item["type"]],), "scalar"))
        if isinstance(item, dict) and "box" in item:
            return self._tensor_map(item)
        _keys(item, ("buffer", "offset"), "pointer")
        if item["buffer"] is None:
            return Pointer(buffer=None, offset=_integer(item["offset"], 0, 0, "offset of a null pointer"))
        buffer, offset = self._place(item["buffer"], item["offset"])
        return Pointer(buffer=buffer, offset=offset)

    def _tensor_map(self, item: Any) -> TensorMap:
        _keys(item, tuple(field.name for field in dataclasses.fields(TensorMap)), "tensor map")
        buffer, offset = self._place(item["buffer"], item["offset"])
        shape = tuple(_integer(size, 1, 1 << 32, "shape of a map") for size in _items(item["shape"], 5, "shape of a map"))
        box = tuple(_integer(size, 1, 256, "box of a map") for size in _items(item["box"], 5, "box of a map"))
        strides = tuple(_integer(step, 1, SIZE_LIMIT, "stride") for step in _items(item["strides"], 4, "strides of a map"))
        if not len(shape) == len(box) == len(strides) + 1:
            raise RecordError("a tensor map's shape, box and strides do not fit each other")
        if offset % 16 or any(stride % 16 for stride in strides):
            raise RecordError("a tensor map is not aligned to 16 bytes")
        data_type = _integer(item["data_type"], 0, len(_MAP_BITS) - 1, "data_type of a map")
        reach = shape[0] * _MAP_BITS[data_type] // 8
        reach += sum((size - 1) * stride for size, stride in zip(shape[1:], strides, strict=True))
        if offset + reach > self._sizes[buffer]:
            raise RecordError("a tensor map reaches beyond its buffer")
        return TensorMap(
            buffer=buffer,
            offset=offset,
            data_type=data_type,
            shape=shape,
            strides=strides,
            box=box,
            swizzle=_integer(item["swizzle"], 0, 6, "swizzle"),
            nan_fill=_boolean(item["nan_fill"], "nan_fill"),
        )

    def _place(self, buffer: Any, offset: Any) -> tuple[str | int, int]:
        if not isinstance(buffer, str) and type(buffer) is not int or buffer not in self._sizes:
            raise RecordError("there is no such buffer")
        return buffer, _integer(offset, 0, self._sizes[buffer], "offset")


# Bits of an element of a CUtensorMapDataType, by its number.
_MAP_BITS = (8, 16, 32, 32, 64, 64, 16, 32, 64, 16, 32, 32, 32, 4, 8, 8)


def _read_binaries(items: list[Any], blobs: bytes) -> tuple[Binary, ...]:
    binaries, position, ptx_bytes, seen = [], 0, 0, set()
    for item in items:
        _keys(item, ("sha256", "cubin", "ptx"), "binary")
        size = _integer(item["cubin"], 1, BINARY_LIMIT, "size of a binary")
        ptx_size = _integer(item["ptx"], 0, PTX_LIMIT, "size of a PTX text")
        cubin = blobs[position : position + size]
        ptx = blobs[position + size : position + size + ptx_size]
        position += size + ptx_size
        ptx_bytes += ptx_size
        if ptx_bytes > PTX_IN_ALL_LIMIT:
            raise RecordError(f"the PTX of all binaries is longer than {PTX_IN_ALL_LIMIT:,} bytes")
        if position > len(blobs):
            raise RecordError("a binary is cut off")
        if not cubin.startswith(b"\x7fELF"):
            raise RecordError("a binary is no ELF file")
        binary = Binary(cubin=cubin, ptx=ptx.decode())
        if binary.sha256 != item["sha256"] or binary.sha256 in seen:
            raise RecordError("a binary is not what its checksum says, or there twice")
        seen.add(binary.sha256)
        binaries.append(binary)
    if position != len(blobs):
        raise RecordError("there are bytes behind the last binary")
    return tuple(binaries)


def _kernels(binaries: Sequence[Binary]) -> list[dict[str, cubin.Kernel]]:
    """The kernels of each. Gives up as soon as reading them all takes more than a record may cost."""
    found, read_bytes = [], 0
    for binary in binaries:
        try:
            facts = cubin.facts(binary.cubin)
        except cubin.CubinError as error:
            raise RecordError(str(error)) from error
        if facts.own_memory_bytes > OWN_MEMORY_LIMIT:
            raise RecordError(
                f"a binary has {facts.own_memory_bytes:,} bytes of memory of its own; {OWN_MEMORY_LIMIT:,} are allowed"
            )
        read_bytes += facts.read_bytes
        if read_bytes > READ_LIMIT:
            raise RecordError("the attributes of all binaries are too large")
        found.append(facts.kernels)
    return found


def _most_launches(command: Command) -> int:
    if isinstance(command, Choice):
        return max(sum(isinstance(item, Launch) for item in choice.commands) for choice in command.alternatives)
    return int(isinstance(command, Launch))


def _keys(item: Any, names: tuple[str, ...], what: str) -> None:
    if not isinstance(item, dict) or set(item) != set(names):
        raise RecordError(f"a {what} does not have the fields {', '.join(names)}")


def _items(value: Any, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise RecordError(f"{what} must be a list of at most {most}")
    return value


def _integer(value: Any, low: int, high: int, what: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise RecordError(f"{what} must be a whole number from {low} to {high}")
    return value


def _boolean(value: Any, what: str) -> bool:
    if type(value) is not bool:
        raise RecordError(f"{what} must be true or false")
    return value


def _match(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise RecordError(f"a {what} has characters that it must not have")
    return value


def _hex(value: Any, sizes: Sequence[int], what: str) -> bytes:
    if not isinstance(value, str) or len(value) not in {2 * size for size in sizes}:
        raise RecordError(f"a {what} has a wrong number of bytes")
    if not re.fullmatch(r"[0-9a-f]*", value):
        raise RecordError(f"a {what} is not in hexadecimal")
    return bytes.fromhex(value)


def _plain_command(command: Command) -> dict[str, Any]:
    if isinstance(command, Choice):
        return {
            "alternatives": [
                {"label": item.label, "commands": [_plain_command(inner) for inner in item.commands]}
                for item in command.alternatives
            ]
        }
    plain = {field.name: getattr(command, field.name) for field in dataclasses.fields(command)}
    if isinstance(command, Fill):
        return {**plain, "pattern": command.pattern.hex()}
    return {**plain, "parameters": [_plain_parameter(parameter) for parameter in command.parameters]}


def _plain_parameter(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, Scalar):
        return {"type": parameter.type, "data": parameter.data.hex()}
    return dataclasses.asdict(parameter)
