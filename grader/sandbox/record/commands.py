"""What a launch record is made of: tensors, binaries, and the commands that an entry function gives a GPU. Plain data.

`grader.sandbox.record.format` writes and reads it; there is the format, and what a reader may rely on.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

# Bytes of a cell.
DTYPES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}
# Bytes of a scalar parameter.
SCALARS = {
    "i1": 1,
    "u1": 1,
    "i8": 1,
    "u8": 1,
    "i16": 2,
    "u16": 2,
    "fp16": 2,
    "bf16": 2,
    "i32": 4,
    "u32": 4,
    "fp32": 4,
    "i64": 8,
    "u64": 8,
    "fp64": 8,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor argument. `shape` and `strides` count cells."""

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Bytes from its first cell to its last."""
        if 0 in self.shape:
            return 0
        cells = 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return cells * DTYPES[self.dtype]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Binary:
    """A cubin, and the PTX it was assembled from (for reading only)."""

    cubin: bytes
    ptx: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.cubin).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pointer:
    """An address: `offset` bytes into an argument (by name) or a scratch buffer (by index); buffer None is the null pointer."""

    buffer: str | int | None
    offset: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scalar:
    """A number, as its bytes in memory, little-endian."""

    type: str
    data: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorMap:
    """A TMA descriptor to be made on the host, in the terms of cuTensorMapEncodeTiled, innermost axis first.

    `data_type`, `swizzle`: CUtensorMapDataType, CUtensorMapSwizzle. `strides`: bytes, without the innermost axis.
    Elements step by one, nothing is interleaved, L2 promotion is 128 bytes; `nan_fill`: cells outside read as NaN, not zero.

    Source: NVIDIA, "CUDA Driver API", "Tensor Map Object Management".
    """

    buffer: str | int
    offset: int
    data_type: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int
    nan_fill: bool


Parameter = Pointer | Scalar | TensorMap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fill:
    """Write `pattern` (1, 2, 4 or 8 bytes) over and over into `size` bytes of a scratch buffer or `out`."""

    buffer: str | int
    offset: int
    size: int
    pattern: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """One kernel launch.

    `grid` counts clusters of `num_ctas` blocks along its first axis, as Triton does; a block has 32 * num_warps threads.
    `shared_bytes` is dynamic shared memory. `pdl`: programmatic stream serialisation, may start before its predecessor ends.
    """

    binary: int
    kernel: str
    grid: tuple[int, int, int]
    num_warps: int
    num_ctas: int
    shared_bytes: int
    cooperative: bool
    pdl: bool
    parameters: tuple[Parameter, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alternative:
    """What an autotuner's configuration does. `label` is for people."""

    label: str
    commands: tuple[Fill | Launch, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One of the alternatives is carried out; all are right or none is, so the fastest may be taken."""

    alternatives: tuple[Alternative, ...]


Command = Fill | Launch | Choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """The whole of one call. `scratch`: bytes of each buffer that the call allocates."""

    target: str
    tensors: tuple[Tensor, ...]
    scratch: tuple[int, ...]
    binaries: tuple[Binary, ...]
    commands: tuple[Command, ...]

    @property
    def scratch_bytes(self) -> int:
        return sum(self.scratch)

    def size_of(self, buffer: str | int) -> int:
        """Bytes of an argument or a scratch buffer.

        Raises:
            KeyError: there is none of that name or index.
        """
        if isinstance(buffer, int):
            if not 0 <= buffer < len(self.scratch):
                raise KeyError(buffer)
            return self.scratch[buffer]
        return {tensor.name: tensor.size for tensor in self.tensors}[buffer]

    def chosen(self, choices: Sequence[int]) -> Iterator[Fill | Launch]:
        """What a call does, with one alternative for each of its choices; the first where none is named."""
        left = iter(choices)
        for command in self.commands:
            if isinstance(command, Choice):
                yield from command.alternatives[next(left, 0) % len(command.alternatives)].commands
            else:
                yield command

    def every_launch(self) -> Iterator[Launch]:
        """All launches, those of alternatives too."""
        for command in self.commands:
            if isinstance(command, Choice):
                for alternative in command.alternatives:
                    yield from (item for item in alternative.commands if isinstance(item, Launch))
            elif isinstance(command, Launch):
                yield command


def parameter_bytes(parameter: Parameter) -> int:
    """Bytes a parameter takes in a kernel's parameter space."""
    if isinstance(parameter, Scalar):
        return SCALARS[parameter.type]
    return 8 if isinstance(parameter, Pointer) else 128
