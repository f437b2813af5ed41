"""The memory a submission's tensors lie in: lent by the judge, or addresses of the same form where nothing is computed."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import warnings

import numpy as np
import torch

from grader.sandbox.case.address_map import Region
from grader.sandbox.protocol import LentTensor, extent

_MAP_NORESERVE = 0x4000  # Linux; the mmap module has no name for it
_LIBC = ctypes.CDLL(None, use_errno=True)
POISON = 0xFF  # in every byte of scratch that nobody filled: NaN in each float format, -1 in each integer
LITTER = 0x5F  # … where it must not be NaN, which a maximum passes over: 1.6e19 in fp32 and bf16, 472 in fp16


class Memory:
    """A mapping, and tensors over it. It stays mapped for as long as a tensor over it lives."""

    def __init__(self, mapping: mmap.mmap) -> None:
        self._mapping = mapping
        self.size = len(mapping)
        self.address = np.frombuffer(mapping, dtype=np.uint8).__array_interface__["data"][0]

    @classmethod
    def private(cls, fd: int) -> Memory:
        """What `fd` holds; writes stay in this process."""
        return cls(mmap.mmap(fd, os.fstat(fd).st_size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE))

    @classmethod
    def shared(cls, fd: int) -> Memory:
        """What `fd` holds; writes reach the judge."""
        return cls(mmap.mmap(fd, os.fstat(fd).st_size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE))

    @classmethod
    def zeros(cls, size: int) -> Memory:
        """`size` bytes of zeros, which cost nothing until they are touched."""
        return cls(
            mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        )

    @classmethod
    def addresses(cls, size: int) -> Memory:
        """`size` bytes that nobody will touch, nor may: a process's limit on its data counts what it could write to."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        return cls(mmap.mmap(-1, max(size, 1), flags=flags, prot=mmap.PROT_READ))

    def open_for_writing(self, start: int, stop: int) -> None:
        """Make the pages of these bytes memory that may be written. The others stay as they are, and cost nothing."""
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        place, size = ctypes.c_void_p(self.address + first), ctypes.c_size_t(stop - first)
        if _LIBC.mprotect(place, size, mmap.PROT_READ | mmap.PROT_WRITE):
            raise OSError(ctypes.get_errno(), "mprotect")

    def poison(self, byte: int = POISON) -> None:
        ctypes.memset(self.address, byte, self.size)

    def tensor(self, *, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """A tensor whose first cell lies `offset` bytes from the start; an empty one lies nowhere.

        Raises:
            ValueError: it would reach outside.
        """
        cells = extent(shape, strides)
        if cells == 0:
            return torch.empty(shape, dtype=dtype)
        if offset < 0 or offset + cells * dtype.itemsize > self.size:
            raise ValueError(f"a tensor of {cells} cells at byte {offset} does not fit into {self.size} bytes")
        flat = torch.frombuffer(self._mapping, dtype=dtype, count=cells, offset=offset)
        return flat.as_strided(shape, strides)


def spread_out(tensor: torch.Tensor, strides: tuple[int, ...]) -> torch.Tensor:
    """A copy of `tensor` whose cells lie `strides` apart: gigabytes of addresses, of which only what holds a cell is memory."""
    shape, itemsize = tuple(tensor.shape), tensor.element_size()
    memory = Memory.addresses(extent(shape, strides) * itemsize)
    for row in itertools.product(*map(range, shape[:-1])):
        start = sum(step * stride for step, stride in zip(row, strides, strict=False))
        memory.open_for_writing(start * itemsize, (start + shape[-1]) * itemsize)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that most of it is not writable
        return memory.tensor(offset=0, shape=shape, strides=strides, dtype=tensor.dtype).copy_(tensor)


def region_of(name: str, tensor: torch.Tensor, *, writable: bool) -> Region:
    """Where `tensor` lies."""
    size = extent(tuple(tensor.shape), tuple(tensor.stride())) * tensor.element_size()
    return Region(name, tensor.data_ptr(), tensor.data_ptr() + size, writable, itemsize=tensor.element_size())


def stand_in(lent: LentTensor) -> torch.Tensor:
    """A tensor of the form of a lent one, for a recorder: nothing lies in it, and nothing may look."""
    dtype = getattr(torch, lent.dtype)
    size = extent(lent.shape, lent.strides) * dtype.itemsize
    return Memory.addresses(size).tensor(offset=0, shape=lent.shape, strides=lent.strides, dtype=dtype)
