"""The diagnosis names a known wrong answer, else the pattern, else the worst cell."""

import dataclasses

import torch
from doubling_lab import lab

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.diagnose import diagnose
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import Done, Facts, Unwritten
from labs.declaration import Case, Oracle, Symptom

HALVED = Oracle(name="halved", sentence="It is halved.", answer=lambda inputs: inputs["x"].double() / 2)
COPIED = Oracle(name="copied", sentence="It is a copy.", answer=lambda inputs: inputs["x"].double())


def find(declared, answer, *cases, failing=lambda case: True):
    findings = []
    for case in cases:
        prepared = prepare(declared, case, b"k" * 32)
        expected = declared.expected(prepared.inputs)
        out = (answer(prepared.inputs) if failing(case) else expected).float()
        comparison = compare(out, expected, limit_for(torch.float32, 0.0))
        unwritten = torch.zeros(out.shape, dtype=torch.bool)
        finding = Finding(prepared=prepared, verdict=comparison.verdict, out=out, comparison=comparison, unwritten=unwritten)
        findings.append(finding)
    return findings


def case(name, rows=4, cols=64, **more):
    return Case(name=name, sizes={"rows": rows, "cols": cols}, **more)


def test_an_oracle_that_fits_names_the_bug():
    declared = lab(oracles=(HALVED, COPIED))

    diagnosis = diagnose(declared, find(declared, COPIED.answer, case("a"), case("b")))

    assert (diagnosis.name, diagnosis.sentence) == ("copied", "It is a copy.")
    assert "a, b" in diagnosis.detail


def test_an_oracle_that_one_case_contradicts_is_not_named():
    declared = lab(oracles=(COPIED,))
    findings = find(declared, COPIED.answer, case("a")) + find(declared, lambda inputs: inputs["x"] * 3, case("b"))

    assert diagnose(declared, findings).name == "wrong_answer"


def _rows_off_by(share):
    return lambda inputs: inputs["x"].double() * (1 + share * torch.linspace(0.5, 1.0, len(inputs["x"])).double()[:, None])


def test_an_oracle_with_slack_fits_rows_that_are_multiples_of_its_own():
    loose = Oracle(name="loose", sentence="The sum lost digits.", answer=COPIED.answer, row_slack=0.004)

    assert diagnose(lab(oracles=(loose,)), find(lab(), _rows_off_by(0.003), case("a"), case("b"))).name == "loose"
    assert diagnose(lab(oracles=(COPIED,)), find(lab(), _rows_off_by(0.003), case("a"), case("b"))).name == "wrong_answer"
    assert diagnose(lab(oracles=(loose,)), find(lab(), _rows_off_by(0.02), case("a"), case("b"))).name == "wrong_answer"


def test_two_oracles_that_fit_are_both_said():
    twin = Oracle(name="twin", sentence="Or a twin.", answer=COPIED.answer)
    declared = lab(oracles=(COPIED, twin))

    sentence = diagnose(declared, find(declared, COPIED.answer, case("a"))).sentence

    assert "It is a copy." in sentence
    assert "Or a twin." in sentence


def test_a_symptom_needs_its_passing_cases_to_pass():
    symptom = Symptom(name="late", sentence="Wrong when b.", failing=("b*",), passing=("a",))
    declared = lab(symptoms=(symptom,))
    junk = lambda inputs: inputs["x"] * 0.3  # noqa: E731 (a wrong answer that no oracle knows)

    only_b = find(declared, junk, case("a"), case("b1"), case("b2"), failing=lambda case: case.name != "a")
    all_wrong = find(declared, junk, case("a"), case("b1"))

    assert diagnose(declared, only_b).name == "late"
    assert diagnose(declared, all_wrong).name != "late"


def test_only_strided_cases_failing_names_the_tensor():
    declared = lab()
    findings = find(
        declared, lambda inputs: inputs["x"] * 5, case("a"), case("s", strided=("x",)), failing=lambda case: case.strided
    )

    diagnosis = diagnose(declared, findings)

    assert diagnosis.name == "strides"
    assert "x.stride(" in diagnosis.sentence

    mixed = [case("a"), case("s", strided=("x",)), case("m", strided=("x",), crossed=True)]
    findings = find(declared, lambda inputs: inputs["x"] * 5, *mixed, failing=lambda case: case.crossed)

    assert diagnose(declared, findings).name != "strides"  # it may be its values as well


def test_an_overrun_of_the_tensor_that_has_gaps_is_not_a_forgotten_stride():
    """Who forgets a stride stays inside; who takes one for a length does not."""
    declared = lab()
    junk = lambda inputs: inputs["x"] * 5  # noqa: E731
    plain, view = find(declared, junk, case("a"), case("s", strided=("x",)), failing=lambda case: case.strided)
    own = Diagnosis(name="bounds", sentence="Line 3: A load reaches 8 elements past the end of x, within its mask.", line=3)
    outside = dataclasses.replace(view, verdict=Verdict.OUT_OF_BOUNDS, own=own)

    said = diagnose(declared, [plain, outside])
    elsewhere = dataclasses.replace(outside, own=dataclasses.replace(own, sentence="Line 3: A load leaves past the end of y."))

    assert said.name == "stride_as_length"
    assert said.line == 3
    assert "the shape" not in said.sentence
    assert "the strides of x" in diagnose(declared, [plain, elsewhere]).sentence


def test_little_lost_in_fp32_alone_is_told_as_lost_digits():
    half = case("half", dtype=torch.float16)

    def named(share, *cases):
        return diagnose(lab(), find(lab(), lambda inputs: inputs["x"].double() * 2 * (1 + share), *cases)).name

    assert named(1e-3, case("a"), case("b")) == "few_bits"
    assert named(4e-3, case("a")) != "few_bits"
    overflown = dataclasses.replace(find(lab(), lambda inputs: inputs["x"], half)[0], verdict=Verdict.NOT_FINITE)
    wrong = dataclasses.replace(overflown, verdict=Verdict.WRONG_ANSWER)
    little = find(lab(), lambda inputs: inputs["x"].double() * 2.002, case("a"))
    assert diagnose(lab(), [*little, overflown]).name == "few_bits"
    assert diagnose(lab(), [*little, wrong]).name != "few_bits"


def test_only_ragged_cases_failing_says_where():
    declared = lab()
    findings = find(
        declared,
        lambda inputs: inputs["x"] * 5,
        case("a"),
        case("r", cols=129),
        failing=lambda case: case.sizes["cols"] == 129,
    )

    diagnosis = diagnose(declared, findings)

    assert diagnosis.name == "ragged_tail"
    assert "cols=129" in diagnosis.sentence


def test_without_a_pattern_the_worst_cell_is_shown_but_never_of_a_hidden_case():
    declared = lab()
    junk = lambda inputs: inputs["x"] + 1  # noqa: E731
    shown = diagnose(declared, find(declared, junk, case("a"))).sentence
    hidden = diagnose(declared, find(declared, junk, case("h", group="hidden"))).sentence

    assert "worst at out[" in shown
    assert hidden == "Case h is wrong."


def test_all_right_says_so():
    declared = lab()

    findings = find(declared, declared.expected, case("a"))

    assert findings[0].verdict is Verdict.PASSED
    assert diagnose(declared, findings).name == "passed"


def nan_where(condition):
    """An answer that is NaN everywhere in the cases with that number of columns, and right in all others."""

    def answer(inputs):
        right = inputs["x"].double() * 2
        return right * torch.nan if condition(right.shape[1]) else right

    return answer


NAN_BEYOND_64 = Oracle(name="long_rows", sentence="Long rows overflow.", answer=nan_where(lambda cols: cols > 64))
NAN_ALWAYS = Oracle(name="always", sentence="All of it overflows.", answer=nan_where(lambda cols: True))
LONG = case("long", cols=128)


def test_an_oracle_that_is_nan_in_exactly_the_failing_cases_is_named():
    declared = lab(oracles=(NAN_ALWAYS, NAN_BEYOND_64))

    findings = find(declared, NAN_BEYOND_64.answer, case("a"), LONG)

    assert [finding.failed for finding in findings] == [False, True]
    assert diagnose(declared, findings).name == "long_rows"


def test_nan_everywhere_names_no_oracle_that_is_nan_everywhere():
    declared = lab(oracles=(NAN_ALWAYS,))

    findings = find(declared, NAN_ALWAYS.answer, case("a"), LONG)

    assert diagnose(declared, findings).name == "not_finite"


def test_an_oracle_is_not_named_where_it_is_nan_in_a_case_that_passed():
    declared = lab(oracles=(NAN_ALWAYS,))

    findings = find(declared, NAN_BEYOND_64.answer, case("a"), LONG)

    assert diagnose(declared, findings).name == "not_finite"


def test_one_finite_case_that_fits_names_an_oracle_whose_other_cases_are_nan():
    halved_or_nan = Oracle(
        name="halved_or_nan",
        sentence="Half, where it does not overflow.",
        answer=lambda inputs: nan_where(lambda cols: cols > 64)(inputs) / 4,
    )
    declared = lab(oracles=(NAN_ALWAYS, halved_or_nan))

    findings = find(declared, halved_or_nan.answer, case("a"), LONG, case("longer", cols=256))

    assert diagnose(declared, findings).name == "halved_or_nan"


def test_a_remark_is_made_of_visible_cases_that_are_right():
    declared = lab(habits=(lambda spent: f"Seen: {', '.join(spent)}.",))
    done = Done(scratch_bytes=8)
    findings = find(
        declared, HALVED.answer, case("a"), case("wrong"), case("h", group="hidden"), failing=lambda c: c.name[0] == "w"
    )

    diagnosis = diagnose(declared, [dataclasses.replace(finding, done=done) for finding in findings])

    assert diagnosis.detail.endswith("Seen: a.")


def _off_by(share, cells=slice(None)):
    """The copy with that relative error; the truth is its double."""

    def answer(inputs):
        copied = inputs["x"].double()
        copied[..., cells] *= 1 + share
        return copied

    return answer


def test_an_oracle_fits_within_four_limits_and_no_further():
    """The limit of a float32 row is 1e-5."""
    declared = lab(oracles=(COPIED,))

    assert diagnose(declared, find(declared, _off_by(3.5e-5), case("a"))).name == "copied"
    assert diagnose(declared, find(declared, _off_by(4.5e-5), case("a"))).name == "wrong_answer"


def test_an_oracle_must_fit_ten_times_better_than_the_truth():
    """An answer 2e-4 off the truth lies 2e-5 from one oracle and 2.5e-5 from the other; only the first is ten times nearer."""
    for distance, name in ((1.9e-5, "near"), (2.5e-5, "few_bits")):
        near = Oracle(
            name="near", sentence="Near.", answer=lambda inputs, d=distance: inputs["x"].double() * 2 * (1 + 2e-4 + d)
        )
        declared = lab(oracles=(near,))

        assert diagnose(declared, find(declared, lambda inputs: inputs["x"].double() * 2 * (1 + 2e-4), case("a"))).name == name


def _reading(findings):
    """As of a kernel whose failing cases read scratch that nobody wrote."""
    done = Done(facts=Facts(unwritten=Unwritten(name="scratch (line 7)", line=12)))
    return [dataclasses.replace(finding, done=done if finding.failed else Done()) for finding in findings]


def test_memory_that_is_read_before_it_is_written_comes_before_any_name():
    declared = lab(oracles=(COPIED,))
    findings = find(declared, COPIED.answer, case("a"), case("b"), failing=lambda case: case.name == "b")

    diagnosis = diagnose(declared, _reading(findings))

    assert (diagnosis.name, diagnosis.line) == ("unwritten_scratch", 12)
    findings = [dataclasses.replace(one, verdict=Verdict.NOT_WRITTEN) if one.failed else one for one in findings]
    assert diagnose(declared, _reading(findings)).name == "unwritten_scratch"
    assert diagnosis.sentence.startswith("Line 12: scratch (line 7) is read where nobody has written it yet")


def test_memory_that_a_right_case_reads_unwritten_as_well_explains_nothing():
    declared = lab(oracles=(COPIED,))
    findings = _reading(find(declared, COPIED.answer, case("a"), case("b"), failing=lambda case: case.name == "b"))
    findings = [dataclasses.replace(finding, done=findings[1].done) for finding in findings]

    assert diagnose(declared, findings).name == "wrong_answer"


def test_cells_that_are_missing_here_and_there_are_told_of_a_case_that_has_others():
    nothing = lambda inputs: inputs["x"].double() * torch.nan  # noqa: E731
    found = find(lab(), nothing, case("right"), case("short"), case("long"), failing=lambda case: case.name != "right")
    missing = [torch.zeros(4, 64, dtype=torch.bool), torch.ones(4, 64, dtype=torch.bool), torch.ones(4, 64, dtype=torch.bool)]
    missing[2][:, :48] = False
    verdict = [Verdict.PASSED, Verdict.NOT_WRITTEN, Verdict.NOT_WRITTEN]
    findings = [
        dataclasses.replace(each, unwritten=which, verdict=how)
        for each, which, how in zip(found, missing, verdict, strict=True)
    ]

    assert diagnose(lab(), findings).sentence.startswith("Columns 48 to 63 of out never written")
    assert diagnose(lab(), findings[:2]).sentence.startswith("Case short: no cell is written.")
    assert diagnose(lab(), findings[1:2]).sentence.startswith("out was never written: the kernel stores nothing")


def test_a_first_tile_that_is_missing_is_no_matter_of_the_last():
    (found,) = find(lab(), lambda inputs: inputs["x"].double() * torch.nan, case("a"))
    missing = torch.zeros(4, 64, dtype=torch.bool)
    missing[:, :16] = True
    lacking = dataclasses.replace(found, unwritten=missing, verdict=Verdict.NOT_WRITTEN)

    assert "begin with the row's first tile" in diagnose(lab(), [lacking]).sentence
    between = dataclasses.replace(lacking, unwritten=missing.roll(16, dims=1))
    assert "does some program come to each tile?" in diagnose(lab(), [between]).sentence


def test_rows_that_must_be_zero_and_are_not_written_are_told_so():
    (found,) = find(lab(), lambda inputs: inputs["x"].double() * torch.nan, case("a"))
    expected = torch.ones(4, 64)
    expected[:2] = 0.0
    missing = torch.zeros(4, 64, dtype=torch.bool)
    missing[:2] = True
    lacking = dataclasses.replace(found, unwritten=missing, verdict=Verdict.NOT_WRITTEN, expected=expected)
    more = dataclasses.replace(lacking, unwritten=missing.roll(1, dims=0))

    assert "Rows 0 to 1 of out (2 of 4) never written: no key counts there" in diagnose(lab(), [lacking]).sentence
    assert "is the grid large enough" in diagnose(lab(), [more]).sentence


def test_views_whose_last_cells_are_not_written_say_nothing_of_whose_strides_are_used():
    declared = lab()
    junk = lambda inputs: inputs["x"] * 5  # noqa: E731
    plain, view = find(declared, junk, case("a"), case("s", strided=("x",)), failing=lambda case: case.strided)
    said = []
    for first, behind in ((100, True), (100, False)):
        missing = (torch.arange(256) >= first).view(4, 64) if behind else (torch.arange(256) % 80 >= 64).view(4, 64)
        lacking = dataclasses.replace(view, verdict=Verdict.NOT_WRITTEN, unwritten=missing)
        said.append(diagnose(declared, [plain, lacking]).sentence)

    assert "count the gaps against a number of cells" in said[0]
    assert "the strides of x" in said[1]  # with holes between


def test_a_tile_that_is_missing_in_one_row_alone_is_told_with_the_row():
    (found,) = find(lab(), lambda inputs: inputs["x"].double() * torch.nan, case("a"))
    missing = torch.zeros(4, 64, dtype=torch.bool)
    missing[3, 48:] = True
    lacking = dataclasses.replace(found, unwritten=missing, verdict=Verdict.NOT_WRITTEN)

    assert "Columns 48 to 63 of out never written in row 3 (1 of 4)" in diagnose(lab(), [lacking]).sentence


def test_cells_that_nobody_writes_are_told_beside_what_else_is_wrong():
    declared = lab(oracles=(HALVED,))
    wrong, found = find(declared, HALVED.answer, case("a"), case("b"))
    missing = torch.zeros(4, 64, dtype=torch.bool)
    missing[3] = True
    lacking = dataclasses.replace(found, unwritten=missing, verdict=Verdict.NOT_WRITTEN)

    both = diagnose(declared, [wrong, lacking])

    assert both.name == "halved"
    assert both.sentence.startswith("It is halved. And in other cases: Row 3 of out (1 of 4) never written")
    assert diagnose(lab(), [wrong, lacking]).name == "not_written"  # nothing is known of the other
