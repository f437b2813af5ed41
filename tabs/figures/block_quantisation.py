"""A tensor in eight or four bits a value: one scale for all of it, or one for every block.

    E2M1 per tensor   scale = max / 6                                                        4 bits
    MXFP4             32 values share 2^(floor(log2 max) - 2), an E8M0 byte                  4 + 8/32 bits
    NVFP4             16 values share E4M3(max / 6 / global); global = max of all / (448*6)  4 + 8/16 bits
    INT4              16 values share an fp16 scale, max / 7; codes -7 … 7                   4 + 16/16 bits
    FP8 E4M3          scale = max of all / 448                                               8 bits

All in float32, to nearest, ties to even, saturating; a block of zeros stays zero. NVFP4 is bit for bit `kernels.quantize`.
The tensor is flat here; blocks run along it. The scale of a whole tensor is not counted in the bits.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from tabs.figures import formats

DEFAULTS = {"source": "normal", "own": [0.1, -0.4, 0.25, 3, -1.5, 0.02, 0.7, -0.05], "format": "nvfp4"}
BITS = {"e2m1": 4.0, "mxfp4": 4 + 8 / 32, "nvfp4": 4 + 8 / 16, "int4": 4 + 16 / 16, "fp8": 8.0}
ROWS, HEAD_DIM, QUERIES = 64, 32, 16
OUTLIER_CHANNEL, OUTLIER_FACTOR = 7, 30
E8M0_LEAST, E8M0_MOST = -127, 127

_ONE = np.float32(1)


class Quality(NamedTuple):
    """What rounding cost. `error` is relative: root mean square of the error over that of the tensor."""

    error: float
    flushed: float  # share of values that were not zero and are now


def quantised(x: np.ndarray, name: str) -> np.ndarray:
    """The values after quantising and back, float64, exact products of code and scales.

    x: any shape with blocks along the flattened order; size a multiple of 32. Finite; taken as float32.
    """
    flat = np.asarray(x, np.float32).ravel()
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        return {"e2m1": _e2m1, "mxfp4": _mxfp4, "nvfp4": _nvfp4, "int4": _int4, "fp8": _fp8}[name](flat).reshape(np.shape(x))


def nvfp4_codes(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """E2M1 codes [n / 16, 16], E4M3 codes of the block scales [n / 16, 1], and the tensor's float32 scale."""
    blocks = flat.reshape(-1, 16)
    tensor_scale = _or_one(np.abs(flat).max() / np.float32(448 * 6))
    wanted = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(6) / tensor_scale
    scales = formats.encode(wanted, "e4m3", saturate=True)
    step = formats.decode(scales, "e4m3").astype(np.float32) * tensor_scale
    quotient = np.divide(blocks, step, out=np.zeros_like(blocks), where=step > 0)
    return formats.encode(quotient, "e2m1"), scales, tensor_scale


def _nvfp4(flat: np.ndarray) -> np.ndarray:
    codes, scales, tensor_scale = nvfp4_codes(flat)
    return formats.decode(codes, "e2m1") * formats.decode(scales, "e4m3") * float(tensor_scale)


def _mxfp4(flat: np.ndarray) -> np.ndarray:
    blocks = flat.reshape(-1, 32)
    exponent = np.frexp(np.abs(blocks).max(axis=1, keepdims=True))[1] - 1 - 2
    scale = np.ldexp(1.0, np.clip(exponent, E8M0_LEAST, E8M0_MOST)).astype(np.float32)
    return formats.rounded(blocks / scale, "e2m1") * scale.astype(float)


def _int4(flat: np.ndarray) -> np.ndarray:
    blocks = flat.reshape(-1, 16)
    wanted = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(7)
    scale = formats.rounded(wanted, "fp16", saturate=True).astype(np.float32)
    quotient = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0)
    return np.clip(np.rint(quotient), -7, 7).astype(float) * scale.astype(float)


def _e2m1(flat: np.ndarray) -> np.ndarray:
    scale = _or_one(np.abs(flat).max() / np.float32(6))
    return formats.rounded(flat / scale, "e2m1") * float(scale)


def _fp8(flat: np.ndarray) -> np.ndarray:
    scale = _or_one(np.abs(flat).max() / np.float32(448))
    return formats.rounded(flat / scale, "e4m3", saturate=True) * float(scale)


def _or_one(scale: np.float32) -> np.float32:
    return scale if scale > 0 else _ONE


def quality(x: np.ndarray, name: str) -> Quality:
    """x: as in `quantised`, not all zero."""
    x = np.asarray(x, np.float32).astype(float)
    after = quantised(x, name)
    nonzero = x != 0
    return Quality(float(np.sqrt(((after - x) ** 2).sum() / (x**2).sum())), float((after[nonzero] == 0).mean()))


@functools.cache
def samples() -> dict[str, list]:
    """The tensors on offer, three decimals: `normal` [ROWS * HEAD_DIM] and `queries` [QUERIES * HEAD_DIM], both N(0, 1)."""
    rng = np.random.default_rng(4)
    normal, queries = rng.standard_normal(ROWS * HEAD_DIM), rng.standard_normal(QUERIES * HEAD_DIM)
    return {"normal": [float(v) for v in normal.round(3)], "queries": [float(v) for v in queries.round(3)]}


def tensor(source: str) -> np.ndarray:
    """[ROWS, HEAD_DIM]: "normal"; "heavy" squares every value, keeping its sign; "outlier" multiplies one channel by 30."""
    normal = np.array(samples()["normal"]).reshape(ROWS, HEAD_DIM)
    if source == "heavy":
        return normal * np.abs(normal)
    if source == "outlier":
        normal[:, OUTLIER_CHANNEL] *= OUTLIER_FACTOR
    return normal


def attention_error(keys: np.ndarray, name: str) -> float:
    """Relative error of attention's output when keys and values are quantised; the scores are exact.

    keys: [rows, HEAD_DIM]. The values are the normal sample, turned round; the queries are the sample's.
    """
    queries = np.array(samples()["queries"]).reshape(QUERIES, HEAD_DIM)
    keys = np.asarray(keys, np.float32).astype(float)
    value = np.array(samples()["normal"])[: keys.size][::-1].astype(np.float32).astype(float).reshape(keys.shape)
    before, after = _attention(queries, keys, value), _attention(queries, quantised(keys, name), quantised(value, name))
    return float(np.sqrt(((after - before) ** 2).sum() / (before**2).sum()))


def _attention(queries: np.ndarray, keys: np.ndarray, value: np.ndarray) -> np.ndarray:
    scores = queries @ keys.T / np.sqrt(HEAD_DIM)
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exps / exps.sum(axis=1, keepdims=True) @ value
