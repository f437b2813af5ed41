"""From a secret seed to the inputs of a case: sizes drawn, values made, strides laid out.

Every case has a generator of its own, so that leaving one out changes no other.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import torch

from grader.sandbox.protocol import contiguous_strides
from labs import table
from labs.declaration import Among, Case, Draw, Inputs, Lab, Size
from labs.table import Form

SEED_BYTES = 32
PAST_INT32 = 1 << 31
FEWEST_STEPS = 3  # two would need a stride beyond 2³¹, which Triton passes as 64 bits
SPREAD_ALIGNMENT = 16  # elements; what pointers and strides are specialised on


@dataclasses.dataclass(frozen=True)
class PreparedCase:
    """A case with its sizes drawn and its inputs made: the judge's private copy, contiguous. `order` names the order in which
    the interpreter runs a launch's programs.
    """

    case: Case
    sizes: dict[str, int]
    inputs: Inputs
    out_shape: tuple[int, ...]
    out_dtype: torch.dtype
    order: int = 0
    outputs: tuple[Form, ...] = ()  # where the entry function writes more than `out`, which then is their table

    @property
    def forms(self) -> tuple[Form, ...]:
        """The tensors that the entry function writes."""
        return self.outputs or (Form("out", self.out_shape, self.out_dtype),)

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self.inputs.items() if isinstance(value, torch.Tensor)}

    @property
    def scalars(self) -> dict[str, Any]:
        return {name: value for name, value in self.inputs.items() if not isinstance(value, torch.Tensor)}

    @property
    def shape(self) -> str:
        """What the learner reads: "rows=7, cols=300, float16"."""
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"{sizes}, {str(self.case.dtype).removeprefix('torch.')}"


def prepare(lab: Lab, case: Case, seed: bytes, *, device: str = "cpu") -> PreparedCase:
    """Draw a case's sizes and values from `seed`; the tensors are made on `device`."""
    digest = hashlib.blake2b(case.name.encode(), key=seed, digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    sizes = {name: _size(size, generator) for name, size in case.sizes.items()}
    what = case.values if isinstance(case.values, str) else case.values.drawn(seed)
    with torch.device(device):
        values = generator if device == "cpu" else torch.Generator(device).manual_seed(generator.initial_seed())
        inputs = lab.inputs(Draw(sizes, what, case.dtype, values))
    out_shape = tuple(lab.out_shape(inputs))
    digest = hashlib.blake2b(b"order" + digest, key=seed, digest_size=4).digest()  # tells nothing of what the values came from
    return PreparedCase(
        case,
        sizes,
        inputs,
        out_shape,
        lab.out_dtype(inputs, case.dtype),
        int.from_bytes(digest, "little"),
        table.forms(lab.outputs, inputs, case.dtype),
    )


def _size(size: Size, generator: torch.Generator) -> int:
    if isinstance(size, int):
        return size
    if isinstance(size, Among):
        return size.choices[int(torch.randint(len(size.choices), (1,), generator=generator))]
    low, high = size
    return int(torch.randint(low, high + 1, (1,), generator=generator))


def gapped_strides(shape: tuple[int, ...], gap: int) -> tuple[int, ...]:
    """Strides with gaps in every axis but the last, and the two axes before it exchanged in memory where there are two.

    `gap` differs from tensor to tensor, so that one tensor's strides never fit another. Rows of a matrix lie more than a row
    apart, so that what goes over the gaps as well needs twice as many programs.
    """
    if len(shape) < 2:
        return contiguous_strides(shape)
    order = list(range(len(shape) - 1))
    if len(order) >= 2:
        order[-1], order[-2] = order[-2], order[-1]
    strides = [1] * len(shape)
    step = (2 if len(shape) == 2 else 1) * shape[-1] + 8 * (1 + gap)
    for axis in reversed(order):
        strides[axis] = step
        step = step * shape[axis] + 16 * (1 + gap)
    return tuple(strides)


def spread_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Contiguous strides, but for the first axis of three steps or more: its last offset passes 2³¹ elements, no stride does.

    So an offset in 32 bits overflows, though each of its factors fits.

    Raises:
        ValueError: no axis but the last has three steps.
    """
    strides = list(contiguous_strides(shape))
    axis = next((axis for axis, size in enumerate(shape[:-1]) if size >= FEWEST_STEPS), None)
    if axis is None:
        raise ValueError(f"shape={shape} cannot be spread: expected an axis of {FEWEST_STEPS} steps before the last")
    strides[axis] = max(strides[axis], -(-(PAST_INT32 + SPREAD_ALIGNMENT) // (shape[axis] - 1)))
    strides[axis] = -(-strides[axis] // SPREAD_ALIGNMENT) * SPREAD_ALIGNMENT
    for before in range(axis):  # axes of one or two steps, never so far out
        strides[before] = strides[axis] if shape[before] == 1 else strides[axis] * shape[axis]
    return tuple(strides)
