"""Decoding over a cache in pages: the tokens of a sequence lie in pages anywhere in memory, and a table says where.

    token t of a sequence is token t % page_size of page page_table[sequence, t // page_size]

A tile of keys lies in one page where pages are large enough; the next tile's page is looked up one step ahead, so that the
look-up is not waited for. In smaller pages each key of a tile is looked up by itself.

Source: Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", 2023, section 4
(https://arxiv.org/abs/2309.06180).
"""

import torch
import triton
import triton.language as tl

from kernels.checks import (
    HALF_DTYPES,
    require_dense_rows,
    require_device,
    require_dims,
    require_dtype,
    require_shape,
)
from kernels.decode import LOG2_E, check_decode, chosen_plan, decode_constants
from kernels.dispatch import DecodePlan, HopperDecodePlan
from kernels.online_softmax import online_softmax_step
from kernels.split_kv import inverse_and_lse, merge_when_last, row_of_split, split_range, store_lse, workspace

PAGE_SIZES = (16, 32, 64, 128)


@triton.jit
def _over_keys(
    acc, m_i, l_i, query, key_ptr, value_ptr, table_ptr, start, stop, kv_len,
    scale_log2, stride_key_page, stride_key_n, stride_value_page, stride_value_n,
    PAGE_SIZE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr, MASKED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """Take the keys start .. stop into the state of the group. Each tile holds at least one key, so m_i becomes finite."""
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    page = tl.load(table_ptr + start // PAGE_SIZE, mask=start < stop, other=0)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        tokens = start_n + offs_n
        mask_n = tokens < kv_len
        if PAGE_SIZE >= BLOCK_N:
            in_page = (start_n % PAGE_SIZE + offs_n).to(tl.int64)
            # The page was looked up a step ago. Widened there, it would have been waited for there.
            key_rows = key_ptr + page.to(tl.int64) * stride_key_page + in_page * stride_key_n
            value_rows = value_ptr + page.to(tl.int64) * stride_value_page + in_page * stride_value_n
            ahead = start_n + BLOCK_N
            page = tl.load(table_ptr + ahead // PAGE_SIZE, mask=ahead < stop, other=0)
        else:
            pages = tl.load(table_ptr + tokens // PAGE_SIZE, mask=mask_n, other=0).to(tl.int64)
            in_page = (tokens % PAGE_SIZE).to(tl.int64)
            key_rows = key_ptr + pages * stride_key_page + in_page * stride_key_n
            value_rows = value_ptr + pages * stride_value_page + in_page * stride_value_n
        # key, value: [BLOCK_N, HEAD_DIM]
        if MASKED:
            key = tl.load(key_rows[:, None] + offs_d, mask=mask_n[:, None], other=0.0)
            scores = tl.where(mask_n[None, :], tl.dot(query, key.T) * scale_log2, -float("inf"))
        else:
            key = tl.load(key_rows[:, None] + offs_d)
            scores = tl.dot(query, key.T) * scale_log2
        probs, m_i, alpha = online_softmax_step(scores, m_i, False)  # each tile holds a visible key
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        if MASKED:
            # beyond kv_len a page may hold NaN, and 0 * NaN is NaN
            value = tl.load(value_rows[:, None] + offs_d, mask=mask_n[:, None], other=0.0)
        else:
            value = tl.load(value_rows[:, None] + offs_d)
        acc = tl.dot(probs.to(value.dtype), value, acc * alpha[:, None])
    return acc, m_i, l_i


@triton.jit(do_not_specialize=["num_kv_splits"])  # one binary for any number of splits
def _decode_paged_kernel(
    query_ptr, key_ptr, value_ptr, table_ptr, kv_len_ptr,
    out_ptr, lse_ptr, partial_out_ptr, partial_lse_ptr, arrived_ptr,
    scale_log2, seqlen_kv, num_kv_splits,
    stride_query_b, stride_query_h, stride_table_b,
    stride_key_page, stride_key_h, stride_key_n,
    stride_value_page, stride_value_h, stride_value_n,
    PAGE_SIZE: tl.constexpr,
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
    offs_d = tl.arange(0, HEAD_DIM)
    mask_g = offs_g < GROUP_SIZE
    head = head_kv * GROUP_SIZE + offs_g
    query_ptrs = query_ptr + batch * stride_query_b + head[:, None] * stride_query_h + offs_d[None, :]
    query = tl.load(query_ptrs, mask=mask_g[:, None], other=0.0)

    m_i = tl.full([GROUP_PAD], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PAD], tl.float32)
    acc = tl.zeros([GROUP_PAD, HEAD_DIM], tl.float32)
    # read 2 * (stop - start) * HEAD_DIM elements
    key_ptr += head_kv * stride_key_h
    value_ptr += head_kv * stride_value_h
    table_ptr += batch * stride_table_b
    acc, m_i, l_i = _over_keys(
        acc, m_i, l_i, query, key_ptr, value_ptr, table_ptr, start, whole, kv_len,
        scale_log2, stride_key_page, stride_key_n, stride_value_page, stride_value_n,
        PAGE_SIZE, HEAD_DIM, BLOCK_N, False, NUM_STAGES,
    )  # fmt: skip
    acc, m_i, l_i = _over_keys(
        acc, m_i, l_i, query, key_ptr, value_ptr, table_ptr, whole, stop, kv_len,
        scale_log2, stride_key_page, stride_key_n, stride_value_page, stride_value_n,
        PAGE_SIZE, HEAD_DIM, BLOCK_N, True, 1,
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


def decode_attention_paged(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    page_table: torch.Tensor,
    kv_len: torch.Tensor,
    *,
    softmax_scale: float | None = None,
    check_kv_len: bool = True,
    plan: DecodePlan | HopperDecodePlan | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of one query per sequence over a cache in pages.

    Same contract as ``kernels.decode.decode_attention`` over ``kernels.reference.gather_pages`` of the caches, and:

    Args:
        key, value: [num_pages, num_heads_kv, page_size, head_dim]; page_size 16, 32, 64 or 128; any strides but
            in the last axis.
        page_table: [batch, pages_per_sequence], int32. Entries beyond kv_len are never read and may hold anything.
        check_kv_len: look at the values of kv_len and page_table, for which a GPU must be waited on.

    Raises:
        ValueError: as ``decode_attention``; a page that kv_len reaches is negative or not below num_pages.
    """
    require_device(query=query, key=key, value=value, page_table=page_table, kv_len=kv_len)
    require_dims(3, query=query)
    require_dims(4, key=key, value=value)
    require_dims(2, page_table=page_table)
    require_dtype(HALF_DTYPES, query=query, key=key, value=value)
    require_dtype((torch.int32,), page_table=page_table)
    require_dense_rows(query=query, key=key, value=value, page_table=page_table)
    batch, num_heads_q, head_dim = query.shape
    num_pages, num_heads_kv, page_size, _ = key.shape
    shape = (num_pages, num_heads_kv, page_size, head_dim)
    require_shape(shape, "[num_pages, num_heads_kv, page_size, head_dim]", key=key, value=value)
    require_shape((batch, page_table.shape[1]), "[batch, pages_per_sequence]", page_table=page_table)
    if page_size not in PAGE_SIZES:
        raise ValueError(f"page_size={page_size} must be one of {', '.join(map(str, PAGE_SIZES))}")
    seqlen_kv = page_table.shape[1] * page_size
    softmax_scale = check_decode(query, num_heads_kv, seqlen_kv, kv_len, softmax_scale, check_kv_len)
    if check_kv_len:
        _require_pages(page_table, kv_len, page_size, num_pages)
    plan = chosen_plan(plan, "paged", query, num_heads_kv, seqlen_kv, key, value, page_size=page_size)
    if isinstance(plan, HopperDecodePlan):
        from kernels.decode_hopper import launch  # Gluon is loaded only where it runs

        return launch(query, key, value, kv_len, softmax_scale * LOG2_E, plan, page_table=page_table)
    out, lse, *partial = workspace(query, num_heads_kv, plan.num_kv_splits)
    if out.numel():
        group_size = num_heads_q // num_heads_kv
        _decode_paged_kernel[(plan.num_kv_splits, num_heads_kv, batch)](
            query, key, value, page_table, kv_len, out, lse, *partial,
            softmax_scale * LOG2_E, seqlen_kv, plan.num_kv_splits,
            *query.stride()[:2], page_table.stride(0), *key.stride()[:3], *value.stride()[:3],
            PAGE_SIZE=page_size, GROUP_SIZE=group_size, HEAD_DIM=head_dim, **decode_constants(plan, group_size, head_dim),
        )  # fmt: skip
    return out, lse


def _require_pages(page_table: torch.Tensor, kv_len: torch.Tensor, page_size: int, num_pages: int) -> None:
    first_token = torch.arange(page_table.shape[1], device=page_table.device) * page_size
    used = page_table[first_token[None, :] < kv_len[:, None]]
    for page in (used.min(), used.max()) if used.numel() else ():
        if not 0 <= int(page) < num_pages:
            raise ValueError(f"page_table holds {int(page)} and must hold pages from 0 to {num_pages - 1} up to kv_len")
