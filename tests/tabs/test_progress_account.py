"""Answers go with a signed-in account from browser to browser; nobody else's come in, and no rubbish either."""

from __future__ import annotations

import json

import pytest
from fake_course import FakeCourse
from playwright.sync_api import expect

from grader.course.answers import Answered
from tabs.chapter import progress
from tabs.chapter.quiz import questions
from tabs.page.identity import Identities

KEY = b"a key for tests, long enough"
FIRST = questions()[0].id
ROW = next(row for row in progress.objectives() if FIRST in row["quiz"])
ONE_DONE = f"1 / {len(ROW['quiz']) + len(ROW['labs'])}"


def kept(*, owner="", **quiz):
    return json.dumps({"owner": owner, "quiz": quiz} if owner else {"quiz": quiz})


def test_an_account_gets_the_browsers_answers_and_gives_back_all():
    course, identities = FakeCourse(), Identities(KEY)
    ada = identities.issue("ada")
    course.answers[ada.id] = {"bytes": Answered(True, 1)}

    told = progress.with_account(course, identities, ada.token, kept(**{FIRST: {"right": True, "tries": 2}}))

    assert told == {"owner": "ada", "quiz": {"bytes": {"right": True, "tries": 1}, FIRST: {"right": True, "tries": 2}}}


def test_answers_of_another_account_stay_out():
    course, identities = FakeCourse(), Identities(KEY)
    ada = identities.issue("ada")

    told = progress.with_account(course, identities, ada.token, kept(owner="bob", **{FIRST: {"right": True, "tries": 2}}))

    assert told == {"owner": "ada", "quiz": {}}


def test_without_an_account_they_stay_in_the_browser():
    course, identities = FakeCourse(), Identities(KEY)
    for token in (identities.issue().token, "hf:ada.forged", ""):
        assert progress.with_account(course, identities, token, kept(**{FIRST: {"right": True, "tries": 2}})) is None
    assert course.answers == {}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut_short"),
        pytest.param("[" * 15_000, id="deep"),
        pytest.param("[1]", id="list"),
        pytest.param('{"quiz": 3}', id="no_answers"),
        pytest.param('{"quiz": {"no such question": {"right": true, "tries": 1}}}', id="unknown"),
        pytest.param(kept(**{FIRST: 3}), id="no_object"),
        pytest.param(kept(**{FIRST: {"right": "yes", "tries": 1}}), id="not_a_flag"),
        pytest.param(kept(**{FIRST: {"right": True, "tries": -1}}), id="negative"),
        pytest.param(kept(**{FIRST: {"right": True, "tries": 1e400}}), id="infinite"),
        pytest.param(kept(**{FIRST: {"right": True, "tries": [1]}}), id="list_of_tries"),
    ],
)
def test_rubbish_is_no_answer(text):
    assert progress.told_answers(text) == ("", {})


@pytest.mark.browser
def test_an_answer_in_one_browser_is_known_in_the_next(open_page, course):
    ada = Identities(KEY).issue("ada")
    remember = f"localStorage.setItem('attention-labs-token', {json.dumps(ada.token)})"
    answer = "id => localStorage.setItem('attention-labs.progress', JSON.stringify({quiz: {[id]: {right: true, tries: 1}}}))"
    first = open_page("?tab=references")
    first.evaluate(remember)
    first.evaluate(answer, FIRST)
    first.get_by_role("tab", name="Start", exact=True).click()
    expect(first.locator(".progress-says").first).to_have_text(ONE_DONE)
    first.wait_for_function("JSON.parse(localStorage.getItem('attention-labs.progress')).owner === 'ada'")

    second = open_page("?tab=references")
    second.evaluate(remember)
    second.get_by_role("tab", name="Start", exact=True).click()

    expect(second.locator(".progress-says").first).to_have_text(ONE_DONE)
    assert course.answers[ada.id] == {FIRST: Answered(True, 1)}
