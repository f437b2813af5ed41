"""Lab 12 rejects what a course's test of gradients lets through: one shape, square, of whole tiles, allclose at 1e-2."""

import dataclasses

import pytest
import torch
from interpreted import Interpreted, attempt
from known_seed import SEED

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.diagnose import Inquiry
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from labs import LabFolder, load
from labs.check.answers import answers
from labs.lab12_backward.gradients import OUTPUTS, Way, answer, distance
from labs.lab12_backward.lab import case, expected
from labs.table import forms

LAB = load("lab12_backward")
COURSE = case("one_shape", seqlen=64)  # one head, as many queries as keys, whole tiles
LENIENT = {"atol": 1e-2, "rtol": 1e-2}
# Each is right on the course's one shape, even by our own gate.
THROUGH = ("last_queries_dropped", "first_head_of_the_group", "backward_top_left", "dprobs_in_fp16", "no_visible_key")


@pytest.mark.parametrize("name", THROUGH)
def test_a_kernel_that_one_shape_lets_through_is_rejected(judge, graded, name):
    mistake = next(each for each in answers(LAB) if each.file == f"mistakes/{name}")
    one_shape = LabFolder(LAB.id, dataclasses.replace(LAB.lab, cases=(COURSE,), symptoms=()), LAB.path)

    course = attempt(Interpreted, judge, one_shape, mistake.source.encode(), mode="check", seed=SEED)

    assert course.passed, course.diagnosis
    assert not graded(mistake).passed


def _mean_loss(prepared):
    """The same case with the dout of a mean over out, as a training loop has it."""
    dout = prepared.inputs["dout"]
    return {**prepared.inputs, "dout": (dout.float() / dout.numel() ** 0.5).half()}


def test_allclose_takes_zeros_for_the_gradients_of_a_mean():
    """Every gradient is below 1e-2 there: a kernel that stores zeros passes, and ours rejects each of its rows."""
    prepared = prepare(LAB.lab, case("mean", seqlen=256, head_dim=64), SEED)
    given = _mean_loss(prepared)
    right = expected(given)
    made = forms(OUTPUTS, given, torch.float16)
    zeros = right.clone()
    zeros[sum(form.rows for form in made[:2]) :] = 0.0  # out and lse stay right

    assert torch.allclose(zeros[made[0].rows :, 0], right[made[0].rows :, 0], atol=2e-2)
    limit = limit_for(torch.float16, LAB.lab.score_scale(given))
    found = compare(zeros, right, limit, LAB.lab.row_size(given))
    assert found.verdict is Verdict.WRONG_ANSWER
    assert len(found.bad_rows) > 0.99 * sum(form.rows for form in made[2:]) - 1  # the first query sees one key: dquery is 0


def test_a_single_lost_key_in_the_backward_pass_is_found():
    """allclose takes it for right; its key's own rows of dkey and dvalue are zero."""
    prepared = prepare(LAB.lab, case("lost", seqlen=256, head_dim=64), SEED)
    given = _mean_loss(prepared)
    seen = distance(given) <= 0
    seen[:, 200] = False
    lost = answer(given, Way(seen_by_queries=lambda given: seen, seen_by_keys=lambda given: seen))
    right = expected(given)

    assert torch.allclose(lost, right, **LENIENT)
    limit = limit_for(torch.float16, LAB.lab.score_scale(given))
    assert compare(lost, right, limit, LAB.lab.row_size(given)).verdict is Verdict.WRONG_ANSWER


def test_the_right_answer_is_autograds():
    for one in LAB.lab.cases[:12]:
        prepared = prepare(LAB.lab, one, SEED)
        given = prepared.inputs
        query, key, value = (given[name].double().requires_grad_() for name in ("query", "key", "value"))
        group_size = query.shape[1] // key.shape[1]
        scores = query @ key.repeat_interleave(group_size, 1).mT * given["softmax_scale"]
        seen = distance(given) <= 0
        scores = scores.masked_fill(~seen, -torch.inf)
        lse = torch.logsumexp(scores, -1)
        probs = torch.exp(scores - lse.masked_fill(lse.isneginf(), 0.0)[..., None])
        out = probs @ value.repeat_interleave(group_size, 1)
        out.backward(given["dout"].double())

        parts = expected(given).split([form.rows for form in prepared.forms])
        truth = (out.detach(), lse.detach()[..., None], query.grad, key.grad, value.grad)
        for part, each, form in zip(parts, truth, prepared.forms, strict=True):
            each = each.reshape(form.rows, form.columns)
            torch.testing.assert_close(part[:, : form.columns], each, atol=1e-9, rtol=1e-9, msg=f"{one.name}: {form.name}")


def _found(made):
    """Three small cases whose table is `made(given)`."""
    found = []
    for name in ("one_tile", "softmax_scale", "grouped_heads"):
        prepared = prepare(LAB.lab, next(each for each in LAB.lab.cases if each.name == name), SEED)
        given, right = prepared.inputs, expected(prepared.inputs)
        row_size, limit = LAB.lab.row_size(given), limit_for(torch.float16, LAB.lab.score_scale(given))
        comparison = compare(made(prepared), right, limit, row_size)
        found.append(
            Finding(
                prepared=prepared, verdict=comparison.verdict, out=made(prepared), expected=right, comparison=comparison,
                unwritten=torch.zeros_like(right, dtype=torch.bool), row_size=row_size,
            )
        )  # fmt: skip
    return found


def _with(**ways):
    """The right table, but for outputs that are computed in another way."""

    def made(prepared):
        table = answer(prepared.inputs, Way())
        for form in prepared.forms:
            if form.name in ways:
                first = sum(each.rows for each in prepared.forms[: prepared.forms.index(form)])
                table[first : first + form.rows] = answer(prepared.inputs, ways[form.name])[first : first + form.rows]
        return table

    return made


NO_DELTA = Way(delta=lambda dout, out: torch.zeros_like(dout[..., :1]))
DKEY_UNSCALED = Way(dkey=lambda work: work.dscores.mT @ work.query)
UNSCALED = Way(dquery=lambda work: work.dscores @ work.key)
SCALED = Way(dvalue=lambda work: work.probs.mT @ work.dout * work.scale)
IN_BASE_2 = Way(dkey=lambda work: work.dscores.mT @ work.query * work.scale * 1.4426950408889634)
UNSCALED_DELTA = Way(dprobs=lambda work: work.dout @ work.value.mT * work.scale, dquery=lambda work: work.dscores @ work.key)
OTHER_DOUT = Way(dout_of=lambda dout, heads_kv: dout[:, torch.arange(dout.shape[1]) // (dout.shape[1] // heads_kv)])
FIRST_TWICE = Way(
    gathered=lambda gradient, reads, heads_kv: gradient[:, :: gradient.shape[1] // heads_kv] * (gradient.shape[1] // heads_kv)
)
TOP_LEFT = Way(seen=lambda given: distance(given, top_left=True) <= 0)


@pytest.mark.parametrize(
    ("wrong", "name", "words"),
    [
        ({"dkey": NO_DELTA}, "delta_missing", ("dkey is wrong, out, lse, dquery and dvalue are right.", "delta is missing")),
        (
            {"dquery": UNSCALED, "dvalue": SCALED},
            "dquery_not_scaled",
            ("this: dquery lacks softmax_scale: dQ = dS K · softmax_scale. d", "dvalue is what comes of this: dvalue has"),
        ),
        ({"dkey": IN_BASE_2}, "dkey_in_base_2", ("dkey has the factor softmax_scale · log2(e)",)),
        ({"dquery": UNSCALED_DELTA}, "scale_before_delta_dquery", ("In dquery softmax_scale multiplies dP",)),
        ({"dvalue": FIRST_TWICE}, "first_head_each_time", ("dvalue is wrong", "once for every head of it")),
        ({"dkey": OTHER_DOUT, "dvalue": OTHER_DOUT}, "dout_of_kv_head", ("row of the kv head's",)),
        ({"dquery": NO_DELTA, "dkey": DKEY_UNSCALED}, "delta_missing", ("dkey lacks softmax_scale: dK = dS^T",)),
        ({"out": TOP_LEFT}, "top_left", ("out is wrong, lse, dquery, dkey and dvalue are right.", "top-left corner")),
    ],
)  # fmt: skip
def test_a_bug_of_one_output_is_named_of_it_alone(wrong, name, words):
    found = Inquiry(LAB.lab, LAB.id, _found(_with(**wrong))).diagnose()

    assert found.diagnosis.name == name
    assert all(each in found.diagnosis.sentence for each in words), found.diagnosis.sentence
    assert "dquery and dkey lack" not in found.diagnosis.sentence  # which would foretell another dquery


def test_what_nothing_explains_is_told_by_output_with_its_factor():
    def made(prepared):
        table = answer(prepared.inputs, Way())
        table[-prepared.forms[-1].rows :] *= -3.0
        return table

    found = Inquiry(LAB.lab, LAB.id, _found(made)).diagnose()

    assert found.diagnosis.sentence == "dvalue is wrong, out, lse, dquery and dkey are right."
    assert [(fact.given, fact.got) for fact in found.facts] == [("case one_tile, dvalue", "-3 times the right numbers")]


def test_a_delta_of_one_tile_is_named():
    oracle = next(each for each in LAB.lab.oracles if each.name == "delta_of_tile")  # 16 keys wide

    found = Inquiry(LAB.lab, LAB.id, _found(lambda prepared: oracle.answer(prepared.inputs))).diagnose()

    assert found.diagnosis.name == "delta_of_tile", found


def test_which_outputs_are_wrong_in_a_hidden_case_is_not_told():
    hidden = [dataclasses.replace(each.prepared.case, group="hidden") for each in _found(_with())]
    unknown = [
        dataclasses.replace(each, prepared=dataclasses.replace(each.prepared, case=case))
        for each, case in zip(_found(lambda prepared: 1.5 + answer(prepared.inputs, Way())), hidden, strict=True)
    ]

    found = Inquiry(LAB.lab, LAB.id, unknown).diagnose()

    assert found.diagnosis.sentence == "Case one_tile is wrong." and found.facts == ()
