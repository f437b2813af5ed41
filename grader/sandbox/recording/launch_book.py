"""The commands of one call while they are written down: fills, launches and an autotuner's alternatives, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from grader.sandbox.case.address_map import AddressMap
from grader.sandbox.case.refusals import HostRules, ScratchFill
from grader.sandbox.record import format as record
from grader.sandbox.record.commands import Alternative, Binary, Choice, Command, Fill, Launch, Pointer

FILL_RUNS = 64  # contiguous pieces that one fill of a strided view may fall into


class LaunchBook:
    """The commands of one call, in order.

    Args:
        addresses: the tensors of the case.
        turn: the case's place among the others; None where every configuration of an autotuner is wanted.
        compile_with: options that every launch gets, whatever it asks for.
    """

    rules: HostRules

    def __init__(self, addresses: AddressMap, *, turn: int | None = None, compile_with: dict[str, int] | None = None) -> None:
        self.turn = turn
        self.compile_with = compile_with or {}
        self.arguments: set[str] = set()
        self._addresses = addresses
        self._commands: list[Command] = []
        self._open: list[Any] = self._commands  # an alternative's list, while one is recorded
        self._binaries: dict[str, Binary] = {}  # by checksum: two specialisations may compile to the same code
        self._checksums: dict[int, str] = {}  # by the driver's handle
        self._compiler_scratch: list[int] = []
        self._launches = 0

    def finished(self, *, target: str, tensors: tuple[record.Tensor, ...]) -> record.Record:
        scratch = tuple(region.stop - region.start for region in self.rules.scratch_regions) + tuple(self._compiler_scratch)
        if len(scratch) > record.BUFFER_LIMIT:
            raise self.rules.refuse(f"the call allocates {len(scratch)} tensors; {record.BUFFER_LIMIT} are allowed.")
        order = {checksum: index for index, checksum in enumerate(self._binaries)}
        places = {handle: order[checksum] for handle, checksum in self._checksums.items()}
        first_of_compiler = len(self.rules.scratch_regions)
        commands = tuple(_settle(command, places, first_of_compiler) for command in self._commands)
        return record.Record(
            target=target, tensors=tensors, scratch=scratch, binaries=tuple(self._binaries.values()), commands=commands
        )

    def fill(self, fill: ScratchFill) -> None:
        """Write a fill down, one command for each contiguous run of cells."""
        pattern = pattern_of(fill.value, fill.tensor.dtype)
        buffer, start = self.place(fill.tensor)
        assert buffer is not None  # the rules let only cells of scratch and `out` be filled
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
        self._checksums[launch.binary] = binary.sha256
        self._binaries.setdefault(binary.sha256, binary)
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

    def alternatives(self, labels: list[str], chosen: list[int], attempt: Callable[[int], bool]) -> bool:
        """Record the chosen configurations of an autotuner apart. `attempt(index)` runs one; False if it cannot be compiled.

        Returns:
            Whether any could.
        """
        if self._open is not self._commands:
            raise self.rules.refuse("an autotuned kernel inside another's hooks cannot be recorded.")
        taken = []
        for index in chosen:
            self._open = []
            try:
                if attempt(index):
                    taken.append(Alternative(label=labels[index], commands=tuple(self._open)))
            finally:
                self._open = self._commands
        if taken:
            self._commands.append(Choice(alternatives=tuple(taken)))
        return bool(taken)

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


def pattern_of(value: float | int | bool, dtype: torch.dtype) -> bytes:
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
