"""Decoding over an NVFP4 cache: 4.5 bits a value, so 3.56 times fewer bytes than float16; unpacking is now what takes the time.

    value = code * block scale * global

E2M1's bits (sign, two of exponent, one of mantissa) are those of a float16 with another exponent bias: moved into place they
are 2^-14 of the value. Block scales times 2^7 are still float16, and their product with a code has at most 6 significant bits:
exact. What is left of the powers of two, and the global scales, stand outside the sums.
Four neighbouring codes are read as one uint16; codes of equal index modulo 4 make four matrix products of a quarter of the
width.
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
    require_shape,
)
from kernels.decode import LOG2_E, check_decode, chosen_plan, decode_constants
from kernels.decode_fp8 import scaled_to_half, words
from kernels.dispatch import DecodePlan, HopperDecodePlan, converts_e4m3
from kernels.online_softmax import online_softmax_step
from kernels.quantize import BLOCK
from kernels.split_kv import inverse_and_lse, merge_when_last, row_of_split, split_range, store_lse, workspace

UNIT = tl.constexpr(128.0)  # an unpacked value times its unpacked scale is 2^-14 * 2^7 of what it stands for


@triton.jit
def _unpack(codes, PACKED: tl.constexpr):
    """Four E2M1 codes of a uint16 -> four float16 tensors of 2^-14 of the values, the lowest nibble first."""
    if PACKED:
        # Two words at a time. All eight values fit into the high bytes of float16: first the bytes, four at once,
        # then each into its half.
        v0, v1, v2, v3 = tl.inline_asm_elementwise(
            """{
            .reg .b32 odd, even, t, u;
            shr.b32 t, $4, 3;
            and.b32 t, t, 0x0E0E0E0E;
            lop3.b32 odd, $4, 0x80808080, t, 0xEA;
            shl.b32 t, $4, 1;
            and.b32 t, t, 0x0E0E0E0E;
            shl.b32 u, $4, 4;
            lop3.b32 even, u, 0x80808080, t, 0xEA;
            prmt.b32 $0, even, 0, 0x2404;
            prmt.b32 $1, odd, 0, 0x2404;
            prmt.b32 $2, even, 0, 0x3414;
            prmt.b32 $3, odd, 0, 0x3414;
            }""",
            "=&r,=&r,=&r,=&r,r", [codes],
            dtype=(tl.float16, tl.float16, tl.float16, tl.float16), is_pure=True, pack=2,
        )  # fmt: skip
        return v0, v1, v2, v3
    return _in_place(codes), _in_place(codes >> 4), _in_place(codes >> 8), _in_place(codes >> 12)


@triton.jit
def _in_place(nibble):
    return (((nibble & 8) << 12) | ((nibble & 7) << 9)).to(tl.uint16).to(tl.float16, bitcast=True)


@triton.jit
def _block_scales(codes, HARDWARE: tl.constexpr):
    """E4M3 codes (never negative) -> float16 of 2^7 of the values."""
    if HARDWARE:
        return (codes.to(tl.float8e4nv, bitcast=True).to(tl.float16) * 128.0).to(tl.float16)
    # bits in place are 2^-8 of the value
    return ((codes.to(tl.uint16) << 7).to(tl.float16, bitcast=True) * 32768.0).to(tl.float16)


@triton.jit
def _spread(scales, BLOCK_N: tl.constexpr, BLOCKS: tl.constexpr, WORDS: tl.constexpr):
    """[BLOCK_N, BLOCKS] -> [BLOCK_N, WORDS]: each scale for the words of its block."""
    return tl.reshape(tl.broadcast_to(scales[:, :, None], [BLOCK_N, BLOCKS, WORDS // BLOCKS]), [BLOCK_N, WORDS])


@triton.jit
def _values(
    code_ptrs, scale_ptrs, mask_n,
    BLOCK_N: tl.constexpr, BLOCKS: tl.constexpr, WORDS: tl.constexpr, MASKED: tl.constexpr, HARDWARE: tl.constexpr,
):  # fmt: skip
    """A tile's values, by index modulo 4: four of [BLOCK_N, WORDS], each 2^-7 of what it stands for."""
    if MASKED:
        codes = tl.load(code_ptrs, mask=mask_n[:, None], other=0)
        scales = tl.load(scale_ptrs, mask=mask_n[:, None], other=0)
    else:
        codes = tl.load(code_ptrs)
        scales = tl.load(scale_ptrs)
    spread = _spread(_block_scales(scales, HARDWARE), BLOCK_N, BLOCKS, WORDS)
    v0, v1, v2, v3 = _unpack(codes, HARDWARE)
    return v0 * spread, v1 * spread, v2 * spread, v3 * spread


@triton.jit
def _over_keys(
    acc0, acc1, acc2, acc3, m_i, l_i, query0, query1, query2, query3,
    key_ptrs, key_scale_ptrs, value_ptrs, value_scale_ptrs, start, stop, kv_len, row_scale,
    STRIDE_KEY_N: tl.constexpr, STRIDE_KEY_SCALE_N: tl.constexpr,
    STRIDE_VALUE_N: tl.constexpr, STRIDE_VALUE_SCALE_N: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCKS: tl.constexpr, WORDS: tl.constexpr,
    MASKED: tl.constexpr, NUM_STAGES: tl.constexpr, HARDWARE: tl.constexpr,
):  # fmt: skip
    """Take the keys start .. stop into the state of the group. Each tile holds at least one key, so m_i becomes finite."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        here = tl.cast(start_n, tl.int64)
        mask_n = start_n + offs_n < kv_len
        key0, key1, key2, key3 = _values(
            key_ptrs + here * STRIDE_KEY_N, key_scale_ptrs + here * STRIDE_KEY_SCALE_N, mask_n,
            BLOCK_N, BLOCKS, WORDS, MASKED, HARDWARE,
        )  # fmt: skip
        scores = tl.dot(query0, key0.T)
        scores = tl.dot(query1, key1.T, scores)
        scores = tl.dot(query2, key2.T, scores)
        scores = tl.dot(query3, key3.T, scores) * row_scale[:, None]
        if MASKED:
            scores = tl.where(mask_n[None, :], scores, -float("inf"))
        probs, m_i, alpha = online_softmax_step(scores, m_i, False)  # each tile holds a visible key
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        value0, value1, value2, value3 = _values(
            value_ptrs + here * STRIDE_VALUE_N, value_scale_ptrs + here * STRIDE_VALUE_SCALE_N, mask_n,
            BLOCK_N, BLOCKS, WORDS, MASKED, HARDWARE,
        )  # fmt: skip
        probs_half = probs.to(tl.float16)
        acc0 = tl.dot(probs_half, value0, acc0 * alpha[:, None])
        acc1 = tl.dot(probs_half, value1, acc1 * alpha[:, None])
        acc2 = tl.dot(probs_half, value2, acc2 * alpha[:, None])
        acc3 = tl.dot(probs_half, value3, acc3 * alpha[:, None])
    return acc0, acc1, acc2, acc3, m_i, l_i


@triton.jit(do_not_specialize=["num_kv_splits"])  # one binary for any number of splits
def _decode_nvfp4_kernel(
    query_ptr, key_ptr, key_scale_ptr, key_global_ptr, value_ptr, value_scale_ptr, value_global_ptr, kv_len_ptr,
    out_ptr, lse_ptr, partial_out_ptr, partial_lse_ptr, arrived_ptr,
    scale_log2, seqlen_kv, num_kv_splits,
    stride_query_b, stride_query_h,
    stride_key_b, stride_key_h, stride_key_scale_b, stride_key_scale_h,
    stride_value_b, stride_value_h, stride_value_scale_b, stride_value_scale_h,
    STRIDE_KEY_N: tl.constexpr, STRIDE_KEY_SCALE_N: tl.constexpr,
    STRIDE_VALUE_N: tl.constexpr, STRIDE_VALUE_SCALE_N: tl.constexpr,
    GROUP_SIZE: tl.constexpr, GROUP_PAD: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr, NUM_STAGES: tl.constexpr,
    SPLIT: tl.constexpr, GROUP_MERGE: tl.constexpr, CHUNK: tl.constexpr, HARDWARE: tl.constexpr,
):  # fmt: skip
    """One program = one split of the keys of one kv head of one sequence. Grid: (num_kv_splits, num_heads_kv, batch).

    The strides from token to token are constants: only so does the compiler know that a row of scales can be read at once.
    """
    WORDS: tl.constexpr = HEAD_DIM // 4
    BLOCKS: tl.constexpr = HEAD_DIM // 16
    head_kv = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    pair = batch * tl.num_programs(1) + head_kv
    kv_len = tl.minimum(tl.maximum(tl.load(kv_len_ptr + batch), 0), seqlen_kv)
    start, whole, stop = split_range(kv_len, num_kv_splits, BLOCK_N)

    offs_g = tl.arange(0, GROUP_PAD)
    offs_n = tl.arange(0, BLOCK_N).to(tl.int64)[:, None]
    offs_word = tl.arange(0, WORDS)
    offs_block = tl.arange(0, BLOCKS)
    mask_g = offs_g < GROUP_SIZE
    head = head_kv * GROUP_SIZE + offs_g
    query_ptrs = query_ptr + batch * stride_query_b + head[:, None] * stride_query_h + tl.arange(0, HEAD_DIM)[None, :]
    query, power = scaled_to_half(tl.load(query_ptrs, mask=mask_g[:, None], other=0.0))
    query_even, query_odd = tl.split(tl.reshape(query, [GROUP_PAD, WORDS * 2, 2]))
    query0, query2 = tl.split(tl.reshape(query_even, [GROUP_PAD, WORDS, 2]))
    query1, query3 = tl.split(tl.reshape(query_odd, [GROUP_PAD, WORDS, 2]))
    row_scale = power * (scale_log2 * UNIT * tl.load(key_global_ptr))
    # strides of codes count uint16
    key_ptrs = key_ptr + batch * stride_key_b + head_kv * stride_key_h + offs_n * STRIDE_KEY_N + offs_word[None, :]
    key_scale_ptrs = (
        key_scale_ptr + batch * stride_key_scale_b + head_kv * stride_key_scale_h
        + offs_n * STRIDE_KEY_SCALE_N + offs_block[None, :]
    )  # fmt: skip
    value_ptrs = value_ptr + batch * stride_value_b + head_kv * stride_value_h + offs_n * STRIDE_VALUE_N + offs_word[None, :]
    value_scale_ptrs = (
        value_scale_ptr + batch * stride_value_scale_b + head_kv * stride_value_scale_h
        + offs_n * STRIDE_VALUE_SCALE_N + offs_block[None, :]
    )  # fmt: skip

    m_i = tl.full([GROUP_PAD], -float("inf"), tl.float32)
    l_i = tl.zeros([GROUP_PAD], tl.float32)
    acc0 = tl.zeros([GROUP_PAD, WORDS], tl.float32)
    acc1 = acc0
    acc2 = acc0
    acc3 = acc0
    # read 2 * (stop - start) * HEAD_DIM * 9 / 16 bytes
    acc0, acc1, acc2, acc3, m_i, l_i = _over_keys(
        acc0, acc1, acc2, acc3, m_i, l_i, query0, query1, query2, query3,
        key_ptrs, key_scale_ptrs, value_ptrs, value_scale_ptrs, start, whole, kv_len, row_scale,
        STRIDE_KEY_N, STRIDE_KEY_SCALE_N, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N,
        BLOCK_N, BLOCKS, WORDS, False, NUM_STAGES, HARDWARE,
    )  # fmt: skip
    acc0, acc1, acc2, acc3, m_i, l_i = _over_keys(
        acc0, acc1, acc2, acc3, m_i, l_i, query0, query1, query2, query3,
        key_ptrs, key_scale_ptrs, value_ptrs, value_scale_ptrs, whole, stop, kv_len, row_scale,
        STRIDE_KEY_N, STRIDE_KEY_SCALE_N, STRIDE_VALUE_N, STRIDE_VALUE_SCALE_N,
        BLOCK_N, BLOCKS, WORDS, True, 1, HARDWARE,
    )  # fmt: skip

    inverse, lse_log2 = inverse_and_lse(m_i, l_i)
    out_scale = (inverse * (UNIT * tl.load(value_global_ptr)))[:, None]
    row = row_of_split(pair, num_kv_splits, GROUP_SIZE, SPLIT)
    to_ptr = partial_out_ptr if SPLIT else out_ptr
    to_ptrs = to_ptr + (row + offs_g)[:, None] * HEAD_DIM + 4 * offs_word[None, :]
    dtype = to_ptr.dtype.element_ty
    tl.store(to_ptrs, (acc0 * out_scale).to(dtype), mask=mask_g[:, None])
    tl.store(to_ptrs + 1, (acc1 * out_scale).to(dtype), mask=mask_g[:, None])
    tl.store(to_ptrs + 2, (acc2 * out_scale).to(dtype), mask=mask_g[:, None])
    tl.store(to_ptrs + 3, (acc3 * out_scale).to(dtype), mask=mask_g[:, None])
    store_lse(partial_lse_ptr if SPLIT else lse_ptr, row, lse_log2, GROUP_SIZE, GROUP_PAD, SPLIT)
    if SPLIT:
        merge_when_last(
            partial_out_ptr, partial_lse_ptr, arrived_ptr, out_ptr, lse_ptr, pair, num_kv_splits,
            GROUP_SIZE, HEAD_DIM, GROUP_MERGE, CHUNK,
        )  # fmt: skip


def decode_attention_nvfp4(
    query: torch.Tensor,
    key_codes: torch.Tensor,
    key_scales: torch.Tensor,
    key_global: torch.Tensor,
    value_codes: torch.Tensor,
    value_scales: torch.Tensor,
    value_global: torch.Tensor,
    kv_len: torch.Tensor,
    *,
    softmax_scale: float | None = None,
    check_kv_len: bool = True,
    plan: DecodePlan | HopperDecodePlan | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of one query per sequence over a cache in NVFP4, dequantised in registers.

    Same contract as ``kernels.decode.decode_attention`` over ``dequantize_nvfp4`` of the caches, and:

    Args:
        key_codes, value_codes: [batch, num_heads_kv, seqlen_kv, head_dim / 2], uint8, the even value in the low nibble; strides
            are even, and 1 in the last axis.
        key_scales, value_scales: [batch, num_heads_kv, seqlen_kv, head_dim / 16], uint8 holding E4M3, never negative or NaN
            inside kv_len.
        key_global, value_global: [1], float32.

    head_dim is 64 or 128. The query is rounded to float16 as in ``decode_attention_fp8``.
    """
    codes = {"key_codes": key_codes, "value_codes": value_codes}
    scales = {"key_scales": key_scales, "value_scales": value_scales}
    global_scales = {"key_global": key_global, "value_global": value_global}
    require_device(query=query, **codes, **scales, **global_scales, kv_len=kv_len)
    require_dims(3, query=query)
    require_dims(4, **codes, **scales)
    require_dtype(HALF_DTYPES, query=query)
    require_dtype((torch.uint8,), **codes, **scales)
    require_dtype((torch.float32,), **global_scales)
    require_dense_rows(query=query, **codes, **scales)
    batch, num_heads_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key_codes.shape
    axes = (batch, num_heads_kv, seqlen_kv)
    require_shape((*axes, head_dim // 2), "[batch, num_heads_kv, seqlen_kv, head_dim / 2]", **codes)
    require_shape((*axes, head_dim // BLOCK), "[batch, num_heads_kv, seqlen_kv, head_dim / 16]", **scales)
    require_shape((1,), "[1]", **global_scales)
    if head_dim < 64:  # a quarter of it is the depth of a matrix product, at least 16
        raise ValueError(f"head_dim={head_dim} must be one of 64, 128")
    softmax_scale = check_decode(query, num_heads_kv, seqlen_kv, kv_len, softmax_scale, check_kv_len)
    plan = chosen_plan(plan, "nvfp4", query, num_heads_kv, seqlen_kv, key_codes, value_codes, key_scales)
    if isinstance(plan, HopperDecodePlan):
        from kernels.decode_hopper import launch  # Gluon is loaded only where it runs

        return launch(
            query, key_codes, value_codes, kv_len, softmax_scale * LOG2_E, plan,
            scales=(key_scales, value_scales), units=(key_global, value_global),
        )  # fmt: skip
    key, value = words(torch.uint16, **codes)
    out, lse, *partial = workspace(query, num_heads_kv, plan.num_kv_splits)
    if out.numel():
        group_size = num_heads_q // num_heads_kv
        _decode_nvfp4_kernel[(plan.num_kv_splits, num_heads_kv, batch)](
            query, key, key_scales, key_global, value, value_scales, value_global, kv_len, out, lse, *partial,
            softmax_scale * LOG2_E, seqlen_kv, plan.num_kv_splits,
            *query.stride()[:2],
            *key.stride()[:2], *key_scales.stride()[:2], *value.stride()[:2], *value_scales.stride()[:2],
            STRIDE_KEY_N=key.stride(2), STRIDE_KEY_SCALE_N=key_scales.stride(2),
            STRIDE_VALUE_N=value.stride(2), STRIDE_VALUE_SCALE_N=value_scales.stride(2),
            GROUP_SIZE=group_size, HEAD_DIM=head_dim, HARDWARE=converts_e4m3(query.device, interpreting=interpreting()),
            **decode_constants(plan, group_size, head_dim),
        )  # fmt: skip
    return out, lse
