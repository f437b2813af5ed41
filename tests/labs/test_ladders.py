"""Every diagnosis that a lab can get has a ladder of hints of its own, each step of which says more than the headline."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import grader.judge
from grader.judge.diagnosis.accounts.rules import accounts
from grader.judge.diagnosis.messages import RULES, VERDICT_OF_STAGE
from grader.report import Verdict
from labs import lab_ids, load
from labs.ladder import ladder

LABS = lab_ids()
JUDGE = Path(grader.judge.__file__).parent
NOTHING_TO_MEND = {Verdict.PASSED, Verdict.NOT_RUN, Verdict.CANCELLED}
COMMON = re.compile(r"[a-z]{4,}")
# What a headline shares with any sentence.
EMPTY = {
    "this",
    "that",
    "your",
    "with",
    "from",
    "into",
    "where",
    "which",
    "what",
    "their",
    "there",
    "have",
    "only",
    "each",
    "same",
}


def said_names() -> set[str]:
    """Every name that is written in the judge as `Diagnosis(name="…")`, and those of its tables."""
    found = {rule.name for rule in RULES} | set(VERDICT_OF_STAGE)
    for path in JUDGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Diagnosis":
                for keyword in node.keywords:
                    if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                        found.add(keyword.value.value)
    return found - {"passed"}


def named_by(lab) -> dict[str, str]:
    """A lab's own diagnoses: the headline by the name."""
    return {one.name: one.sentence for one in (*lab.oracles, *lab.symptoms)}


def test_the_judge_says_names():
    assert {"strides", "not_written", "ragged_tail", "dot_too_small", "syntax"} <= said_names()


@pytest.mark.parametrize("lab_id", LABS)
def test_every_diagnosis_has_a_ladder_of_its_own(lab_id):
    folder = load(lab_id)

    assert set(named_by(folder.lab)) | said_names() <= set(folder.ladders)


@pytest.mark.parametrize("lab_id", LABS)
@pytest.mark.parametrize("verdict", [one for one in Verdict if one not in NOTHING_TO_MEND])
def test_every_verdict_has_a_ladder(lab_id, verdict):
    assert ladder(load(lab_id).path, "a name that nobody gave", str(verdict)) is not None


@pytest.mark.parametrize("verdict", sorted(NOTHING_TO_MEND))
def test_there_is_none_where_nothing_is_to_be_mended(verdict):
    assert ladder(load(LABS[0]).path, "", str(verdict)) is None


@pytest.mark.parametrize("lab_id", LABS)
def test_a_ladder_ends_in_a_line_and_says_something_at_each_step(lab_id):
    for name, steps in load(lab_id).ladders.items():
        assert len(steps.why.split()) > 5 and len(steps.must.split()) > 4, name
        assert "The bug" not in steps.why, name
        assert len({steps.why, steps.must, steps.line}) == 3, name


def telling(text: str) -> set[str]:
    """Beginnings of the words that carry a sentence, and its code and numbers."""
    words = {word[:5] for word in COMMON.findall(text.lower()) if word not in EMPTY}
    return words | set(re.findall(r"\w*\d\w*|\w+_\w+", text))


@pytest.mark.parametrize("lab_id", LABS)
def test_each_step_says_more_than_the_headline(lab_id):
    folder, poor = load(lab_id), []
    for name, headline in named_by(folder.lab).items():
        steps, known = folder.ladders[name], telling(headline)
        mended = telling(f"{steps.must} {steps.line}")
        if len(telling(steps.why) - known) < 2 or len(mended - known) < 2:
            poor.append(name)

    assert poor == []


def test_a_lab_goes_before_what_all_share():
    folder = load("lab07_decode")

    assert "softmax_scale" in folder.ladders["no_scale"].must  # of the decode labs
    assert "key.stride(0)" in folder.ladders["strides"].line  # theirs, before the common one
    assert folder.ladders["dot_too_small"].line  # of all


@pytest.mark.parametrize("lab_id", [each for each in LABS if load(each).lab.kind])
def test_a_mistake_that_a_rule_foretold_is_not_called_unknown(lab_id):
    folder = load(lab_id)
    unknown = folder.ladders["wrong_answer"]

    for account in accounts(folder.lab.kind):
        for verdict in ("wrong_answer", "not_finite"):
            assert ladder(folder.path, account.name, verdict).why not in (unknown.why, folder.ladders["not_finite"].why)


def test_names_that_are_alike_share_a_ladder():
    of = lambda name: ladder(load("lab05_flash_attention").path, name, "wrong_answer")  # noqa: E731

    assert "11 bits" in of("sum_rounded").why and "11 bits" in of("query_rounded").why
    assert of("middle_lost_in_sum") == of("first_tile_only") != of("key_shifted")
    assert of("") == of("wrong_answer")


def test_a_section_of_two_steps_is_refused(tmp_path):
    (tmp_path / "hints.md").write_text("# Hints\n\n## halved\n1. why\n2. must\n")

    with pytest.raises(ValueError, match="'halved' has 2 steps, expected 3"):
        ladder(tmp_path, "halved", "wrong_answer")
