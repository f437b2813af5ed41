"""The states before a report, as text: empty, waiting, running, refused, off, gone, cancelled, our own fault."""

from __future__ import annotations

import pytest
from fake_course import FakeCourse

from grader.course.states import State
from tabs.labs import states as labs_states


@pytest.fixture
def status():
    course = FakeCourse()
    attempt = course.submit(user="ada", lab_id="lab02_safe_softmax", source="x = 1", mode="check")

    def moved(**fields):
        course.move(attempt, created=100.0, **fields)
        return course.status(attempt, user="ada")

    return moved


def test_waiting_says_the_place(status):
    assert "Next in line" in labs_states.live(status(place=1))
    html = labs_states.live(status(place=4))
    assert "3 ahead of you" in html
    assert 'data-since="100.0"' in html


def test_waiting_says_that_grading_is_off(status):
    assert "no wall &lt;holds&gt;" in labs_states.live(status(), "no wall <holds>")


def test_running_says_phase_and_case(status):
    fields = {"state": State.RUNNING, "phase": "running", "done": 3, "total": 7, "case": "ragged<b>", "started": 101.0}

    html = labs_states.live(status(**fields))

    assert "Running cases · 3 of 7" in html
    assert "ragged&lt;b&gt;" in html
    assert 'value="3" max="7"' in html
    assert 'data-since="101.0"' in html


@pytest.mark.parametrize("fields", [{"place": 2}, {"state": State.RUNNING}, {"state": State.RUNNING, "cancelling": True}])
def test_a_live_state_carries_the_sentence_for_a_lost_connection(status, fields):
    html = labs_states.live(status(**fields))

    assert "data-live" in html
    assert "Connection lost" in html


def test_ended_states_are_not_live():
    for html in (labs_states.refused("no"), labs_states.off("no"), labs_states.gone(), labs_states.cancelled()):
        assert "data-live" not in html


def test_sentences_are_escaped():
    for state in (labs_states.refused, labs_states.off, labs_states.our_fault, labs_states.nothing_yet):
        assert "<script>" not in state("<script>")


def test_history_line(status):
    done = status(state=State.DONE, verdict="wrong_answer", points=2.5)

    assert labs_states.attempt_label(done, 280.0) == "✗ Wrong · Check · 2.5 points · 3 min ago"
    assert (
        labs_states.attempt_label(status(state=State.QUEUED, verdict="", points=None), 110.0) == "… in work · Check · 10 s ago"
    )
