"""A process of ours that launches records on a GPU: no Triton, no torch, no line of a learner's Python, no expected answer.

It opens buffers that the judge lends over CUDA IPC, loads the records' binaries with the driver and launches them, one call
at a time for correctness and as a graph over many buffer sets for time. A kernel may do to this process what it likes: it
holds nothing of worth, and it is killed after one attempt.

Judge → replayer                                            Replayer → judge
    open     ordinal                                            opened l2_bytes
    record   name, arguments, size; then the record itself      ok | fault
    bind     record, inputs, out, places                        ok | fault
    run      record, set, alternative                           ok | fault
    tune     record                                             chosen alternatives | fault
    capture  record                                             ok | fault
    time     record                                             timed nanoseconds | fault

After a fault the context may be dead, so the process answers it and ends.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import math
from typing import Any

from grader.sandbox import cuda_driver, protocol
from grader.sandbox.cuda_driver import DriverError, Event, Function, Graph, Parameters, Shape, Stream
from grader.sandbox.record import Choice, Command, Fill, Launch, Parameter, Pointer, Record, Scalar, TensorMap, parse

POISON = b"\xff"  # scratch that nobody filled
TUNING_REPEATS = 3


@dataclasses.dataclass(frozen=True)
class _Buffers:
    """One set of lent buffers as opened here: the address of each tensor argument, and of where the allocations start."""

    tensors: dict[str, int]
    opened: tuple[int, ...]


class _Loaded:
    """A record with its binaries loaded, its scratch granted and its buffer sets bound."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.scratch = [cuda_driver.allocate(size) for size in record.scratch]
        self.sets: list[_Buffers] = []
        self.choices: list[int] = [0] * sum(isinstance(command, Choice) for command in record.commands)
        self.graph: Graph | None = None
        self._functions: dict[tuple, Function] = {}
        self._parameters: dict[tuple[int, int], Parameters] = {}

    def launch_set(self, stream: Stream, index: int, choices: list[int]) -> None:
        """Everything that the call does, on buffer set `index`."""
        chosen = iter(choices)
        for command in self.record.commands:
            if isinstance(command, Choice):
                alternatives = command.alternatives
                for inner in alternatives[next(chosen) % len(alternatives)].commands:
                    self._do(stream, index, inner)
            else:
                self._do(stream, index, command)

    def poison_scratch(self, stream: Stream) -> None:
        for address, size in zip(self.scratch, self.record.scratch, strict=True):
            stream.fill(address, size, POISON)

    def _do(self, stream: Stream, index: int, command: Command) -> None:
        if isinstance(command, Fill):
            _fill(stream, self._address(command.buffer, command.offset, index), command)
        elif isinstance(command, Launch):
            shape = Shape(
                grid=command.grid,
                threads=32 * command.num_warps,
                shared_bytes=command.shared_bytes,
                cluster=command.num_ctas,
                cooperative=command.cooperative,
                programmatic=command.pdl,
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
        base = self.scratch[buffer] if isinstance(buffer, int) else self.sets[index].tensors[buffer]
        return base + offset


def _fill(stream: Stream, address: int, fill: Fill) -> None:
    """The driver fills with at most 4 bytes; a longer pattern is laid down in its two halves if they are alike."""
    pattern = fill.pattern
    if len(pattern) == 8 and pattern[:4] == pattern[4:]:
        pattern = pattern[:4]
    if len(pattern) == 8:
        host = (ctypes.c_ubyte * fill.size).from_buffer_copy(pattern * (fill.size // 8))
        cuda_driver.call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), host, ctypes.c_size_t(fill.size))
    else:
        stream.fill(address, fill.size, pattern)


class _Session:
    """What one replayer holds."""

    def __init__(self, ordinal: int) -> None:
        self.context = cuda_driver.Context(ordinal)
        self.context.forbid_persisting_l2()
        self._stream = Stream()
        self._before, self._after = Event(), Event()
        self._records: dict[str, _Loaded] = {}

    def record(self, name: str, arguments: list[str], blob: bytes) -> dict[str, Any]:
        self._records[name] = _Loaded(parse(blob, arguments=arguments))
        return {"kind": "ok"}

    def bind(self, record: str, inputs: dict[str, Any], out: dict[str, Any], places: dict[str, list]) -> dict[str, Any]:
        """Open one set of lent buffers. `places`: tensor argument → [which buffer, offset in bytes]."""
        bases = {}
        for buffer, lent in (("inputs", inputs), ("out", out)):
            bases[buffer] = cuda_driver.open_exported(bytes.fromhex(lent["handle"]))
        tensors = {name: bases[buffer] + offset for name, (buffer, offset) in places.items()}
        self._records[record].sets.append(_Buffers(tensors, tuple(bases.values())))
        return {"kind": "ok"}

    def run(self, record: str, set: int, alternative: int) -> dict[str, Any]:
        """One call, for its answer: scratch is poisoned first, and everything has ended when this returns."""
        loaded = self._records[record]
        loaded.poison_scratch(self._stream)
        loaded.launch_set(self._stream, set, [alternative] * len(loaded.choices))
        self._stream.synchronize()
        self.context.synchronize()
        return {"kind": "ok"}

    def tune(self, record: str) -> dict[str, Any]:
        """Choose the fastest of an autotuner's configurations, each timed over all buffer sets."""
        loaded = self._records[record]
        options = [len(command.alternatives) for command in loaded.record.commands if isinstance(command, Choice)]
        for position, count in enumerate(options):
            times = []
            for alternative in range(count):
                choices = [*loaded.choices[:position], alternative, *loaded.choices[position + 1 :]]
                times.append(self._time_choices(loaded, choices))
            loaded.choices[position] = times.index(min(times))
        return {"kind": "chosen", "alternatives": loaded.choices}

    def _time_choices(self, loaded: _Loaded, choices: list[int]) -> float:
        """Least milliseconds of a few rounds; infinite where the driver refuses to launch that configuration at all."""
        best = math.inf
        try:
            for _ in range(TUNING_REPEATS):
                self._before.record(self._stream)
                for index in range(len(loaded.sets)):
                    loaded.launch_set(self._stream, index, choices)
                self._after.record(self._stream)
                self._stream.synchronize()
                best = min(best, self._after.milliseconds_since(self._before))
        except DriverError as error:
            if error.name != "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES":
                raise
        return best

    def capture(self, record: str) -> dict[str, Any]:
        """One graph of the call on every buffer set, after running it once outside, since a first launch loads code."""
        loaded = self._records[record]
        loaded.poison_scratch(self._stream)
        loaded.launch_set(self._stream, 0, loaded.choices)
        self._stream.synchronize()
        with self._stream.capture() as captured:
            for index in range(len(loaded.sets)):
                loaded.launch_set(self._stream, index, loaded.choices)
        loaded.graph = captured.graph
        loaded.graph.launch(self._stream)
        self._stream.synchronize()
        return {"kind": "ok"}

    def time(self, record: str) -> dict[str, Any]:
        """Nanoseconds of one round: every buffer set once."""
        graph = self._records[record].graph
        self._before.record(self._stream)
        graph.launch(self._stream)
        self._after.record(self._stream)
        self._stream.synchronize()
        self.context.synchronize()
        return {"kind": "timed", "nanoseconds": round(self._after.milliseconds_since(self._before) * 1e6)}


def main(*, command_fd: int, reply_fd: int) -> None:
    """Answer the judge's messages until it closes the pipe, or until the first fault."""
    session: _Session | None = None
    for count in itertools.count():
        try:
            message = protocol.read_message(command_fd)
        except EOFError:
            return
        kind = message.pop("kind")
        try:
            if count == 0:
                session = _Session(message["ordinal"])
                answer = {"kind": "opened", "l2_bytes": session.context.l2_bytes}
            elif kind == "record":
                blob = protocol.read_exactly(command_fd, message.pop("size"))
                answer = session.record(message["name"], message["arguments"], blob)
            else:
                answer = _METHODS[kind](session, **message)
        except DriverError as error:
            fault = {"stage": "run", "error_type": error.name, "text": error.call, "line": None, "raw": ""}
            protocol.write_all(reply_fd, protocol.encode({"kind": "fault", **fault}))
            return
        protocol.write_all(reply_fd, protocol.encode(answer))


_METHODS = {
    "bind": _Session.bind,
    "run": _Session.run,
    "tune": _Session.tune,
    "capture": _Session.capture,
    "time": _Session.time,
}

if __name__ == "__main__":
    main(command_fd=3, reply_fd=4)
