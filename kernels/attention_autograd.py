"""Attention that can be trained with: ``flash_attention`` and ``flash_attention_backward`` as one operator of PyTorch.

Both are registered with ``torch.library``, so autograd, ``torch.compile`` and ``torch.export`` see two opaque operators whose
shapes they know. The gradient of a gradient is refused.
"""

import torch

from kernels.flash_attention import flash_attention
from kernels.flash_attention_backward import flash_attention_backward


@torch.library.custom_op("attention_labs::flash_attention", mutates_args=())
def _forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, softmax_scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    return flash_attention(query, key, value, causal=causal, softmax_scale=softmax_scale)


@_forward.register_fake
def _(query, key, value, causal, softmax_scale):
    out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    return out, torch.empty(query.shape[:-1], dtype=torch.float32, device=query.device)


@torch.library.custom_op("attention_labs::flash_attention_backward", mutates_args=())
def _backward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    dout: torch.Tensor,
    dlse: torch.Tensor | None,
    causal: bool,
    softmax_scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return flash_attention_backward(
        query, key, value, out, lse, dout, dlse=dlse, causal=causal, softmax_scale=softmax_scale
    )  # fmt: skip


@_backward.register_fake
def _(query, key, value, out, lse, dout, dlse, causal, softmax_scale):
    return tuple(torch.empty(like.shape, dtype=like.dtype, device=like.device) for like in (query, key, value))


def _keep(ctx, inputs, output) -> None:
    query, key, value, ctx.causal, ctx.softmax_scale = inputs
    ctx.save_for_backward(query, key, value, *output)
    ctx.set_materialize_grads(False)  # whoever does not use lse pays nothing for its gradient


def _gradients(ctx, dout, dlse):
    query, key, value, out, lse = ctx.saved_tensors
    dout = torch.zeros_like(out) if dout is None else dout
    if dout.stride(-1) != 1:  # of a sum, say, whose gradient is one number seen everywhere
        dout = dout.contiguous()
    dlse = None if dlse is None else dlse.contiguous()
    return *_backward(query, key, value, out, lse, dout, dlse, ctx.causal, ctx.softmax_scale), None, None


_forward.register_autograd(_gradients, setup_context=_keep)


def trainable_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool = False,
    softmax_scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``flash_attention`` with gradients: of out and of lse, with respect to query, key and value.

    Same arguments, results and errors as ``kernels.flash_attention.flash_attention``; the gradients are those of
    ``kernels.flash_attention_backward``, the same bits at every call.

    Raises:
        RuntimeError: when a gradient is differentiated once more.
    """
    softmax_scale = query.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    return _forward(query, key, value, causal, softmax_scale)
