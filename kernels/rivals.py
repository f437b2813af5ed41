"""What our kernels are measured beside: whatever of these is installed and takes the shapes.

PyTorch's scaled_dot_product_attention with each of its backends, FlashAttention-3 from the package ``fa3-fwd``, and FlashInfer,
each called as its users call it: FlashAttention-3 over a cache by the function for caches, which chooses its splits itself.
FlashInfer was never installed where the figures of benchmarks/ were taken: how it is called here follows its documentation.
A rival that stays under half of what is published of it is not what it is known for, and no ratio to it is reported.
"""

from collections.abc import Callable
from math import gcd
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {
    "FlashAttention-2": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
# TFLOP/s on an H100 SXM, by rival, head_dim and whether causal: Shah et al., "FlashAttention-3", 2024, figures 5 and 6, 16384
# tokens (https://arxiv.org/abs/2407.08608). Arithmetic is the same on an H200.
PUBLISHED_TFLOPS = {
    ("FlashAttention-2", 64, False): 324, ("FlashAttention-2", 64, True): 299, ("FlashAttention-2", 128, False): 370,
    ("cuDNN", 64, False): 413, ("cuDNN", 64, True): 388, ("cuDNN", 128, False): 595,
    ("FlashAttention-3", 64, False): 497, ("FlashAttention-3", 64, True): 473, ("FlashAttention-3", 128, False): 648,
}  # fmt: skip
# Share of a copy's bytes a second over a long cache: 1796 of 3350 GB/s on an H100, where a copy reaches 3000
# (https://github.com/Dao-AILab/flash-attention/issues/1572).
PUBLISHED_SHARE_OF_COPY = {"FlashAttention-3": 0.60}
FLASHINFER_WORKSPACE = 128 << 20  # bytes, as its documentation recommends


def attention_rivals(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, backends: tuple[str, ...] = tuple(BACKENDS)
) -> dict[str, Callable[[], torch.Tensor]]:
    """By name, functions of no arguments that compute attention of these tensors, [batch, heads, seqlen, head_dim]."""
    candidates = {name: _sdpa(BACKENDS[name], query, key, value, causal) for name in backends}
    if (fa3 := flash_attention_3(over_a_cache=query.shape[2] == 1)) is not None:
        # it wants [batch, seqlen, heads, head_dim]
        rows = [tensor.transpose(1, 2).contiguous() for tensor in (query, key, value)]
        extra: dict[str, Any] = {"causal": causal}
        if query.shape[2] == 1:
            lengths = torch.full((query.shape[0],), key.shape[2], dtype=torch.int32, device=query.device)
            extra |= {"cache_seqlens": lengths, "num_splits": 0}  # 0: its own choice
        candidates["FlashAttention-3"] = lambda: _first(fa3(*rows, **extra)).transpose(1, 2)
    if (flashinfer := _flashinfer(query, key, value, causal)) is not None:
        candidates["FlashInfer"] = flashinfer
    return {name: function for name, function in candidates.items() if _runs(function)}


def backward_rivals(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dout: torch.Tensor, *, causal: bool
) -> dict[str, Callable[[], tuple[torch.Tensor, ...]]]:
    """By name, functions of no arguments that compute the gradients alone: the forward pass is done once, here."""
    candidates = {}
    for name in ("FlashAttention-2", "cuDNN"):
        q, k, v = leaves = [tensor.detach().requires_grad_() for tensor in (query, key, value)]
        try:
            out = _sdpa(BACKENDS[name], q, k, v, causal)()
        except RuntimeError:  # no such kernel for these shapes
            continue
        candidates[name] = lambda o=out, n=leaves: torch.autograd.grad(o, n, dout, retain_graph=True)
    return {name: function for name, function in candidates.items() if _runs(function)}


def require_as_published(rival: str, what: str, achieved: float, published: float, unit: str) -> None:
    """Stop where a rival reaches less than half of what it is published with.

    Raises:
        SystemExit: with a sentence that says which rival, where, and by how much.
    """
    if 2 * achieved < published:
        raise SystemExit(
            f"{rival} reached {achieved:.0f} {unit} on {what}, less than half of the {published:.0f} that are published of it: "
            "either it is not called as its users call it, or it is not the version that was published; no ratio is reported"
        )


def flash_attention_3(*, over_a_cache: bool = False) -> Callable | None:
    """FlashAttention-3's function for whole sequences, or that for a cache; None where it is not installed."""
    function = "flash_attn_with_kvcache" if over_a_cache else "flash_attn_func"
    for module in ("fa3_fwd_interface", "flash_attn_interface", "fa3_fwd.flash_attn_interface"):
        try:
            return getattr(__import__(module, fromlist=[function]), function)
        except (ImportError, AttributeError):
            continue
    return None


def _flashinfer(query, key, value, causal: bool) -> Callable[[], torch.Tensor] | None:
    """FlashInfer's wrapper for batches, planned once as a server would; None where it is not installed or refuses."""
    try:
        import flashinfer

        workspace = torch.empty(FLASHINFER_WORKSPACE, dtype=torch.uint8, device=query.device)
        batch, num_heads_q, seqlen_q, head_dim = query.shape
        _, num_heads_kv, seqlen_kv, _ = key.shape
        heads = (num_heads_q, num_heads_kv, head_dim)
        dtypes = {"q_data_type": query.dtype, "kv_data_type": key.dtype}
        # [0, step, 2 * step, ...]: where each sequence starts
        starts = lambda step: torch.arange(batch + 1, dtype=torch.int32, device=query.device) * step  # noqa: E731
        if seqlen_q == 1:
            # pages of [num_heads_kv, page_size, head_dim], in order; the last of each sequence is full
            page_size = gcd(seqlen_kv, 64)
            pages = [cache.unflatten(2, (-1, page_size)).transpose(1, 2).flatten(0, 1).contiguous() for cache in (key, value)]
            table = torch.arange(len(pages[0]), dtype=torch.int32, device=query.device)
            last = torch.full((batch,), page_size, dtype=torch.int32, device=query.device)
            # its documentation: tensor cores are faster for large groups
            wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(
                workspace, "HND", use_tensor_cores=num_heads_q // num_heads_kv >= 4
            )
            wrapper.plan(starts(seqlen_kv // page_size), table, last, *heads, page_size, **dtypes)
            rows = query.squeeze(2)
            return lambda: wrapper.run(rows, tuple(pages)).unsqueeze(2)
        # [batch * seqlen, heads, head_dim]
        rows = [tensor.transpose(1, 2).flatten(0, 1).contiguous() for tensor in (query, key, value)]
        wrapper = flashinfer.BatchPrefillWithRaggedKVCacheWrapper(workspace, "NHD")
        wrapper.plan(starts(seqlen_q), starts(seqlen_kv), *heads, causal=causal, **dtypes)
        return lambda: wrapper.run(*rows).unflatten(0, (batch, seqlen_q)).transpose(1, 2)
    except (ImportError, AttributeError, RuntimeError, ValueError, TypeError, OSError):  # OSError: no compiler for its kernels
        return None


def _sdpa(backend: SDPBackend, query, key, value, causal: bool) -> Callable[[], torch.Tensor]:
    grouped = query.shape[1] != key.shape[1]

    def call() -> torch.Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=grouped)

    return call


def _first(result):
    return result[0] if isinstance(result, tuple) else result


def _runs(function: Callable[[], torch.Tensor]) -> bool:
    try:
        function()
        torch.cuda.synchronize()
    except (RuntimeError, ValueError, TypeError):  # no such kernel for these shapes, or not enough memory
        return False
    return True
