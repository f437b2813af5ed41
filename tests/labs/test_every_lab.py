"""What every lab folder must hold: the judge is tested with the lab's own solution, starter, mistakes and honest kernels."""

import functools
import re

import pytest
from known_seed import SEED

from grader.judge.case.inputs import prepare, spread_strides
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from grader.trace import COUNTS, TRACE_LIMIT, counted, size_of
from labs import lab_ids, load
from labs.check.answers import answers
from labs.check.promises import broken

LABS = lab_ids()
FEWEST_HONEST = 3
WIDEST_DRAWING = 64  # characters; what the page shows beside the editor without scrolling


def _answers(*kinds):
    return [
        pytest.param(answer, id=f"{lab_id.partition('_')[0]}-{answer.file.rpartition('/')[2].removesuffix('.py')}")
        for lab_id in LABS
        for answer in answers(load(lab_id))
        if answer.kind in kinds
    ]


@functools.cache
def _cases(lab_id):
    lab = load(lab_id).lab
    return [prepare(lab, case, SEED) for case in lab.cases if "cpu" in case.devices]


@pytest.mark.parametrize("answer", _answers("solution", "honest", "starter", "mistake"))
def test_an_answer_is_as_its_folder_promises(graded, answer):
    report = graded(answer)

    assert broken(answer, load(answer.lab).lab, report, device="cpu") == "", report.diagnosis


@pytest.mark.parametrize("answer", _answers("solution", "honest"))
def test_the_bytes_of_a_trace_are_those_that_the_report_counts(graded, answer):
    report = graded(answer)
    case = next(case for case in report.cases if case.name == report.trace["case"])

    assert counted(report.trace) == {name: getattr(case.traffic, f"{name}_bytes") for name in COUNTS}
    assert not report.trace["cut"] and not any(report.trace["rest"].values())
    assert size_of(report.trace) <= TRACE_LIMIT
    assert case.name == load(answer.lab).lab.watch


@pytest.mark.parametrize("answer", _answers("solution"))
def test_the_solution_has_an_anatomy(graded, answer):
    report = graded(answer)

    assert report.anatomy, report.anatomy_note


@pytest.mark.parametrize("lab_id", LABS)
def test_every_visible_case_beyond_the_first_is_failed_by_some_mistake(graded, lab_id):
    folder = load(lab_id)
    failed = set()
    for answer in (answer for answer in answers(folder) if answer.kind == "mistake"):
        report = graded(answer)
        failed |= {case.name for case in report.cases if case.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)}

    visible = [case.name for case in folder.lab.cases if case.group == "visible" and "cpu" in case.devices]
    assert set(visible[1:]) <= failed


@pytest.mark.parametrize("lab_id", LABS)
def test_every_case_beyond_the_first_rejects_some_known_wrong_answer(lab_id):
    """Of regimes crossed with strides some are there for addresses alone, which no wrong answer foretells."""
    lab = load(lab_id).lab
    asked = [prepared for prepared in _cases(lab_id)[1:] if not (prepared.case.crossed and prepared.case.strided)]
    toothless = [prepared.case.name for prepared in asked if not _rejects_one(lab, prepared)]

    assert toothless == []


def _rejects_one(lab, prepared):
    return any(_rejected(lab, prepared, [oracle]) for oracle in lab.oracles)


def _rejected(lab, prepared, oracles):
    """Names of the oracles whose answer fails the case's gate."""
    limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit)
    expected, row_size = lab.expected(prepared.inputs), _row_size(lab, prepared)
    wrong = ((oracle.name, oracle.answer(prepared.inputs)) for oracle in oracles)
    return {name for name, answer in wrong if compare(_stored(answer, prepared), expected, limit, row_size).verdict != "passed"}


def _row_size(lab, prepared):
    return lab.row_size(prepared.inputs) if lab.row_size else None


def _stored(answer, prepared):
    """As a kernel would store it; a table of several outputs is what its lab makes of it."""
    return answer if prepared.outputs else answer.to(prepared.out_dtype)


@pytest.mark.parametrize("lab_id", LABS)
def test_every_oracle_is_told_from_the_truth_by_a_visible_case(lab_id):
    lab = load(lab_id).lab
    visible = [prepared for prepared in _cases(lab_id) if prepared.case.group == "visible"]

    unseen = list(lab.oracles)
    for prepared in visible:
        rejected = _rejected(lab, prepared, unseen)
        unseen = [oracle for oracle in unseen if oracle.name not in rejected]
        if not unseen:
            break

    assert [oracle.name for oracle in unseen] == []


@pytest.mark.parametrize("lab_id", LABS)
def test_the_truth_passes_the_gate(lab_id):
    lab = load(lab_id).lab
    for prepared in _cases(lab_id):
        expected = lab.expected(prepared.inputs)
        limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit)

        assert tuple(expected.shape) == prepared.out_shape
        stored = compare(_stored(expected, prepared), expected, limit, _row_size(lab, prepared))
        assert stored.verdict is Verdict.PASSED, prepared.case.name


@pytest.mark.parametrize("lab_id", LABS)
def test_the_inputs_are_the_arguments(lab_id):
    lab = load(lab_id).lab
    for prepared in _cases(lab_id):
        assert set(prepared.inputs) == set(lab.arguments) - set(lab.written)
        assert set(prepared.case.strided) <= set(prepared.tensors)
        assert all(tensor.is_contiguous() for tensor in prepared.tensors.values())


@pytest.mark.parametrize("lab_id", LABS)
def test_the_spec_names_every_argument(lab_id):
    folder = load(lab_id)

    assert [name for name in (*folder.lab.arguments, folder.lab.entry) if name not in folder.spec] == []
    assert [name for name in folder.lab.arguments if f"`{name}`" not in folder.spec] == []
    assert "$$" in folder.spec


@pytest.mark.parametrize("lab_id", LABS)
def test_the_spec_names_what_check_runs(lab_id):
    folder = load(lab_id)
    visible = [case.name for case in folder.lab.cases if case.group == "visible"]

    assert [name for name in visible if name not in folder.spec and "ragged_tail" not in name] == []


@pytest.mark.parametrize("lab_id", LABS)
def test_the_spec_says_which_offsets_pass_32_bits(lab_id):
    """Where tensors lie far apart in some case, it asks for 64 bits; and no rows of a head lie so where it says so."""
    folder = load(lab_id)
    far = [(prepare(folder.lab, case, SEED), name) for case in folder.lab.cases for name in case.spread]

    assert bool(far) == (".to(tl.int64)" in folder.spec)
    assert bool(far) != ("offsets of 32 bits are enough" in folder.spec)
    for prepared, name in far if "The rows of one head lie within 2³¹" in folder.spec else ():
        tensor = prepared.tensors[name]
        assert spread_strides(tuple(tensor.shape))[-2] == tensor.shape[-1], (prepared.case.name, name)


@pytest.mark.parametrize("lab_id", LABS)
def test_the_spec_asks_for_the_prediction_and_prints_the_thresholds(lab_id):
    folder = load(lab_id)
    words = " ".join(folder.spec.replace("**", "").split())
    if folder.lab.prediction is not None:
        assert "## Predict first" in folder.spec
        assert folder.lab.prediction.question.split(": ")[-1][-40:] in words
    if folder.lab.performance is not None and folder.lab.points:
        performance = folder.lab.performance
        low, high = performance.zero_at, performance.full_at
        of = "speed" if performance.measure == "reference" else "the bandwidth of a plain copy"
        said = [f"points grow from {low:.0%} to {high:.0%} of ", f"points grow from {low:.2f} to {high:.2f} of "]
        rest = [words.partition(each)[2] for each in said if each in words]
        assert rest, said
        assert of in rest[0].partition(".")[0]


@pytest.mark.parametrize("lab_id", LABS)
def test_there_are_enough_honest_kernels(lab_id):
    assert len(load(lab_id).honest) >= FEWEST_HONEST


@pytest.mark.parametrize("lab_id", LABS)
def test_case_names_are_unique_and_symptoms_name_cases(lab_id):
    lab = load(lab_id).lab
    names = [case.name for case in lab.cases]

    assert len(set(names)) == len(names)
    for symptom in lab.symptoms:
        for pattern in (*symptom.failing, *symptom.passing):
            assert any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) for name in names), pattern


@pytest.mark.parametrize("lab_id", LABS)
def test_a_symptom_of_values_is_denied_by_a_case_of_as_many_heads(lab_id):
    """Else a kernel that takes the wrong head, or sequence, would be told that its sums overflow."""
    lab = load(lab_id).lab
    for symptom in lab.symptoms:
        if symptom.name in ("head_offset", "empty_split"):  # of heads; and of sequences, each of which has other empty splits
            continue
        failing, passing = ([case for case in lab.cases if case.name in names] for names in (symptom.failing, symptom.passing))
        for axis in ("batch", "heads", "num_heads_kv", "group_size"):
            several = [
                all(case.sizes.get(axis, 1) != 1 for case in failing),
                any(case.sizes.get(axis, 1) != 1 for case in passing),
            ]
            assert not failing or several != [True, False], f"{symptom.name}: no case in `passing` has several {axis}"


@pytest.mark.parametrize("lab_id", LABS)
def test_the_drawings_fit_beside_the_editor(lab_id):
    drawings = re.findall(r"^```\n(.+?)^```$", load(lab_id).spec, re.MULTILINE | re.DOTALL)

    assert drawings
    assert [line for drawing in drawings for line in drawing.splitlines() if len(line) > WIDEST_DRAWING] == []
