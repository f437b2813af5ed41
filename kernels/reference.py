"""What every kernel is held to: the same functions in eager PyTorch, float64, as plain as the formula.

NOT fast and NOT a kernel: memory grows with seqlen_q * seqlen_kv. Works on any device, on any strides, in any floating dtype.
"""

import torch

from kernels.quantize import dequantize_fp8

ROWS_AT_ONCE = 1024  # query rows whose scores are held at the same time: 16384 keys x 16 heads stay under 3 GB


def scores_reference(query: torch.Tensor, key: torch.Tensor, *, softmax_scale: float) -> torch.Tensor:
    """The scores of one query.

        out[n] = sum_d query[d] * key[n, d] * softmax_scale

    Args:
        query: [head_dim]
        key: [seqlen_kv, head_dim]

    Returns:
        [seqlen_kv], float64.
    """
    return key.double() @ query.double() * softmax_scale


def softmax_reference(x: torch.Tensor) -> torch.Tensor:
    """The softmax of each row of [rows, cols], in float64. A row of nothing but -inf is NaN, as in PyTorch."""
    return torch.softmax(x.double(), dim=-1)


def attention_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool = False,
    softmax_scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention, with grouped heads and a mask aligned to the bottom-right corner.

        out = softmax(query @ key^T * softmax_scale) @ value

    Args:
        query: [batch, num_heads_q, seqlen_q, head_dim]
        key: [batch, num_heads_kv, seqlen_kv, head_dim]; num_heads_q is a multiple of num_heads_kv, and query head h reads
            key head h // group_size.
        value: like key.
        causal: query i sees key j where j <= i + seqlen_kv - seqlen_q; seqlen_q=2, seqlen_kv=4 keeps

            1 1 1 0
            1 1 1 1

        softmax_scale: default ``head_dim ** -0.5``.

    Returns:
        out: [batch, num_heads_q, seqlen_q, head_dim], float64. A row with no visible key is all zero.
        lse: [batch, num_heads_q, seqlen_q], float64, natural log; -inf for such a row.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1 (https://arxiv.org/abs/1706.03762).
    """
    batch, num_heads_q, seqlen_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    if softmax_scale is None:
        softmax_scale = head_dim**-0.5
    group_size = num_heads_q // num_heads_kv
    # [batch, num_heads_kv, group_size, seqlen_q, head_dim] against [batch, num_heads_kv, 1, seqlen_kv, head_dim]
    grouped = query.double().unflatten(1, (num_heads_kv, group_size))
    keys = key.double().unsqueeze(2)
    values = value.double().unsqueeze(2)

    out = torch.zeros_like(grouped)
    lse = torch.full(grouped.shape[:-1], -torch.inf, dtype=torch.float64, device=query.device)
    if seqlen_kv == 0:
        return out.flatten(1, 2), lse.flatten(1, 2)
    for start in range(0, seqlen_q, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, seqlen_q))
        scores = grouped[..., rows, :] @ keys.transpose(-1, -2) * softmax_scale
        if causal:
            last_visible = torch.arange(rows.start, rows.stop, device=query.device) + seqlen_kv - seqlen_q
            hidden = torch.arange(seqlen_kv, device=query.device)[None, :] > last_visible[:, None]
            scores = scores.masked_fill(hidden, -torch.inf)
        lse[..., rows] = torch.logsumexp(scores, dim=-1)
        # A row with no visible key has lse = -inf, and exp(-inf - -inf) would be NaN.
        shift = lse[..., rows, None].masked_fill(lse[..., rows, None] == -torch.inf, 0.0)
        probs = torch.exp(scores - shift)
        out[..., rows, :] = probs @ values
    return out.flatten(1, 2), lse.flatten(1, 2)


def attention_fp8_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_scale: torch.Tensor,
    key_scale: torch.Tensor,
    value_scale: torch.Tensor,
    *,
    causal: bool = False,
    softmax_scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``attention_reference`` of what E4M3 codes stand for, each times the scale of its head.

    Args:
        query, key, value: uint8 holding E4M3, of the shapes of ``attention_reference``.
        query_scale: [num_heads_q]; key_scale, value_scale: [num_heads_kv].
    """
    codes = ((query, query_scale), (key, key_scale), (value, value_scale))
    values = (dequantize_fp8(tensor, scale, dtype=torch.float64) for tensor, scale in codes)
    return attention_reference(*values, causal=causal, softmax_scale=softmax_scale)


def attention_backward_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dout: torch.Tensor,
    *,
    dlse: torch.Tensor | None = None,
    causal: bool = False,
    softmax_scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of sum(out * dout) + sum(lse * dlse), where out and lse are those of ``attention_reference``.

        dprobs = dout @ value^T;   dscores = probs * (dprobs - rowsum(dout * out) + dlse)
        dquery = dscores @ key * softmax_scale;   dkey = dscores^T @ query * softmax_scale;   dvalue = probs^T @ dout

    Args:
        query, key, value, causal, softmax_scale: as in ``attention_reference``.
        dout: like out.
        dlse: like lse; default zero.

    Returns:
        dquery, dkey, dvalue: like query, key and value, float64; those of a kv head are summed over its group of query heads.
        Zero for a row with no visible key, and for a key that no query sees.

    Source: Dao, "FlashAttention-2", 2023, section 2.3.2 (https://arxiv.org/abs/2307.08691).
    """
    out, lse = attention_reference(query, key, value, causal=causal, softmax_scale=softmax_scale)
    seqlen_q, head_dim = query.shape[2:]
    num_heads_kv, seqlen_kv = key.shape[1:3]
    if softmax_scale is None:
        softmax_scale = head_dim**-0.5
    # [batch, num_heads_kv, group_size, seqlen_q, ...] against [batch, num_heads_kv, 1, seqlen_kv, head_dim]
    rows = {"query": query, "dout": dout, "out": out, "lse": lse, "dlse": torch.zeros_like(lse) if dlse is None else dlse}
    grouped = {name: tensor.double().unflatten(1, (num_heads_kv, -1)) for name, tensor in rows.items()}
    keys, values = key.double().unsqueeze(2), value.double().unsqueeze(2)

    dquery = torch.zeros_like(grouped["query"])
    dkey, dvalue = torch.zeros_like(keys), torch.zeros_like(values)
    for start in range(0, seqlen_q, ROWS_AT_ONCE):
        here = {name: tensor[:, :, :, start : start + ROWS_AT_ONCE] for name, tensor in grouped.items()}
        hidden = (here["lse"] == -torch.inf)[..., None].expand(*here["lse"].shape, seqlen_kv)
        if causal:
            last_visible = torch.arange(start, min(start + ROWS_AT_ONCE, seqlen_q), device=query.device) + seqlen_kv - seqlen_q
            hidden = hidden | (torch.arange(seqlen_kv, device=query.device)[None, :] > last_visible[:, None])
        scores = here["query"] @ keys.transpose(-1, -2) * softmax_scale
        probs = torch.exp(scores - here["lse"][..., None]).masked_fill(hidden, 0.0)
        delta = (here["dout"] * here["out"]).sum(-1) - here["dlse"]
        dscores = probs * (here["dout"] @ values.transpose(-1, -2) - delta[..., None])
        dquery[:, :, :, start : start + ROWS_AT_ONCE] = dscores @ keys * softmax_scale
        dkey += (dscores.transpose(-1, -2) @ here["query"]).sum(2, keepdim=True) * softmax_scale
        dvalue += (probs.transpose(-1, -2) @ here["dout"]).sum(2, keepdim=True)
    return dquery.flatten(1, 2), dkey.squeeze(2), dvalue.squeeze(2)


def decode_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kv_len: torch.Tensor,
    *,
    softmax_scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of one query per sequence over a cache that is filled to a length of its own.

    Args:
        query: [batch, num_heads_q, head_dim]
        key: [batch, num_heads_kv, seqlen_kv, head_dim]; what lies at or beyond kv_len is never read and may be NaN.
        value: like key.
        kv_len: [batch], integers in 0 .. seqlen_kv.
        softmax_scale: default ``head_dim ** -0.5``.

    Returns:
        out: [batch, num_heads_q, head_dim], float64. Zero where kv_len is 0.
        lse: [batch, num_heads_q], float64, natural log; -inf where kv_len is 0.
    """
    batch, num_heads_q, head_dim = query.shape
    out = torch.zeros(query.shape, dtype=torch.float64, device=query.device)
    lse = torch.zeros(query.shape[:-1], dtype=torch.float64, device=query.device)
    for sequence, length in enumerate(kv_len.tolist()):
        one = slice(sequence, sequence + 1)
        seen = attention_reference(
            query[one, :, None, :], key[one, :, :length], value[one, :, :length], softmax_scale=softmax_scale
        )
        out[one], lse[one] = seen[0].squeeze(2), seen[1].squeeze(2)
    return out, lse


def gather_pages(cache: torch.Tensor, page_table: torch.Tensor) -> torch.Tensor:
    """The contiguous cache that a page table describes.

    Args:
        cache: [num_pages, num_heads_kv, page_size, head_dim]
        page_table: [batch, pages_per_sequence], the page that holds tokens ``i * page_size`` onwards of each sequence.

    Returns:
        [batch, num_heads_kv, pages_per_sequence * page_size, head_dim], in the cache's dtype.
    """
    # [batch, pages, num_heads_kv, page_size, head_dim] -> [batch, num_heads_kv, pages, page_size, head_dim]
    return cache[page_table.long()].transpose(1, 2).flatten(2, 3)
