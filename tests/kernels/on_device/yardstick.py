"""How wrong a kernel may be: twice as wrong as plain PyTorch in the same dtype, both against float64."""

import torch


def plain_attention(query, key, value, softmax_scale, hidden=None):
    """Attention by PyTorch's own operators, each rounding to the inputs' dtype."""
    group_size = query.shape[1] // key.shape[1]
    key, value = (cache.repeat_interleave(group_size, dim=1) for cache in (key, value))
    scores = query @ key.transpose(-1, -2) * softmax_scale
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return torch.softmax(scores, dim=-1).nan_to_num(nan=0.0) @ value


def assert_no_worse(out, expected, plain, dtype):
    """Largest error at most twice that of ``plain``, PyTorch's own on the same inputs in the same dtype.

    Where PyTorch happens to be nearly exact, one rounding of the largest value is allowed, and two in float32: the hardware's
    exponentials alone are right to two units in the last place.
    """
    assert not torch.isnan(out).any(), "some of out was never written"
    error = (out.double() - expected).abs().max().item()
    allowed = 2 * (plain.double() - expected).abs().max().item()
    roundings = 2 if dtype == torch.float32 else 1
    rounding = roundings * torch.finfo(dtype).eps * expected.abs().max().item()
    assert error <= max(allowed, rounding), f"error {error:.3g}, allowed {max(allowed, rounding):.3g}"
