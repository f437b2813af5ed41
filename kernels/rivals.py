"""What our kernels are measured beside: whatever of these is installed and takes the shapes.

PyTorch's scaled_dot_product_attention with each of its backends, FlashAttention-3 from the package ``fa3-fwd``, and FlashInfer.
FlashInfer was never installed where the figures of benchmarks/ were taken: how it is called here follows its documentation.
"""

from collections.abc import Callable
from math import gcd

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {
    "FlashAttention-2": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
FLASHINFER_WORKSPACE = 128 << 20  # bytes, as its documentation recommends


def attention_rivals(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, backends: tuple[str, ...] = tuple(BACKENDS)
) -> dict[str, Callable[[], torch.Tensor]]:
    """By name, functions of no arguments that compute attention of these tensors, [batch, heads, seqlen, head_dim]."""
    candidates = {name: _sdpa(BACKENDS[name], query, key, value, causal) for name in backends}
    if (fa3 := flash_attention_3()) is not None:
        # it wants [batch, seqlen, heads, head_dim]
        rows = [tensor.transpose(1, 2).contiguous() for tensor in (query, key, value)]
        candidates["FlashAttention-3"] = lambda: _first(fa3(*rows, causal=causal)).transpose(1, 2)
    if (flashinfer := _flashinfer(query, key, value, causal)) is not None:
        candidates["FlashInfer"] = flashinfer
    return {name: function for name, function in candidates.items() if _runs(function)}


def flash_attention_3() -> Callable | None:
    """The forward function of FlashAttention-3, or None where it is not installed."""
    for module in ("fa3_fwd_interface", "flash_attn_interface", "fa3_fwd.flash_attn_interface"):
        try:
            return __import__(module, fromlist=["flash_attn_func"]).flash_attn_func
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
