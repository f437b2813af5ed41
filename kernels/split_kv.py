"""Splitting one sequence's cache over several programs, and merging what they found, in the same launch.

    partial_out, partial_lse   what attention over one split's keys alone would return
    weight_s = exp(partial_lse_s - max_s partial_lse_s)
    out = sum_s weight_s * partial_out_s / sum_s weight_s;   lse = max + log(sum_s weight_s)

Each program writes its partial result and counts itself in. The merge has two steps, both in the same launch and neither ever
waiting for another program: the last to arrive of a few neighbouring splits merges these into one partial result, and the last
of those merges them all. One program alone would read all partial results in sequence while the others have nothing left to do.
Used unchanged by the four decode kernels. lse is in base 2 until it leaves.

Source: Dao et al., "Flash-Decoding for long-context inference", 2023 (https://crfm.stanford.edu/2023/10/12/flashdecoding.html).
"""

import torch
import triton
import triton.language as tl

LN_2 = tl.constexpr(0.6931471805599453)
SMALLEST_FAN = tl.constexpr(8)  # splits that are merged in the first step, where registers hold fewer at once

_arrived: dict[tuple[torch.device, int], torch.Tensor] = {}  # by device and stream; all zero between launches


@triton.jit
def split_range(kv_len, num_kv_splits, BLOCK_N: tl.constexpr):
    """First key, end of the whole tiles, and end of the keys of this program's split. Only the last split has a cut tile."""
    tiles = tl.cdiv(tl.cdiv(kv_len, BLOCK_N), num_kv_splits)
    start = tl.program_id(0) * tiles * BLOCK_N
    stop = tl.minimum(start + tiles * BLOCK_N, kv_len)
    whole = start + tl.maximum(stop - start, 0) // BLOCK_N * BLOCK_N
    return start, whole, stop


@triton.jit
def row_of_split(pair, num_kv_splits, GROUP_SIZE: tl.constexpr, SPLIT: tl.constexpr):
    """The first row of what this program writes: of the partial results when the cache is split, else of out."""
    if SPLIT:
        return (pair * num_kv_splits + tl.program_id(0)) * GROUP_SIZE
    return pair * GROUP_SIZE


@triton.jit
def inverse_and_lse(m_i, l_i):
    """1 / l_i and the log2 of the sum of exponentials; 0 and -inf for a split without keys."""
    empty = l_i == 0.0
    safe = tl.where(empty, 1.0, l_i)
    return tl.where(empty, 0.0, 1.0 / safe), tl.where(empty, -float("inf"), m_i + tl.log2(safe))


@triton.jit
def store_lse(ptr, row, lse_log2, GROUP_SIZE: tl.constexpr, GROUP_PAD: tl.constexpr, SPLIT: tl.constexpr):
    offs_g = tl.arange(0, GROUP_PAD)
    lse = lse_log2 if SPLIT else lse_log2 * LN_2
    tl.store(ptr + row + offs_g, lse, mask=offs_g < GROUP_SIZE)


@triton.jit
def _merged(
    partial_out_ptr, partial_lse_ptr, first, count, step,
    GROUP_SIZE: tl.constexpr, HEAD_DIM: tl.constexpr, GROUP_MERGE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """out and lse_log2 of ``count`` partial results, every step-th from the first one on, CHUNK at a time."""
    offs_s = tl.arange(0, CHUNK)
    offs_g = tl.arange(0, GROUP_MERGE)
    offs_d = tl.arange(0, HEAD_DIM)
    m_i = tl.full([GROUP_MERGE], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_MERGE], tl.float32)
    acc = tl.zeros([GROUP_MERGE, HEAD_DIM], tl.float32)
    for taken in range(0, count, CHUNK):
        # rows: [CHUNK, GROUP_MERGE]
        rows = (first + (taken + offs_s) * step)[:, None] * GROUP_SIZE + offs_g[None, :]
        mask = (taken + offs_s < count)[:, None] & (offs_g < GROUP_SIZE)[None, :]
        # .cg reads L2, where the other programs' results are; L1 may hold older ones
        lse = tl.load(partial_lse_ptr + rows, mask=mask, other=-float("inf"), cache_modifier=".cg")
        part = tl.load(
            partial_out_ptr + rows[:, :, None] * HEAD_DIM + offs_d[None, None, :],
            mask=mask[:, :, None], other=0.0, cache_modifier=".cg",
        )  # fmt: skip
        m_new = tl.maximum(m_i, tl.max(lse, axis=0))
        shift = tl.where(m_new == -float("inf"), 0.0, m_new)  # all splits without keys: -inf - -inf would be NaN
        weight = tl.exp2(lse - shift[None, :])
        alpha = tl.exp2(m_i - shift)
        l_i = l_i * alpha + tl.sum(weight, axis=0)
        acc = acc * alpha[:, None] + tl.sum(part * weight[:, :, None], axis=0)
        m_i = m_new
    inverse, lse_log2 = inverse_and_lse(m_i, l_i)
    return acc * inverse[:, None], lse_log2


@triton.jit
def _is_last(arrived_ptr, expected):
    """Count this program in; whether it is the last of those expected. The last one leaves zero, for the next launch."""
    tl.debug_barrier()  # every thread's partial results are written before one thread counts the program in
    last = tl.atomic_add(arrived_ptr, 1, sem="acq_rel", scope="gpu") == expected - 1
    if last:
        tl.store(arrived_ptr, 0)
    return last


@triton.jit
def merge_when_last(
    partial_out_ptr, partial_lse_ptr, arrived_ptr, out_ptr, lse_ptr, pair, num_kv_splits,
    GROUP_SIZE: tl.constexpr, HEAD_DIM: tl.constexpr, GROUP_MERGE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Merge all splits of this program's pair (a sequence and a kv head), if nothing is left to arrive: first FAN by FAN."""
    FAN: tl.constexpr = CHUNK if CHUNK > SMALLEST_FAN else SMALLEST_FAN
    offs_g = tl.arange(0, GROUP_MERGE)
    to = offs_g[:, None] * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    mask_g = offs_g < GROUP_SIZE
    # counts of a pair: one for each fan, and at the end one for all of them
    counts = arrived_ptr + pair * (num_kv_splits + 1)
    fans = tl.cdiv(num_kv_splits, FAN)
    fan = tl.program_id(0) // FAN
    size = tl.minimum(num_kv_splits - fan * FAN, FAN)
    if _is_last(counts + fan, size):
        first = pair * num_kv_splits
        out, lse_log2 = _merged(
            partial_out_ptr, partial_lse_ptr, first + fan * FAN, size, 1, GROUP_SIZE, HEAD_DIM, GROUP_MERGE, CHUNK
        )
        complete = fans == 1
        if fans > 1:
            tl.debug_barrier()  # all of the fan is read before the merged result takes the place of its first split
            row = (first + fan * FAN) * GROUP_SIZE
            tl.store(partial_out_ptr + row * HEAD_DIM + to, out, mask=mask_g[:, None])
            tl.store(partial_lse_ptr + row + offs_g, lse_log2, mask=mask_g)
            complete = _is_last(counts + num_kv_splits, fans)
            if complete:
                out, lse_log2 = _merged(
                    partial_out_ptr, partial_lse_ptr, first, fans, FAN, GROUP_SIZE, HEAD_DIM, GROUP_MERGE, CHUNK
                )
        if complete:
            row = pair * GROUP_SIZE
            tl.store(out_ptr + row * HEAD_DIM + to, out.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])
            tl.store(lse_ptr + row + offs_g, lse_log2 * LN_2, mask=mask_g)


def merge_constants(group_size: int, head_dim: int, num_warps: int) -> dict[str, int]:
    """Constants of ``merge_when_last``: as many splits at once as 128 registers a thread hold."""
    group_merge = triton.next_power_of_2(group_size)
    chunk = 128 * 32 * num_warps // (group_merge * head_dim)
    return {"GROUP_MERGE": group_merge, "CHUNK": max(1 << max(chunk, 1).bit_length() - 1, 1)}


def workspace(
    query: torch.Tensor, num_heads_kv: int, num_kv_splits: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """out, lse, and where splits leave partial_out, partial_lse and their count. Query: [batch, num_heads_q, head_dim]."""
    batch, num_heads_q, head_dim = query.shape
    out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    lse = torch.empty((batch, num_heads_q), dtype=torch.float32, device=query.device)
    if num_kv_splits == 1:
        return out, lse, out, lse, lse  # the last three are not touched
    partial_out = torch.empty((batch, num_kv_splits, num_heads_q, head_dim), dtype=torch.float32, device=query.device)
    partial_lse = torch.empty((batch, num_kv_splits, num_heads_q), dtype=torch.float32, device=query.device)
    return out, lse, partial_out, partial_lse, _counters(batch * num_heads_kv * (num_kv_splits + 1), query.device)


def _counters(count: int, device: torch.device) -> torch.Tensor:
    """At least ``count`` zeros, kept from launch to launch, because each launch leaves them zero."""
    if device.type != "cuda":
        return torch.zeros(count, dtype=torch.int32, device=device)
    if torch.cuda.is_current_stream_capturing():
        return torch.zeros(count, dtype=torch.int32, device=device)  # belongs to the graph, which zeroes it at each replay
    key = (device, torch.cuda.current_stream(device).cuda_stream)  # launches on two streams must not share a count
    if key not in _arrived or _arrived[key].numel() < count:
        _arrived[key] = torch.zeros(max(count, 1024), dtype=torch.int32, device=device)
    return _arrived[key]
