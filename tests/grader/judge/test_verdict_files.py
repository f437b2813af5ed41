"""Kernels as people wrote them, and the words that each must get; from a real session, as a learner's file."""

from pathlib import Path

import pytest

from grader.judge import Judge
from grader.report import Verdict
from labs import lab_ids

HERE = Path(__file__).parent / "verdicts"
WORDS = (
    ("lab05", "b20_v_with_k_strides", Verdict.OUT_OF_BOUNDS, "value is addressed with the strides of key"),
    ("lab05", "b03_int32_offsets", Verdict.OUT_OF_BOUNDS, "is computed in 32 bits"),
    ("lab05", "b15b_exp_with_log2e", Verdict.WRONG_ANSWER, "log2(e) is in the scores, but the exponential is exp"),
    ("lab06", "b22_masked_rows_minus_1e6", Verdict.WRONG_ANSWER, "not −inf: rows without a visible key"),
    ("lab09", "b09b_v_scale_twice", Verdict.WRONG_ANSWER, "value_scale is applied twice"),
    ("lab09", "b09c_scale_head_of_query", Verdict.WRONG_ANSWER, "The key_scale that is used is that of head 0"),
    ("lab08", "b05c_merge_max_over_zero", Verdict.WRONG_ANSWER, "Empty parts (splits) count as lse 0"),
    ("lab05", "b11_block_ptr_no_check", Verdict.OUT_OF_BOUNDS, "boundary_check"),
    ("lab05", "f51_advice_followed_mask_on_block_ptr", Verdict.COMPILE_ERROR, "boundary_check=(0, 1) and padding_option"),
    ("lab02", "padding_enters_the_maximum", Verdict.NOT_FINITE, "Load them as −inf"),
    ("lab01", "no_masks_no_fp32", Verdict.OUT_OF_BOUNDS, "mask the lanes beyond it"),
    ("lab02", "f16_returns_tensor_no_out", Verdict.NOT_WRITTEN, "softmax returns a tensor and writes nothing into out"),
    ("lab02", "f24_whole_file_tests", Verdict.REFUSED, '`if __name__ == "__main__":`'),
    (
        "lab02",
        "f01_libdevice_exp",
        Verdict.PASSED,
        "Right in every case",
    ),
    (
        "lab02",
        "f01b_cuda_libdevice",
        Verdict.PASSED,
        "Right in every case",
    ),
    ("lab02", "f37_cache_modifiers", Verdict.COMPILE_ERROR, "cannot be combined with modifier"),
    ("lab02", "f42_data_ptr", Verdict.COMPILE_ERROR, "launch it with the tensor itself, not with x.data_ptr()"),
)
NEVER = {"no_masks_no_fp32": "fp16", "b11_block_ptr_no_check": "mask=", "padding_enters_the_maximum": "several rows"}


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize(("lab", "name", "verdict", "words"), WORDS, ids=[row[1] for row in WORDS])
def test_a_file_gets_its_words(judge, lab, name, verdict, words):
    lab_id = next(each for each in lab_ids() if each.startswith(lab))
    source = (HERE / f"{name}.py").read_bytes()

    report = judge.grade(source, lab_id, mode="check", seed=b"a seed known to the tests alone!")
    if report.passed:
        report = judge.grade(source, lab_id, mode="submit", seed=b"a seed known to the tests alone!")

    assert report.verdict is verdict
    assert words in report.diagnosis.sentence
    assert NEVER.get(name, "\0") not in report.diagnosis.sentence


def test_every_file_has_its_words():
    assert {row[1] for row in WORDS} == {path.stem for path in HERE.glob("*.py")}
