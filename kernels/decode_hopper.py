"""Decoding on Hopper in Gluon over an NVFP4 cache, an FP8 cache, or pages: loads go straight to the matrix instruction.

The contracts are those of ``decode_nvfp4``, ``decode_fp8`` and ``decode_paged``; what differs is the way from memory to a
product. The products are transposed (scores^T = key @ query^T, out^T = value^T @ probs^T), so the heads of a group are the
instruction's 8 columns and not its 16 rows, and each thread loads exactly the numbers that its part of the operand holds
(``decode_hopper_operands``): no shared memory, no barrier and one exchange between threads in the loop. Each warp has tokens,
maximum, sum and accumulator of its own; a program's warps are merged once, at the end, then the splits (``split_kv_hopper``).
A few short caches, where all is latency, are not split: a cluster of programs shares each (``decode_cluster``), asks for all of
its keys and values at once, before kv_len is known, and merges what it found in shared memory.

How far ahead loads are issued is a matter of registers: the keys of the next tile always, its values too where they are NVFP4.
Works in base 2.
"""

import torch
import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from kernels.cluster import prepare
from kernels.decode_cluster import exchange_bytes, merge_and_store
from kernels.decode_hopper_operands import (
    columns,
    first_tokens,
    first_value_layout,
    in_order,
    key_layout,
    key_tokens,
    load_keys,
    load_values,
    merge_layout,
    mma_layout,
    probs_operand,
    query_columns,
    scores_of,
    shared_layout,
    times_values,
    value_layout,
    value_tokens,
)
from kernels.dispatch import HopperDecodePlan
from kernels.split_kv import workspace
from kernels.split_kv_hopper import LN_2, barrier, inverse_and_lse, merge_when_last, store_rows

HEADS = gl.constexpr(8)  # columns of the matrix instruction, and the largest group
CLUSTER_REGISTERS = 224  # a thread, where all of its keys and values are asked for at once; the assembler would take fewer
TYPES = {torch.float16: gl.float16, torch.bfloat16: gl.bfloat16}


@gluon.jit
def _sum_in_parts(probs):
    """[WARPS, TOKENS, HEADS] -> [WARPS, 8, HEADS]: each thread sums what it holds."""
    parts = gl.reshape(probs, [probs.shape[0], probs.shape[1] // 8, 8, probs.shape[2]])
    return gl.sum(parts, 1)


@gluon.jit
def _step(
    scores, one, other, scale_one, scale_other, a0, a1, a2, a3, m_i, l_i, row_scale, seen,
    FORMAT: gl.constexpr, DTYPE: gl.constexpr, MASKED: gl.constexpr,
):  # fmt: skip
    """Take a tile's scores and values into the state of the group. seen: [WARPS, TOKENS], looked at where MASKED."""
    MMA: gl.constexpr = a0.type.layout
    if MASKED:
        scores = gl.where(gl.expand_dims(seen, 2), scores, -float("inf"))
    m_new = gl.maximum(m_i, gl.max(scores, 1) * row_scale)
    shift = m_new
    if MASKED:
        # a warp whose tokens all lie beyond the end has m_new = -inf, and -inf - -inf would be NaN
        shift = gl.where(m_new == -float("inf"), 0.0, m_new)
    probs = gl.exp2(scores * gl.expand_dims(row_scale, 1) - gl.expand_dims(shift, 1))
    alpha = gl.exp2(m_i - shift)
    parts = _sum_in_parts(probs)
    l_i = l_i * gl.convert_layout(gl.expand_dims(alpha, 1), parts.type.layout) + parts
    a0 = a0 * gl.expand_dims(alpha, 1)
    a1 = a1 * gl.expand_dims(alpha, 1)
    if FORMAT != "half":
        a2 = a2 * gl.expand_dims(alpha, 1)
        a3 = a3 * gl.expand_dims(alpha, 1)
    probs = probs_operand(probs, DTYPE, gl.DotOperandLayout(1, MMA, 2))
    a0, a1, a2, a3 = times_values(
        probs, one, other, scale_one, scale_other, a0, a1, a2, a3, FORMAT, DTYPE, gl.DotOperandLayout(0, MMA, 2)
    )  # fmt: skip
    return a0, a1, a2, a3, m_new, l_i


@gluon.jit
def _keys_at(
    ptrs,
    scale_ptrs,
    FORMAT: gl.constexpr,
    STRIDE: gl.constexpr,
    SCALE_STRIDE: gl.constexpr,
    TOKENS: gl.constexpr,
    KEYS: gl.constexpr,
    KEY_SCALES: gl.constexpr,
):
    """Words and scales (of NVFP4; else the words again, unused) of a tile's keys."""
    key = load_keys(ptrs, STRIDE, TOKENS, KEYS)
    scale = key
    if FORMAT == "nvfp4":
        scale = load_keys(scale_ptrs, SCALE_STRIDE, TOKENS, KEY_SCALES)
    return key, scale


@gluon.jit
def _values_at(ptrs, scale_ptrs, FORMAT: gl.constexpr, STRIDE: gl.constexpr, SCALE_STRIDE: gl.constexpr, TOKENS: gl.constexpr):
    """Words, and scales, of four tokens of every eight, and of the other four."""
    one = load_values(ptrs, STRIDE, TOKENS)
    other = load_values(ptrs + 4 * STRIDE, STRIDE, TOKENS)
    scale_one = one
    scale_other = other
    if FORMAT == "nvfp4":
        scale_one = load_values(scale_ptrs, SCALE_STRIDE, TOKENS)
        scale_other = load_values(scale_ptrs + 4 * SCALE_STRIDE, SCALE_STRIDE, TOKENS)
    return one, other, scale_one, scale_other


@gluon.jit
def _page_of(table_ptr, first, stop, WARPS: gl.constexpr, TOKENS: gl.constexpr, PAGE_SIZE: gl.constexpr, LAYOUT: gl.constexpr):
    """[WARPS, 1, 1]: the page of each warp's tokens, of which the first of the tile is ``first``; page 0 beyond the end."""
    token = first + TOKENS * _warps(WARPS, LAYOUT)
    return gl.load(table_ptr + token // PAGE_SIZE, mask=token < stop, other=0)


@gluon.jit
def _in_page(
    page, first, stride_page, STRIDE: gl.constexpr, TOKENS: gl.constexpr, PAGE_SIZE: gl.constexpr, LAYOUT: gl.constexpr
):
    """[WARPS, 1, 1]: where each warp's tokens begin, counted from the first page."""
    token = first + TOKENS * _warps(page.shape[0], LAYOUT)
    return gl.convert_layout(page, LAYOUT).to(gl.int64) * stride_page + token % PAGE_SIZE * STRIDE


@gluon.jit
def _warps(WARPS: gl.constexpr, LAYOUT: gl.constexpr):
    """[WARPS, 1, 1]"""
    warp = gl.arange(0, WARPS, gl.SliceLayout(1, gl.SliceLayout(2, LAYOUT)))
    return gl.expand_dims(gl.expand_dims(warp, 1), 2)


@gluon.jit
def _masked(ptr, token, row, column, first, kv_len, STRIDE: gl.constexpr):
    """[WARPS, tokens, columns] of words, zero beyond kv_len, where the cache may hold NaN. row: counted from ptr."""
    SHAPE: gl.constexpr = [token.shape[0], token.shape[1], column.shape[2]]
    return gl.load(ptr + (row * STRIDE + column), mask=(first + token < kv_len).broadcast_to(SHAPE), other=0)


@gluon.jit
def _cut_tile(
    key_ptr, key_scale_ptr, value_ptr, value_scale_ptr, first, end,
    STRIDE_KEY_N: gl.constexpr, STRIDE_KEY_SCALE_N: gl.constexpr,
    STRIDE_VALUE_N: gl.constexpr, STRIDE_VALUE_SCALE_N: gl.constexpr,
    PARTS: gl.constexpr, TOKENS: gl.constexpr, WORDS: gl.constexpr, FORMAT: gl.constexpr, PAGED: gl.constexpr,
    KEYS: gl.constexpr, KEY_SCALES: gl.constexpr, VALUES: gl.constexpr, VALUE_SCALES: gl.constexpr,
):  # fmt: skip
    """Words and scales of a tile's keys and values, zero from token ``end`` on. Pointers: to the tile's first token, or, in
    pages, to that of each warp.
    """
    key_token = gl.expand_dims(key_tokens(PARTS, TOKENS, gl.SliceLayout(2, KEYS)), 2)
    value_token = gl.expand_dims(value_tokens(PARTS, TOKENS, gl.SliceLayout(2, VALUES)), 2)
    key_row = key_token
    value_row = value_token
    if PAGED:
        key_row = key_token % TOKENS
        value_row = value_token % TOKENS
    key = _masked(key_ptr, key_token, key_row, columns(WORDS, KEYS), first, end, STRIDE_KEY_N)
    column = columns(WORDS, VALUES)
    one = _masked(value_ptr, value_token, value_row, column, first, end, STRIDE_VALUE_N)
    other = _masked(value_ptr, value_token + 4, value_row + 4, column, first, end, STRIDE_VALUE_N)
    key_scale = key
    scale_one = one
    scale_other = other
    if FORMAT == "nvfp4":
        token = gl.expand_dims(key_tokens(PARTS, TOKENS, gl.SliceLayout(2, KEY_SCALES)), 2)
        key_scale = _masked(key_scale_ptr, token, token, columns(4, KEY_SCALES), first, end, STRIDE_KEY_SCALE_N)
        token = gl.expand_dims(value_tokens(PARTS, TOKENS, gl.SliceLayout(2, VALUE_SCALES)), 2)
        column = columns(8, VALUE_SCALES)
        scale_one = _masked(value_scale_ptr, token, token, column, first, end, STRIDE_VALUE_SCALE_N)
        scale_other = _masked(value_scale_ptr, token + 4, token + 4, column, first, end, STRIDE_VALUE_SCALE_N)
    return key, key_scale, one, other, scale_one, scale_other


@gluon.jit
def _zero_from(words, end, TOKENS: gl.constexpr, STEP: gl.constexpr, LAYOUT: gl.constexpr):
    """Words of values, of token STEP and so on of every eight, zero from token ``end`` on."""
    token = gl.expand_dims(value_tokens(words.shape[0], TOKENS, gl.SliceLayout(2, LAYOUT)), 2) + STEP
    return gl.where((token < end).broadcast_to(words.shape), words, 0)


@gluon.jit(do_not_specialize=["num_kv_splits"])  # one binary for any number of splits
def _decode_hopper_kernel(
    query_ptr, key_ptr, key_scale_ptr, key_unit_ptr, value_ptr, value_scale_ptr, value_unit_ptr, table_ptr, kv_len_ptr,
    out_ptr, lse_ptr, partial_out_ptr, partial_lse_ptr, arrived_ptr,
    scale_log2, seqlen_kv, num_kv_splits,
    stride_query_b, stride_query_h, stride_table_b,
    stride_key_b, stride_key_h, stride_key_scale_b, stride_key_scale_h,
    stride_value_b, stride_value_h, stride_value_scale_b, stride_value_scale_h,
    STRIDE_KEY_N: gl.constexpr, STRIDE_KEY_SCALE_N: gl.constexpr,
    STRIDE_VALUE_N: gl.constexpr, STRIDE_VALUE_SCALE_N: gl.constexpr,
    GROUP_SIZE: gl.constexpr, GROUP_MERGE: gl.constexpr, HEAD_DIM: gl.constexpr, TOKENS: gl.constexpr, WARPS: gl.constexpr,
    SPLIT: gl.constexpr, FORMAT: gl.constexpr, DTYPE: gl.constexpr, PAGE_SIZE: gl.constexpr,
    CLUSTER: gl.constexpr, PREPARE: gl.constexpr,
):  # fmt: skip
    """One program = one split of the keys of one kv head of one sequence. Grid: (num_kv_splits, num_heads_kv, batch).

    Or a cluster of programs = all keys of a kv head of a sequence, which are one tile of all their warps (PARTS of it).

    FORMAT: "nvfp4" or "fp8", contiguous; "half", in pages. Strides count words of 32 bits, those of NVFP4's key scales int16.
    key_unit, value_unit: NVFP4's global scales, one a tensor; FP8's scales, one a head.
    """
    WORDS: gl.constexpr = HEAD_DIM // 8 if FORMAT == "nvfp4" else HEAD_DIM // 4 if FORMAT == "fp8" else HEAD_DIM // 2
    PLACES: gl.constexpr = 2 if FORMAT == "half" else 4
    PARTS: gl.constexpr = CLUSTER * WARPS
    TILE: gl.constexpr = TOKENS * PARTS
    # unpacked NVFP4 times its unpacked scale is 2^-14 * 2^7 of what it stands for
    UNIT: gl.constexpr = 128.0 if FORMAT == "nvfp4" else 1.0
    VALUES_AHEAD: gl.constexpr = FORMAT == "nvfp4"  # FP8's are too many registers: as fast without
    MMA: gl.constexpr = mma_layout(WARPS, CLUSTER)
    OPERAND: gl.constexpr = gl.DotOperandLayout(0, MMA, 2)
    QUERY: gl.constexpr = gl.DotOperandLayout(1, MMA, 2)
    FIRST_KEYS: gl.constexpr = key_layout(WARPS, CLUSTER, 8, WORDS)
    FIRST_KEY_SCALES: gl.constexpr = key_layout(WARPS, CLUSTER, 8, 4)
    KEYS: gl.constexpr = key_layout(WARPS, CLUSTER, TOKENS, WORDS)
    KEY_SCALES: gl.constexpr = key_layout(WARPS, CLUSTER, TOKENS, 4)
    FIRST_VALUES: gl.constexpr = first_value_layout(WARPS, CLUSTER, WORDS)
    FIRST_VALUE_SCALES: gl.constexpr = first_value_layout(WARPS, CLUSTER, 8)
    VALUES: gl.constexpr = value_layout(WARPS, CLUSTER, TOKENS, WORDS)
    VALUE_SCALES: gl.constexpr = value_layout(WARPS, CLUSTER, TOKENS, 8)

    head_kv = gl.program_id(1).to(gl.int64)
    batch = gl.program_id(2).to(gl.int64)
    pair = batch * gl.num_programs(1) + head_kv
    kv_len = gl.minimum(gl.maximum(gl.load(kv_len_ptr + batch), 0), seqlen_kv)
    tiles_here = gl.cdiv(gl.cdiv(kv_len, TILE), num_kv_splits)
    start = gl.program_id(0) * tiles_here * TILE
    stop = gl.minimum(start + tiles_here * TILE, kv_len)
    tiles = gl.maximum(stop - start, 0) // TILE
    whole = start + tiles * TILE

    if CLUSTER > 1:
        start = gl.to_tensor(0)  # known before kv_len is
        whole = start
    key_ptr += head_kv * stride_key_h
    value_ptr += head_kv * stride_value_h
    SPAN: gl.constexpr = 0 if PAGE_SIZE else TOKENS  # in pages, where a warp's tokens lie comes from the table
    if PAGE_SIZE:
        table_ptr += batch * stride_table_b
    else:
        key_ptr += batch * stride_key_b + start.to(gl.int64) * STRIDE_KEY_N
        value_ptr += batch * stride_value_b + start.to(gl.int64) * STRIDE_VALUE_N
    if FORMAT == "nvfp4":
        key_scale_ptr += batch * stride_key_scale_b + head_kv * stride_key_scale_h + start.to(gl.int64) * STRIDE_KEY_SCALE_N
        value_scale_ptr += (
            batch * stride_value_scale_b + head_kv * stride_value_scale_h + start.to(gl.int64) * STRIDE_VALUE_SCALE_N
        )
    # pointers to a tile's first rows: [PARTS, 8, words of a key], [PARTS, 4, words of a value]; of scales likewise
    rows = gl.expand_dims(first_tokens(PARTS, SPAN, 8, gl.SliceLayout(2, FIRST_KEYS)), 2)
    key_ptrs = key_ptr + (rows * STRIDE_KEY_N + columns(WORDS, FIRST_KEYS))
    rows = gl.expand_dims(first_tokens(PARTS, SPAN, 4, gl.SliceLayout(2, FIRST_VALUES)), 2)
    value_ptrs = value_ptr + (rows * STRIDE_VALUE_N + columns(WORDS, FIRST_VALUES))
    key_scale_ptrs = key_ptrs
    value_scale_ptrs = value_ptrs
    if FORMAT == "nvfp4":
        rows = gl.expand_dims(first_tokens(PARTS, SPAN, 8, gl.SliceLayout(2, FIRST_KEY_SCALES)), 2)
        key_scale_ptrs = key_scale_ptr + (rows * STRIDE_KEY_SCALE_N + columns(4, FIRST_KEY_SCALES))
        rows = gl.expand_dims(first_tokens(PARTS, SPAN, 4, gl.SliceLayout(2, FIRST_VALUE_SCALES)), 2)
        value_scale_ptrs = value_scale_ptr + (rows * STRIDE_VALUE_SCALE_N + columns(8, FIRST_VALUE_SCALES))

    if CLUSTER > 1:
        place = gl.inline_asm_elementwise(PREPARE, "=r,r", [gl.program_id(0)], dtype=gl.int32, is_pure=False, pack=1)
        # one tile is all, and is asked for before its length is known
        key, key_scale, last_one, last_other, last_scale_one, last_scale_other = _cut_tile(
            key_ptr, key_scale_ptr, value_ptr, value_scale_ptr, 0, seqlen_kv,
            STRIDE_KEY_N, STRIDE_KEY_SCALE_N, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N,
            PARTS, TOKENS, WORDS, FORMAT, PAGE_SIZE > 0, KEYS, KEY_SCALES, VALUES, VALUE_SCALES,
        )  # fmt: skip
        barrier()  # else the assembler has a part of it asked for later, which saves registers

    # the query's part for each product: [PARTS, 2 * WORDS, HEADS], the same in all warps
    depth = gl.arange(0, 2 * WORDS, gl.SliceLayout(0, gl.SliceLayout(2, QUERY)))
    depth = gl.expand_dims(gl.expand_dims(depth, 0), 2) + 0 * _warps(PARTS, QUERY)
    heads = gl.expand_dims(gl.expand_dims(gl.arange(0, HEADS, gl.SliceLayout(0, gl.SliceLayout(1, QUERY))), 0), 1)
    exists = (heads < GROUP_SIZE).broadcast_to([PARTS, 2 * WORDS, HEADS])
    query_ptr += batch * stride_query_b + head_kv * GROUP_SIZE * stride_query_h
    q0 = query_columns(query_ptr, depth, heads, exists, stride_query_h, FORMAT, 0)
    q1 = q0
    q2 = q0
    q3 = q0
    power = gl.full([PARTS, HEADS], 1.0, gl.float32, gl.SliceLayout(1, QUERY))
    if FORMAT != "half":
        # a row of the query is divided by a power of two, so that float16 holds any bfloat16
        q1 = query_columns(query_ptr, depth, heads, exists, stride_query_h, FORMAT, 1)
        largest = gl.maximum(gl.max(gl.abs(q0), 1), gl.max(gl.abs(q1), 1))
        if FORMAT == "nvfp4":
            q2 = query_columns(query_ptr, depth, heads, exists, stride_query_h, FORMAT, 2)
            q3 = query_columns(query_ptr, depth, heads, exists, stride_query_h, FORMAT, 3)
            largest = gl.maximum(largest, gl.maximum(gl.max(gl.abs(q2), 1), gl.max(gl.abs(q3), 1)))
        power = gl.exp2(gl.floor(gl.log2(gl.maximum(largest, 1e-30))))
    q0 = (q0 / gl.expand_dims(power, 1)).to(DTYPE)
    q1 = (q1 / gl.expand_dims(power, 1)).to(DTYPE)
    q2 = (q2 / gl.expand_dims(power, 1)).to(DTYPE)
    q3 = (q3 / gl.expand_dims(power, 1)).to(DTYPE)
    key_unit = UNIT
    value_unit = UNIT
    if FORMAT != "half":
        unit = 0 if FORMAT == "nvfp4" else head_kv
        key_unit *= gl.load(key_unit_ptr + unit)
        value_unit *= gl.load(value_unit_ptr + unit)
    row_scale = gl.convert_layout(power, gl.SliceLayout(1, MMA)) * (scale_log2 * key_unit)

    zeros = gl.zeros([PARTS, TOKENS, HEADS], gl.float32, MMA)
    m_i = gl.full([PARTS, HEADS], -float("inf"), gl.float32, gl.SliceLayout(1, MMA))
    l_i = _sum_in_parts(zeros)
    a0 = gl.zeros([PARTS, HEAD_DIM // PLACES, HEADS], gl.float32, MMA)
    a1 = a0
    a2 = a0
    a3 = a0
    tokens = key_tokens(PARTS, TOKENS, gl.SliceLayout(2, MMA))
    seen = whole + tokens < kv_len
    # read 2 * (stop - start) * HEAD_DIM numbers, and of NVFP4 their scales
    if CLUSTER == 1 and tiles > 0:
        if PAGE_SIZE:
            # each warp's page is looked up a tile before its keys are asked for
            page = _page_of(table_ptr, start, stop, PARTS, TOKENS, PAGE_SIZE, FIRST_KEYS)
            ahead = _page_of(table_ptr, start + TILE, stop, PARTS, TOKENS, PAGE_SIZE, FIRST_KEYS)
            here = key_ptrs + _in_page(page, start, stride_key_b, STRIDE_KEY_N, TOKENS, PAGE_SIZE, FIRST_KEYS)
            key, key_scale = _keys_at(here, here, FORMAT, STRIDE_KEY_N, STRIDE_KEY_SCALE_N, TOKENS, KEYS, KEY_SCALES)
            for first in range(start, whole, TILE):
                here = value_ptrs + _in_page(page, first, stride_value_b, STRIDE_VALUE_N, TOKENS, PAGE_SIZE, FIRST_VALUES)
                one, other, scale_one, scale_other = _values_at(
                    here, here, FORMAT, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N, TOKENS
                )
                scores = scores_of(key, key_scale, q0, q1, q2, q3, zeros, FORMAT, DTYPE, KEYS, OPERAND)
                page = ahead
                here = key_ptrs + _in_page(page, first + TILE, stride_key_b, STRIDE_KEY_N, TOKENS, PAGE_SIZE, FIRST_KEYS)
                key, key_scale = _keys_at(here, here, FORMAT, STRIDE_KEY_N, STRIDE_KEY_SCALE_N, TOKENS, KEYS, KEY_SCALES)
                ahead = _page_of(table_ptr, first + 2 * TILE, stop, PARTS, TOKENS, PAGE_SIZE, FIRST_KEYS)
                a0, a1, a2, a3, m_i, l_i = _step(
                    scores, one, other, scale_one, scale_other, a0, a1, a2, a3, m_i, l_i, row_scale, seen, FORMAT, DTYPE, False
                )  # fmt: skip
        else:
            key, key_scale = _keys_at(
                key_ptrs, key_scale_ptrs, FORMAT, STRIDE_KEY_N, STRIDE_KEY_SCALE_N, TOKENS, KEYS, KEY_SCALES
            )  # fmt: skip
            if VALUES_AHEAD:
                one, other, scale_one, scale_other = _values_at(
                    value_ptrs, value_scale_ptrs, FORMAT, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N, TOKENS
                )  # fmt: skip
            for tile in range(tiles):
                # after the last tile it is read once more, from a cache: no load of the loop has a mask
                step = gl.where(tile + 1 < tiles, TILE, 0)
                if not VALUES_AHEAD:
                    one, other, scale_one, scale_other = _values_at(
                        value_ptrs, value_scale_ptrs, FORMAT, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N, TOKENS
                    )  # fmt: skip
                scores = scores_of(key, key_scale, q0, q1, q2, q3, zeros, FORMAT, DTYPE, KEYS, OPERAND)
                key_ptrs += step * STRIDE_KEY_N
                key_scale_ptrs += step * STRIDE_KEY_SCALE_N
                key, key_scale = _keys_at(
                    key_ptrs, key_scale_ptrs, FORMAT, STRIDE_KEY_N, STRIDE_KEY_SCALE_N, TOKENS, KEYS, KEY_SCALES
                )  # fmt: skip
                a0, a1, a2, a3, m_i, l_i = _step(
                    scores, one, other, scale_one, scale_other, a0, a1, a2, a3, m_i, l_i, row_scale, seen, FORMAT, DTYPE, False
                )  # fmt: skip
                value_ptrs += step * STRIDE_VALUE_N
                value_scale_ptrs += step * STRIDE_VALUE_SCALE_N
                if VALUES_AHEAD:
                    one, other, scale_one, scale_other = _values_at(
                        value_ptrs, value_scale_ptrs, FORMAT, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N, TOKENS
                    )  # fmt: skip
    if CLUSTER > 1 or whole < stop:
        if CLUSTER > 1:
            last_one = _zero_from(last_one, kv_len, TOKENS, 0, VALUES)
            last_other = _zero_from(last_other, kv_len, TOKENS, 4, VALUES)
            if FORMAT == "nvfp4":
                last_scale_one = _zero_from(last_scale_one, kv_len, TOKENS, 0, VALUE_SCALES)
                last_scale_other = _zero_from(last_scale_other, kv_len, TOKENS, 4, VALUE_SCALES)
        else:
            if PAGE_SIZE:
                page = _page_of(table_ptr, whole, stop, PARTS, TOKENS, PAGE_SIZE, KEYS)
                keys_from = key_ptr + _in_page(page, whole, stride_key_b, STRIDE_KEY_N, TOKENS, PAGE_SIZE, KEYS)
                values_from = value_ptr + _in_page(page, whole, stride_value_b, STRIDE_VALUE_N, TOKENS, PAGE_SIZE, VALUES)
            else:
                keys_from = key_ptr + (whole - start).to(gl.int64) * STRIDE_KEY_N
                values_from = value_ptr + (whole - start).to(gl.int64) * STRIDE_VALUE_N
            key_scales_from = key_scale_ptr
            value_scales_from = value_scale_ptr
            if FORMAT == "nvfp4":
                key_scales_from += (whole - start).to(gl.int64) * STRIDE_KEY_SCALE_N
                value_scales_from += (whole - start).to(gl.int64) * STRIDE_VALUE_SCALE_N
            key, key_scale, last_one, last_other, last_scale_one, last_scale_other = _cut_tile(
                keys_from, key_scales_from, values_from, value_scales_from, whole, kv_len,
                STRIDE_KEY_N, STRIDE_KEY_SCALE_N, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N,
                PARTS, TOKENS, WORDS, FORMAT, PAGE_SIZE > 0, KEYS, KEY_SCALES, VALUES, VALUE_SCALES,
            )  # fmt: skip
        scores = scores_of(key, key_scale, q0, q1, q2, q3, zeros, FORMAT, DTYPE, KEYS, OPERAND)
        a0, a1, a2, a3, m_i, l_i = _step(
            scores, last_one, last_other, last_scale_one, last_scale_other,
            a0, a1, a2, a3, m_i, l_i, row_scale, seen, FORMAT, DTYPE, True,
        )  # fmt: skip

    # the warps' results into one
    MERGE: gl.constexpr = merge_layout(WARPS, CLUSTER, HEADS, HEAD_DIM)
    BY_HEAD: gl.constexpr = gl.SliceLayout(3, MERGE)
    l_i = gl.convert_layout(gl.sum(l_i, 1), gl.SliceLayout(1, MMA))
    m_i = gl.convert_layout(gl.reshape(m_i, [CLUSTER, WARPS, HEADS]), BY_HEAD)
    l_i = gl.convert_layout(gl.reshape(l_i, [CLUSTER, WARPS, HEADS]), BY_HEAD)
    acc = gl.reshape(in_order(a0, a1, a2, a3, FORMAT), [CLUSTER, WARPS, HEADS, HEAD_DIM])
    exchange = gl.allocate_shared_memory(gl.float32, [CLUSTER, WARPS, HEADS, HEAD_DIM], shared_layout(CLUSTER))
    exchange.store(acc)
    acc = exchange.load(MERGE)
    top = gl.max(m_i, 1)
    shift = gl.where(top == -float("inf"), 0.0, top)
    weight = gl.exp2(m_i - gl.expand_dims(shift, 1))
    inverse, lse_log2 = inverse_and_lse(shift, gl.sum(l_i * weight, 1))
    out = gl.sum(acc * gl.expand_dims(weight, 3), 1)
    factor = gl.convert_layout(inverse * value_unit, gl.SliceLayout(2, gl.SliceLayout(1, MERGE)))
    out = out * gl.expand_dims(factor, 2)
    if CLUSTER > 1:
        merge_and_store(place, out, lse_log2, out_ptr, lse_ptr, pair * GROUP_SIZE, GROUP_SIZE, WARPS)
    else:
        OUT: gl.constexpr = gl.BlockedLayout([1, 4], [1, 32], [WARPS, 1], [1, 0])
        out = gl.convert_layout(gl.reshape(out, [HEADS, HEAD_DIM]), OUT)
        lse_log2 = gl.reshape(lse_log2, [HEADS])
        if SPLIT:
            row = (pair * num_kv_splits + gl.program_id(0)) * GROUP_SIZE
            store_rows(partial_out_ptr, partial_lse_ptr, row, out, lse_log2, GROUP_SIZE)
            merge_when_last(
                partial_out_ptr, partial_lse_ptr, arrived_ptr, out_ptr, lse_ptr, pair, num_kv_splits,
                GROUP_SIZE, HEAD_DIM, GROUP_MERGE, WARPS,
            )  # fmt: skip
        else:
            store_rows(out_ptr, lse_ptr, pair * GROUP_SIZE, out, lse_log2 * LN_2, GROUP_SIZE)


def can_take(
    query: torch.Tensor, num_heads_kv: int, plan: HopperDecodePlan, page_size: int | None, *caches: torch.Tensor
) -> bool:
    """Whether the kernel has a form for these: head_dim 128, at most 8 query heads a kv head, rows that begin at whole words of
    32 bits, and pages, if any, that hold a whole number of a warp's tiles. A cluster shares what its warps' tiles hold at once,
    and no pages.
    """
    in_words = all(
        number * cache.element_size() % 4 == 0 for cache in caches for number in (*cache.stride()[:3], cache.storage_offset())
    )
    fits = query.shape[-1] == 128 and query.shape[1] // num_heads_kv <= HEADS.value
    if plan.cluster > 1:
        fits = fits and page_size is None and caches[0].shape[2] <= plan.tokens * plan.num_warps * plan.cluster
    return fits and in_words and (page_size is None or page_size % plan.tokens == 0)


def launch(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kv_len: torch.Tensor,
    scale_log2: float,
    plan: HopperDecodePlan,
    *,
    scales: tuple[torch.Tensor, torch.Tensor] | None = None,
    units: tuple[torch.Tensor, torch.Tensor] | None = None,
    page_table: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """out and lse; shapes, dtypes and strides have been checked, and ``can_take`` has said yes.

    Args:
        query, key, value, kv_len: as in ``decode_nvfp4`` (with scales, and units of one number), ``decode_fp8`` (with units of
            one number a head) or ``decode_paged`` (with page_table, whose pages hold a multiple of plan.tokens).
        scale_log2: softmax_scale * log2(e).
    """
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv = key.shape[1]
    group_size = num_heads_q // num_heads_kv
    out, lse, *partial = workspace(query, num_heads_kv, plan.num_kv_splits)
    if out.numel() == 0:
        return out, lse
    key, value = key.view(torch.int32), value.view(torch.int32)
    # what a format does not have is not touched
    key_scales, value_scales = (key, value) if scales is None else (scales[0].view(torch.int16), scales[1])
    key_unit, value_unit = (kv_len, kv_len) if units is None else units
    table = kv_len if page_table is None else page_table
    room, expected = (exchange_bytes(plan.cluster, heads, head_dim) for heads in (HEADS.value, group_size))
    preparation = "" if plan.cluster == 1 else prepare(room, expected)
    _decode_hopper_kernel[(plan.num_kv_splits, num_heads_kv, batch)](
        query, key, key_scales, key_unit, value, value_scales, value_unit, table, kv_len, out, lse, *partial,
        scale_log2, key.shape[2] if page_table is None else page_table.shape[1] * key.shape[2], plan.num_kv_splits,
        *query.stride()[:2], table.stride(0),
        *key.stride()[:2], *key_scales.stride()[:2], *value.stride()[:2], *value_scales.stride()[:2],
        STRIDE_KEY_N=key.stride(2), STRIDE_KEY_SCALE_N=key_scales.stride(2),
        STRIDE_VALUE_N=value.stride(2), STRIDE_VALUE_SCALE_N=value_scales.stride(2),
        GROUP_SIZE=group_size, GROUP_MERGE=triton.next_power_of_2(group_size), HEAD_DIM=head_dim,
        TOKENS=plan.tokens, WARPS=plan.num_warps, SPLIT=plan.num_kv_splits > 1,
        FORMAT="nvfp4" if scales else "fp8" if units else "half", DTYPE=gl.float16 if units else TYPES[query.dtype],
        PAGE_SIZE=0 if page_table is None else key.shape[2], num_warps=plan.num_warps,
        CLUSTER=plan.cluster, PREPARE=preparation,
        num_ctas=plan.cluster, maxnreg=None if plan.cluster == 1 else CLUSTER_REGISTERS,
    )  # fmt: skip
    return out, lse
