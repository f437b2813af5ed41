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
from collections.abc import Callable
from typing import Protocol

import torch

from grader.judge.case.inputs import PreparedCase, gapped_strides, spread_strides
from grader.sandbox.protocol import LentTensor, contiguous_strides, extent
from labs.table import Form, table

FILL = 0xFF  # bytes around the inputs
OUT_FILL = -2  # 16-bit words of `out` and around it: 0xFFFE
WORD_BYTES = 2
GUARD_BYTES = 4096
ALIGNMENT = 256

_F_ADD_SEALS = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 0x1, 0x2, 0x4, 0x10


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a case's tensors lie in the two buffers, the inputs' and that of what is written. Offsets in bytes."""

    inputs: tuple[LentTensor, ...]
    outs: tuple[LentTensor, ...]
    forms: tuple[Form, ...]  # of `outs`
    inputs_bytes: int
    out_bytes: int

    @property
    def out(self) -> LentTensor:
        """The first that is written; of most labs the only one."""
        return self.outs[0]

    @property
    def tensors(self) -> tuple[LentTensor, ...]:
        return (*self.inputs, *self.outs)

    def joined(self, view: Callable[[LentTensor], torch.Tensor]) -> torch.Tensor:
        """What is written, as the judge compares it: the tensor itself, or the table of several."""
        if len(self.outs) == 1:
            return view(self.out)
        return table(self.forms, {lent.name: view(lent) for lent in self.outs})

    def cells(self, lent: LentTensor) -> slice:
        """Where in the buffer the cells of an output lie, in bytes."""
        return slice(lent.offset, lent.offset + extent(lent.shape, lent.strides) * getattr(torch, lent.dtype).itemsize)

    @property
    def guards(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The bytes before the first output, and those behind each one."""
        cells = [self.cells(lent) for lent in self.outs]
        ends = [*(each.start for each in cells[1:]), self.out_bytes]
        behind = tuple(slice(each.stop, end) for each, end in zip(cells, ends, strict=True))
        return (slice(0, cells[0].start),), behind


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
    outs, out_bytes = [], GUARD_BYTES
    for form in prepared.forms:
        strides = contiguous_strides(form.shape)
        dtype = _name(form.dtype)
        outs.append(LentTensor(name=form.name, buffer="out", offset=out_bytes, shape=form.shape, strides=strides, dtype=dtype))
        out_bytes = _next_offset(out_bytes, extent(form.shape, strides) * form.dtype.itemsize)
    return Layout(tuple(placed), tuple(outs), prepared.forms, offset, out_bytes)


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
    """What a case left in `out`, wherever that lay; a private copy, taken once. Of several outputs, their table."""

    @property
    def tensor(self) -> torch.Tensor:
        """`out`, contiguous, in its own dtype."""

    @property
    def unwritten(self) -> torch.Tensor:
        """True where a cell of `out` still holds the fill, bit for bit."""

    @property
    def overrun(self) -> tuple[int, int]:
        """Bytes changed before and after `out`; of several outputs, before the first and behind any."""


@dataclasses.dataclass(frozen=True)
class LentSnapshot:
    """What a case left in lent memory."""

    data: bytes
    layout: Layout

    @property
    def tensor(self) -> torch.Tensor:
        """`out`, contiguous, in its own dtype; of several outputs, their table."""
        return self.layout.joined(self._tensor)

    @property
    def unwritten(self) -> torch.Tensor:
        """True where a cell of `out` still holds the fill, bit for bit."""
        return self.layout.joined(lambda lent: still_filled(self._tensor(lent)))

    @property
    def overrun(self) -> tuple[int, int]:
        """Bytes changed before and after `out`; of several outputs, before the first and behind any."""
        words = torch.frombuffer(bytearray(self.data), dtype=torch.int16)
        before, behind = (sum(changed_bytes(words[_words(part)]) for part in parts) for parts in self.layout.guards)
        return before, behind

    def _tensor(self, lent: LentTensor) -> torch.Tensor:
        cells = bytearray(self.data[self.layout.cells(lent)])
        dtype = getattr(torch, lent.dtype)
        if not cells:
            return torch.empty(lent.shape, dtype=dtype)
        return torch.frombuffer(cells, dtype=dtype).view(lent.shape)


def _words(part: slice) -> slice:
    """The 16-bit words of these bytes."""
    return slice(part.start // WORD_BYTES, part.stop // WORD_BYTES)


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
