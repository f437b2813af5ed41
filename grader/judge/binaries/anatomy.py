"""The anatomy of the kernels of a launch record: registers, spills, shared memory, blocks per SM and what limits them.

Read from the very binaries that are launched, on any machine. Occupancy follows the hardware's allocation rules: a warp gets
registers in units of 256, each quarter of an SM has a quarter of the registers, and every block takes what the system
reserves of shared memory on top of its own.

Source: NVIDIA, "CUDA C++ Programming Guide", "Technical Specifications"; "CUDA Occupancy Calculator" (allocation units).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from grader.report import Anatomy
from grader.sandbox.record import cubin
from grader.sandbox.record.commands import Choice, Fill, Launch, Record
from grader.sandbox.record.gpus import GPUS, Gpu

_REGISTER_UNIT = 256  # registers of a warp are rounded up to this
_QUARTERS = 4  # an SM's schedulers, each with its own registers
_SHARED_UNIT = {True: 128, False: 256}  # bytes; by whether the capability is 8.0 or above


@dataclasses.dataclass(frozen=True, kw_only=True)
class Occupancy:
    """How many blocks an SM holds at once. `share`: warps in flight ÷ warps possible."""

    blocks_per_sm: int
    limited_by: str  # registers | shared memory | warps | blocks
    share: float


def occupancy(gpu: Gpu, *, num_warps: int, registers: int, shared_bytes: int) -> Occupancy:
    """Blocks of `num_warps` warps that fit an SM together; 0 where not even one does.

    Args:
        registers: per thread.
        shared_bytes: per block, without what the system reserves.
    """
    per_warp = _rounded(max(registers, 1) * 32, _REGISTER_UNIT)
    warps_by_registers = gpu.registers_per_sm // _QUARTERS // per_warp * _QUARTERS
    unit = _SHARED_UNIT[gpu.capability >= 80]
    shared = _rounded(shared_bytes + gpu.reserved_shared_per_block, unit)
    blocks = {
        "registers": warps_by_registers // num_warps,
        "shared memory": gpu.shared_per_sm // shared if shared else gpu.blocks_per_sm,
        "warps": gpu.warps_per_sm // num_warps,
        "blocks": gpu.blocks_per_sm,
    }
    fewest = min(blocks.values())
    limited_by = next(name for name in ("warps", "blocks", "registers", "shared memory") if blocks[name] == fewest)
    return Occupancy(blocks_per_sm=fewest, limited_by=limited_by, share=fewest * num_warps / gpu.warps_per_sm)


def anatomy_of(record: Record) -> tuple[Anatomy, ...]:
    """One entry for each kernel and form of launch, in the order of their first launch; equal launches are counted.

    Of an autotuner's alternatives the first is shown.

    Raises:
        CubinError: a binary is malformed.
    """
    gpu = GPUS[record.target]
    counts: dict[tuple[int, str, tuple[int, int, int], int, int, int], int] = {}
    for launch in first_launches(record.commands):
        form = (launch.binary, launch.kernel, launch.grid, launch.num_warps, launch.num_ctas, launch.shared_bytes)
        counts[form] = counts.get(form, 0) + 1
    kernels = {index: cubin.facts(record.binaries[index].cubin).kernels for index in {form[0] for form in counts}}
    entries = []
    for (binary, name, grid, num_warps, num_ctas, shared_bytes), launches in counts.items():
        kernel = kernels[binary].get(name)
        if kernel is None:
            raise cubin.CubinError(f"the binary has no kernel {name}")
        held = occupancy(gpu, num_warps=num_warps, registers=kernel.registers, shared_bytes=shared_bytes)
        entries.append(
            Anatomy(
                kernel=name,
                target=record.target,
                grid=(grid[0] * num_ctas, grid[1], grid[2]),
                num_warps=num_warps,
                registers=kernel.registers,
                spill_bytes=kernel.frame_bytes,
                shared_bytes=shared_bytes,
                blocks_per_sm=held.blocks_per_sm,
                limited_by=held.limited_by,
                occupancy=held.share,
                launches=launches,
            )
        )
    return tuple(entries)


def first_launches(commands: Iterable[Fill | Launch | Choice]) -> Iterator[Launch]:
    """Every launch, in order; of an autotuner's alternatives those of the first."""
    for command in commands:
        if isinstance(command, Choice):
            yield from first_launches(command.alternatives[0].commands)
        elif isinstance(command, Launch):
            yield command


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit
