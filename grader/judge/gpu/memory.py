"""Device memory that the judge lends to a replayer: an allocation for the inputs, one for `out`, NaN everywhere else.

The judge allocates, so what it compares is its own memory; the replayer opens the allocations by IPC handles. Layout, fill
and guard zones are those of `grader.judge.case.memory`.
"""

from __future__ import annotations

import torch

from grader.judge.case.memory import FILL, OUT_FILL, Layout, changed_bytes, still_filled
from grader.sandbox.protocol import LentTensor, extent
from grader.sandbox.replay import cuda_driver
from labs.declaration import Inputs


class DeviceBuffer:
    """One allocation of the driver's, seen by torch as bytes."""

    def __init__(self, size: int) -> None:
        torch.cuda.current_stream()  # the primary context is current in this thread from here on
        self.size = size
        self.address = cuda_driver.allocate(size)
        self.handle = cuda_driver.export(self.address)
        self.bytes = torch.as_tensor(_CudaArray(self.address, size), device="cuda")

    @property
    def lent(self) -> dict:
        """What a replayer is told: by which handle it opens the allocation."""
        return {"handle": self.handle.hex(), "bytes": self.size}

    def fill(self, *, as_out: bool = False) -> None:
        """Lay down what nobody has written: the fill of the inputs' surroundings, or of `out`."""
        if as_out:
            self.bytes.view(torch.int16).fill_(OUT_FILL)
        else:
            self.bytes.fill_(FILL)

    def view(self, lent: LentTensor) -> torch.Tensor:
        """The tensor as laid out in this buffer."""
        dtype = getattr(torch, lent.dtype)
        cells = extent(lent.shape, lent.strides)
        if cells == 0:
            return torch.empty(lent.shape, dtype=dtype, device="cuda")
        flat = self.bytes[lent.offset : lent.offset + cells * dtype.itemsize].view(dtype)
        return flat.as_strided(lent.shape, lent.strides)

    def close(self) -> None:
        del self.bytes
        cuda_driver.free(self.address)


class _CudaArray:
    """The interface by which torch adopts memory that it did not allocate."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {"data": (address, False), "shape": (size,), "typestr": "|u1", "version": 3}


class DeviceSet:
    """The buffers of one launch: inputs and `out`, laid out for one case."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.inputs = DeviceBuffer(layout.inputs_bytes)
        try:
            self.out = DeviceBuffer(layout.out_bytes)
        except BaseException:
            self.inputs.close()
            raise

    def lend(self, inputs: Inputs) -> None:
        """Lay the inputs down and make `out` and all around them NaN."""
        self.inputs.fill()
        self.out.fill(as_out=True)
        for lent in self.layout.inputs:
            self.inputs.view(lent).copy_(inputs[lent.name])

    def snapshot(self) -> DeviceSnapshot:
        """A private copy, taken once: what is compared is what is judged."""
        return DeviceSnapshot(self.layout, self.inputs.bytes.clone(), self.out.bytes.clone())

    def close(self) -> None:
        self.inputs.close()
        self.out.close()


class DeviceSnapshot:
    """What a launch left behind."""

    def __init__(self, layout: Layout, inputs: torch.Tensor, out: torch.Tensor) -> None:
        self._layout = layout
        self._inputs, self._out = inputs, out
        self.tensor = layout.joined(self._tensor)
        self.unwritten = layout.joined(lambda lent: still_filled(self._tensor(lent)))

    def _tensor(self, lent: LentTensor) -> torch.Tensor:
        return self._out[self._layout.cells(lent)].view(getattr(torch, lent.dtype)).view(lent.shape)

    @property
    def overrun(self) -> tuple[int, int]:
        """Bytes changed before and after `out`; of several outputs, before the first and behind any."""
        before, behind = (
            sum(changed_bytes(self._out[part].view(torch.int16)) for part in parts) for parts in self._layout.guards
        )
        return before, behind

    def changed_inputs(self, lent_bytes: torch.Tensor) -> list[str]:
        """Names of the inputs whose bytes, or the gaps and guards after them, are not those that were lent."""
        changed = []
        starts = [lent.offset for lent in self._layout.inputs] + [self._layout.inputs_bytes]
        for index, lent in enumerate(self._layout.inputs):
            stretch = slice(0 if index == 0 else starts[index], starts[index + 1])
            if not torch.equal(self._inputs[stretch], lent_bytes[stretch]):
                changed.append(lent.name)
        return changed
