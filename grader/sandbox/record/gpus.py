"""What the course's GPUs offer a kernel, by compute capability. Facts of the hardware; nothing here asks a driver.

Source: NVIDIA, "CUDA C++ Programming Guide", section "Compute Capabilities", tables "Feature Support" and "Technical
Specifications" (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities); multiprocessors, memory and
L2 of the named product from its data sheet.
"""

from __future__ import annotations

import dataclasses
import operator

GRID_LIMITS = (2**31 - 1, 65535, 65535)  # blocks of a launch along each axis, on all of them
KIB = 1024
GIB = 1 << 30


def launched(grid: object) -> tuple[int, int, int]:
    """The programs of a launch along three axes.

    Raises:
        ValueError: `grid` is not one to three whole numbers (tuple or list), none negative, that a GPU takes.
    """
    try:
        numbers = tuple(operator.index(size) for size in grid) if isinstance(grid, tuple | list) else ()
    except TypeError:
        numbers = ()
    if not 1 <= len(numbers) <= 3 or min(numbers) < 0:
        what = "a tuple of one to three whole numbers, none below zero: triton.cdiv and // make some, / does not"
        raise ValueError(f"grid={grid!r:.60} is no grid, which is {what}")
    if any(size > limit for size, limit in zip(numbers, GRID_LIMITS, strict=False)):
        raise ValueError(f"grid={numbers} is not possible on a GPU: the most is {GRID_LIMITS}")
    x, y, z = numbers + (1,) * (3 - len(numbers))
    return x, y, z


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. Shared memory in bytes; `shared_per_block` is what a block may ask for."""

    name: str
    capability: int  # 90 for sm_90
    multiprocessors: int
    memory_bytes: int
    l2_bytes: int
    shared_per_sm: int
    shared_per_block: int
    reserved_shared_per_block: int  # taken by the system from every block's share
    warps_per_sm: int
    blocks_per_sm: int
    registers_per_sm: int = 65536

    @property
    def target(self) -> str:
        return f"sm_{self.capability}"


GPUS = {
    gpu.target: gpu
    for gpu in (
        Gpu(
            name="Tesla T4",
            capability=75,
            multiprocessors=40,
            memory_bytes=16 * GIB,
            l2_bytes=4096 * KIB,
            shared_per_sm=64 * KIB,
            shared_per_block=64 * KIB,
            reserved_shared_per_block=0,
            warps_per_sm=32,
            blocks_per_sm=16,
        ),
        Gpu(
            name="NVIDIA A100-SXM4-80GB",
            capability=80,
            multiprocessors=108,
            memory_bytes=80 * GIB,
            l2_bytes=40960 * KIB,
            shared_per_sm=164 * KIB,
            shared_per_block=163 * KIB,
            reserved_shared_per_block=KIB,
            warps_per_sm=64,
            blocks_per_sm=32,
        ),
        Gpu(
            name="NVIDIA A10G",
            capability=86,
            multiprocessors=80,
            memory_bytes=24 * GIB,
            l2_bytes=6144 * KIB,
            shared_per_sm=100 * KIB,
            shared_per_block=99 * KIB,
            reserved_shared_per_block=KIB,
            warps_per_sm=48,
            blocks_per_sm=16,
        ),
        Gpu(
            name="NVIDIA L4",
            capability=89,
            multiprocessors=58,
            memory_bytes=24 * GIB,
            l2_bytes=49152 * KIB,
            shared_per_sm=100 * KIB,
            shared_per_block=99 * KIB,
            reserved_shared_per_block=KIB,
            warps_per_sm=48,
            blocks_per_sm=24,
        ),
        Gpu(
            name="NVIDIA H100 80GB HBM3",
            capability=90,
            multiprocessors=132,
            memory_bytes=80 * GIB,
            l2_bytes=51200 * KIB,
            shared_per_sm=228 * KIB,
            shared_per_block=227 * KIB,
            reserved_shared_per_block=KIB,
            warps_per_sm=64,
            blocks_per_sm=32,
        ),
        Gpu(
            name="NVIDIA B200",
            capability=100,
            multiprocessors=148,
            memory_bytes=180 * GIB,
            l2_bytes=126 * 1024 * KIB,
            shared_per_sm=228 * KIB,
            shared_per_block=227 * KIB,
            reserved_shared_per_block=KIB,
            warps_per_sm=64,
            blocks_per_sm=32,
        ),
        Gpu(
            name="NVIDIA RTX PRO 6000 Blackwell",
            capability=120,
            multiprocessors=188,
            memory_bytes=96 * GIB,
            l2_bytes=128 * 1024 * KIB,
            shared_per_sm=100 * KIB,
            shared_per_block=99 * KIB,
            reserved_shared_per_block=KIB,
            warps_per_sm=48,
            blocks_per_sm=24,
        ),
    )
}
DEFAULT_TARGET = "sm_90"
