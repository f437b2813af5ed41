"""What right kernels hold on the way: found among the quantities, tile by tile in any base; what wrong ones hold is not."""

import math

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.trace import HELD
from labs import load
from labs.quantities import FEW_STRETCHES, MOST_NUMBERS, STEP, of_copy, of_products, of_softmax

ROWS, KEYS, WIDTH, SCALE = 3, 5 * STEP + 7, 4, 0.5


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


SCORES, VALUE = normal(1, ROWS, KEYS), normal(1, KEYS, WIDTH) + 3.0
FOUND = of_softmax(SCORES, VALUE, scale=SCALE, inputs=(VALUE,))


def held(name, cells, found=FOUND):
    """Whether each cell, or row of cells, is one of the quantity."""
    table, cells = found[name], torch.as_tensor(cells, dtype=torch.float64)
    near = (table - cells[..., None]).abs() if table.dim() == 1 else (table - cells[..., None, :]).norm(dim=-1)
    return bool((near.amin(-1) < 1e-9 * (1 + cells.abs().max())).all())


@pytest.mark.parametrize("tile", [STEP, 2 * STEP, 4 * STEP])
def test_a_loop_over_tiles_holds_quantities_at_every_step(tile):
    m, l, acc = torch.full((ROWS,), -math.inf), torch.zeros(ROWS), torch.zeros(ROWS, WIDTH)
    m, l, acc = m.double(), l.double(), acc.double()
    for first in range(0, KEYS, tile):
        scores = SCORES[0, :, first : first + tile]
        m_new = torch.maximum(m, scores.amax(1))
        alpha, probs = torch.exp(m - m_new), torch.exp(scores - m_new[:, None])
        l, acc, m = l * alpha + probs.sum(1), acc * alpha[:, None] + probs @ VALUE[0, first : first + tile], m_new
        assert held("score", scores) and held("score", scores / SCALE) and held("score", scores * math.log2(math.e))
        assert held("numerator", probs) and held("sum", l) and held("accumulator", acc)
        assert held("row of out", acc / l[:, None]) and held("logarithm of a sum", m + torch.log(l))
        assert first == 0 or held("factor", alpha)
    assert held("weight", torch.softmax(SCORES, -1)) and held("1 ÷ sum", 1 / l)


def test_what_wrong_kernels_hold_is_none_of_them():
    scores, top = SCORES[0], SCORES[0].amax(1, keepdim=True)
    probs = torch.exp(scores - top)

    assert not held("score", scores * SCALE)
    assert not held("numerator", torch.exp2(scores - top))
    assert not held("sum", probs[:, :-1].sum(1))
    assert not held("accumulator", probs[:, :-1] @ VALUE[0, :-1])
    assert not held("row of out", (probs / probs.sum(1, keepdim=True) ** 2) @ VALUE[0])


def test_a_hidden_key_weighs_nothing_and_its_product_is_still_a_score():
    seen = torch.arange(KEYS) < KEYS - 9
    found = of_softmax(SCORES, VALUE, seen=seen.expand_as(SCORES), inputs=(VALUE,))
    weights = torch.softmax(SCORES.masked_fill(~seen, -math.inf), -1)

    assert held("score", SCORES, found)
    assert held("weight", weights, found) and not held("weight", torch.softmax(SCORES, -1), found)
    assert held("row of out", (weights @ VALUE)[0], found) and not held(
        "row of out", (torch.softmax(SCORES, -1) @ VALUE)[0], found
    )


def test_long_rows_have_stretches_that_begin_at_the_first_key_or_are_aligned():
    keys = 3 * FEW_STRETCHES * STEP
    found = of_softmax(normal(1, 1, keys), inputs=(VALUE,))
    lse = [torch.logsumexp(normal(1, 1, keys)[0, 0, first:end], 0) for first, end in ((0, 25 * STEP), (8 * STEP, 16 * STEP))]

    assert held("logarithm of a sum", lse, found)
    assert "weight of a split" not in found and "weight of a split" in FOUND


def test_sums_of_products_are_those_after_every_tile():
    query, key = normal(2 * STEP + 3), normal(6, 2 * STEP + 3)
    found = of_products(query, key, scale=SCALE)

    assert held("product", key * query, found) and held("score", key @ query * SCALE, found)
    assert held("score", key[:, :STEP] @ query[:STEP], found) and not held("score", key[:, 1:] @ query[1:], found)


def test_names_are_those_of_a_trace_and_every_number_is_finite():
    odd = torch.tensor([1.0, math.inf, -math.inf, math.nan])
    for found in (FOUND, of_copy(odd), of_products(normal(4), normal(2, 4), scale=SCALE)):
        assert set(found) <= set(HELD)
        assert all(torch.isfinite(table).all() and len(table) for table in found.values())
    assert of_copy(odd)["input"].tolist() == [1.0]


def test_a_case_of_too_many_numbers_has_none():
    keys = 32 * STEP
    assert of_softmax(torch.zeros(1, MOST_NUMBERS // keys // 32 + 1, keys).double(), inputs=()) == {}


def test_gradients_are_held_tile_by_tile_by_each_head_of_a_group():
    lab = load("lab12_backward").lab
    case = next(case for case in lab.cases if case.name == "grouped_heads")
    given = prepare(lab, case, bytes(32)).inputs
    found = lab.quantities(given)
    query, key, value, dout = (
        given[name].double().requires_grad_(name != "dout") for name in ("query", "key", "value", "dout")
    )
    group, scale = query.shape[1] // key.shape[1], given["softmax_scale"]
    scores = query @ key.repeat_interleave(group, 1).mT * scale
    hidden = torch.ones_like(scores).triu(scores.shape[-1] - scores.shape[-2] + 1).bool()
    probs = torch.softmax(scores.masked_fill(hidden, -math.inf), -1)
    out = probs @ value.repeat_interleave(group, 1)
    dquery, dkey, dvalue = torch.autograd.grad((out * dout).sum(), (query, key, value))
    dprobs = dout @ value.repeat_interleave(group, 1).mT
    first_tile = probs[:, ::group, :STEP].mT @ dout[:, ::group, :STEP]

    assert held("weight", probs.detach().flatten(), found) and held("dP", dprobs.detach().flatten(), found)
    assert held("score − lse", probs.detach()[~hidden].log(), found)
    assert held("dvalue", dvalue.flatten(0, 2), found) and held("dvalue", first_tile.detach().flatten(0, 2), found)
    near = (found["dquery"] - dquery.flatten(0, 2)[:, None]).norm(dim=-1).amin(-1)
    assert (near < 2e-3 * (1 + dquery.norm(dim=-1).flatten())).all()  # delta takes out as it is stored
    near = (found["dkey"] - dkey.flatten(0, 2)[:, None]).norm(dim=-1).amin(-1)
    assert (near < 2e-3 * (1 + dkey.norm(dim=-1).flatten())).all()
    assert not held("dvalue", dvalue.flatten(0, 2) * scale, found) and set(found) <= set(HELD)
