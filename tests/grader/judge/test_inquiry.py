"""A kernel that is wrong in a known way is named so, from its cases and its answers; any other gets facts and no name."""

import dataclasses
import math

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.attention import READERS
from grader.judge.diagnosis.accounts.way import Way, answer
from grader.judge.diagnosis.diagnose import Inquiry
from grader.judge.diagnosis.probes import asking
from grader.judge.diagnosis.probes.asking import ask
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Diagnosis, Verdict
from labs import load

SEED = b"a seed known to the tests alone!"
LAB2, LAB5, LAB6, LAB7 = "lab02_safe_softmax", "lab05_flash_attention", "lab06_causal", "lab07_decode"


def finding(lab, prepared, compute):
    """The case judged, as answered by `compute(inputs)`."""
    out = compute(prepared.inputs).to(prepared.out_dtype)
    expected = lab.expected(prepared.inputs)
    comparison = compare(out, expected, limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit))
    unwritten = torch.zeros(out.shape, dtype=torch.bool)
    return Finding(
        prepared=prepared, verdict=comparison.verdict, out=out, expected=expected, comparison=comparison, unwritten=unwritten
    )


def diagnosed(lab_id, compute, *, cases=14, asked=True):
    lab = load(lab_id).lab
    chosen = [case for case in lab.cases if case.group == "visible"][:cases]
    findings = [finding(lab, prepare(lab, case, SEED), compute) for case in chosen]
    inquiry = Inquiry(lab, lab_id, findings)
    run = lambda prepared, stop: (finding(lab, each, compute) for each in prepared)  # noqa: E731
    answered = ask(inquiry.questions(), run, cancelled=lambda: False, enough=inquiry.few_are_enough) if asked else ()
    return inquiry.diagnose(answered)


def way(lab_id, **changes):
    return lambda inputs: answer(Way(**changes), READERS[load(lab_id).lab.kind](inputs))


@pytest.mark.parametrize(
    ("lab_id", "changes", "name"),
    [
        (LAB2, {"base": math.log(2.0)}, "base_two"),
        (LAB2, {"tile": -1, "padding": -30.0}, "padding_takes_part"),
        (LAB2, {"tile": -1, "padding": 0.0, "padding_in": "max", "empty": "nan"}, "padding_in_maximum"),
        (LAB5, {"tile": 64, "acc_power": 0.0}, "acc_not_rescaled"),
        (LAB5, {"tile": 64, "sum_power": math.log(2.0)}, "sum_rescaled_base_two"),
        (LAB5, {"product_keys": lambda lane, n: lane != n - 1}, "last_key_not_in_product"),
        (LAB6, {"visible": lambda a: (a.distance() <= 1)[None, None]}, "one_key_too_many"),
        (LAB7, {"extra": 2}, "empty_parts_count"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_known_bug_is_named_and_facts_are_measured(lab_id, changes, name):
    found = diagnosed(lab_id, way(lab_id, **changes))

    assert found.diagnosis.name == name, found
    assert 1 <= len(found.facts) <= 3
    assert "⟨" not in found.diagnosis.sentence


def test_an_unknown_bug_gets_facts_and_no_name():
    right = way(LAB5)

    found = diagnosed(LAB5, lambda inputs: right(inputs) * (1.0 + 0.2 * torch.sin(torch.arange(inputs["query"].shape[-1]))))

    assert found.diagnosis.name == "measured"
    assert found.diagnosis.sentence.startswith(found.facts[0].given[0].upper() + found.facts[0].given[1:])
    assert found.picture.kind == "weights"


def test_two_bugs_at_once_are_both_said_or_none_is_named():
    found = diagnosed(LAB5, way(LAB5, divisions=0, base=math.log(2.0))).diagnosis

    assert found.name == "measured" or (
        "Two things are wrong." in found.sentence and "never divided" in found.sentence and "powers of 2" in found.sentence
    )


def test_a_right_kernel_is_asked_nothing():
    lab = load(LAB5).lab
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in lab.cases[:4]]

    assert list(Inquiry(lab, LAB5, findings).questions()) == []


def test_a_load_outside_value_in_a_case_that_lays_key_out_is_a_matter_of_strides():
    lab = load(LAB5).lab
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in lab.cases if case.group == "visible"][:24]
    own = Diagnosis(sentence="Line 9: A load reaches 40 elements past the end of value: mask the lanes beyond it.", line=9)
    findings = [
        dataclasses.replace(each, verdict=Verdict.OUT_OF_BOUNDS, out=None, own=own) if each.name == "strided_key" else each
        for each in findings
    ]

    inquiry = Inquiry(lab, LAB5, findings)

    assert inquiry.diagnose().diagnosis.sentence.startswith("value is addressed with the strides of key")
    assert [question.name for question in inquiry.questions()] == ["layouts"]


def test_asking_keeps_to_its_calls_and_ends_when_it_is_cancelled(monkeypatch):
    lab = load(LAB5).lab
    findings = [finding(lab, prepare(lab, case, SEED), way(LAB5, divisions=0)) for case in lab.cases[:3]]
    calls = []

    def run(prepared, stop):
        for each in prepared:
            calls.append(each.case.name)
            yield finding(lab, each, lab.expected)

    monkeypatch.setattr(asking, "CALLS", 5)
    ask(Inquiry(lab, LAB5, findings).questions(), run, cancelled=lambda: False)
    assert len(calls) <= 6

    calls.clear()
    ask(Inquiry(lab, LAB5, findings).questions(), run, cancelled=lambda: True)
    assert calls == []
