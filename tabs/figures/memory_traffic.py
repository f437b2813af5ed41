"""What attention stores and what it moves between memory and chip, in bytes, without help from the L2 cache.

    scores stored      num_heads * seqlen^2 * score_bytes                                        naive
                       num_heads * seqlen * 4                                                    flash: one lse a row
    moved, naive       num_heads * (4 * seqlen * head_dim * element_bytes + 4 * seqlen^2 * score_bytes)
    moved, flash       num_heads * (2 + 2 * ceil(seqlen / tile)) * seqlen * head_dim * element_bytes
    moved, at least    num_heads * 4 * seqlen * head_dim * element_bytes                         read q, k, v; write out

The naive one writes scores, reads them, writes weights, reads them; flash reads all keys and values once for every tile of
queries. Its memory is linear in seqlen; its traffic stays quadratic.
"""

from __future__ import annotations

from typing import NamedTuple

DEFAULTS = {"seqlen": 4096, "head_dim": 128, "num_heads": 1, "element_bytes": 2, "score_bytes": 2, "tile": 64}
DECODE_DEFAULTS = {"kv_len": 8192, "num_heads_kv": 8, "head_dim": 128, "batch": 1, "bandwidth_gb_s": 3000}
CACHE_BITS = {"fp16": 16.0, "fp8": 8.0, "nvfp4": 4 + 8 / 16}  # NVFP4: an E4M3 scale for every 16 values
LSE_BYTES = 4


class Traffic(NamedTuple):
    """Bytes moved by one forward pass."""

    naive: int
    flash: int
    least: int


def scores_bytes(*, seqlen: int, num_heads: int, score_bytes: int) -> int:
    """What naive attention stores beyond its inputs and its output."""
    return num_heads * seqlen**2 * score_bytes


def flash_bytes(*, seqlen: int, num_heads: int) -> int:
    """What FlashAttention stores beyond its inputs and its output: the log-sum-exp of every row."""
    return num_heads * seqlen * LSE_BYTES


def moved(*, seqlen: int, head_dim: int, num_heads: int, element_bytes: int, score_bytes: int, tile: int) -> Traffic:
    side = seqlen * head_dim * element_bytes
    return Traffic(
        naive=num_heads * (4 * side + 4 * seqlen**2 * score_bytes),
        flash=num_heads * (2 + 2 * -(-seqlen // tile)) * side,
        least=num_heads * 4 * side,
    )


def cache_bytes(cache: str, *, kv_len: int, num_heads_kv: int, head_dim: int, batch: int) -> float:
    """Keys and values of one layer, read once for every token that is decoded."""
    return 2 * batch * num_heads_kv * kv_len * head_dim * CACHE_BITS[cache] / 8


def decode_us(cache_bytes_read: float, bandwidth_gb_s: float) -> float:
    """Microseconds to read that many bytes at that bandwidth (10^9 bytes a second)."""
    return cache_bytes_read / bandwidth_gb_s / 1e3
