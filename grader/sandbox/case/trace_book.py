"""The trace of one case: what each program did to memory, in the order in which it ran, as tiles, strides and lines.

It holds addresses, masks and line numbers: no value of any tensor. What `message` gives stands in `grader.trace`, which
reads it as a stranger's word. It ends at a size (`BYTES_LIMIT`, `LANES_LIMIT`) and at a time; bytes are counted on behind it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grader.sandbox.case.address_map import AddressMap, Region
from grader.sandbox.case.tiles import lanes_on, steps_of
from grader.sandbox.protocol import extent
from grader.trace import FILL, HOST, KINDS, LANES_LIMIT, LONGEST_NAME, TRACE_LIMIT

BYTES_LIMIT = TRACE_LIMIT - 4096  # of what is kept while it is written; the rest is for what the judge adds, and the marks
FAR = 1 << 52  # bytes; what lies farther from a tensor is told as so far, since a browser's numbers end there
LONG_FORM = 1024  # characters; so long a one is not written down where there is no room left, even if it is marked


class EnoughSeen(BaseException):
    """The time for the trace is over. No `Exception`, so that a submission's own handlers let it pass."""


class TraceBook:
    """Told of launches, programs and accesses as they happen, each access before it is checked.

    Args:
        tensors: names of the lent tensors, in the judge's order; scratch comes behind them as it is met.
        addresses: finds the tensor of a pointer that does not know it, and remembers what was out of bounds.
        line: the submission's line that runs now.
        until: a time of `time.monotonic`, at which the run is ended.
    """

    def __init__(self, tensors: Sequence[str], addresses: AddressMap, line: Callable[[], int | None], until: float) -> None:
        self._addresses, self._line, self._until = addresses, line, until
        self._known = len(tensors)
        self._tensors: dict[Region | str, int] = {name: index for index, name in enumerate(tensors)}
        self._scratch: list[dict[str, Any]] = []
        self._launches: list[dict[str, Any]] = []
        self._forms: dict[str, int] = {}
        self._runs: list[list[Any]] = []
        self._rest = {"loaded": 0, "stored": 0, "atomic": 0, "masked": 0}
        self._cut = ""
        self._bytes = self._lanes = 0
        self._events = 0
        self._marks: dict[str, int | None] = {"race": None, "unwritten": None, "fault": None}
        self._other: list[int | None] | None = None
        self._left_out: tuple[str, int, int, int, str, int] | None = None  # the last access, where there was no room for it

    def launch(self, kernel: str, grid: tuple[int, int, int]) -> None:
        """A launch begins."""
        self._launches.append({"kernel": kernel[:LONGEST_NAME], "grid": list(grid), "line": self._line()})
        self._bytes += len(kernel) + 60

    def enter(self, program: int) -> None:
        """A program runs from now on, or runs again."""
        self._runs.append([len(self._launches) - 1, program, []])

    def filled(self, region: Region, address: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
        """The host fills a view of scratch or `out`, which no kernel is charged for."""
        steps = [[[count, step * itemsize]] for count, step in zip(shape, strides, strict=True)] or [[[1, 0]]]
        self.enter(HOST)
        lanes = int(np.prod(shape, dtype=np.int64))
        self._keep(self._form(FILL, region, itemsize, steps, None), address - region.start, lanes)

    def access(self, kind: str, pointers: np.ndarray, mask: np.ndarray | None, itemsize: int, region: Region | None) -> None:
        """One access of a block; arguments as `AddressMap.access` takes them.

        Raises:
            EnoughSeen: time is up.
        """
        if time.monotonic() > self._until:
            self._cut = "time"  # then bytes are not all counted either
            raise EnoughSeen
        block = pointers.reshape(pointers.shape or (1,))
        on, active = lanes_on(mask, block.shape)
        first = int(block.flat[0])
        region = region or self._addresses.find(first) or self._addresses.nearest(first)
        if region is None:
            return
        steps: list[Any] | None = steps_of((block - block.flat[0]).astype(np.int64))
        if steps is None:
            lanes = block if mask is None or active == 0 else block[np.broadcast_to(mask, block.shape)]
            first, high = int(lanes.min()), int(lanes.max())
            steps = [*map(int, block.shape), min(high - first, FAR)]
        form, at = self._form(kind, region, itemsize, steps, on), max(-FAR, min(FAR, first - region.start))
        self._left_out = None
        if not self._keep(form, at, block.size):
            self._left_out = kind, active, block.size, itemsize, form, at
            self._count(kind, active, block.size - active, itemsize)

    def mark(self, name: str, other: tuple[int, int | None] | None = None) -> None:
        """The access that was told last is the first race, the first load of what nobody wrote, or the fault; it is kept.

        `other`: program and line of the access that it races with.
        """
        if self._marks[name] is not None:
            return
        if self._left_out is not None:
            kind, active, lanes, itemsize, form, at = self._left_out
            if len(form) > LONG_FORM:
                return
            self._count(kind, -active, active - lanes, itemsize)
            self._left_out = None
            self._write(form, at)
        self._marks[name] = self._events - 1
        self._other = self._other or (other and list(other))

    def message(self) -> dict[str, Any]:
        """The trace as it is sent."""
        return {
            "scratch": self._scratch,
            "launches": self._launches,
            "forms": [json.loads(form) for form in self._forms],
            "runs": [run for run in self._runs if run[2]],
            **self._marks,
            "other": self._other,
            "rest": self._rest,
            "cut": self._cut,
        }

    def _form(self, kind: str, region: Region, itemsize: int, steps: list[Any], on: Any) -> str:
        form = {
            "kind": kind,
            "line": self._line(),
            "tensor": self._place(region),
            "itemsize": itemsize,
            "steps": steps,
            "on": on,
        }
        return json.dumps(form, separators=(",", ":"))

    def _keep(self, form: str, at: int, lanes: int) -> bool:
        """Write an access down where there is room."""
        taken = (0 if form in self._forms else len(form) + 1) + len(str(at)) + 6 + (0 if self._runs[-1][2] else 20)
        if self._cut or self._bytes + taken > BYTES_LIMIT or self._lanes + lanes > LANES_LIMIT:
            self._cut = self._cut or "size"
            return False
        self._bytes += taken
        self._lanes += lanes
        self._write(form, at)
        return True

    def _write(self, form: str, at: int) -> None:
        self._runs[-1][2] += [self._forms.setdefault(form, len(self._forms)), at]
        self._events += 1

    def _count(self, kind: str, active: int, off: int, itemsize: int) -> None:
        self._rest[KINDS[kind]] += active * itemsize
        self._rest["masked"] += off * itemsize

    def _place(self, region: Region) -> int:
        """The tensor's number."""
        if not region.scratch:
            return self._tensors.get(region.name, 0)
        if region not in self._tensors:
            cells = extent(region.shape, region.strides)
            itemsize = (region.stop - region.start) // max(cells, 1)
            form = {"name": region.name, "shape": region.shape, "strides": region.strides, "itemsize": itemsize}
            self._tensors[region] = self._known + len(self._scratch)
            self._scratch.append(form)
            self._bytes += len(json.dumps(form)) + 1
        return self._tensors[region]
