"""The gradients of attention against float64: PyTorch's autograd, the eager twin, and differences of the loss itself."""

import pytest
import torch
from yardstick import plain_attention

from kernels.attention_autograd import trainable_attention
from kernels.checks import interpreting
from kernels.dispatch import BackwardPlan, BackwardTiles
from kernels.flash_attention import flash_attention
from kernels.flash_attention_backward import flash_attention_backward
from kernels.reference import attention_backward_reference, attention_reference

DTYPES = [torch.float32, torch.float16] + ([] if interpreting() else [torch.bfloat16])  # the interpreter has no bfloat16
# batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim
SHAPES = [
    pytest.param((2, 2, 2, 33, 65, 16), id="ragged_tiles"),
    pytest.param((1, 4, 1, 129, 127, 64), id="group_of_4"),
    pytest.param((1, 7, 1, 17, 129, 128), id="group_of_7"),
    pytest.param((1, 1, 1, 1, 500, 32), id="one_query"),
    pytest.param((2, 1, 1, 500, 1, 64), id="one_key"),
    pytest.param((1, 2, 2, 127, 20, 128), id="rows_with_no_key"),
    pytest.param((1, 2, 1, 300, 300, 128), id="square"),
]
LARGE = [] if interpreting() else [
    pytest.param((2, 4, 2, 1000, 1000, 128), id="1000"),
    pytest.param((2, 8, 2, 2048, 2048, 64), id="whole_tiles"),
    pytest.param((1, 8, 8, 4097, 5000, 128), id="long"),
]  # fmt: skip


def inputs(draw, shape, dtype):
    batch, num_heads_q, num_heads_kv, seqlen_q, seqlen_kv, head_dim = shape
    query, dout = (draw(batch, num_heads_q, seqlen_q, head_dim, dtype=dtype) for _ in range(2))
    key, value = (draw(batch, num_heads_kv, seqlen_kv, head_dim, dtype=dtype) for _ in range(2))
    return query, key, value, dout


def hidden_by(causal, query, key):
    ones = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
    return ones.triu(key.shape[2] - query.shape[2] + 1) if causal else None


def plain_gradients(query, key, value, dout, causal):
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (query, key, value)]
    out = plain_attention(*leaves, query.shape[-1] ** -0.5, hidden_by(causal, query, key))
    return torch.autograd.grad(out, leaves, dout)


def sizes(query, key, value, dout, causal):
    """What is added up to each gradient, all signs taken away: where it cancels, its rounding is what is left."""
    num_heads_kv = key.shape[1]
    query, dout = (tensor.double().unflatten(1, (num_heads_kv, -1)) for tensor in (query, dout))
    key, value = (tensor.double().unsqueeze(2) for tensor in (key, value))
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if causal:
        scores = scores.masked_fill(hidden_by(True, query[:, 0], key[:, :, 0]), -torch.inf)
    probs = torch.softmax(scores, dim=-1).nan_to_num(nan=0.0)
    dprobs = dout.abs() @ value.abs().transpose(-1, -2)
    dscores = probs * (dprobs + (dout.abs() * (probs @ value).abs()).sum(-1, keepdim=True)) * query.shape[-1] ** -0.5
    return dscores @ key.abs(), (dscores.transpose(-1, -2) @ query.abs()).sum(2), (probs.transpose(-1, -2) @ dout.abs()).sum(2)


def assert_gradients(gradients, query, key, value, dout, causal):
    """Each at most twice as wrong as PyTorch's own, or by one rounding of what it is the sum of.

    By eight in float32: the probabilities come from lse, a number of up to 9 here, which is rounded in base e and in base 2.
    """
    roundings = 8 if query.dtype == torch.float32 else 1
    expected = attention_backward_reference(query, key, value, dout, causal=causal)
    plain = plain_gradients(query, key, value, dout, causal)
    for ours, right, pytorch, size in zip(gradients, expected, plain, sizes(query, key, value, dout, causal), strict=True):
        assert not torch.isnan(ours).any(), "some of a gradient was never written"
        error = (ours.double() - right).abs().max().item()
        allowed = 2 * (pytorch.nan_to_num(nan=0.0).double() - right).abs().max().item()  # rows with no key: PyTorch's are NaN
        rounding = roundings * torch.finfo(query.dtype).eps * size.max().item()
        assert error <= max(allowed, rounding), f"error {error:.3g}, allowed {max(allowed, rounding):.3g}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES + LARGE)
def test_gradients_match_the_reference(draw, shape, causal, dtype):
    query, key, value, dout = inputs(draw, shape, dtype)
    out, lse = flash_attention(query, key, value, causal=causal)

    gradients = flash_attention_backward(query, key, value, out, lse, dout, causal=causal)

    assert_gradients(gradients, query, key, value, dout, causal)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", [(1, 4, 2, 70, 150, 64), (2, 2, 2, 130, 40, 128)])
def test_tiles_by_descriptor_give_the_same(draw, shape, causal, device):
    if device == "cuda" and torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("GPUs before Hopper have no copy engine")
    query, key, value, dout = inputs(draw, shape, torch.float16)
    out, lse = flash_attention(query, key, value, causal=causal)
    tiles = BackwardTiles(block_m=32, block_n=64, num_warps=4, num_stages=2)
    plan = BackwardPlan(queries=tiles, keys=tiles, descriptors=True)

    gradients = flash_attention_backward(query, key, value, out, lse, dout, causal=causal, plan=plan)

    assert_gradients(gradients, query, key, value, dout, causal)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", [(1, 4, 2, 9, 12, 16), (2, 3, 1, 20, 20, 32)])
def test_the_reference_is_what_autograd_finds(draw, shape, causal):
    query, key, value, dout = (tensor.double() for tensor in inputs(draw, shape, torch.float32))
    dlse = draw(*dout.shape[:-1]).double()
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]

    gradients = attention_backward_reference(query.detach(), key.detach(), value.detach(), dout, dlse=dlse, causal=causal)

    expected = torch.autograd.grad(attention_reference(*leaves, causal=causal), leaves, [dout, dlse])
    for ours, right in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, right, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["query", "key", "value"])
def test_each_gradient_is_the_slope_of_the_loss(draw, which, causal):
    """One number at a time, as torch.autograd.gradcheck does; the loss in float64, because float32 differences are rounding."""
    query, key, value, dout = inputs(draw, (1, 2, 1, 3, 5, 16), torch.float32)
    dlse = draw(1, 2, 3)
    tensors = [tensor.requires_grad_() for tensor in (query, key, value)]

    gradient = torch.autograd.grad(trainable_attention(*tensors, causal=causal), tensors, [dout, dlse])[which]

    def loss(moved):
        given = [tensor.detach().double() for tensor in tensors]
        given[which] = moved
        out, lse = attention_reference(*given, causal=causal)
        return (out * dout).sum() + (lse * dlse).sum()

    here, step = tensors[which].detach().double(), 1e-5
    slopes = torch.empty_like(here)
    for place in range(here.numel()):
        up, down = here.clone(), here.clone()
        up.view(-1)[place] += step
        down.view(-1)[place] -= step
        slopes.view(-1)[place] = (loss(up) - loss(down)) / (2 * step)
    torch.testing.assert_close(gradient.double(), slopes, atol=2e-6, rtol=2e-5)


def test_the_gradient_of_lse_is_taken_too(draw):
    query, key, value, dout = inputs(draw, (1, 4, 2, 40, 70, 64), torch.float32)
    out, lse = flash_attention(query, key, value)
    dlse = draw(*lse.shape)

    gradients = flash_attention_backward(query, key, value, out, lse, dout, dlse=dlse)

    expected = attention_backward_reference(query, key, value, dout, dlse=dlse)
    for ours, right in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours.double(), right, atol=1e-5, rtol=1e-5)


def test_any_strides_and_the_gradient_of_a_sum(draw):
    # [batch, seqlen, num_heads, head_dim] with room behind each row, each tensor in its own way
    query = draw(2, 70, 4, 72, dtype=torch.float16)[..., :64].transpose(1, 2).requires_grad_()
    key = draw(2, 2, 80, 80, dtype=torch.float16)[..., 8:72].requires_grad_()
    value = draw(2, 80, 2, 64, dtype=torch.float16).transpose(1, 2).requires_grad_()

    trainable_attention(query, key, value, causal=True)[0].sum().backward()

    one = torch.ones(2, 4, 70, 64, dtype=torch.float16, device=query.device)
    tensors = [tensor.detach() for tensor in (query, key, value)]
    assert_gradients([leaf.grad for leaf in (query, key, value)], *tensors, one, True)


def test_the_same_inputs_give_the_same_bits(draw):
    query, key, value, dout = inputs(draw, (2, 4, 2, 200, 200, 64), torch.float16)
    out, lse = flash_attention(query, key, value, causal=True)

    first = flash_attention_backward(query, key, value, out, lse, dout, causal=True)
    for _ in range(3):
        again = flash_attention_backward(query, key, value, out, lse, dout, causal=True)

        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_large_scores_stay_finite(draw):
    query, key, value, dout = inputs(draw, (1, 2, 1, 50, 33, 64), torch.float16)
    query = query * 40  # scores of some hundreds: exp(score) alone is infinite
    out, lse = flash_attention(query, key, value)

    gradients = flash_attention_backward(query, key, value, out, lse, dout)

    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_without_keys_every_gradient_is_zero(draw):
    query, none = draw(1, 2, 5, 64).requires_grad_(), draw(1, 1, 0, 64).requires_grad_()

    trainable_attention(query, none, none)[0].sum().backward()

    assert torch.equal(query.grad, torch.zeros_like(query))
    assert none.grad.shape == none.shape


def test_the_operators_keep_what_torch_library_asks(draw):
    query, key, value, _ = inputs(draw, (1, 2, 1, 20, 30, 16), torch.float32)
    tensors = [tensor.requires_grad_() for tensor in (query, key, value)]

    torch.library.opcheck(torch.ops.attention_labs.flash_attention.default, (*tensors, True, 0.25))


def test_a_gradient_has_no_gradient(draw):
    query, key, value, dout = inputs(draw, (1, 1, 1, 4, 4, 16), torch.float32)
    query.requires_grad_()
    (gradient,) = torch.autograd.grad(trainable_attention(query, key, value)[0], query, dout, create_graph=True)

    with pytest.raises(RuntimeError, match="autograd"):
        gradient.sum().backward()
