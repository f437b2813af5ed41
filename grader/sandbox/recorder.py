"""Compiles a submission for a GPU that is not there and writes its launches down instead of making them.

The entry function is called on tensors with nothing in them; Triton (and Gluon) compile for the named target, of which only
ptxas is executed, and hand every launch to `_Launcher`. What comes out is a `grader.sandbox.record`. Works without a GPU,
a C compiler or a launcher stub. Of an autotuned kernel every configuration is recorded; what reads values on the host is
refused (`refusals`), since there are none.
"""

from __future__ import annotations

import functools
import importlib
import math
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from torch.utils._python_dispatch import _disable_current_modes
from triton.compiler.errors import CompileTimeAssertionFailure
from triton.runtime.autotuner import Autotuner
from triton.runtime.cache import triton_key
from triton.runtime.errors import OutOfResources, PTXASError

from grader.sandbox import record
from grader.sandbox.address_map import AddressMap
from grader.sandbox.gpus import Gpu
from grader.sandbox.lent import region_of, stand_in
from grader.sandbox.pretended_gpu import PretendedDriver
from grader.sandbox.protocol import LentTensor
from grader.sandbox.record import Alternative, Binary, Choice, Command, Fill, Launch, Parameter, Pointer, Scalar, TensorMap
from grader.sandbox.refusals import Fill as HostFill
from grader.sandbox.refusals import HostRules, refuse_in_language

FILL_RUNS = 64  # contiguous pieces that one fill of a strided view may fall into
_INTEGERS = {"i8": "<b", "i16": "<h", "i32": "<i", "i64": "<q", "u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q"}
_FLOATS = {"fp16": "<e", "fp32": "<f", "f32": "<f", "fp64": "<d"}
_DESCRIPTOR = re.compile(r"tensordesc<([^\[>]*)\[([^\]]*)\]")
# Triton numbers TMA's element types as the device does; the driver's CUtensorMapDataType differs in these three.
_DEVICE_TO_HOST = {8: 10, 9: 8, 10: 9}
_TF32 = 11


class RecordedRun:
    """Cases of one submission; binaries are compiled once and kept over the cases.

    Args:
        gpu: the target.
        forbidden: names of triton.language that are refused when a kernel uses them.
    """

    def __init__(self, *, gpu: Gpu, forbidden: tuple[str, ...]) -> None:
        self._gpu = gpu
        self._rules: HostRules | None = None
        _install()
        for name in forbidden:
            refuse_in_language(name)

    @property
    def first_fault(self) -> Exception | None:
        """The first refusal of the current case, even where the submission caught it."""
        return self._rules and self._rules.first_refusal

    def run(
        self, entry: Callable[..., Any], tensors: list[LentTensor], scalars: dict[str, Any], scratch_limit_bytes: int | None
    ) -> bytes:
        """Call the entry function on stand-ins of the lent tensors.

        Returns:
            The launch record.
        """
        addresses = AddressMap()
        book = _Book(addresses)
        rules = HostRules(addresses, scratch_limit_bytes=scratch_limit_bytes, compute=False, on_fill=book.fill)
        self._rules = book.rules = _current.rules = rules
        _current.book = book
        arguments: dict[str, Any] = dict(scalars)
        forms = []
        for lent in tensors:
            tensor = arguments[lent.name] = stand_in(lent)
            if tensor.numel():
                addresses.add(region_of(lent.name, tensor, writable=lent.buffer == "out"))
            forms.append(record.Tensor(name=lent.name, shape=lent.shape, strides=lent.strides, dtype=lent.dtype))
        book.arguments = {form.name for form in forms}
        with rules.in_force():
            entry(**arguments)
        if rules.first_refusal is not None:
            raise rules.first_refusal
        written = book.finished(target=self._gpu.target, tensors=tuple(forms))
        data = record.dump(written)
        if len(data) > record.RECORD_LIMIT:
            raise rules.refuse(f"the compiled kernels have {len(data):,} bytes; {record.RECORD_LIMIT:,} are allowed.")
        return data


class _Current:
    """What the patched parts of Triton write into."""

    book: _Book
    rules: HostRules


_current = _Current()


class _Book:
    """The commands of one call, in order."""

    rules: HostRules

    def __init__(self, addresses: AddressMap) -> None:
        self.arguments: set[str] = set()
        self._addresses = addresses
        self._commands: list[Command] = []
        self._open: list[Any] = self._commands  # an alternative's list, while one is recorded
        self._binaries: dict[int, Binary] = {}
        self._compiler_scratch: list[int] = []
        self._launches = 0

    def finished(self, *, target: str, tensors: tuple[record.Tensor, ...]) -> record.Record:
        scratch = tuple(region.stop - region.start for region in self.rules.scratch_regions) + tuple(self._compiler_scratch)
        if len(scratch) > record.BUFFER_LIMIT:
            raise self.rules.refuse(f"the call allocates {len(scratch)} tensors; {record.BUFFER_LIMIT} are allowed.")
        places = {handle: index for index, handle in enumerate(self._binaries)}
        first_of_compiler = len(self.rules.scratch_regions)
        commands = tuple(_settle(command, places, first_of_compiler) for command in self._commands)
        return record.Record(
            target=target, tensors=tensors, scratch=scratch, binaries=tuple(self._binaries.values()), commands=commands
        )

    def fill(self, fill: HostFill) -> None:
        """Write a fill down, one command for each contiguous run of cells."""
        pattern = _pattern(fill.value, fill.tensor.dtype)
        buffer, start = self.place(fill.tensor)
        runs = list(_runs(fill.tensor))
        if len(runs) > FILL_RUNS:
            raise self.rules.refuse(f"a fill of a strided view in {len(runs)} pieces cannot be recorded; fill whole rows.")
        for offset, size in runs:
            self._write(Fill(buffer=buffer, offset=start + offset, size=size, pattern=pattern))

    def launch(self, launch: Launch, binary: Binary, scratch_size: int) -> None:
        """Write a launch down. `launch.binary` is the driver's handle until the book is finished."""
        self._launches += 1
        if self._launches > record.LAUNCH_LIMIT * record.ALTERNATIVE_LIMIT:
            raise self.rules.refuse(f"one call may make {record.LAUNCH_LIMIT} launches.")
        self._binaries.setdefault(launch.binary, binary)
        if scratch_size:
            buffer = _CompilerScratch(len(self._compiler_scratch))
            self._compiler_scratch.append(scratch_size)
            pointers = (Pointer(buffer=buffer), Pointer(buffer=None))
        else:
            pointers = (Pointer(buffer=None), Pointer(buffer=None))
        self._write(_replaced(launch, parameters=launch.parameters + pointers))
        plain = [command for command in self._commands if isinstance(command, Launch)]
        if len(plain) > record.LAUNCH_LIMIT:
            raise self.rules.refuse(f"one call may make {record.LAUNCH_LIMIT} launches.")

    def alternatives(self, labels: list[str], attempt: Callable[[int], bool]) -> None:
        """Record each configuration of an autotuner apart. `attempt(index)` runs one; False if it cannot be compiled."""
        if self._open is not self._commands:
            raise self.rules.refuse("an autotuned kernel inside another's hooks cannot be recorded.")
        taken = []
        for index, label in enumerate(labels):
            self._open = []
            try:
                if attempt(index):
                    taken.append(Alternative(label=label, commands=tuple(self._open)))
            finally:
                self._open = self._commands
        if taken:
            self._commands.append(Choice(alternatives=tuple(taken)))

    def place(self, tensor: torch.Tensor) -> tuple[str | int | None, int]:
        """The buffer a tensor lies in, and how many bytes from its start."""
        address = tensor.data_ptr()
        if address == 0:
            return None, 0
        region = self._addresses.find(address)
        if region is None:
            raise self.rules.refuse("a kernel was given a tensor that the entry function neither got nor made in this call.")
        buffer = region.name if region.name in self.arguments else self.rules.scratch_regions.index(region)
        return buffer, address - region.start

    def _write(self, command: Fill | Launch) -> None:
        self._open.append(command)


class _CompilerScratch(int):
    """Index among the scratch that kernels ask for themselves; numbered behind the submission's own in the end."""


def _settle(command: Command, places: dict[int, int], first_of_compiler: int) -> Command:
    if isinstance(command, Choice):
        settled = (
            _replaced(item, commands=tuple(_settle(inner, places, first_of_compiler) for inner in item.commands))
            for item in command.alternatives
        )
        return Choice(alternatives=tuple(settled))
    if isinstance(command, Fill):
        return command
    parameters = tuple(
        Pointer(buffer=first_of_compiler + int(item.buffer))
        if isinstance(item, Pointer) and isinstance(item.buffer, _CompilerScratch)
        else item
        for item in command.parameters
    )
    return _replaced(command, binary=places[command.binary], parameters=parameters)


def _replaced(item: Any, **changes: Any) -> Any:
    return type(item)(**{**vars(item), **changes})


# Triton's side


class _Utils:
    """Instead of the driver's C part: a binary is kept, and its number is the function's handle."""

    def __init__(self, inner: Any) -> None:
        self.get_device_properties = inner.get_device_properties

    def load_binary(self, name: str, kernel: bytes, shared: int, device: int) -> tuple[int, int, int, int, int]:
        if len(kernel) > record.BINARY_LIMIT:
            text = f"the kernel {name} compiles to {len(kernel):,} bytes; {record.BINARY_LIMIT:,} are allowed."
            raise _current.rules.refuse(text)
        _cubins.append(bytes(kernel))
        return 0, len(_cubins), 0, 0, 1024


_cubins: list[bytes] = []
_ptx: dict[int, str] = {}


class _Launcher:
    """Triton makes one for each kernel, and calls it to launch."""

    def __init__(self, src: Any, metadata: Any) -> None:
        self._signature = list(src.signature.values())
        self._metadata = metadata

    def __call__(self, *arguments: Any) -> None:
        grid, function, values = arguments[:3], arguments[4], arguments[9:]  # between: stream, packed metadata, hooks
        grid = tuple(int(size) for size in grid)
        if any(size < 0 or size > limit for size, limit in zip(grid, record.GRID_LIMITS, strict=True)):
            raise ValueError(f"grid={grid} is not possible on a GPU: the most is {record.GRID_LIMITS}")
        if 0 in grid:
            return
        metadata = self._metadata
        if metadata.profile_scratch_size:
            raise _current.rules.refuse("a kernel that is instrumented for profiling cannot be recorded.")
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
        _current.book.launch(launch, binary, scratch_size)


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
        raise _current.rules.refuse("a pointer that is given as a number cannot be recorded; pass the tensor.")
    buffer, offset = _current.book.place(value)
    return Pointer(buffer=buffer, offset=offset)


def _scalar(kind: str, value: Any) -> Scalar:
    if kind in ("i1", "u1"):
        return Scalar(type=kind, data=bytes([bool(value)]))
    if kind == "bf16":
        return Scalar(type=kind, data=_pattern(float(value), torch.bfloat16))
    if kind in _FLOATS:
        return Scalar(type=kind if kind != "f32" else "fp32", data=struct.pack(_FLOATS[kind], value))
    if kind not in _INTEGERS:
        raise _current.rules.refuse(f"a kernel's parameter of type {kind} cannot be recorded.")
    return Scalar(type=kind, data=struct.pack(_INTEGERS[kind], int(value)))


def _descriptor(kind: str, value: Any, form: dict[str, Any] | None) -> Iterator[Parameter]:
    """A host-side descriptor: a TMA map, or its parts where the target has no TMA; shape and strides behind either."""
    if not _DESCRIPTOR.match(kind):
        raise _current.rules.refuse(f"a descriptor of type {kind} cannot be recorded.")
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
        raise _current.rules.refuse("a descriptor of a tensor without elements cannot be made.")
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


@functools.cache
def _install() -> None:
    """Patch Triton, once a process."""
    if triton.knobs.runtime.interpret:
        raise RuntimeError("triton must be imported without TRITON_INTERPRET")
    PretendedDriver.launcher_cls = _Launcher
    load_utils = PretendedDriver.__init__

    def with_our_utils(self: PretendedDriver, gpu: Gpu) -> None:
        load_utils(self, gpu)
        self.utils = _Utils(self.utils)

    PretendedDriver.__init__ = with_our_utils
    triton.runtime.driver.set_active(PretendedDriver(triton.runtime.driver.active.gpu))
    triton.knobs.runtime.kernel_load_end_hook.add(_keep_ptx)
    Autotuner.run = _run_every_configuration


def _keep_ptx(module: Any, function: int, name: str, metadata_group: dict[str, str], digest: str) -> None:
    for file, path in metadata_group.items():
        if file.endswith(".ptx"):
            text = Path(path).read_text(encoding="utf-8", errors="replace")
            _ptx[function] = text[: record.PTX_LIMIT // 8]


def _run_every_configuration(self: Autotuner, *args: Any, **kwargs: Any) -> None:
    """Instead of Autotuner.run: whoever replays the record times the configurations, here each is written down."""
    self.nargs = dict(zip(self.arg_names, args, strict=False))
    configs = list(self.prune_configs(kwargs)) if len(self.configs) > 1 else list(self.configs)
    if len(configs) > record.ALTERNATIVE_LIMIT:
        text = f"{self.base_fn.__name__} has {len(configs)} configurations; {record.ALTERNATIVE_LIMIT} are allowed."
        raise _current.rules.refuse(text)
    failures: list[Exception] = []

    def attempt(index: int) -> bool:
        config = configs[index]
        full = {**self.nargs, **kwargs, **config.all_kwargs()}
        try:
            self.pre_hook(full, reset_only=True)
            if config.pre_hook is not None:
                config.pre_hook(full)
            self.fn.run(*args, **kwargs, **config.all_kwargs())
        except (OutOfResources, CompileTimeAssertionFailure, PTXASError) as error:
            failures.append(error)
            return False
        self.best_config = config
        return True

    if len(configs) == 1:
        if not attempt(0):
            raise failures[0]
    else:
        _current.book.alternatives([_label(config) for config in configs], attempt)
        if len(failures) == len(configs):
            raise failures[0]
    self.nargs = None


def _label(config: Any) -> str:
    text = re.sub(r"[^ -~]", "?", str(config))
    return text[:200]


# Cells


def _pattern(value: float | int | bool, dtype: torch.dtype) -> bytes:
    """A value's bytes in a dtype, as short as a fill can have them."""
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        data = bytes(torch.full((1,), value, dtype=dtype).view(torch.uint8).tolist())
    while len(data) > 1 and data[: len(data) // 2] == data[len(data) // 2 :]:
        data = data[: len(data) // 2]
    return data


def _runs(tensor: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of each contiguous run of a view's cells, counted from its first cell."""
    itemsize = tensor.element_size()
    axes = sorted((step, size) for size, step in zip(tensor.shape, tensor.stride(), strict=True) if size > 1 and step)
    length = 1
    while axes and axes[0][0] == length:
        length *= axes.pop(0)[1]
    count = math.prod(size for _, size in axes)
    if count > FILL_RUNS:
        yield from ((0, 0) for _ in range(min(count, FILL_RUNS + 1)))
        return
    for index in range(count):
        offset, rest = 0, index
        for step, size in axes:
            offset += rest % size * step
            rest //= size
        yield offset * itemsize, length * itemsize


def warm_up() -> None:
    """For a parent that forks workers: patch Triton now, and let it do what every first compilation waits for."""
    _install()
    triton_key()  # a checksum of all of Triton, half a second
    importlib.import_module("triton.experimental.gluon")
