"""Where NaN and Inf come from, in words: by its line, with what went in, and nothing that a session could make up."""

import dataclasses
import math

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis import origins
from grader.judge.diagnosis.diagnose import Inquiry
from grader.judge.diagnosis.probes.twins import FEW_ROWS, twins_of_hidden
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import Done, Facts, Origin, Unwritten
from labs import load

LAB = "lab05_flash_attention"
SEED = b"a seed known to the tests alone!"


def origin(operation, left, right="", line=23):
    return Origin(line=line, operation=operation, left=left, right=right, cells=7)


def finding(case, *, bad=True, **more):
    lab = load(LAB).lab
    prepared = prepare(lab, case, SEED)
    expected = lab.expected(prepared.inputs)
    out = (expected * torch.nan if bad else expected).to(prepared.out_dtype)
    comparison = compare(out, expected, limit_for(prepared.out_dtype, 1.0))
    unwritten = torch.zeros(out.shape, dtype=torch.bool)
    return Finding(
        prepared=prepared,
        verdict=comparison.verdict,
        out=out,
        expected=expected,
        comparison=comparison,
        unwritten=unwritten,
        **more,
    )


def named(name):
    return next(case for case in load(LAB).lab.cases if case.name == name)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (origin("subtract", "-inf", "-inf"), "−∞ − (−∞) is NaN"),
        (origin("exp", "831.2"), "exp(831.2) is Inf"),
        (origin("divide", "0", "0"), "0 / 0 is NaN"),
        (origin("divide", "1.5", "0"), "1.5 / 0 is infinite"),
        (origin("cast", "80000", "fp16"), "8e+04 in fp16 is Inf"),
        (origin("multiply", "-inf", "0"), "−∞ · 0 is NaN"),
        (origin("log", "0"), "log(0) is infinite"),
        (origin("dot", "4", "inf"), "a tl.dot of a block that holds Inf is NaN or Inf"),
    ],
)
def test_what_was_computed_is_said_with_its_line(made, said):
    diagnosis = origins.diagnosis([made])

    assert diagnosis.sentence.startswith(f"Line 23: {said}")
    assert (diagnosis.name, diagnosis.line) == (origins.NAME, 23)


@pytest.mark.parametrize(
    "made", [origin("format_disk", "1", "2"), origin("subtract", "my text", "1"), origin("cast", "1", "words")]
)
def test_a_strangers_words_are_not_repeated(made):
    assert origins.diagnosis([made]) is None
    assert origins.facts([made], finding(named("ones"))) == ()


def test_it_is_the_diagnosis_where_nothing_foretells_the_case_and_a_fact_besides():
    lab = load(LAB).lab
    right = [finding(named(name), bad=False) for name in ("ones", "huge_scores")]
    inquiry = Inquiry(lab, LAB, [*right, finding(named("random"))])

    assert inquiry.to_follow(()).name == "random"
    found = inquiry.diagnose((), [origin("exp", "9000")])
    assert found.diagnosis.name == origins.NAME
    assert "7 of" in found.facts[0].got


def test_what_one_second_run_showed_is_no_matter_of_strides():
    lab = load(LAB).lab
    right = [finding(named(name), bad=False) for name in ("random", "batch_heads")]
    view = finding(named("strided_key"))
    again = dataclasses.replace(view, own=Diagnosis(sentence="It is read.", name="unwritten_scratch"))

    assert Inquiry(lab, LAB, [*right, view]).diagnose().diagnosis.name == "strides"
    assert Inquiry(lab, LAB, [*right, again]).diagnose().diagnosis.name == "unwritten_scratch"


def test_tensors_far_apart_have_gaps_as_well():
    lab = load(LAB).lab
    right = [finding(named(name), bad=False) for name in ("random", "batch_heads")]
    far = next(case for case in lab.cases if case.spread == ("query",))
    wrong = [finding(named("strided_query")), finding(far)]

    found = Inquiry(lab, LAB, [*right, *wrong]).diagnose().diagnosis

    assert found.name == "strides" and "query" in found.sentence


def test_hidden_cases_and_unwritten_memory_are_not_followed():
    lab = load(LAB).lab
    hidden = next(case for case in lab.cases if case.group == "hidden" and "cpu" in case.devices)
    unwritten = Done(facts=Facts(unwritten=Unwritten(name="scratch", line=3)))

    assert Inquiry(lab, LAB, [finding(hidden)]).to_follow(()) is None
    assert Inquiry(lab, LAB, [finding(named("random"), done=unwritten)]).to_follow(()) is None


def test_twins_of_hidden_cases_are_not_drawn_from_the_attempts_seed():
    lab = load(LAB).lab
    hidden = next(case for case in lab.cases if case.group == "hidden" and "cpu" in case.devices)
    found = finding(hidden)
    other = dataclasses.replace(found, prepared=prepare(lab, hidden, b"another seed, of another attempt"))

    twins = [next(Inquiry(lab, LAB, [each]).questions()).cases[0] for each in (found, other)]

    assert twins[0].case.name == hidden.name and twins[0].case.group == "visible"
    assert all(torch.equal(twins[0].inputs[name], twins[1].inputs[name]) for name in ("query", "key", "value"))
    assert not torch.equal(twins[0].inputs["query"], found.prepared.inputs["query"])
    assert found.verdict is Verdict.NOT_FINITE


def test_twins_that_a_repair_is_tried_on_have_few_rows():
    """A program may take a row, and one of ours a thousand; a change that is tried has half a second."""
    twins = {twin.case.name: math.prod(twin.out_shape[:-1]) for twin in twins_of_hidden(load("lab03_online_softmax").lab)}

    assert "random_size" in twins and "many_rows" not in twins
    assert max(twins.values()) <= FEW_ROWS
