"""The gradients of attention without the scores in memory: they are computed again, tile by tile, from query, key and lse.

    probs   = exp(query @ key^T * softmax_scale - lse)            the probabilities themselves: lse is known
    dprobs  = dout @ value^T
    delta   = rowsum(dout * out) - dlse                           what a row's softmax takes back from each of its gradients
    dscores = probs * (dprobs - delta)
    dquery  = dscores @ key * softmax_scale;   dkey = dscores^T @ query * softmax_scale;   dvalue = probs^T @ dout

Two launches, and in neither do programs add into one another's results, so the same inputs give the same bits: the first walks
over the keys for each tile of queries (dquery, and delta on the way), the second over the queries of all heads of a group for
each tile of keys (dkey, dvalue). The price is that scores and dprobs are computed in both: 7 products instead of 5.
On Hopper tiles are asked for by descriptor, which leaves to the sums the registers that addresses would take.
Works in base 2, like ``flash_attention``.

Source: Dao, "FlashAttention-2", 2023, Algorithm 2 (https://arxiv.org/abs/2307.08691), which adds into dquery instead.
"""

import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from kernels.checks import (
    FLOAT_DTYPES,
    interpreting,
    require_dense_rows,
    require_device,
    require_dtype,
    require_scale,
    require_shape,
)
from kernels.dispatch import BackwardPlan, backward_plan
from kernels.flash_attention import LOG2_E, check_attention, keys_of_tile

LN_2 = tl.constexpr(0.6931471805599453)
FP32_DOT = tl.constexpr("ieee")  # float32 inputs would otherwise round to TF32


@triton.jit
def _tile(
    source, batch, head, first, end, stride_b, stride_h, stride_row,
    ROWS: tl.constexpr, HEAD_DIM: tl.constexpr, MASKED: tl.constexpr, DESCRIBED: tl.constexpr,
):  # fmt: skip
    """[ROWS, HEAD_DIM] of a head, from row ``first`` on; zeros from row ``end`` on where MASKED, or where DESCRIBED."""
    if DESCRIBED:  # source is a descriptor, else a pointer
        tile = tl.reshape(source.load([batch, head, first, 0]), [ROWS, HEAD_DIM])
    else:
        row = first + tl.arange(0, ROWS)
        head_ptr = source + tl.cast(batch, tl.int64) * stride_b + tl.cast(head, tl.int64) * stride_h
        ptrs = head_ptr + row.to(tl.int64)[:, None] * stride_row + tl.arange(0, HEAD_DIM)[None, :]
        tile = tl.load(ptrs, mask=(row < end)[:, None], other=0.0) if MASKED else tl.load(ptrs)
    return tile


@triton.jit
def _over_keys(
    dquery, query, dout, lse_log2, delta, key_source, value_source, batch, head_kv, start, stop,
    scale_log2, stride_key_b, stride_key_h, stride_key_n, stride_value_b, stride_value_h, stride_value_n,
    last_visible, seqlen_kv,
    HEAD_DIM: tl.constexpr, BLOCK_N: tl.constexpr, MASKED: tl.constexpr, DESCRIBED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """Add what the keys start .. stop give to dquery. last_visible: [BLOCK_M], the last key each row may see."""
    offs_n = tl.arange(0, BLOCK_N)
    for start_n in tl.range(start, stop, BLOCK_N, num_stages=NUM_STAGES):
        start_n = tl.multiple_of(start_n, BLOCK_N)
        key = _tile(
            key_source, batch, head_kv, start_n, seqlen_kv, stride_key_b, stride_key_h, stride_key_n,
            BLOCK_N, HEAD_DIM, MASKED, DESCRIBED,
        )  # fmt: skip
        value = _tile(
            value_source, batch, head_kv, start_n, seqlen_kv, stride_value_b, stride_value_h, stride_value_n,
            BLOCK_N, HEAD_DIM, MASKED, DESCRIBED,
        )  # fmt: skip
        scores = tl.dot(query, key.T, input_precision=FP32_DOT) * scale_log2
        if MASKED:
            scores = tl.where((start_n + offs_n)[None, :] <= last_visible[:, None], scores, -float("inf"))
        probs = tl.exp2(scores - lse_log2[:, None])
        dprobs = tl.dot(dout, value.T, input_precision=FP32_DOT)
        dscores = probs * (dprobs - delta[:, None])
        dquery = tl.dot(dscores.to(key.dtype), key, dquery, input_precision=FP32_DOT)
    return dquery


@triton.jit
def _dquery_kernel(
    query_ptr, key_source, value_source, out_ptr, lse_ptr, dout_ptr, dlse_ptr, dquery_ptr, rows_ptr,
    scale_log2, seqlen_q, seqlen_kv, group_size,
    stride_query_b, stride_query_h, stride_query_m,
    stride_key_b, stride_key_h, stride_key_n,
    stride_value_b, stride_value_h, stride_value_n,
    stride_dout_b, stride_dout_h, stride_dout_m,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, ROWS_TOGETHER: tl.constexpr,
    CAUSAL: tl.constexpr, DESCRIBED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """One program = BLOCK_M query rows of one head. Grid: (query tiles, num_heads_q, batch)."""
    # Under a causal mask the last tiles have the most keys: they start first, so that none is left alone at the end.
    tile_m = tl.num_programs(0) - 1 - tl.program_id(0) if CAUSAL else tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    pair = batch * tl.num_programs(1) + head

    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    mask_m = offs_m < seqlen_q
    rows = offs_m.to(tl.int64)
    query_ptrs = query_ptr + batch * stride_query_b + head * stride_query_h + rows[:, None] * stride_query_m + offs_d
    dout_ptrs = dout_ptr + batch * stride_dout_b + head * stride_dout_h + rows[:, None] * stride_dout_m + offs_d
    query = tl.load(query_ptrs, mask=mask_m[:, None], other=0.0)
    dout = tl.load(dout_ptrs, mask=mask_m[:, None], other=0.0)
    # out, lse, dlse and dquery are contiguous
    row = pair * seqlen_q + rows
    out = tl.load(out_ptr + row[:, None] * HEAD_DIM + offs_d, mask=mask_m[:, None], other=0.0)
    delta = tl.sum(out.to(tl.float32) * dout.to(tl.float32), axis=1)
    if dlse_ptr is not None:
        delta -= tl.load(dlse_ptr + row, mask=mask_m, other=0.0)
    lse = tl.load(lse_ptr + row, mask=mask_m, other=float("inf"))
    # exp2(anything - inf) is 0: rows beyond the last and rows with no visible key, whose lse is -inf, give nothing
    lse_log2 = tl.where(lse == -float("inf"), float("inf"), lse / LN_2)
    # for the second kernel: whole tiles of its own, so that it needs no mask, of lse and delta in turn: one address for both
    place = (
        rows_ptr + pair * 2 * tl.num_programs(0) * BLOCK_M + rows // ROWS_TOGETHER * 2 * ROWS_TOGETHER + rows % ROWS_TOGETHER
    )
    tl.store(place, lse_log2)
    tl.store(place + ROWS_TOGETHER, delta)

    last_visible, unmasked, stop = keys_of_tile(tile_m, offs_m, seqlen_q, seqlen_kv, BLOCK_M, BLOCK_N, CAUSAL)

    head_kv = tl.program_id(1) // group_size
    dquery = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    dquery = _over_keys(
        dquery, query, dout, lse_log2, delta, key_source, value_source, tl.program_id(2), head_kv, 0, unmasked,
        scale_log2, stride_key_b, stride_key_h, stride_key_n, stride_value_b, stride_value_h, stride_value_n,
        last_visible, seqlen_kv, HEAD_DIM, BLOCK_N, False, DESCRIBED, NUM_STAGES,
    )  # fmt: skip
    dquery = _over_keys(
        dquery, query, dout, lse_log2, delta, key_source, value_source, tl.program_id(2), head_kv, unmasked, stop,
        scale_log2, stride_key_b, stride_key_h, stride_key_n, stride_value_b, stride_value_h, stride_value_n,
        last_visible, seqlen_kv, HEAD_DIM, BLOCK_N, True, DESCRIBED, NUM_STAGES,
    )  # fmt: skip
    dquery = (dquery * (scale_log2 * LN_2)).to(dquery_ptr.dtype.element_ty)
    tl.store(dquery_ptr + row[:, None] * HEAD_DIM + offs_d, dquery, mask=mask_m[:, None])


@triton.jit
def _over_queries(
    dkey, dvalue, key, value, query_source, dout_source, rows_ptr, batch, head, start, stop,
    scale_log2, stride_query_b, stride_query_h, stride_query_m, stride_dout_b, stride_dout_h, stride_dout_m,
    first_seen, seqlen_q,
    HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, MASKED: tl.constexpr, DESCRIBED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """Add what the queries start .. stop give to dkey and dvalue. first_seen: [BLOCK_N], the first query that sees each key."""
    offs_m = tl.arange(0, BLOCK_M)
    for start_m in tl.range(start, stop, BLOCK_M, num_stages=NUM_STAGES):
        start_m = tl.multiple_of(start_m, BLOCK_M)
        # scores and all that follows from them: [BLOCK_N, BLOCK_M]
        query = _tile(
            query_source, batch, head, start_m, seqlen_q, stride_query_b, stride_query_h, stride_query_m,
            BLOCK_M, HEAD_DIM, True, DESCRIBED,
        )  # fmt: skip
        lse_log2 = tl.load(rows_ptr + 2 * start_m + offs_m)
        scores = tl.dot(key, query.T, input_precision=FP32_DOT) * scale_log2
        probs = tl.exp2(scores - lse_log2[None, :])
        if MASKED:
            probs = tl.where(offs_m[None, :] >= (first_seen - start_m)[:, None], probs, 0.0)
        dout = _tile(
            dout_source, batch, head, start_m, seqlen_q, stride_dout_b, stride_dout_h, stride_dout_m,
            BLOCK_M, HEAD_DIM, True, DESCRIBED,
        )  # fmt: skip
        dvalue = tl.dot(probs.to(dout.dtype), dout, dvalue, input_precision=FP32_DOT)
        dprobs = tl.dot(value, dout.T, input_precision=FP32_DOT)
        delta = tl.load(rows_ptr + 2 * start_m + BLOCK_M + offs_m)
        dscores = probs * (dprobs - delta[None, :])
        dkey = tl.dot(dscores.to(query.dtype), query, dkey, input_precision=FP32_DOT)
    return dkey, dvalue


@triton.jit
def _dkey_dvalue_kernel(
    query_source, key_ptr, value_ptr, dout_source, rows_ptr, dkey_ptr, dvalue_ptr,
    scale_log2, seqlen_q, seqlen_kv, padded,
    stride_query_b, stride_query_h, stride_query_m,
    stride_key_b, stride_key_h, stride_key_n,
    stride_value_b, stride_value_h, stride_value_n,
    stride_dout_b, stride_dout_h, stride_dout_m,
    GROUP_SIZE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr, DESCRIBED: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """One program = BLOCK_N keys of one kv head, for all query heads of its group. Grid: (key tiles, num_heads_kv, batch)."""
    tile_n = tl.program_id(0)  # under a causal mask the first keys have the most queries, and start first
    head_kv = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)

    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)[None, :]
    # Keys beyond the last are computed, from zeros, and not stored: no other key's gradient has a part in them.
    mask_n = (offs_n < seqlen_kv)[:, None]
    cols = offs_n.to(tl.int64)[:, None]
    key = tl.load(
        key_ptr + batch * stride_key_b + head_kv * stride_key_h + cols * stride_key_n + offs_d, mask=mask_n, other=0.0
    )
    value = tl.load(
        value_ptr + batch * stride_value_b + head_kv * stride_value_h + cols * stride_value_n + offs_d, mask=mask_n, other=0.0
    )

    first_seen = tl.zeros([BLOCK_N], tl.int32)
    start = 0
    if CAUSAL:
        first_seen = offs_n - (seqlen_kv - seqlen_q)
        start = tl.maximum(tile_n * BLOCK_N - (seqlen_kv - seqlen_q), 0) // BLOCK_M * BLOCK_M

    dkey = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)
    dvalue = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)
    for place in range(GROUP_SIZE):
        head = tl.program_id(1) * GROUP_SIZE + place
        head_rows_ptr = rows_ptr + (batch * tl.num_programs(1) * GROUP_SIZE + head) * 2 * padded
        # Under a causal mask every tile is masked: a second loop, for tiles that need none, costs registers that are not there.
        dkey, dvalue = _over_queries(
            dkey, dvalue, key, value, query_source, dout_source, head_rows_ptr,
            tl.program_id(2), head, start, seqlen_q,
            scale_log2, stride_query_b, stride_query_h, stride_query_m, stride_dout_b, stride_dout_h, stride_dout_m,
            first_seen, seqlen_q, HEAD_DIM, BLOCK_M, CAUSAL, DESCRIBED, NUM_STAGES,
        )  # fmt: skip

    # dkey and dvalue are contiguous
    to = ((batch * tl.num_programs(1) + head_kv) * seqlen_kv + cols) * HEAD_DIM + offs_d
    tl.store(dkey_ptr + to, (dkey * (scale_log2 * LN_2)).to(dkey_ptr.dtype.element_ty), mask=mask_n)
    tl.store(dvalue_ptr + to, dvalue.to(dvalue_ptr.dtype.element_ty), mask=mask_n)


def flash_attention_backward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    dout: torch.Tensor,
    *,
    dlse: torch.Tensor | None = None,
    causal: bool = False,
    softmax_scale: float | None = None,
    plan: BackwardPlan | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of ``flash_attention``, in memory linear in the sequence; the same bits at every call.

        loss = sum(out * dout) + sum(lse * dlse);   dquery, dkey, dvalue = its gradients

    Same contract as ``kernels.reference.attention_backward_reference``, and:

    Args:
        query, key, value: as in ``flash_attention``.
        out, lse: what ``flash_attention`` returned for them, contiguous.
        dout: like out, in any strides but in the last axis.
        dlse: like lse, contiguous; default zero.
        plan: tiles; default: what ``kernels.dispatch.backward_plan`` says.

    Returns:
        dquery, dkey, dvalue: like query, key and value, contiguous. Products and sums in float32; probabilities and dscores are
        rounded to the inputs' dtype before they are multiplied. Zero for a row with no visible key, and for a key that no
        query sees.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together, or out, lse or dlse is not contiguous.
    """
    check_attention(query, key, value)
    batch, num_heads_q, seqlen_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    require_device(query=query, out=out, lse=lse, dout=dout)
    require_dtype(FLOAT_DTYPES, query=query, out=out, dout=dout)
    require_shape(tuple(query.shape), "the shape of query", out=out, dout=dout)
    require_dense_rows(dout=dout)
    by_row = {"lse": lse} | ({} if dlse is None else {"dlse": dlse})
    require_dtype((torch.float32,), **by_row)
    require_shape((batch, num_heads_q, seqlen_q), "[batch, num_heads_q, seqlen_q]", **by_row)
    for name, tensor in {"out": out, **by_row}.items():
        if not tensor.is_contiguous():
            raise ValueError(f"{name} has strides {tensor.stride()} and must be contiguous")
    softmax_scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
    require_scale(softmax_scale)

    if query.numel() == 0 or key.numel() == 0:
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    dquery, dkey, dvalue = (torch.empty(like.shape, dtype=like.dtype, device=like.device) for like in (query, key, value))
    plan = plan or backward_plan(query.device, query.dtype, head_dim, num_heads_q // num_heads_kv, interpreting=interpreting())
    if plan.queries.block_m % plan.keys.block_m:
        raise ValueError(
            f"plan: block_m={plan.queries.block_m} of the first kernel must be a multiple of "
            f"block_m={plan.keys.block_m} of the second"
        )
    tiles_m = triton.cdiv(seqlen_q, plan.queries.block_m)
    padded = tiles_m * plan.queries.block_m
    rows = torch.empty((batch, num_heads_q, 2, padded), dtype=torch.float32, device=query.device)  # lse in base 2, and delta
    scale_log2, group_size = softmax_scale * LOG2_E, num_heads_q // num_heads_kv
    strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3], *dout.stride()[:3])
    described = plan.descriptors and all(_has_descriptor(tensor) for tensor in (query, key, value, dout))
    constants = {"HEAD_DIM": head_dim, "CAUSAL": causal, "DESCRIBED": described}
    by_tile = _descriptor if described else lambda tensor, rows: tensor
    _dquery_kernel[(tiles_m, num_heads_q, batch)](
        query, by_tile(key, plan.queries.block_n), by_tile(value, plan.queries.block_n), out, lse, dout, dlse, dquery, rows,
        scale_log2, seqlen_q, seqlen_kv, group_size, *strides,
        ROWS_TOGETHER=plan.keys.block_m, **constants, **plan.queries.constants(),
    )  # fmt: skip
    _dkey_dvalue_kernel[(triton.cdiv(seqlen_kv, plan.keys.block_n), num_heads_kv, batch)](
        by_tile(query, plan.keys.block_m), key, value, by_tile(dout, plan.keys.block_m), rows, dkey, dvalue,
        scale_log2, seqlen_q, seqlen_kv, padded, *strides, GROUP_SIZE=group_size, **constants, **plan.keys.constants(),
    )  # fmt: skip
    return dquery, dkey, dvalue


def _has_descriptor(tensor: torch.Tensor) -> bool:
    """Whether the copy engine takes it: rows, heads and sequences that lie apart, at multiples of 16 bytes."""
    steps = [stride * tensor.element_size() for stride in tensor.stride()[:3]]
    return tensor.data_ptr() % 16 == 0 and all(step > 0 and step % 16 == 0 for step in steps)


def _descriptor(tensor: torch.Tensor, rows: int) -> TensorDescriptor:
    """Of tiles of ``rows`` rows of one head; what lies beyond the last row reads as zero."""
    return TensorDescriptor(tensor, list(tensor.shape), list(tensor.stride()), [1, 1, rows, tensor.shape[-1]])
