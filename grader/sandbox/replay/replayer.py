"""A process of ours that launches records on a GPU: no Triton, no torch, no line of a learner's Python, no expected answer.

It opens buffers that the judge lends over CUDA IPC, loads the records' binaries with the driver and launches them, one call
at a time for correctness and as a graph over many buffer sets for time. A kernel may do to this process what it likes: it
holds nothing of worth, and it is killed after one attempt.

Judge → replayer                                            Replayer → judge
    open     ordinal                                            opened l2_bytes
    record   name, arguments, written, size; then the record itself      ok | fault
    bind     record, inputs, out, places                        ok | fault
    run      record, set, alternative                           ok | fault
    release  record                                             ok | fault
    tune     record                                             chosen alternatives | fault
    capture  record                                             ok | fault
    time     record, behind                                     timed nanoseconds | fault

After a fault the context may be dead, so the process answers it and ends.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from grader.sandbox import protocol
from grader.sandbox.record.format import parse
from grader.sandbox.replay import cuda_driver, fill_kernel
from grader.sandbox.replay.cuda_driver import DriverError, Event, Graph, Stream
from grader.sandbox.replay.loaded_record import LoadedRecord

TUNING_REPEATS = 3


class Session:
    """What one replayer holds."""

    def __init__(self, ordinal: int) -> None:
        self.context = cuda_driver.Context(ordinal)
        self.context.forbid_persisting_l2()
        fill_kernel.loaded()  # where the driver cannot compile it, the fault is ours and shows before any record is there
        self.stream = Stream()
        self._before, self._after = Event(), Event()
        self.records: dict[str, LoadedRecord] = {}
        self._opened: dict[str, list[int]] = {}
        self._choices: dict[str, list[int]] = {}
        self._graphs: dict[str, Graph] = {}

    def record(self, name: str, arguments: list[str], written: list[str], blob: bytes) -> dict[str, Any]:
        self.records[name] = LoadedRecord(parse(blob, arguments=arguments, written=written))
        self._choices[name] = [0] * len(self.records[name].options)
        self._opened[name] = []
        return {"kind": "ok"}

    def bind(self, record: str, inputs: dict[str, Any], out: dict[str, Any], places: dict[str, list]) -> dict[str, Any]:
        """Open one set of lent buffers. `places`: tensor argument → [which buffer, offset in bytes]."""
        bases = {}
        for buffer, lent in (("inputs", inputs), ("out", out)):
            bases[buffer] = cuda_driver.open_exported(bytes.fromhex(lent["handle"]))
            self._opened[record].append(bases[buffer])
        tensors = {name: bases[buffer] + offset for name, (buffer, offset) in places.items()}
        self.records[record].sets.append(tensors)
        return {"kind": "ok"}

    def release(self, record: str) -> dict[str, Any]:
        """Give back the record's scratch and the buffers that were lent for it."""
        self.records.pop(record).close()
        for address in self._opened.pop(record):
            cuda_driver.close_exported(address)
        return {"kind": "ok"}

    def run(self, record: str, set: int, alternative: int) -> dict[str, Any]:
        """One call, for its answer: scratch is poisoned first, and everything has ended when this returns."""
        loaded = self.records[record]
        loaded.poison_scratch(self.stream)
        loaded.launch_set(self.stream, set, [alternative] * len(loaded.options))
        self.stream.synchronize()
        self.context.synchronize()
        return {"kind": "ok"}

    def tune(self, record: str) -> dict[str, Any]:
        """Choose the fastest of an autotuner's configurations, each timed over all buffer sets."""
        loaded, chosen = self.records[record], self._choices[record]
        for position, count in enumerate(loaded.options):
            times = []
            for alternative in range(count):
                choices = [*chosen[:position], alternative, *chosen[position + 1 :]]
                times.append(self._time_choices(loaded, choices))
            chosen[position] = times.index(min(times))
        return {"kind": "chosen", "alternatives": chosen}

    def _time_choices(self, loaded: LoadedRecord, choices: list[int]) -> float:
        """Least milliseconds of a few rounds; infinite where the driver refuses to launch that configuration at all."""
        best = math.inf
        try:
            for _ in range(TUNING_REPEATS):
                self._before.record(self.stream)
                for index in range(len(loaded.sets)):
                    loaded.launch_set(self.stream, index, choices)
                self._after.record(self.stream)
                self.stream.synchronize()
                best = min(best, self._after.milliseconds_since(self._before))
        except DriverError as error:
            if error.name != "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES":
                raise
        return best

    def capture(self, record: str) -> dict[str, Any]:
        """One graph of the call on every buffer set, after running it once outside, since a first launch loads code."""
        loaded, choices = self.records[record], self._choices[record]
        loaded.poison_scratch(self.stream)
        loaded.launch_set(self.stream, 0, choices)
        self.stream.synchronize()
        with self.stream.capture() as captured:
            for index in range(len(loaded.sets)):
                loaded.launch_set(self.stream, index, choices)
        self._graphs[record] = captured.graph
        captured.graph.launch(self.stream)
        self.stream.synchronize()
        return {"kind": "ok"}

    def time(self, record: str, behind: str | None) -> dict[str, Any]:
        """Nanoseconds of one round: every buffer set once. What an earlier kernel asked L2 to keep is given up first.

        Args:
            behind: a record that runs first, untimed. While it does, the rest is queued, so that no time between the events
                is this process's own.
        """
        graph = self._graphs[record]
        self.context.reset_persisting_l2()
        if behind is not None:
            self._graphs[behind].launch(self.stream)
        self._before.record(self.stream)
        graph.launch(self.stream)
        self._after.record(self.stream)
        self.stream.synchronize()
        self.context.synchronize()
        return {"kind": "timed", "nanoseconds": round(self._after.milliseconds_since(self._before) * 1e6)}


METHODS: dict[str, Callable[..., dict[str, Any]]] = {
    "record": Session.record,
    "bind": Session.bind,
    "release": Session.release,
    "run": Session.run,
    "tune": Session.tune,
    "capture": Session.capture,
    "time": Session.time,
}


def main(*, command_fd: int, reply_fd: int) -> None:
    """Answer the judge's messages until it closes the pipe, or until the first fault."""
    serve(Session, METHODS, command_fd=command_fd, reply_fd=reply_fd)


def serve(
    opened: Callable[[int], Any], methods: dict[str, Callable[..., dict[str, Any]]], *, command_fd: int, reply_fd: int
) -> None:
    """Open the device that the first message names, then do what each message says, until the pipe closes or a first fault."""
    session: Any = None
    for count in itertools.count():
        try:
            message = protocol.read_message(command_fd)
        except EOFError:
            return
        kind = message.pop("kind")
        try:
            if count == 0:
                session = opened(message["ordinal"])
                answer = {"kind": "opened", "l2_bytes": session.context.l2_bytes}
            else:
                if kind == "record":
                    message["blob"] = protocol.read_exactly(command_fd, message.pop("size"))
                answer = methods[kind](session, **message)
        except DriverError as error:
            fault = {"stage": "run", "error_type": error.name, "text": error.call, "line": None, "raw": ""}
            protocol.write_all(reply_fd, protocol.encode({"kind": "fault", **fault}))
            return
        protocol.write_all(reply_fd, protocol.encode(answer))


if __name__ == "__main__":
    main(command_fd=3, reply_fd=4)
