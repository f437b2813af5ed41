"""The tensors a kernel may touch, by address: every load, store and atomic is checked against them and counted.

A pointer remembers the tensor that it came from (`Region`), so that a step past the end of one tensor is seen even where
the next one begins. The gaps of a strided tensor count as inside it.
"""

from __future__ import annotations

import bisect
import dataclasses
from typing import NoReturn

import numpy as np

_ARTICLE = {"load": "A load", "store": "A store", "atomic": "An atomic operation"}
_FIELD = {"load": "loaded_bytes", "store": "stored_bytes", "atomic": "atomic_bytes"}
# How an access went past an end: what mends it hangs on that.
ONE_NUMBER, EVERY_LANE, IN_ITS_MASK = ", by one number", ", with every lane", ", within its mask"
FAR = 1 << 32  # bytes; farther away than this, a number of elements says nothing any more


@dataclasses.dataclass(frozen=True)
class Region:
    """The bytes from a tensor's first cell to its last."""

    name: str
    start: int
    stop: int
    writable: bool
    scratch: bool = False  # made by the submission, for itself
    itemsize: int = dataclasses.field(default=0, compare=False)  # bytes of an element; 0 where it is not known
    by_block_pointer: bool = dataclasses.field(default=False, compare=False)  # how it is reached this time
    shape: tuple[int, ...] = dataclasses.field(default=(), compare=False)  # of its cells
    strides: tuple[int, ...] = dataclasses.field(default=(), compare=False)  # … in elements


@dataclasses.dataclass(frozen=True)
class Access:
    """The lanes of one access that are on: their addresses, the least and the greatest of them, bytes of each, the tensor."""

    addresses: np.ndarray
    low: int
    high: int
    itemsize: int
    region: Region


class AccessFault(Exception):
    """A kernel touched what it must not. `stage` is the protocol's."""

    def __init__(self, stage: str, text: str) -> None:
        super().__init__(text)
        self.stage = stage


@dataclasses.dataclass
class CountedTraffic:
    """Bytes by kind of access; lanes that a mask switched off are counted apart."""

    loaded_bytes: int = 0
    stored_bytes: int = 0
    atomic_bytes: int = 0
    masked_bytes: int = 0


class AddressMap:
    """The regions of one case, and what moved so far."""

    def __init__(self) -> None:
        self.traffic = CountedTraffic()
        self.first_fault: Exception | None = None  # kept, since a submission can catch what is raised
        self._regions: list[Region] = []
        self._starts: list[int] = []

    def add(self, region: Region) -> None:
        place = bisect.bisect(self._starts, region.start)
        self._starts.insert(place, region.start)
        self._regions.insert(place, region)

    @property
    def regions(self) -> list[Region]:
        """All of them, by address."""
        return list(self._regions)

    def find(self, address: int) -> Region | None:
        """The region that holds `address`, its end included: a slice of nothing may stand there."""
        place = bisect.bisect(self._starts, address) - 1
        if place < 0 or address > self._regions[place].stop:
            return None
        return self._regions[place]

    def access(
        self, kind: str, pointers: np.ndarray, mask: np.ndarray | None, itemsize: int, region: Region | None
    ) -> Access | None:
        """Check and count one access of a block.

        Args:
            kind: load, store or atomic.
            pointers: uint64 addresses, one a lane.
            mask: lanes that are on, as truth or as numbers; None for all. Broadcasts to the pointers.
            itemsize: bytes a lane moves.
            region: where the pointers came from, None if that is not known.

        Returns:
            What is touched; None where every lane is off.

        Raises:
            AccessFault: a lane that is on lies outside, or would change an input.
        """
        mask = None if mask is None else mask.astype(bool, copy=False)  # numbers would be taken for places
        active = pointers if mask is None or mask.all() else pointers[np.broadcast_to(mask, pointers.shape)]
        self.traffic.masked_bytes += (pointers.size - active.size) * itemsize
        if active.size == 0:
            return None
        field = _FIELD[kind]
        setattr(self.traffic, field, getattr(self.traffic, field) + active.size * itemsize)
        low, high = int(active.min()), int(active.max())
        region = region or self.find(low)
        if region is None or low < region.start or high + itemsize > region.stop:
            self._fail(AccessFault("bounds", self._outside(kind, low, high, itemsize, region, _manner(pointers, mask))))
        if kind != "load" and not region.writable:
            self._fail(AccessFault("input_changed", f"{_ARTICLE[kind]} would change the input {region.name}."))
        return Access(active, low, high, itemsize, region)

    def _fail(self, fault: AccessFault) -> NoReturn:
        self.first_fault = self.first_fault or fault
        raise fault

    def _outside(self, kind: str, low: int, high: int, itemsize: int, region: Region | None, manner: str) -> str:
        region = region or self.nearest(low)
        if region is None:
            return f"{_ARTICLE[kind]} reaches memory that belongs to no tensor."
        size = region.stop - region.start
        past, before = high + itemsize - region.stop, region.start - low
        distance, where = (past, "past the end of") if past > 0 else (before, "before the start of")
        if size == 0:
            return f"{_ARTICLE[kind]} reaches into {region.name}, which has no elements."
        if distance > FAR:
            return f"{_ARTICLE[kind]} reaches memory far outside {region.name}."
        if region.itemsize and itemsize != region.itemsize:
            return (
                f"{_ARTICLE[kind]} takes elements of {itemsize} bytes from {region.name}, whose elements have "
                f"{region.itemsize}: the pointer was cast to another width."
            )
        elements = -(-distance // itemsize)
        plural = "" if elements == 1 else "s"
        how = " through a block pointer" if region.by_block_pointer else ""
        if past <= 0 or how:
            manner = ""
        elif low >= region.stop and manner != ONE_NUMBER:
            manner = EVERY_LANE
        return f"{_ARTICLE[kind]}{how} reaches {elements} element{plural} {where} {region.name}{manner}."

    def nearest(self, address: int) -> Region | None:
        """The region that is least far from an address that no region holds; None where there are none."""
        return min(self._regions, key=lambda region: max(region.start - address, address - region.stop), default=None)


def _manner(pointers: np.ndarray, mask: np.ndarray | None) -> str:
    """Of an access whose lanes lie in part beyond an end: a single number, a block that is masked, or one that is not."""
    if pointers.size == 1 and mask is None:
        return ONE_NUMBER
    return "" if mask is None else IN_ITS_MASK
