"""Memory that the judge lends to a session: NaN everywhere, a guard zone around each tensor, sealed against what must not be.

Inputs: the session can map them only for reading (F_SEAL_FUTURE_WRITE; the judge's own mapping is older than the seal).
`out`: writable, of a size that cannot be changed, so that a session cannot pull memory away from under the judge.
Around the inputs every byte is 0xFF, a NaN in each of the float formats; `out` is 0xFFFE throughout, another NaN, which neither
arithmetic makes nor a read beyond an input hands on: a cell that still holds it was never written.
"""

from __future__ import annotations

import dataclasses
import fcntl
import mmap
import os
from typing import Protocol

import torch

from grader.judge.case.inputs import PreparedCase, gapped_strides, spread_strides
from grader.sandbox.protocol import LentTensor, contiguous_strides, extent

FILL = 0xFF  # bytes around the inputs
OUT_FILL = -2  # 16-bit words of `out` and around it: 0xFFFE
WORD_BYTES = 2
GUARD_BYTES = 4096
ALIGNMENT = 256

_F_ADD_SEALS = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 0x1, 0x2, 0x4, 0x10


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a case's tensors lie in the two buffers. Offsets in bytes."""

    inputs: tuple[LentTensor, ...]
    out: LentTensor
    inputs_bytes: int
    out_bytes: int


def lay_out(prepared: PreparedCase) -> Layout:
    """Give every tensor of the case its place, a guard zone on both sides of each."""
    offset = GUARD_BYTES
    placed = []
    for index, (name, tensor) in enumerate(prepared.tensors.items()):
        shape = tuple(tensor.shape)
        strided = name in prepared.case.strided
        strides = gapped_strides(shape, index) if strided else contiguous_strides(shape)
        dtype = _name(tensor.dtype)
        spread = spread_strides(shape) if name in prepared.case.spread else None
        placed.append(
            LentTensor(name=name, buffer="inputs", offset=offset, shape=shape, strides=strides, dtype=dtype, spread=spread)
        )
        offset = _next_offset(offset, extent(shape, strides) * tensor.element_size())
    shape = prepared.out_shape
    out = LentTensor(
        name="out",
        buffer="out",
        offset=GUARD_BYTES,
        shape=shape,
        strides=contiguous_strides(shape),
        dtype=_name(prepared.out_dtype),
    )
    out_bytes = _next_offset(GUARD_BYTES, extent(shape, out.strides) * prepared.out_dtype.itemsize)
    return Layout(tuple(placed), out, offset, out_bytes)


def _next_offset(offset: int, size: int) -> int:
    return -(-(offset + size + GUARD_BYTES) // ALIGNMENT) * ALIGNMENT


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class LentMemory:
    """The two buffers of an attempt, large enough for each of its cases; one case lies in them at a time."""

    def __init__(self, *, inputs_bytes: int, out_bytes: int) -> None:
        self.inputs_fd, self._inputs = _sealed("inputs", inputs_bytes, _SEAL_FUTURE_WRITE)
        self.out_fd, self._out = _sealed("out", out_bytes, 0)

    def lend(self, prepared: PreparedCase, layout: Layout) -> None:
        """Lay the case's inputs down and make `out` and all around them NaN."""
        torch.frombuffer(self._inputs, dtype=torch.uint8, count=layout.inputs_bytes).fill_(FILL)
        torch.frombuffer(self._out, dtype=torch.int16, count=layout.out_bytes // WORD_BYTES).fill_(OUT_FILL)
        for lent in layout.inputs:
            _view(self._inputs, lent).copy_(prepared.inputs[lent.name])

    def snapshot(self, layout: Layout) -> LentSnapshot:
        """A private copy of `out` and its guard zones, taken once: what is compared is what is judged."""
        return LentSnapshot(bytes(self._out[: layout.out_bytes]), layout)

    def close(self) -> None:
        for fd, mapping in ((self.inputs_fd, self._inputs), (self.out_fd, self._out)):
            mapping.close()
            os.close(fd)


class Snapshot(Protocol):
    """What a case left in `out`, wherever that lay; a private copy, taken once."""

    @property
    def tensor(self) -> torch.Tensor:
        """`out`, contiguous, in its own dtype."""

    @property
    def unwritten(self) -> torch.Tensor:
        """True where a cell of `out` still holds the fill, bit for bit."""

    @property
    def overrun(self) -> tuple[int, int]:
        """Bytes changed before and after `out`."""


@dataclasses.dataclass(frozen=True)
class LentSnapshot:
    """What a case left in lent memory."""

    data: bytes
    layout: Layout

    @property
    def _cells(self) -> slice:
        out = self.layout.out
        size = extent(out.shape, out.strides) * getattr(torch, out.dtype).itemsize
        return slice(out.offset, out.offset + size)

    @property
    def tensor(self) -> torch.Tensor:
        """`out`, contiguous, in its own dtype."""
        cells = bytearray(self.data[self._cells])
        dtype = getattr(torch, self.layout.out.dtype)
        if not cells:
            return torch.empty(self.layout.out.shape, dtype=dtype)
        return torch.frombuffer(cells, dtype=dtype).view(self.layout.out.shape)

    @property
    def unwritten(self) -> torch.Tensor:
        """True where a cell of `out` still holds the fill, bit for bit."""
        return still_filled(self.tensor)

    @property
    def overrun(self) -> tuple[int, int]:
        """Bytes changed before and after `out`."""
        words = torch.frombuffer(bytearray(self.data), dtype=torch.int16)
        start, stop = self._cells.start // WORD_BYTES, self._cells.stop // WORD_BYTES
        return changed_bytes(words[:start]), changed_bytes(words[stop:])


def changed_bytes(words: torch.Tensor) -> int:
    """How many bytes of 16-bit `words` are no longer the fill of `out`, counted in words."""
    return WORD_BYTES * int((words != OUT_FILL).sum())


def still_filled(out: torch.Tensor) -> torch.Tensor:
    """True where a cell of `out`, contiguous, is the fill, bit for bit."""
    if out.numel() == 0:
        return torch.zeros(out.shape, dtype=torch.bool, device=out.device)
    words = out.reshape(-1).view(torch.int16).view(-1, out.element_size() // WORD_BYTES)
    return (words == OUT_FILL).all(dim=1).view(out.shape)


def _sealed(name: str, size: int, extra_seals: int) -> tuple[int, mmap.mmap]:
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, max(size, mmap.PAGESIZE))
    mapping = mmap.mmap(fd, max(size, mmap.PAGESIZE))
    fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL | extra_seals)
    return fd, mapping


def _view(mapping: mmap.mmap, lent: LentTensor) -> torch.Tensor:
    dtype = getattr(torch, lent.dtype)
    cells = extent(lent.shape, lent.strides)
    if cells == 0:
        return torch.empty(lent.shape, dtype=dtype)
    flat = torch.frombuffer(mapping, dtype=dtype, count=cells, offset=lent.offset)
    return flat.as_strided(lent.shape, lent.strides)
