"""Attention computed in many ways: the right way is right in every lab, and each bug does what its name says."""

import math

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.diagnosis.accounts.attention import READERS, Attention
from grader.judge.diagnosis.accounts.rules import accounts
from grader.judge.diagnosis.accounts.way import Way, _product, answer
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from labs import lab_ids, load

LABS = [lab_id for lab_id in lab_ids() if load(lab_id).lab.kind in READERS]
SEED = b"a seed known to the tests alone!"


def softmax_of(x, **changes):
    return answer(Way(**changes), READERS["softmax"]({"x": torch.tensor([x])}))[0].tolist()


def test_every_lab_of_chapters_two_on_can_be_computed():
    assert {lab_id[:5] for lab_id in LABS} == {f"lab{number:02d}" for number in range(2, 12)}


@pytest.mark.parametrize("lab_id", LABS)
def test_the_right_way_is_right_in_every_case_whatever_the_tile(lab_id):
    lab = load(lab_id).lab
    for case in lab.cases:
        if "cpu" not in case.devices:
            continue
        prepared = prepare(lab, case, SEED)
        limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), case.limit)
        for tile in (0, 64, -16):
            got = answer(Way(tile=tile), READERS[lab.kind](prepared.inputs)).to(prepared.out_dtype)
            assert compare(got, lab.expected(prepared.inputs), limit).verdict is Verdict.PASSED, (case.name, tile)


@pytest.mark.parametrize("lab_id", LABS)
def test_every_bug_can_be_computed_for_a_case_of_its_lab(lab_id):
    lab = load(lab_id).lab
    prepared = prepare(lab, lab.cases[1], SEED)

    for account in accounts(lab.kind):
        assert tuple(account.answer(prepared.inputs).shape) == prepared.out_shape, account.name


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1 / 3, 2 / 3]),
        ({"divisions": 0}, [0.5, 1.0]),
        ({"divisions": 2}, [0.5 / 2.25, 1 / 2.25]),
        ({"base": math.log2(math.e)}, [1 / (1 + 2 ** math.log2(math.e)), 1 / (1 + 2 ** -math.log2(math.e))]),
        ({"tile": -4, "padding": 0.0}, [1 / 5, 2 / 5]),  # two lanes beyond the end, as large as the first
        ({"tile": 1, "sum_power": 0.0}, [0.25, 0.5]),  # the old 1 stays 1
        ({"tile": 1, "fresh_sum": True}, [0.5, 1.0]),
        ({"keys": lambda lane, n: lane != n - 1}, [1.0, 0.0]),
    ],
    ids=["right", "not divided", "divided twice", "base", "padding", "not rescaled", "replaced", "last lost"],
)
def test_a_change_does_what_it_says(changes, expected):
    assert softmax_of([0.0, math.log(2.0)], **changes) == pytest.approx(expected, rel=1e-6)


def test_what_overflows_or_underflows_does_so_as_in_float32():
    assert math.isnan(softmax_of([200.0, 0.0], maximum="none", empty="nan")[0])
    assert all(map(math.isnan, softmax_of([-200.0, -200.0], start=0.0, empty="nan")))
    weights, value = torch.full((1, 2), 3 * 2.0**-149, dtype=torch.float64), torch.full((2, 1), 0.4, dtype=torch.float64)
    assert float(_product(weights, value)) == 2 * 2.0**-149  # each is rounded to a whole number of the least there is
    assert softmax_of([-200.0, -200.0], start=0.0, empty="zero") == [0.0, 0.0]
    assert softmax_of([-200.0, -200.0]) == [0.5, 0.5]


def test_two_changes_are_both_made_and_contrary_ones_are_not_joined():
    both = Way(divisions=0).joined(Way(base=2.0))

    assert both.changed == {"divisions": 0, "base": 2.0}
    assert Way(divisions=0).joined(Way(divisions=2)) is None
    assert softmax_of([0.0, 1.0], **both.changed) == pytest.approx([math.exp(-2.0), 1.0])


def test_a_row_counts_what_the_mask_and_its_sequences_length_leave():
    kv_len = torch.tensor([0, 3, 5])
    rows, keys = torch.zeros(3, 1, 2, 8), torch.zeros(3, 1, 5, 8)
    whole = Attention(kv_len=kv_len, dtype=torch.float16, out_shape=(3, 1, 2, 8), query=rows, key=keys)

    assert whole.counted().sum(-1).squeeze(1).tolist() == [[0, 0], [3, 3], [5, 5]]
    assert whole.but(causal=True).counted().sum(-1).squeeze(1).tolist() == [[0, 0], [3, 3], [4, 5]]


def _without_what_lies_beyond(inputs):
    """The same with zeros where the judge puts NaN, past kv_len."""
    cache = {name: inputs[name].clone() for name in ("key", "value")}
    for sequence, length in enumerate(inputs["kv_len"].tolist()):
        for x in cache.values():
            x[sequence, :, length:] = 0.0
    return {**inputs, **cache}


def test_what_is_done_to_an_answer_reads_nothing_beyond_a_sequences_end():
    lab = load("lab07_decode").lab
    given = prepare(lab, next(case for case in lab.cases if case.name == "nan_beyond_kv_len"), SEED).inputs

    for account in accounts(lab.kind):
        if account.way.after:
            clean = account.answer(_without_what_lies_beyond(given))
            assert torch.allclose(account.answer(given), clean, equal_nan=True), account.name


@pytest.mark.parametrize(
    "changes", [{"fresh_acc": True}, {"fresh_sum": True}, {"maximum": "last"}, {"fresh_acc": True, "fresh_sum": True}]
)
def test_a_sequence_that_ends_early_takes_no_more_steps(changes):
    generator = torch.Generator().manual_seed(0)
    shapes = {"query": (2, 1, 32), "key": (2, 1, 100, 32), "value": (2, 1, 100, 32)}
    given = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    given |= {"kv_len": torch.tensor([40, 100]), "softmax_scale": 0.2}
    alone = {name: x[:1] if isinstance(x, torch.Tensor) else x for name, x in given.items()}
    alone |= {name: alone[name][:, :, :40] for name in ("key", "value")}
    together, lone = (answer(Way(tile=32, **changes), READERS["decode"](each)) for each in (given, alone))

    assert torch.allclose(together[:1], lone)
