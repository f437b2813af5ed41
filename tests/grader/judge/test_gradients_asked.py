"""A wrong backward pass answers questions: what each of its launches makes of P and dS, and whose parts it sums."""

import dataclasses

import pytest
import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.gradients import gradients
from grader.judge.diagnosis.probes.layouts import LAYOUTS
from grader.judge.verdict.gate import compare, limit_for
from labs import load
from labs.lab12_backward.gradients import Way, answer

LAB = load("lab12_backward").lab
QUESTIONS = {question.name: question for question in gradients(LAB)}


def read(name, compute):
    return QUESTIONS[name].read([_finding(case, compute) for case in QUESTIONS[name].cases])


def _finding(prepared, compute):
    out, expected = compute(prepared.inputs).float(), LAB.expected(prepared.inputs)
    limit = limit_for(prepared.out_dtype, LAB.score_scale(prepared.inputs), prepared.case.limit)
    comparison = compare(out, expected, limit, LAB.row_size(prepared.inputs))
    return Finding(prepared=prepared, verdict=comparison.verdict, out=out, expected=expected, comparison=comparison)


def oracle(name):
    return next(oracle.answer for oracle in LAB.oracles if oracle.name == name)


def test_a_right_pass_has_nothing_to_tell():
    small = [name for name, question in QUESTIONS.items() if name != LAYOUTS and "70" not in name and "100" not in name]

    assert len(small) >= 15
    assert all(read(name, lambda given: answer(given, Way())) is None for name in small)


@pytest.mark.parametrize(
    ("bug", "name", "got"),
    [
        ("lse_in_base_2", "lse_0", "its lse is 3"),
        ("lse_without_maximum", "lse_3", "its lse is "),
        ("lse_not_subtracted", "keys_12_12", "the weights of query 10 sum to 27.0"),
        ("delta_missing", "keys_12_12", "the numbers of query 3 sum to 1.41"),
        ("delta_of_out", "nothing", "dquery is up to "),
        ("dquery_not_scaled", "queries_12_12", "every number is 4 times what it should be"),
        ("dvalue_scaled", "keys_12_12", "every number is 0.25 times what it should be"),
        ("keys_not_masked", "keys_12_12", "query 0 has 28.5"),
        ("backward_top_left", "keys_12_20", "query 0 has 0 for key 1, and so have 85 more pairs"),
        ("not_normalised", "forward_12_12", "the weights of query 11 sum to 4.3"),
        ("not_causal", "forward_12_12", "query 4 has 0.6499 for key 6, which it does not see, and so have 49 more pairs"),
        ("first_head_of_the_group", "heads_dvalue", "dvalue of batch 0, kv head 0 sums query heads: 0"),
        ("backward_head_modulo", "heads_dvalue", "dvalue of batch 0, kv head 0 sums query heads: 0, 2, 4"),
        ("first_batch_of_dout", "heads_dvalue", "dvalue of batch 1, kv head 0 sums query heads: 0 of batch 0, 1 of batch 0"),
        ("lse_of_kv_head", "heads_lse", "head 1 of batch 0 reads the lse of head 0 of batch 0; head 2 of batch 0"),
        ("delta_of_kv_head", "heads_delta", "head 1 of batch 0 reads the delta of head 0 of batch 0; head 2 of batch 0"),
        ("query_of_kv_head", "heads_dkey", "dkey of batch 0, kv head 0 sums query heads: 0 (3 times)"),
    ],
)
def test_a_launch_shows_what_it_makes(bug, name, got):
    assert read(name, oracle(bug)).fact.got.startswith(got)


@pytest.mark.parametrize(
    ("bug", "name"),
    [
        ("lse_in_base_2", "keys_12_12"),  # what is computed from a wrong lse is not spoken of
        ("neither_scaled", "heads_dkey"),  # all heads alike: no matter of heads
        ("delta_missing", "heads_dkey"),
        ("delta_missing", "heads_delta"),
        ("lse_in_base_2", "heads_lse"),
        ("dvalue_from_dscores", "heads_dvalue"),
    ],
)
def test_what_another_bug_explains_is_not_said(bug, name):
    assert read(name, oracle(bug)) is None


def test_tiles_that_are_lost_are_told_by_query_and_key():
    """The launch over queries takes the keys from the second tile of 64 on."""
    way = dataclasses.replace(Way(), seen_by_queries=lambda given: _seen(given) & (torch.arange(_keys(given)) >= 64))

    assert read("queries_70_70", lambda given: answer(given, way)).fact.got.startswith("queries 1 to")
    assert read("keys_70_70", lambda given: answer(given, way)) is None


def _keys(given):
    return given["key"].shape[-2]


def _seen(given):
    rows = given["query"].shape[-2]
    return torch.arange(_keys(given))[None] <= torch.arange(rows)[:, None] + _keys(given) - rows
