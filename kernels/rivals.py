"""What our kernels are measured beside: whatever of these is installed and takes the shapes.

PyTorch's scaled_dot_product_attention with each of its backends, and FlashAttention-3 from the package ``fa3-fwd``.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {
    "FlashAttention-2": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def attention_rivals(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, backends: tuple[str, ...] = tuple(BACKENDS)
) -> dict[str, Callable[[], torch.Tensor]]:
    """By name, functions of no arguments that compute attention of these tensors, [batch, heads, seqlen, head_dim]."""
    candidates = {name: _sdpa(BACKENDS[name], query, key, value, causal) for name in backends}
    if (fa3 := flash_attention_3()) is not None:
        # it wants [batch, seqlen, heads, head_dim]
        rows = [tensor.transpose(1, 2).contiguous() for tensor in (query, key, value)]
        candidates["FlashAttention-3"] = lambda: _first(fa3(*rows, causal=causal)).transpose(1, 2)
    return {name: function for name, function in candidates.items() if _runs(function)}


def flash_attention_3() -> Callable | None:
    """The forward function of FlashAttention-3, or None where it is not installed."""
    for module in ("fa3_fwd_interface", "flash_attn_interface", "fa3_fwd.flash_attn_interface"):
        try:
            return __import__(module, fromlist=["flash_attn_func"]).flash_attn_func
        except (ImportError, AttributeError):
            continue
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
