"""Decoding: one query per sequence over a long cache. Every key and value is read once, so memory sets the time.

    out = softmax(query @ key[:kv_len]^T * softmax_scale) @ value[:kv_len]

The query heads of a group share their keys: a program takes the whole group, which makes a small matrix of the query and reads
the cache once for all. The cache is split over as many programs as keep the memory busy (``split_kv``). Works in base 2.
"""

import torch
import triton
import triton.language as tl

from kernels.checks import (
    HALF_DTYPES,
    interpreting,
    require_dense_rows,
    require_device,
    require_dims,
    require_dtype,
    require_head_dim,
    require_heads,
    require_kv_len,
    require_kv_len_shape,
    require_scale,
    require_shape,
)
from kernels.dispatch import DecodePlan, HopperDecodePlan, decode_plan, hopper_decode_plan
from kernels.online_softmax import online_softmax_step
from kernels.split_kv import inverse_and_lse, merge_constants, merge_when_last, row_of_split, split_range, store_lse, workspace

LOG2_E = 1.4426950408889634
FP32_DOT = tl.constexpr("ieee")  # float32 inputs would otherwise round to TF32


@triton.jit
def _over_keys(
    acc, m_i, l_i, query, key_ptrs, value_ptrs, start, stop, kv_len,
    scale_log2, stride_key_n, stride_value_n,
    BLOCK_N: tl.constexpr, MASKED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """Take the keys start .. stop into the state of the group. Each tile holds at least one key, so m_i becomes finite."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        here = tl.cast(start_n, tl.int64)
        mask_n = start_n + offs_n < kv_len
        # key, value: [BLOCK_N, HEAD_DIM]
        if MASKED:
            key = tl.load(key_ptrs + here * stride_key_n, mask=mask_n[:, None], other=0.0)
        else:
            key = tl.load(key_ptrs + here * stride_key_n)
        scores = tl.dot(query, key.T, input_precision=FP32_DOT) * scale_log2
        if MASKED:
            scores = tl.where(mask_n[None, :], scores, -float("inf"))
        probs, m_i, alpha = online_softmax_step(scores, m_i, False)  # each tile holds a visible key
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        if MASKED:
            # beyond kv_len the cache may hold NaN, and 0 * NaN is NaN
            value = tl.load(value_ptrs + here * stride_value_n, mask=mask_n[:, None], other=0.0)
        else:
            value = tl.load(value_ptrs + here * stride_value_n)
        acc = tl.dot(probs.to(value.dtype), value, acc * alpha[:, None], input_precision=FP32_DOT)
    return acc, m_i, l_i


@triton.jit(do_not_specialize=["num_kv_splits"])  # one binary for any number of splits
def _decode_kernel(
    query_ptr, key_ptr, value_ptr, kv_len_ptr, out_ptr, lse_ptr, partial_out_ptr, partial_lse_ptr, arrived_ptr,
    scale_log2, seqlen_kv, num_kv_splits,
    stride_query_b, stride_query_h,
    stride_key_b, stride_key_h, stride_key_n,
    stride_value_b, stride_value_h, stride_value_n,
    GROUP_SIZE: tl.constexpr, GROUP_PAD: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr, NUM_STAGES: tl.constexpr,
    SPLIT: tl.constexpr, GROUP_MERGE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One program = one split of the keys of one kv head of one sequence. Grid: (num_kv_splits, num_heads_kv, batch)."""
    head_kv = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    pair = batch * tl.num_programs(1) + head_kv
    kv_len = tl.minimum(tl.maximum(tl.load(kv_len_ptr + batch), 0), seqlen_kv)
    start, whole, stop = split_range(kv_len, num_kv_splits, BLOCK_N)

    offs_g = tl.arange(0, GROUP_PAD)
    offs_n = tl.arange(0, BLOCK_N).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = offs_g < GROUP_SIZE
    head = head_kv * GROUP_SIZE + offs_g
    query_ptrs = query_ptr + batch * stride_query_b + head[:, None] * stride_query_h + offs_d[None, :]
    query = tl.load(query_ptrs, mask=mask_g[:, None], other=0.0)
    key_ptrs = key_ptr + batch * stride_key_b + head_kv * stride_key_h + offs_n[:, None] * stride_key_n + offs_d[None, :]
    value_ptrs = (
        value_ptr + batch * stride_value_b + head_kv * stride_value_h + offs_n[:, None] * stride_value_n + offs_d[None, :]
    )

    m_i = tl.full([GROUP_PAD], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PAD], tl.float32)
    acc = tl.zeros([GROUP_PAD, HEAD_DIM], tl.float32)
    # read 2 * (stop - start) * HEAD_DIM elements
    acc, m_i, l_i = _over_keys(
        acc, m_i, l_i, query, key_ptrs, value_ptrs, start, whole, kv_len,
        scale_log2, stride_key_n, stride_value_n, BLOCK_N, False, NUM_STAGES,
    )  # fmt: skip
    acc, m_i, l_i = _over_keys(
        acc, m_i, l_i, query, key_ptrs, value_ptrs, whole, stop, kv_len,
        scale_log2, stride_key_n, stride_value_n, BLOCK_N, True, 1,
    )  # fmt: skip

    inverse, lse_log2 = inverse_and_lse(m_i, l_i)
    row = row_of_split(pair, num_kv_splits, GROUP_SIZE, SPLIT)
    out = acc * inverse[:, None]
    to_ptr = partial_out_ptr if SPLIT else out_ptr
    tl.store(
        to_ptr + (row + offs_g)[:, None] * HEAD_DIM + offs_d[None, :], out.to(to_ptr.dtype.element_ty), mask=mask_g[:, None]
    )
    store_lse(partial_lse_ptr if SPLIT else lse_ptr, row, lse_log2, GROUP_SIZE, GROUP_PAD, SPLIT)
    if SPLIT:
        merge_when_last(
            partial_out_ptr, partial_lse_ptr, arrived_ptr, out_ptr, lse_ptr, pair, num_kv_splits,
            GROUP_SIZE, HEAD_DIM, GROUP_MERGE, CHUNK,
        )  # fmt: skip


def decode_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kv_len: torch.Tensor,
    *,
    softmax_scale: float | None = None,
    check_kv_len: bool = True,
    plan: DecodePlan | HopperDecodePlan | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of one query per sequence over a cache, in one launch.

        out = softmax(query @ key[:kv_len]^T * softmax_scale) @ value[:kv_len]

    Same contract as ``kernels.reference.decode_reference``, and:

    Args:
        query: [batch, num_heads_q, head_dim], float16 or bfloat16; head_dim 16, 32, 64 or 128.
        key, value: [batch, num_heads_kv, seqlen_kv, head_dim], the query's dtype; any strides but in the last axis.
        kv_len: [batch], int32.
        check_kv_len: look at the values of kv_len, for which a GPU must be waited on. Without, lengths are clamped to
            0 .. seqlen_kv; a CUDA graph can only be captured without.
        plan: block sizes and splits; default: what ``kernels.dispatch`` says.

    Returns:
        out: like query, contiguous. Products, sums and softmax in float32; probabilities are rounded to the value's dtype.
        lse: [batch, num_heads_q], float32.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together; kv_len is negative or exceeds the cache.
    """
    require_device(query=query, key=key, value=value, kv_len=kv_len)
    require_dims(3, query=query)
    require_dims(4, key=key, value=value)
    require_dtype(HALF_DTYPES, query=query, key=key, value=value)
    require_dense_rows(query=query, key=key, value=value)
    batch, num_heads_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    require_shape(
        (batch, num_heads_kv, seqlen_kv, head_dim), "[batch, num_heads_kv, seqlen_kv, head_dim]", key=key, value=value
    )
    softmax_scale = check_decode(query, num_heads_kv, seqlen_kv, kv_len, softmax_scale, check_kv_len)
    plan = chosen_plan(plan, "half", query, num_heads_kv, seqlen_kv, key, value)
    if isinstance(plan, HopperDecodePlan):
        from kernels.decode_hopper import launch  # Gluon is loaded only where it runs

        return launch(query, key, value, kv_len, softmax_scale * LOG2_E, plan)
    out, lse, *partial = workspace(query, num_heads_kv, plan.num_kv_splits)
    if out.numel():
        group_size = num_heads_q // num_heads_kv
        _decode_kernel[(plan.num_kv_splits, num_heads_kv, batch)](
            query, key, value, kv_len, out, lse, *partial,
            softmax_scale * LOG2_E, seqlen_kv, plan.num_kv_splits,
            *query.stride()[:2], *key.stride()[:3], *value.stride()[:3],
            GROUP_SIZE=group_size, HEAD_DIM=head_dim, **decode_constants(plan, group_size, head_dim),
        )  # fmt: skip
    return out, lse


def check_decode(
    query: torch.Tensor,
    num_heads_kv: int,
    seqlen_kv: int,
    kv_len: torch.Tensor,
    softmax_scale: float | None,
    check_kv_len: bool,
) -> float:
    """The rules that all decode kernels share beyond their caches; the scale to use."""
    batch, num_heads_q, head_dim = query.shape
    require_head_dim(head_dim)
    require_heads(num_heads_q, num_heads_kv)
    if check_kv_len:
        require_kv_len(kv_len, batch, seqlen_kv)
    else:
        require_kv_len_shape(kv_len, batch)
    softmax_scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
    require_scale(softmax_scale)
    return softmax_scale


def chosen_plan(
    plan: DecodePlan | HopperDecodePlan | None,
    kind: str,
    query: torch.Tensor,
    num_heads_kv: int,
    seqlen_kv: int,
    *caches: torch.Tensor,
    page_size: int | None = None,
) -> DecodePlan | HopperDecodePlan:
    """The plan that was given; else that of ``decode_hopper`` where it is the faster and takes these; else ``decode_plan``'s.

    Raises:
        ValueError: a HopperDecodePlan was given for what ``decode_hopper`` does not take.
    """
    batch, _, head_dim = query.shape
    given = plan
    if plan is None and not interpreting():
        plan = hopper_decode_plan(query.device, kind, batch * num_heads_kv, seqlen_kv)
    if isinstance(plan, HopperDecodePlan):
        from kernels.decode_hopper import can_take  # Gluon is loaded only where it runs

        if can_take(query, num_heads_kv, plan, page_size, *caches):
            return plan
        if given:
            raise ValueError(
                "plan: decode_hopper takes head_dim 128, groups of at most 8, whole words, whole pages, what fits a cluster; "
                f"not {plan}"
            )
        plan = None
    return plan or decode_plan(
        query.device, kind, batch * num_heads_kv, seqlen_kv, head_dim, interpreting=interpreting()
    )  # fmt: skip


def decode_constants(plan: DecodePlan, group_size: int, head_dim: int) -> dict[str, int | bool]:
    """What all decode kernels are compiled and launched with."""
    return {
        "GROUP_PAD": max(16, triton.next_power_of_2(group_size)),  # a matrix product has at least 16 rows
        "BLOCK_N": plan.block_n,
        "NUM_STAGES": plan.num_stages,
        "SPLIT": plan.num_kv_splits > 1,
        "num_warps": plan.num_warps,
        **merge_constants(group_size, head_dim, plan.num_warps),
    }
