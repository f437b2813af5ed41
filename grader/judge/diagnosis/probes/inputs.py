"""Inputs for a question, in the form that each kind of lab takes: queries, keys and values as numbers become its arguments.

In the quantised labs scales are powers of two, so that only what a kernel does is seen, and nothing of its rounding.
"""

from __future__ import annotations

from typing import Any

import torch

from kernels.quantize import BLOCK, decode_e4m3, encode_e2m1, encode_e4m3

FP16 = torch.float16
UNIT = {"nvfp4": 192.0}  # 6 · 32, exact there; elsewhere:
IDENTITY = 256.0  # the one of the identity given as value: keeps small weights out of fp16's subnormals
WIDE_OPEN = 1 << 20  # a window that hides nothing


def unit(kind: str) -> float:
    """What an identity's ones are in value."""
    return UNIT.get(kind, IDENTITY)


def arguments(
    kind: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float,
    kv_len: list[int] | None = None,
    window: int = WIDE_OPEN,
) -> dict[str, Any]:
    """The lab's arguments but `out`.

    query: [batch, heads, rows, head_dim]; key, value: [batch, heads_kv, keys, head_dim]; one row in the decode labs. dout, in a
    backward pass, holds query's numbers from the last channel to the first.
    """
    given: dict[str, Any] = {"query": query.to(FP16).contiguous()}
    if kind in ("decode", "fp8", "nvfp4"):
        given["query"] = query[:, :, 0].to(FP16).contiguous()
    match kind:
        case "fp8":
            given["key"], given["key_scale"] = _fp8(key)
            given["value"], given["value_scale"] = _fp8(value)
            given = {name: given[name] for name in ("query", "key", "value", "key_scale", "value_scale")}
        case "nvfp4":
            for name, x in (("key", key), ("value", value)):
                given[f"{name}_codes"], given[f"{name}_scales"], given[f"{name}_global"] = _nvfp4(x)
        case _:
            given["key"], given["value"] = key.to(FP16).contiguous(), value.to(FP16).contiguous()
    if kind in ("decode", "fp8", "nvfp4"):
        full = [key.shape[2]] * key.shape[0]
        given["kv_len"] = torch.tensor(full if kv_len is None else kv_len, dtype=torch.int32)
    given["softmax_scale"] = scale
    if kind == "window":
        given["window"] = window
    if kind == "backward":
        given["dout"] = given["query"].flip(-1).contiguous()
    return given


def _power_of_two(x: torch.Tensor) -> torch.Tensor:
    return torch.exp2(torch.ceil(torch.log2(x.clamp(min=2.0**-40))))


def _fp8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    finite = x.nan_to_num(nan=0.0)
    scale = _power_of_two(finite.abs().amax(dim=(0, 2, 3)) / 448)
    codes = encode_e4m3(finite / scale[:, None, None])
    return codes.masked_fill(x.isnan(), 0x7F).contiguous(), scale.float()


def _nvfp4(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    finite = x.nan_to_num(nan=0.0)
    whole = _power_of_two(finite.abs().amax() / 6 / 448) if bool(finite.any()) else torch.ones(())  # so that zeros say nothing
    blocks = finite.unflatten(-1, (-1, BLOCK))
    largest = blocks.abs().amax(-1)  # of a block; one of zeros has the scale of the largest: it is no sign of its place
    scales = encode_e4m3(_power_of_two(torch.where(largest == 0, largest.amax(), largest) / 6) / whole)
    size = decode_e4m3(scales) * whole
    codes = encode_e2m1(blocks / size.clamp(min=1e-30)[..., None]).flatten(-2)
    packed = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
    scales = scales.masked_fill(x.unflatten(-1, (-1, BLOCK)).isnan().any(-1), 0x7F)
    return packed.contiguous(), scales.contiguous(), whole.float().reshape(1)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Standard normal numbers, the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def at_levels(
    rows: torch.Tensor, keys: torch.Tensor, head_dim: int, *, noise: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """query [1, 1, rows, head_dim] and key [1, 1, keys, head_dim]: at softmax_scale 0.25 their scores are rows[i] · keys[j],
    and `noise` times a normal number.
    """
    u = torch.full((head_dim,), head_dim**-0.5)
    across = lambda x: x - (x @ u)[:, None] * u  # noqa: E731
    query = noise * across(drawn(1, len(rows), head_dim)) * 4 * head_dim**-0.5 + 8 * rows[:, None] * u
    key = (1.0 if noise else 0.0) * across(drawn(2, len(keys), head_dim)) + keys[:, None] * u / 2
    return query[None, None], key[None, None]


def identity(kind: str, batch: int, heads: int, keys: int, head_dim: int) -> torch.Tensor:
    """Value whose product with the weights is the weights: channel c holds the keys j with j · head_dim // width = c, where
    width is the number of keys, rounded up to a multiple of head_dim. Times `unit`.
    """
    place = torch.arange(keys) // keys_a_channel(keys, head_dim)
    value = torch.nn.functional.one_hot(place, head_dim).float() * unit(kind)
    return value.expand(batch, heads, keys, head_dim).contiguous()


def keys_a_channel(keys: int, head_dim: int) -> int:
    """How many neighbouring keys share a channel of `identity`."""
    return max(1, -(-keys // head_dim))
