"""What a lab's inputs ask for, in one form for labs 2 to 11: rows of scores over keys, which are visible, and values."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import torch

from kernels.quantize import decode_e2m1, decode_e4m3, dequantize_fp8
from labs.declaration import Inputs

BLOCK = 16  # channels that share one block scale of NVFP4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attention:
    """One answer to be computed, float64 throughout.

    query: [batch, heads, rows, head_dim]; key: [batch, heads_kv, keys, head_dim]; value: [batch, heads_kv, keys, channels];
    kv_len: [batch]. In the softmax labs `x` [rows, cols] are the scores, there is no value, and the weights are the answer.
    `last`: how far behind its row's place (bottom right) the last visible key lies; None where all are visible.
    """

    kv_len: torch.Tensor
    dtype: torch.dtype  # of the inputs
    out_shape: tuple[int, ...]
    query: torch.Tensor | None = None
    key: torch.Tensor | None = None
    value: torch.Tensor | None = None
    softmax_scale: float = 1.0
    x: torch.Tensor | None = None
    causal: bool = False
    window: int | None = None
    decodes: bool = False  # one query a sequence, each with a kv_len of its own
    key_scale: torch.Tensor | None = None  # what key and value have been multiplied by, [heads_kv or 1, 1, 1]
    value_scale: torch.Tensor | None = None

    def rounded(self, x: torch.Tensor, to: torch.dtype | None) -> torch.Tensor:
        """x as it is after it was held in numbers of that type; None: of the inputs'."""
        return x.to(to or self.dtype).double()

    def but(self, **changes: Any) -> Attention:
        return dataclasses.replace(self, **changes)

    @functools.cached_property
    def kept(self) -> dict[Any, Any]:
        """What has been computed of it for one bug, and serves another."""
        return {}

    @property
    def keys(self) -> int:
        if self.x is not None:
            return self.x.shape[-1]
        assert self.key is not None
        return self.key.shape[2]

    @property
    def rows(self) -> int:
        if self.x is not None:
            return self.x.shape[0]
        assert self.query is not None
        return self.query.shape[2]

    @property
    def heads(self) -> int:
        """Of query; the softmax labs have none."""
        assert self.query is not None
        return self.query.shape[1]

    @property
    def heads_kv(self) -> int:
        """Of key and value; the softmax labs have none."""
        assert self.key is not None
        return self.key.shape[1]

    @property
    def head_dim(self) -> int:
        """Of query and key; the softmax labs have none."""
        assert self.query is not None
        return self.query.shape[-1]

    def scores(self) -> torch.Tensor:
        """[batch, heads, rows, keys]; what is hidden is scored like the rest."""
        if self.x is not None:
            return self.x[None, None]
        assert self.query is not None and self.key is not None
        return self.query @ self.by_head(self.key).transpose(-1, -2) * self.softmax_scale

    def by_head(self, cached: torch.Tensor) -> torch.Tensor:
        """Key or value once for each query head."""
        group = self.heads // cached.shape[1]
        return cached if group == 1 else cached.repeat_interleave(group, dim=1)

    def distance(self) -> torch.Tensor:
        """How far a key lies behind (< 0: before) the row's own place: [rows, keys]."""
        place = torch.arange(self.rows)[:, None] + self.keys - self.rows
        return torch.arange(self.keys)[None, :] - place

    def visible(self) -> torch.Tensor:
        """[batch or 1, 1, rows, keys]: what the mask of the lab leaves, kv_len apart."""
        seen = torch.ones(self.rows, self.keys, dtype=torch.bool)
        if self.causal:
            seen &= self.distance() <= 0
        if self.window is not None:
            seen &= self.distance() > -self.window
        return seen[None, None]

    def counted(self) -> torch.Tensor:
        """[batch, 1, rows, keys]: what each row may count, by mask and kv_len."""
        return self.visible() & (torch.arange(self.keys) < self.kv_len[:, None])[:, None, None, :]


def _softmax(given: Inputs) -> Attention:
    x = given["x"].double()
    return Attention(x=x, dtype=given["x"].dtype, kv_len=torch.tensor([x.shape[1]]), out_shape=tuple(x.shape))


def _prefill(given: Inputs, *, causal: bool = False, window: int | None = None) -> Attention:
    query, key, value = (given[name].double() for name in ("query", "key", "value"))
    kv_len = torch.full((key.shape[0],), key.shape[2])
    scale = given["softmax_scale"]
    shape = tuple(query.shape)
    return Attention(
        query=query,
        key=key,
        value=value,
        kv_len=kv_len,
        dtype=given["query"].dtype,
        softmax_scale=scale,
        out_shape=shape,
        causal=causal,
        window=window,
    )


def _decode(given: Inputs, key: torch.Tensor, value: torch.Tensor) -> Attention:
    query = given["query"].double()
    return Attention(
        query=query[:, :, None],
        key=key.double(),
        value=value.double(),
        kv_len=given["kv_len"].long(),
        dtype=given["query"].dtype,
        softmax_scale=given["softmax_scale"],
        out_shape=tuple(query.shape),
        decodes=True,
    )


def _fp8(given: Inputs) -> Attention:
    key = dequantize_fp8(given["key"], given["key_scale"], dtype=torch.float64)
    value = dequantize_fp8(given["value"], given["value_scale"], dtype=torch.float64)
    scales = {name: given[name].double()[:, None, None] for name in ("key_scale", "value_scale")}
    return _decode(given, key, value).but(**scales)


def _nvfp4(given: Inputs) -> Attention:
    def values(name: str) -> torch.Tensor:
        codes = given[f"{name}_codes"]
        channels = torch.stack((codes & 15, codes >> 4), dim=-1).flatten(-2)
        scales = decode_e4m3(given[f"{name}_scales"]).double().repeat_interleave(BLOCK, dim=-1)
        return decode_e2m1(channels).double() * scales * given[f"{name}_global"].double()

    scales = {f"{name}_scale": given[f"{name}_global"].double().reshape(1, 1, 1) for name in ("key", "value")}
    return _decode(given, values("key"), values("value")).but(**scales)


READERS: dict[str, Callable[[Inputs], Attention]] = {
    "softmax": _softmax,
    "prefill": _prefill,
    "causal": lambda given: _prefill(given, causal=True),
    "window": lambda given: _prefill(given, causal=True, window=int(given["window"])),
    "decode": lambda given: _decode(given, given["key"], given["value"]),
    "fp8": _fp8,
    "nvfp4": _nvfp4,
}


def largest_of(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """The largest number of each one's part, along the last axis."""
    return torch.full_like(x, -math.inf).scatter_reduce(-1, which, x, "amax").gather(-1, which)


def total_of(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """The sum of each one's part, along the last axis."""
    return torch.zeros_like(x).scatter_add(-1, which, x).gather(-1, which)


def statistics_of(a: Attention, base: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's maximum, times `base`, and its sum of exponentials."""
    m = a.scores().amax(-1, keepdim=True)
    return m * base, torch.exp(a.scores() - m).sum(-1, keepdim=True)


def valid_value(a: Attention) -> torch.Tensor:
    """Value once for each query head, 0 beyond a sequence's end, where it may be NaN."""
    assert a.value is not None
    valid = torch.arange(a.keys) < a.kv_len[:, None]
    return a.by_head(a.value).masked_fill(~valid[:, None, :, None], 0.0)
