"""Tensors into FP8 (E4M3) and NVFP4 and back: the formats, in eager PyTorch, bit for bit.

    E4M3   1 sign, 4 exponent (bias 7), 3 mantissa bits; largest 448; codes 0x7F and 0xFF are NaN; no infinity
    E2M1   1 sign, 2 exponent (bias 1), 1 mantissa bit:  0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives
    FP8 cache     value = E4M3 code * scale                    one float32 scale per head
    NVFP4 cache   value = E2M1 code * block scale * global     one E4M3 scale per 16 values, one float32 global per tensor

All rounding is to nearest, ties to even, and saturates. Scales are chosen so that the largest magnitude meets the largest code.

Source: Micikevicius et al., "FP8 Formats for Deep Learning", 2022 (https://arxiv.org/abs/2209.05433); Rouhani et al., "OCP
Microscaling Formats", 2023, section 5.3.3 for E2M1; NVIDIA, "Pretraining LLMs with NVFP4", 2025, section 2 for the two scales.
"""

import torch

E4M3_MAX = 448.0
E2M1_MAX = 6.0
BLOCK = 16  # values that share one NVFP4 scale
E2M1_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # by code, the sign bit left out


def encode_e4m3(x: torch.Tensor) -> torch.Tensor:
    """The E4M3 code of each float32, as uint8; magnitudes above 448 saturate, NaN becomes 0x7F or 0xFF."""
    return x.float().clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn).view(torch.uint8)


def decode_e4m3(codes: torch.Tensor) -> torch.Tensor:
    """The float32 that each E4M3 code stands for."""
    return codes.view(torch.float8_e4m3fn).float()


def encode_e2m1(x: torch.Tensor) -> torch.Tensor:
    """The E2M1 code of each float32, as uint8 in 0 .. 15; magnitudes above 6 saturate. E2M1 has no NaN: NaN becomes 0."""
    magnitude = x.float().abs()
    # Midpoints of neighbouring magnitudes. A tie goes to the even code: up where the upper code is even.
    up_on_tie = torch.tensor([0.75, 1.75, 3.5], device=x.device)  # 0.5|1, 1.5|2, 3|4
    down_on_tie = torch.tensor([0.25, 1.25, 2.5, 5.0], device=x.device)  # 0|0.5, 1|1.5, 2|3, 4|6
    code = (magnitude[..., None] >= up_on_tie).sum(-1) + (magnitude[..., None] > down_on_tie).sum(-1)
    return (code + 8 * torch.signbit(x)).to(torch.uint8)


def decode_e2m1(codes: torch.Tensor) -> torch.Tensor:
    """The float32 that each E2M1 code (0 .. 15) stands for."""
    magnitudes = torch.tensor(E2M1_MAGNITUDES + tuple(-m for m in E2M1_MAGNITUDES), device=codes.device)
    return magnitudes[codes.long()]


def quantize_fp8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A cache in FP8, with one scale per head.

        scale = max |x| over the head / 448        code = E4M3(x / scale)        all in float32

    Args:
        x: [batch, num_heads_kv, seqlen_kv, head_dim], finite.

    Returns:
        codes: like x, uint8.
        scale: [num_heads_kv], float32. 1 for a head of zeros.

    Raises:
        ValueError: x is not a four-dimensional floating tensor, or not finite.
    """
    _check_cache(x)
    amax = x.float().abs().amax(dim=(0, 2, 3)) if x.numel() else torch.zeros(x.shape[1], device=x.device)
    scale = amax / E4M3_MAX
    scale = torch.where(scale > 0, scale, 1.0)  # zeros, or so small that the quotient underflows: every code is 0 then
    return encode_e4m3(x.float() / scale[:, None, None]), scale


def dequantize_fp8(codes: torch.Tensor, scale: torch.Tensor, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The values of an FP8 cache: code * scale, multiplied in ``dtype`` (exact in float64).

    Args:
        codes: [batch, num_heads_kv, seqlen_kv, head_dim], uint8
        scale: [num_heads_kv], float32
    """
    return decode_e4m3(codes).to(dtype) * scale.to(dtype)[:, None, None]


def quantize_nvfp4(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A cache in NVFP4: 4.5 bits a value.

        global = max |x| / (448 * 6)
        block scale = E4M3(max |x in the block| / 6 / global)
        code = E2M1(x / (block scale * global))                  all in float32

    Args:
        x: [batch, num_heads_kv, seqlen_kv, head_dim], finite; head_dim a multiple of 16.

    Returns:
        codes: [batch, num_heads_kv, seqlen_kv, head_dim / 2], uint8: two values a byte, the even one in the low nibble.
        scales: [batch, num_heads_kv, seqlen_kv, head_dim / 16], uint8 holding E4M3.
        global: [1], float32. 1 for a tensor of zeros.

    A block whose scale rounds to zero (its largest magnitude is far below the tensor's) becomes zero.

    Raises:
        ValueError: x is not a four-dimensional floating tensor, not finite, or head_dim is not a multiple of 16.
    """
    _check_cache(x)
    if x.shape[-1] % BLOCK:
        raise ValueError(f"head_dim={x.shape[-1]} must be a multiple of {BLOCK}, the values that share one NVFP4 scale")
    blocks = x.float().unflatten(-1, (-1, BLOCK))
    amax = x.float().abs().max() if x.numel() else torch.zeros((), device=x.device)
    tensor_scale = amax / (E4M3_MAX * E2M1_MAX)
    tensor_scale = torch.where(tensor_scale > 0, tensor_scale, 1.0)
    scales = encode_e4m3(blocks.abs().amax(dim=-1) / E2M1_MAX / tensor_scale)
    step = (decode_e4m3(scales) * tensor_scale)[..., None]
    nibbles = encode_e2m1(torch.where(step > 0, blocks / step, 0.0)).flatten(-2)
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4, scales, tensor_scale.reshape(1)


def dequantize_nvfp4(
    codes: torch.Tensor, scales: torch.Tensor, tensor_scale: torch.Tensor, *, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """The values of an NVFP4 cache: code * block scale * global, multiplied in ``dtype`` (exact in float64).

    Args:
        codes: [..., head_dim / 2], uint8, the even value in the low nibble
        scales: [..., head_dim / 16], uint8 holding E4M3
        tensor_scale: [1], float32

    Returns:
        [..., head_dim]
    """
    nibbles = torch.stack((codes & 15, codes >> 4), dim=-1).flatten(-2)
    blocks = decode_e2m1(nibbles).to(dtype).unflatten(-1, (-1, BLOCK))
    return (blocks * decode_e4m3(scales).to(dtype)[..., None] * tensor_scale.to(dtype)).flatten(-2)


def _check_cache(x: torch.Tensor) -> None:
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(
            f"x must be a floating tensor [batch, num_heads_kv, seqlen_kv, head_dim]; got {x.dtype} {list(x.shape)}"
        )
    if not torch.isfinite(x).all():
        raise ValueError("x must be finite: neither format holds infinity, and a NaN would spoil the scales of its neighbours")
