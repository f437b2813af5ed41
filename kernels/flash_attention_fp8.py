"""Prefill over FP8 (E4M3): both products take 8-bit operands, of which the matrix unit multiplies twice as many a second.

    value of a code = code * scale[head]
    scores = query codes @ key codes^T * (softmax_scale * query_scale * key_scale)
    probs  = E4M3(2^8 * exp(scores - m));   acc = probs @ value codes;   out = acc / l * value_scale

The scales stand outside both sums and cost nothing. Probabilities are at most 1, and E4M3 ends at 448: they are multiplied by
2^8, so that those from 2^-17 on do not vanish; l is summed from what they were before they were rounded, and has the same
2^8. 8-bit operands are taken only along the axis that is summed over, which for values is the tokens: a kernel of its own
transposes them first, into a copy. On Hopper ``flash_attention_hopper`` then runs, elsewhere the kernel here.

Source: Shah et al., "FlashAttention-3", 2024, section 3.3 (https://arxiv.org/abs/2407.08608). Works in base 2.
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
    require_heads,
    require_scale,
    require_shape,
)
from kernels.dispatch import attention_fp8_plan, converts_e4m3
from kernels.flash_attention import LN_2, LOG2_E, keys_of_tile
from kernels.online_softmax import online_softmax_step

FP8_SHIFT = tl.constexpr(8.0)  # log2 of what probabilities are multiplied by
TOKENS_TURNED = 128  # tokens of one program of the transposing kernel; rows of its result are a multiple of that long
HEAD_DIMS_FP8 = (32, 64, 128)  # the depth of the 8-bit matrix instruction is 32


@triton.jit
def _transpose_kernel(
    value_ptr, turned_ptr, seqlen_kv, padded, num_heads_kv, stride_b, stride_h, stride_n,
    HEAD_DIM: tl.constexpr, TOKENS: tl.constexpr, IN_PLACE: tl.constexpr,
):  # fmt: skip
    """One program = TOKENS tokens of one head. Grid: (tiles of tokens, num_heads_kv, batch). turned is contiguous."""
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    place = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    token = place
    if IN_PLACE:
        # of 16 tokens: 0 1 8 9, 2 3 10 11, 4 5 12 13, 6 7 14 15, what each of four threads has of the first product
        token = (place & -16) | ((place & 2) << 2) | ((place & 12) >> 1) | (place & 1)
    rows = value_ptr + batch * stride_b + head * stride_h + token.to(tl.int64)[:, None] * stride_n
    codes = tl.load(rows + offs_d[None, :], mask=(token < seqlen_kv)[:, None], other=0)
    row = ((batch * num_heads_kv + head) * HEAD_DIM + offs_d) * padded
    tl.store(turned_ptr + row[:, None] + place[None, :], codes.T)


def transposed(value: torch.Tensor, *, in_place: bool = False) -> torch.Tensor:
    """The codes of values with the tokens last, zeros to a multiple of 128 tokens.

    Args:
        value: [batch, num_heads_kv, seqlen_kv, head_dim], uint8
        in_place: order the tokens as ``flash_attention_hopper`` wants them.

    Returns:
        [batch, num_heads_kv, head_dim, seqlen_kv rounded up], uint8.
    """
    batch, num_heads_kv, seqlen_kv, head_dim = value.shape
    tiles = triton.cdiv(seqlen_kv, TOKENS_TURNED)
    turned = torch.empty((batch, num_heads_kv, head_dim, tiles * TOKENS_TURNED), dtype=value.dtype, device=value.device)
    if turned.numel():
        _transpose_kernel[(tiles, num_heads_kv, batch)](
            value, turned, seqlen_kv, tiles * TOKENS_TURNED, num_heads_kv, *value.stride()[:3],
            HEAD_DIM=head_dim, TOKENS=TOKENS_TURNED, IN_PLACE=in_place, num_warps=4,
        )  # fmt: skip
    return turned


@triton.jit
def _rounded(probs, HARDWARE: tl.constexpr):
    """To E4M3. The interpreter's conversion is right only for what E4M3 holds: there they are rounded first, ties to even."""
    if not HARDWARE:
        bits = probs.to(tl.int32, bitcast=True)
        normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000).to(tl.float32, bitcast=True)
        smallest = (probs + 24576.0) - 24576.0  # the last bit of 1.5 * 2^14 is 2^-9
        probs = tl.where(probs < 0.015625, smallest, normal)
    return probs.to(tl.float8e4nv)


@triton.jit
def _over_keys(
    acc, m_i, l_i, query, key_ptrs, turned_ptrs, start, stop, scale_log2, stride_key_n, last_visible, seqlen_kv,
    BLOCK_N: tl.constexpr, MASKED: tl.constexpr, NUM_STAGES: tl.constexpr, HARDWARE: tl.constexpr,
):  # fmt: skip
    """Take the keys start .. stop into the state of BLOCK_M rows. last_visible: [BLOCK_M], the last key each row may see."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        start_n = tl.multiple_of(start_n, BLOCK_N)
        # key_ptrs: [HEAD_DIM, BLOCK_N]; turned_ptrs: [HEAD_DIM, BLOCK_N], which has zeros beyond the last token
        key_rows = key_ptrs + tl.cast(start_n, tl.int64) * stride_key_n
        if MASKED:
            key = tl.load(key_rows, mask=(start_n + offs_n < seqlen_kv)[None, :], other=0)
        else:
            key = tl.load(key_rows)
        value = tl.load(turned_ptrs + start_n)
        scores = tl.dot(query, key.to(tl.float8e4nv, bitcast=True)) * scale_log2
        if MASKED:
            scores = tl.where((start_n + offs_n)[None, :] <= last_visible[:, None], scores, -float("inf"))
        probs, m_i, alpha = online_softmax_step(scores, m_i, MASKED)
        l_i = l_i * alpha + tl.sum(probs, axis=1)
        probs = _rounded(probs * tl.exp2(FP8_SHIFT), HARDWARE)
        acc = tl.dot(probs, value.to(tl.float8e4nv, bitcast=True).T, acc * alpha[:, None])
    return acc, m_i, l_i


@triton.jit
def _flash_attention_fp8_kernel(
    query_ptr, key_ptr, turned_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, out_ptr, lse_ptr,
    softmax_scale_log2, seqlen_q, seqlen_kv, padded, group_size,
    stride_query_b, stride_query_h, stride_query_m,
    stride_key_b, stride_key_h, stride_key_n,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr, NUM_STAGES: tl.constexpr,
    HARDWARE: tl.constexpr,
):  # fmt: skip
    """One program = BLOCK_M query rows of one head. Grid: (query tiles, num_heads_q, batch)."""
    # Under a causal mask the last tiles have the most keys: they start first, so that none is left alone at the end.
    tile_m = tl.num_programs(0) - 1 - tl.program_id(0) if CAUSAL else tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    head_kv = head // group_size

    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N).to(tl.int64)
    offs_d = tl.arange(0, HEAD_DIM)
    mask_m = offs_m < seqlen_q
    rows = offs_m.to(tl.int64)
    query_ptrs = query_ptr + batch * stride_query_b + head * stride_query_h + rows[:, None] * stride_query_m + offs_d[None, :]
    key_ptrs = key_ptr + batch * stride_key_b + head_kv * stride_key_h + offs_n[None, :] * stride_key_n + offs_d[:, None]
    row_kv = (batch * (tl.num_programs(1) // group_size) + head_kv) * HEAD_DIM + offs_d
    turned_ptrs = turned_ptr + row_kv[:, None] * padded + offs_n[None, :]
    query = tl.load(query_ptrs, mask=mask_m[:, None], other=0).to(tl.float8e4nv, bitcast=True)
    scale_log2 = softmax_scale_log2 * tl.load(query_scale_ptr + head) * tl.load(key_scale_ptr + head_kv)

    last_visible, unmasked, stop = keys_of_tile(tile_m, offs_m, seqlen_q, seqlen_kv, BLOCK_M, BLOCK_N, CAUSAL)

    m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    acc, m_i, l_i = _over_keys(
        acc, m_i, l_i, query, key_ptrs, turned_ptrs, 0, unmasked,
        scale_log2, stride_key_n, last_visible, seqlen_kv, BLOCK_N, False, NUM_STAGES, HARDWARE,
    )  # fmt: skip
    acc, m_i, l_i = _over_keys(
        acc, m_i, l_i, query, key_ptrs, turned_ptrs, unmasked, stop,
        scale_log2, stride_key_n, last_visible, seqlen_kv, BLOCK_N, True, NUM_STAGES, HARDWARE,
    )  # fmt: skip

    # A row with no visible key: l_i = 0, out = 0 / 1, lse = -inf.
    empty = l_i == 0.0
    safe = tl.where(empty, 1.0, l_i)
    out = acc * (tl.exp2(-FP8_SHIFT) * tl.load(value_scale_ptr + head_kv) / safe)[:, None]
    lse = tl.where(empty, -float("inf"), (m_i + tl.log2(safe)) * LN_2)
    # out and lse are contiguous
    row = (batch * tl.num_programs(1) + head) * seqlen_q + rows
    tl.store(lse_ptr + row, lse, mask=mask_m)
    tl.store(out_ptr + row[:, None] * HEAD_DIM + offs_d[None, :], out.to(out_ptr.dtype.element_ty), mask=mask_m[:, None])


def flash_attention_fp8(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_scale: torch.Tensor,
    key_scale: torch.Tensor,
    value_scale: torch.Tensor,
    *,
    causal: bool = False,
    softmax_scale: float | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of FP8 codes in memory linear in the sequence.

        out = softmax(query @ key^T * softmax_scale) @ value,   each tensor its codes times the scale of its head

    Same contract as ``kernels.reference.attention_fp8_reference``, and:

    Args:
        query, key, value: uint8 holding E4M3, as ``kernels.quantize.quantize_fp8`` makes them; no NaN. head_dim 32, 64 or 128.
            Any strides but in the last axis.
        query_scale: [num_heads_q], float32; key_scale, value_scale: [num_heads_kv], float32.
        dtype: of out, float16 or bfloat16.

    Returns:
        out: contiguous. Products of codes are exact; Hopper's matrix unit sums them with fewer bits than float32 has.
            Probabilities are rounded to E4M3: with random values out errs by 2 to 3%.
        lse: [batch, num_heads_q, seqlen_q], float32.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together; a GPU without FP8 (below compute capability 8.9).
    """
    require_device(query=query, key=key, value=value, query_scale=query_scale, key_scale=key_scale, value_scale=value_scale)
    require_dims(4, query=query, key=key, value=value)
    require_dtype((torch.uint8,), query=query, key=key, value=value)
    require_dtype((torch.float32,), query_scale=query_scale, key_scale=key_scale, value_scale=value_scale)
    require_dense_rows(query=query, key=key, value=value)
    batch, num_heads_q, seqlen_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    if head_dim not in HEAD_DIMS_FP8:
        raise ValueError(f"head_dim={head_dim} must be one of {', '.join(map(str, HEAD_DIMS_FP8))}")
    if dtype not in HALF_DTYPES:
        raise ValueError(f"dtype={dtype} must be torch.float16 or torch.bfloat16")
    require_heads(num_heads_q, num_heads_kv)
    require_shape(
        (batch, num_heads_kv, seqlen_kv, head_dim), "[batch, num_heads_kv, seqlen_kv, head_dim]", key=key, value=value
    )
    require_shape((num_heads_q,), "[num_heads_q]", query_scale=query_scale)
    require_shape((num_heads_kv,), "[num_heads_kv]", key_scale=key_scale, value_scale=value_scale)
    softmax_scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
    require_scale(softmax_scale)
    if not interpreting() and not converts_e4m3(query.device):
        raise ValueError(f"query is on {query.device}, whose matrix unit takes no FP8: it needs compute capability 8.9")

    out = torch.empty(query.shape, dtype=dtype, device=query.device)
    lse = torch.empty((batch, num_heads_q, seqlen_q), dtype=torch.float32, device=query.device)
    if out.numel() == 0:
        return out, lse
    scales = (query_scale, key_scale, value_scale)
    plan = attention_fp8_plan(query.device, head_dim, seqlen_kv, causal, interpreting=interpreting())
    if plan.hopper and seqlen_kv > 0:
        from kernels.flash_attention_hopper import can_take, launch  # Gluon is loaded only where it runs

        query8, key8 = query.view(torch.float8_e4m3fn), key.view(torch.float8_e4m3fn)
        if can_take(query8, key8, key8):
            turned = transposed(value, in_place=True).view(torch.float8_e4m3fn)
            launch(
                query8, key8, turned, out, lse,
                causal=causal, scale_log2=softmax_scale * LOG2_E, plan=plan.hopper, scales=scales,
            )  # fmt: skip
            return out, lse
    turned = transposed(value)
    _flash_attention_fp8_kernel[(triton.cdiv(seqlen_q, plan.block_m), num_heads_q, batch)](
        query, key, turned, *scales, out, lse,
        softmax_scale * LOG2_E, seqlen_q, seqlen_kv, turned.shape[3], num_heads_q // num_heads_kv,
        *query.stride()[:3], *key.stride()[:3],
        HEAD_DIM=head_dim, BLOCK_M=plan.block_m, BLOCK_N=plan.block_n, CAUSAL=causal, NUM_STAGES=plan.num_stages,
        HARDWARE=not interpreting(), num_warps=plan.num_warps,
    )  # fmt: skip
    return out, lse
