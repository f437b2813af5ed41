"""The tiles of a score matrix as a kernel walks them: full, crossed by the diagonal, skipped; padded at the edges.

seqlen queries meet as many keys. A program takes `block_m` queries and walks key tiles of `block_n`; with a causal mask it
stops after the tile that holds its last query, which is what makes the rest skipped.

With block_m > block_n some rows of a program meet a tile in which they may see no key at all. A kernel that subtracts the
*tile's* own max there computes exp(-inf - (-inf)) = NaN and keeps it; with the running max, guarded, it is exp(-inf) = 0.
"""

from __future__ import annotations

import numpy as np

DEFAULTS = {"seqlen": 128, "block_m": 64, "block_n": 32, "head_dim": 128, "stages": 1, "causal": True, "guard": True}
FULL, DIAGONAL, SKIPPED = "full", "diagonal", "skipped"

# Largest dynamic shared memory of one block, in bytes. Source: NVIDIA, "CUDA C++ Programming Guide", table of technical
# specifications per compute capability.
SHARED_LIMITS = {"T4": 64 * 1024, "A10G, L4, L40S": 99 * 1024, "A100": 163 * 1024, "H100": 227 * 1024}


def tiles(*, seqlen: int, block_m: int, block_n: int, causal: bool) -> list[list[str]]:
    """The kind of each tile: rows of query tiles, columns of key tiles."""
    grid = []
    for first_query in range(0, seqlen, block_m):
        last_query = min(first_query + block_m, seqlen) - 1
        row = []
        for first_key in range(0, seqlen, block_n):
            last_key = min(first_key + block_n, seqlen) - 1
            if causal and first_key > last_query:
                row.append(SKIPPED)
            elif causal and last_key > first_query:
                row.append(DIAGONAL)
            else:
                row.append(FULL)
        grid.append(row)
    return grid


def padded_share(*, seqlen: int, block_m: int, block_n: int) -> float:
    """The share of all cells, over all tiles, that lies outside the matrix."""
    rows, columns = -(-seqlen // block_m) * block_m, -(-seqlen // block_n) * block_n
    return 1 - seqlen**2 / (rows * columns)


def shared_bytes(*, block_m: int, block_n: int, head_dim: int, stages: int, element_bytes: int = 2) -> int:
    """One query tile, and `stages` tiles of keys and of values in flight."""
    return (block_m + 2 * stages * block_n) * head_dim * element_bytes


def nan_rows(*, seqlen: int, block_m: int, block_n: int, causal: bool, guard: bool) -> list[int]:
    """The rows that come out NaN, found by running the recurrence on equal scores."""
    bad = []
    for first_query in range(0, seqlen, block_m):
        queries = np.arange(first_query, first_query + block_m)
        m_i, l_i = np.full(block_m, -np.inf), np.zeros(block_m)
        last = first_query + block_m if causal else seqlen
        for first_key in range(0, last, block_n):
            keys = np.arange(first_key, first_key + block_n)
            visible = (keys < seqlen)[None, :] & ((keys[None, :] <= queries[:, None]) if causal else True)
            scores = np.where(visible, 0.0, -np.inf)
            m_tile = scores.max(axis=1)
            m_new = np.maximum(m_i, m_tile)
            with np.errstate(invalid="ignore"):
                if guard:
                    base = np.where(np.isneginf(m_new), 0.0, m_new)
                    l_i = l_i * np.exp(m_i - base) + np.exp(scores - base[:, None]).sum(axis=1)
                else:
                    l_tile = np.exp(scores - m_tile[:, None]).sum(axis=1)
                    l_i = l_i * np.exp(m_i - m_new) + l_tile * np.exp(m_tile - m_new)
            m_i = m_new
        bad += [int(q) for q in queries[np.isnan(l_i)] if q < seqlen]
    return bad
