"""copy, scores and the softmaxes against the reference."""

import pytest
import torch

from kernels.checks import interpreting
from kernels.reference import scores_reference, softmax_reference
from kernels.roof import copy
from kernels.scores import scores
from kernels.softmax import softmax_naive, softmax_online, softmax_safe

LENGTHS = [1, 17, 127, 129, 1000]
# Results are at most 1; what is left is the rounding of the output.
TOLERANCE = {torch.float32: 1e-6, torch.float16: 5e-4, torch.bfloat16: 4e-3}
DTYPES = [torch.float32, torch.float16] + ([] if interpreting() else [torch.bfloat16])  # the interpreter has no bfloat16


@pytest.mark.parametrize("shape", [(1,), (3, 1000), (129, 127)])
def test_copy_copies_every_byte(draw, shape):
    x = draw(*shape)

    assert torch.equal(copy(x), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", [1, 70, 128])
@pytest.mark.parametrize("seqlen_kv", LENGTHS)
def test_scores_match_the_reference(draw, seqlen_kv, head_dim, dtype):
    query = draw(head_dim, dtype=dtype)
    key = draw(seqlen_kv, head_dim + 8, dtype=dtype)[:, :head_dim]

    out = scores(query, key, softmax_scale=0.3)

    expected = scores_reference(query, key, softmax_scale=0.3)
    torch.testing.assert_close(out.double(), expected, atol=20 * TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("softmax", [softmax_naive, softmax_safe, softmax_online])
@pytest.mark.parametrize("cols", LENGTHS)
def test_softmax_matches_the_reference(draw, softmax, cols, dtype):
    x = draw(5, cols + 3, dtype=dtype)[:, :cols] * 3
    x[1, : cols // 2] = -torch.inf

    out = softmax(x)

    torch.testing.assert_close(out.double(), softmax_reference(x), atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("cols", [16384, 16385, 32768, 40001, 65536, 131072, 200000])
def test_softmax_online_takes_rows_of_any_length(draw, cols):
    x = draw(3, cols) * 3
    x[1, : cols - 1] = -torch.inf
    x[2] = x[2].sort().values  # the maximum comes last

    torch.testing.assert_close(softmax_online(x).double(), softmax_reference(x), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cols", [33000, 70000, 131000, 200000, 250001])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the interpreter, at -inf - -inf
def test_softmax_of_a_long_row_whose_first_pieces_are_hidden(draw, cols, dtype):
    """Where a cluster of programs shares it, some of them have nothing; of a row of nothing but -inf all have."""
    x = draw(3, cols + 3, dtype=dtype)[:, :cols] * 3
    x[1, : cols - 9] = -torch.inf
    x[2] = -torch.inf

    out = softmax_online(x)

    torch.testing.assert_close(out[:2].double(), softmax_reference(x[:2]), atol=TOLERANCE[dtype], rtol=1e-4)
    assert out[2].isnan().all()


def test_softmax_online_takes_many_long_rows(draw):
    x = draw(6 if interpreting() else 600, 70000)

    torch.testing.assert_close(softmax_online(x).double(), softmax_reference(x), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("softmax", [softmax_safe, softmax_online])
def test_softmax_stands_huge_numbers(draw, softmax):
    x = draw(4, 300) + 3e4

    torch.testing.assert_close(softmax(x).double(), softmax_reference(x), atol=1e-6, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # the interpreter computes with NumPy, which says so
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_softmax_naive_overflows_beyond_88(device):
    x = torch.tensor([[1.0, 89.0], [1.0, 80.0]], device=device)

    out = softmax_naive(x)

    assert torch.isnan(out[0]).any()
    assert not torch.isnan(out[1]).any()
