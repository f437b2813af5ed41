"""A replayer under Nsight Compute: one record, launched once on one buffer set, with counters; no timing, no graph.

Judge → profiled replayer                                   Profiled replayer → judge
    open     ordinal                                            opened l2_bytes
    wall                                                        ok: a kernel of ours was profiled, and the walls stand
    record, bind                                                as of `grader.sandbox.replay.replayer`
    profile  record, alternatives                               ok | fault

Nothing is launched before `wall`, so it may be started, and stand by, while others use the GPU. When the judge closes its end
this process ends, and the tool prints its table.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from grader.sandbox.replay import cuda_driver, fill_kernel
from grader.sandbox.replay.replayer import METHODS, Session, serve

OURS_FIRST = 1  # launch of our own that the tool counts before the record's
_BYTES = 1 << 20


class _Profiled(Session):
    """What one profiled replayer holds."""

    def __init__(self, ordinal: int, put_up_walls: Callable[[], None]) -> None:
        super().__init__(ordinal)
        self._put_up_walls = put_up_walls
        self._own = cuda_driver.allocate(_BYTES)

    def wall(self) -> dict[str, Any]:
        """Profile a kernel of ours, so that the tool has opened here whatever it needs, then go behind the walls."""
        with self._counted():
            fill_kernel.fill(self.stream, self._own, _BYTES, b"\xff")
        self._put_up_walls()
        return {"kind": "ok"}

    def profile(self, record: str, alternatives: list[int]) -> dict[str, Any]:
        loaded = self.records[record]
        loaded.poison_scratch(self.stream)
        self.stream.synchronize()
        with self._counted():
            loaded.launch_set(self.stream, 0, alternatives)
        return {"kind": "ok"}

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """What is launched here is what the tool counts; it has ended afterwards."""
        cuda_driver.call("cuProfilerStart")
        yield
        self.stream.synchronize()
        self.context.synchronize()
        cuda_driver.call("cuProfilerStop")


_METHODS: dict[str, Callable[..., dict[str, Any]]] = {
    "record": METHODS["record"],
    "bind": METHODS["bind"],
    "wall": _Profiled.wall,
    "profile": _Profiled.profile,
}


def main(*, command_fd: int, reply_fd: int, put_up_walls: Callable[[], None]) -> None:
    """Answer the judge's messages until it closes the pipe, or until the first fault."""
    opened = functools.partial(_Profiled, put_up_walls=put_up_walls)
    serve(opened, _METHODS, command_fd=command_fd, reply_fd=reply_fd)
