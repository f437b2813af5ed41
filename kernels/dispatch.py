"""Which kernel runs on which device, with which block sizes, and why: in one place, and nothing is tried out at a first call.

The choices were measured by ``python -m kernels.tune``, which finds them again; those for devices that were not measured follow
from the sizes of registers, shared memory and L2 cache, and say so.
"""

from dataclasses import dataclass
from functools import cache

import torch


@dataclass(frozen=True)
class Device:
    """What the choices depend on."""

    capability: int  # 90 for compute capability 9.0; 0 for the interpreter
    num_sms: int
    l2_bytes: int


INTERPRETER = Device(capability=0, num_sms=4, l2_bytes=1 << 20)


@cache
def device_of(device: torch.device) -> Device:
    if device.type != "cuda":
        return INTERPRETER
    properties = torch.cuda.get_device_properties(device)
    return Device(
        capability=properties.major * 10 + properties.minor,
        num_sms=properties.multi_processor_count,
        l2_bytes=properties.L2_cache_size,
    )


@dataclass(frozen=True, kw_only=True)
class SoftmaxPlan:
    kernel: str  # "registers", "cluster" or "two passes"
    block: int
    num_warps: int
    pieces: int = 1
    programs: int = 1
    num_stages: int = 2


# On sm_90, measured.
CLUSTER_PIECE = (16384, 16)  # columns of a piece, warps
LONG_CLUSTER_PIECE = (16384, 8)  # of a cluster of 16


@cache
def softmax_plan(device: torch.device, cols: int, *, aligned: bool, interpreting: bool = False) -> SoftmaxPlan:
    """How softmax_online takes rows of this length.

    - to 32768 columns a row sits in the registers of one program: one read, one write
    - to 131072 columns on Hopper in those of a cluster of programs, 16384 columns each: still one read; and again between
      196609 and 262144 (of fewer columns too many of 16 programs would have none)
    - beyond, and elsewhere: two passes, and so few rows at a time that the second finds them in the L2 cache

    Args:
        aligned: whether every row begins at a multiple of 16 bytes. Where not, numbers are moved one by one, and a cluster is
            no faster than two passes (float32) or much slower (float16); four stages would spill.
    """
    block = 1 << (cols - 1).bit_length()
    here = INTERPRETER if interpreting else device_of(device)
    if here.capability == 90 and aligned and 32768 < cols <= 131072:
        return cluster_plan(cols, *CLUSTER_PIECE)
    if here.capability == 90 and aligned and 196608 < cols <= 262144:
        return cluster_plan(cols, *LONG_CLUSTER_PIECE)
    if block <= 32768:
        return SoftmaxPlan(kernel="registers", block=block, num_warps=min(max(block // 1024, 1), 32))
    return SoftmaxPlan(kernel="two passes", block=4096, num_warps=16, programs=here.num_sms, num_stages=4 if aligned else 3)


def cluster_plan(cols: int, block: int, num_warps: int) -> SoftmaxPlan:
    """A row in the registers of a cluster of programs, a power of two of them."""
    pieces = (1 << (cols - 1).bit_length()) // block
    return SoftmaxPlan(kernel="cluster", block=block, num_warps=num_warps, pieces=pieces)


@dataclass(frozen=True, kw_only=True)
class HopperPlan:
    """Tiles of the Gluon kernel."""

    block_n: int
    consumers: int  # warpgroups of 64 query rows each
    num_stages: int  # tiles of keys, and of values, on their way
    turns: bool = False  # whether the consumers take turns at the tensor cores
    query_in_registers: bool = False  # else it is read from shared memory in every step
    sums_in_parts: bool = False  # whether a row's sum is kept in four parts until its end
    overlap: bool = True  # whether a consumer's scores are computed while its last values are multiplied


@dataclass(frozen=True, kw_only=True)
class AttentionPlan:
    block_m: int
    block_n: int
    num_warps: int
    num_stages: int
    hopper: HopperPlan | None = None  # set where the Gluon kernel is the faster one


# By head_dim and whether causal. With head_dim 64 there is room for a third consumer, which hides more exponentials, but then
# not for the query in registers.
HOPPER = {
    (128, False): HopperPlan(block_n=128, consumers=2, num_stages=2, query_in_registers=True, sums_in_parts=True),
    (128, True): HopperPlan(block_n=128, consumers=2, num_stages=2, turns=True, query_in_registers=True),
    (64, False): HopperPlan(block_n=128, consumers=3, num_stages=3, turns=True),
    (64, True): HopperPlan(block_n=128, consumers=3, num_stages=3, turns=True, sums_in_parts=True),
}


# Of FP8, by whether keys are many and none of their tiles is masked.
HOPPER_FP8 = {
    True: HopperPlan(block_n=128, consumers=3, num_stages=4, overlap=False),
    False: HopperPlan(block_n=128, consumers=2, num_stages=2, turns=True, query_in_registers=True),
}


@cache
def attention_fp8_plan(
    device: torch.device, head_dim: int, seqlen_kv: int, causal: bool, *, interpreting: bool = False
) -> AttentionPlan:
    """How flash_attention_fp8 cuts its work: half the bytes of ``attention_plan``'s tiles."""
    here = device_of(device)
    if interpreting:
        return AttentionPlan(block_m=64, block_n=32, num_warps=8, num_stages=1)
    unmasked = not causal and seqlen_kv % 128 == 0
    hopper = HOPPER_FP8[unmasked and seqlen_kv >= 4096] if here.capability == 90 and head_dim in (64, 128) else None
    block_n = 32 if head_dim == 64 else 64  # for which 128 registers are too few, and Triton takes no more
    return AttentionPlan(block_m=128, block_n=block_n, num_warps=8, num_stages=3, hopper=hopper)


@cache
def attention_plan(
    device: torch.device, dtype: torch.dtype, head_dim: int, causal: bool, *, interpreting: bool = False
) -> AttentionPlan:
    """How flash_attention cuts its work.

    - in the interpreter: few large operations, because each costs the same
    - float32: no tensor cores, so small tiles that stay in registers, beside what their sums have lost to rounding
    - sm_75: Triton has no matrix instructions for it and multiplies one by one, so small tiles; no asynchronous copies
    """
    here = device_of(device)
    if interpreting or dtype == torch.float32:
        return AttentionPlan(block_m=64, block_n=32, num_warps=8, num_stages=1)
    if here.capability < 80:
        return AttentionPlan(block_m=32, block_n=32, num_warps=8, num_stages=1)
    hopper = HOPPER.get((head_dim, causal)) if here.capability == 90 else None
    if head_dim <= 64:
        num_warps = 4 if here.capability == 90 else 8  # with four, the others would spill
        return AttentionPlan(block_m=128, block_n=64, num_warps=num_warps, num_stages=3, hopper=hopper)
    if here.capability in (80, 90):
        return AttentionPlan(block_m=128, block_n=64, num_warps=8, num_stages=3, hopper=hopper)
    # 86, 89 and 120 have 100 KB of shared memory
    return AttentionPlan(block_m=128, block_n=32, num_warps=8, num_stages=3)


@dataclass(frozen=True, kw_only=True)
class BackwardTiles:
    """Tiles of one of the two kernels of flash_attention_backward."""

    block_m: int
    block_n: int
    num_warps: int
    num_stages: int

    def constants(self) -> dict[str, int]:
        return {
            "BLOCK_M": self.block_m,
            "BLOCK_N": self.block_n,
            "NUM_STAGES": self.num_stages,
            "num_warps": self.num_warps,
        }


@dataclass(frozen=True, kw_only=True)
class BackwardPlan:
    queries: BackwardTiles  # of the kernel that walks over keys; its block_m is a multiple of the other's
    keys: BackwardTiles  # of the kernel that walks over queries
    descriptors: bool = False  # whether the copy engine brings the tiles walked over


@cache
def backward_plan(
    device: torch.device, dtype: torch.dtype, head_dim: int, group_size: int, *, interpreting: bool = False
) -> BackwardPlan:
    """How flash_attention_backward cuts its work.

    The second kernel has two sums of block_n rows to keep, the first one of block_m: the largest that do not spill. Without
    matrix instructions (float32, and sm_75) a thread holds whole rows of two tiles besides.
    """
    here = device_of(device)
    narrow = head_dim <= 64
    if interpreting:
        return _backward_plan((64, 64, 4, 1), (64, 64, 4, 1))
    if dtype == torch.float32:
        queries, keys = BACKWARD_FLOAT32[narrow]
        return _backward_plan(queries, (16, 32, 8, 1) if not narrow and here.capability <= 80 else keys)
    if here.capability < 80:
        return _backward_plan(*BACKWARD_TURING[narrow])
    if here.capability == 90:
        queries, keys = BACKWARD_HOPPER[narrow]
        # the loop over a group's heads takes registers that wide tiles of queries then lack
        return _backward_plan(queries, keys if narrow or group_size == 1 else (32, 64, 4, 3), descriptors=True)
    return _backward_plan(*BACKWARD[narrow])


# Whether head_dim is 64 or less -> block_m, block_n, warps and stages of the two kernels.
BACKWARD_HOPPER = {False: ((128, 64, 8, 3), (64, 64, 4, 2)), True: ((64, 64, 4, 3), (64, 64, 4, 2))}
BACKWARD = {False: ((64, 32, 4, 2), (32, 64, 8, 2)), True: ((128, 32, 8, 2), (32, 128, 8, 2))}
BACKWARD_FLOAT32 = {False: ((16, 16, 8, 1), (16, 16, 4, 1)), True: ((32, 32, 8, 1), (16, 32, 8, 1))}
BACKWARD_TURING = {False: ((16, 16, 8, 1), (16, 16, 8, 1)), True: ((32, 32, 8, 1), (16, 16, 8, 1))}


def _backward_plan(
    queries: tuple[int, int, int, int], keys: tuple[int, int, int, int], *, descriptors: bool = False
) -> BackwardPlan:
    names = ("block_m", "block_n", "num_warps", "num_stages")
    tiles = (BackwardTiles(**dict(zip(names, numbers, strict=True))) for numbers in (queries, keys))
    return BackwardPlan(queries=next(tiles), keys=next(tiles), descriptors=descriptors)


def converts_e4m3(device: torch.device, *, interpreting: bool = False) -> bool:
    """Whether the hardware turns E4M3 into float16 (from sm_89 on); elsewhere integer operations do."""
    return not interpreting and device_of(device).capability >= 89


@dataclass(frozen=True, kw_only=True)
class DecodePlan:
    block_n: int  # keys of a tile
    num_warps: int
    num_stages: int
    num_kv_splits: int


@dataclass(frozen=True, kw_only=True)
class HopperDecodePlan:
    """Of the Gluon kernel, ``decode_hopper``."""

    tokens: int  # of each warp's tile
    num_warps: int
    num_kv_splits: int
    cluster: int = 1  # programs that share a cache which their warps' tiles hold at once


# Keys of a tile, warps, stages, and programs on a multiprocessor that the splits aim at, by what the cache holds: with fewer
# caches than multiprocessors, with up to four times as many, and with more. On sm_90, measured.
DECODE_TILES = {
    "half": ((32, 1, 3, 3), (32, 1, 4, 1), (128, 4, 3, 1)),
    "paged": ((64, 2, 3, 2), (64, 4, 2, 1), (64, 4, 2, 4)),
    "fp8": ((32, 1, 4, 3), (64, 4, 3, 1), (64, 2, 3, 1)),
    "nvfp4": ((32, 1, 3, 7), (32, 1, 3, 6), (64, 1, 3, 4)),
}
SHORTEST_SPLIT = 2  # tiles; below, a split costs more than it gains
MOST_SPLITS = 128
SHORT_CACHE = 32  # tiles; to there more splits than one step merges cost more than they gain
ONE_STEP = 8  # splits that are merged in one step (``split_kv.SMALLEST_FAN``)


@cache
def decode_plan(
    device: torch.device, cache: str, pairs: int, seqlen_kv: int, head_dim: int, *, interpreting: bool = False
) -> DecodePlan:
    """How a decode kernel cuts the caches of ``pairs`` (sequences x kv heads).

    Few registers and small tiles, so that several programs share a multiprocessor: while one waits for its tile, others
    compute. The cache is split until every multiprocessor is full. The lengths in kv_len are on the GPU and are not looked at:
    seqlen_kv stands for all of them.
    """
    here = device_of(device)
    if interpreting:
        return DecodePlan(block_n=64, num_warps=4, num_stages=1, num_kv_splits=3 if seqlen_kv > 64 else 1)
    few, more, many = DECODE_TILES[cache]
    if cache == "half" and here.capability not in (80, 90):
        many = more  # the widest tiles need more than the others' 100 KB of shared memory
    block_n, num_warps, num_stages, programs = few if pairs < here.num_sms else more if pairs <= 4 * here.num_sms else many
    if here.capability < 80:  # no matrix instructions, no asynchronous copies; with four warps NVFP4 would spill
        block_n, num_warps, num_stages = 32, 8 if cache == "nvfp4" else 4, 1
    return cut_cache(here, pairs, seqlen_kv, block_n, num_warps, num_stages, programs)


# Of the Gluon kernel on sm_90: tokens of a warp, warps, and programs on a multiprocessor at most, for as many caches as above;
# None where the Triton kernel is the faster one. bf16 in one piece is nowhere faster by it. Measured.
HOPPER_DECODE_TILES = {
    "nvfp4": ((64, 2, 4), (64, 4, 2), (64, 2, 4)),
    "fp8": (None, (64, 4, 2), None),
    "paged": ((32, 4, 2), (32, 2, 4), (64, 2, 4)),
}


# Short caches, each of a cluster of 8 programs: keys up to which they are short, tokens of a warp, warps. On sm_90, measured.
SHORT_CACHES = {
    "half": ((1024, 32, 4), (2048, 32, 8)),
    "fp8": ((1024, 32, 4), (2048, 64, 4), (4096, 64, 8)),
    "nvfp4": ((1024, 32, 4), (2048, 64, 4), (4096, 64, 8)),
}
SHORT_CLUSTER = 8
SHORT_WARPS = 4  # on a multiprocessor at most: beyond, some clusters wait for others to end


@cache
def hopper_decode_plan(device: torch.device, cache: str, pairs: int, seqlen_kv: int) -> HopperDecodePlan | None:
    """How ``decode_hopper`` cuts the caches of ``pairs`` (sequences x kv heads), or None where another kernel is to run.

    No more programs than run at once: what a second wave has to read waits until the first has read all. A few short caches
    are not split: a cluster shares each.
    """
    here = device_of(device)
    if here.capability != 90:
        return None
    tokens, num_warps = next(
        ((tokens, warps) for most, tokens, warps in SHORT_CACHES.get(cache, ()) if seqlen_kv <= most), (0, 0)
    )
    if tokens and pairs * SHORT_CLUSTER * num_warps <= SHORT_WARPS * here.num_sms:
        return HopperDecodePlan(tokens=tokens, num_warps=num_warps, num_kv_splits=1, cluster=SHORT_CLUSTER)
    if cache not in HOPPER_DECODE_TILES:
        return None
    few, more, many = HOPPER_DECODE_TILES[cache]
    tile = few if pairs < here.num_sms else more if pairs <= 4 * here.num_sms else many
    if tile is None:
        return None
    return cut_cache_hopper(here, pairs, seqlen_kv, *tile)


def cut_cache_hopper(
    here: Device, pairs: int, seqlen_kv: int, tokens: int, num_warps: int, programs_per_sm: int
) -> HopperDecodePlan:
    """So many splits that no multiprocessor gets more than this many programs, if there are keys enough."""
    tiles = -(-seqlen_kv // (tokens * num_warps))
    num_kv_splits = max(min(programs_per_sm * here.num_sms // max(pairs, 1), tiles // SHORTEST_SPLIT, MOST_SPLITS), 1)
    return HopperDecodePlan(tokens=tokens, num_warps=num_warps, num_kv_splits=num_kv_splits)


def cut_cache(
    here: Device, pairs: int, seqlen_kv: int, block_n: int, num_warps: int, num_stages: int, programs_per_sm: int
) -> DecodePlan:
    """So many splits that each multiprocessor gets this many programs, if there are keys enough."""
    tiles = -(-seqlen_kv // block_n)
    wanted = -(-programs_per_sm * here.num_sms // max(pairs, 1))
    most = ONE_STEP if tiles <= SHORT_CACHE else MOST_SPLITS
    num_kv_splits = max(min(wanted, tiles // SHORTEST_SPLIT, most), 1)
    return DecodePlan(block_n=block_n, num_warps=num_warps, num_stages=num_stages, num_kv_splits=num_kv_splits)
