"""The Hopper kernel masks at least all tiles of keys that the diagonal or the end of the keys cuts, counted one by one."""

import pytest

from kernels.dispatch import HOPPER
from kernels.flash_attention_hopper import ROWS, _most_cut


def cut(seqlen_q, seqlen_kv, plan, *, causal):
    """The most tiles of keys, from the last that a consumer's rows see, of which some row of it does not see all."""
    rows, most = ROWS.value, 0
    for first in range(0, seqlen_q, rows):
        ends = [min(seqlen_kv, row + 1 + seqlen_kv - seqlen_q) if causal else seqlen_kv for row in range(first, first + rows)]
        tiles = -(-max(ends[-1], 0) // plan.block_n)
        most = max(most, tiles - max(ends[0], 0) // plan.block_n)
    return most


@pytest.mark.parametrize(
    "lengths", [(1, 1), (128, 128), (300, 300), (1, 1000), (129, 127), (1000, 1), (777, 1555), (4096, 4096), (640, 769)]
)
@pytest.mark.parametrize("head_dim, causal", HOPPER)
def test_every_cut_tile_is_masked(head_dim, causal, lengths):
    plan = HOPPER[head_dim, causal]

    masked = _most_cut(*lengths, plan, causal=causal)

    assert masked >= cut(*lengths, plan, causal=causal)


def test_an_aligned_diagonal_cuts_one_tile_and_whole_keys_none():
    assert _most_cut(4096, 4096, HOPPER[128, True], causal=True) == 1
    assert _most_cut(4096, 4096, HOPPER[128, False], causal=False) == 0
