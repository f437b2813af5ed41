"""A record's binaries loaded on a GPU, its scratch granted, and its commands launched on any number of buffer sets.

Used by the replayer for submissions and by the judge, in its own context, for our reference alone.
"""

from __future__ import annotations

from grader.sandbox.record.commands import Choice, Fill, Launch, Parameter, Pointer, Record, Scalar, TensorMap
from grader.sandbox.replay import cuda_driver
from grader.sandbox.replay.cuda_driver import Function, Parameters, Shape, Stream
from grader.sandbox.replay.fill_kernel import fill

POISON = b"\xff"  # scratch that nobody filled


class LoadedRecord:
    """A record on the GPU of the current context. `sets`: for each buffer set the address of every tensor argument."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.scratch: list[int] = []
        try:
            for size in record.scratch:
                self.scratch.append(cuda_driver.allocate(size))
        except BaseException:
            self.close()
            raise
        self.sets: list[dict[str, int]] = []
        self._functions: dict[tuple, Function] = {}
        self._parameters: dict[tuple[int, int], Parameters] = {}

    def close(self) -> None:
        for address in self.scratch:
            cuda_driver.free(address)

    @property
    def options(self) -> list[int]:
        """How many alternatives each of the record's choices has."""
        return [len(command.alternatives) for command in self.record.commands if isinstance(command, Choice)]

    def launch_set(self, stream: Stream, index: int, choices: list[int]) -> None:
        """Everything that the call does, on buffer set `index`, with one alternative for each choice."""
        before: Fill | Launch | None = None
        for command in self.record.chosen(choices):
            self._do(stream, index, command, behind_a_launch=isinstance(before, Launch))
            before = command

    def poison_scratch(self, stream: Stream) -> None:
        for address, size in zip(self.scratch, self.record.scratch, strict=True):
            stream.fill(address, size, POISON)

    def _do(self, stream: Stream, index: int, command: Fill | Launch, *, behind_a_launch: bool) -> None:
        if isinstance(command, Fill):
            fill(stream, self._address(command.buffer, command.offset, index), command.size, command.pattern)
        elif isinstance(command, Launch):
            shape = Shape(
                grid=command.grid,
                threads=32 * command.num_warps,
                shared_bytes=command.shared_bytes,
                cluster=command.num_ctas,
                cooperative=command.cooperative,
                # A call's first kernel has no predecessor of its own: it may not begin under the end of the call before.
                programmatic=command.pdl and behind_a_launch,
            )
            self._function(command).launch(stream, shape, self._bound(command, index))

    def _function(self, launch: Launch) -> Function:
        key = (launch.binary, launch.kernel, launch.shared_bytes, launch.num_ctas)
        if key not in self._functions:
            cubin = self.record.binaries[launch.binary].cubin
            self._functions[key] = Function(cubin, launch.kernel, shared_bytes=launch.shared_bytes, cluster=launch.num_ctas)
        return self._functions[key]

    def _bound(self, launch: Launch, index: int) -> Parameters:
        key = (id(launch), index)
        if key not in self._parameters:
            self._parameters[key] = Parameters([self._value(parameter, index) for parameter in launch.parameters])
        return self._parameters[key]

    def _value(self, parameter: Parameter, index: int) -> bytes:
        if isinstance(parameter, Scalar):
            return parameter.data
        if isinstance(parameter, TensorMap):
            return cuda_driver.encode_tensor_map(
                address=self._address(parameter.buffer, parameter.offset, index),
                data_type=parameter.data_type,
                shape=parameter.shape,
                strides=parameter.strides,
                box=parameter.box,
                swizzle=parameter.swizzle,
                nan_fill=parameter.nan_fill,
            )
        assert isinstance(parameter, Pointer)
        address = 0 if parameter.buffer is None else self._address(parameter.buffer, parameter.offset, index)
        return address.to_bytes(8, "little")

    def _address(self, buffer: str | int, offset: int, index: int) -> int:
        base = self.scratch[buffer] if isinstance(buffer, int) else self.sets[index][buffer]
        return base + offset
