"""Tokens, rates and caps: what is charged, what is given back, and what a refused person is told."""

import threading
import types

import pytest

from grader.course import Quota, QuotaReached, State, StoreError
from grader.course import course as course_module
from grader.course import intake as submission
from grader.course.answers import Answered
from grader.course.gradebook import events
from tests.grader.course.by_hand import end_by_hand
from tests.grader.course.service import LAB

TIGHT = Quota(tokens=3, token_every_s=360, rate=100, open_per_user=100)


@pytest.fixture
def clock(monkeypatch):
    """The time as the course sees it; `clock.now` moves it."""
    clock = types.SimpleNamespace(now=1_000_000.0)
    for module in (submission, course_module):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(time=lambda: clock.now))
    return clock


def submit(course, number, *, user="ada", mode="submit", lab=LAB):
    return course.submit(user=user, lab_id=lab, source=f"number {number}", mode=mode)


def test_bucket_empties_and_fills(service, clock):
    with service.course(TIGHT) as course:
        for number in range(3):
            submit(course, number)
            clock.now += 1
        assert course.tokens_left("ada", LAB) == 0

        with pytest.raises(QuotaReached, match="No Submit is left .* every 6 minutes, the next in 6 minutes; Check") as no:
            submit(course, 3)
        assert no.value.retry_after_s == pytest.approx(357)

        clock.now += no.value.retry_after_s + 0.001
        submit(course, 3)
        assert course.tokens_left("ada", LAB) == 0
        clock.now += 2 * 360
        assert course.tokens_left("ada", LAB) == 2
        clock.now += 100 * 360
        assert course.tokens_left("ada", LAB) == 3
        submit(course, 4)
        assert course.tokens_left("ada", LAB) == 2


def test_a_clock_that_is_set_back_takes_no_token(service, clock):
    with service.course(TIGHT) as course:
        submit(course, 0)
        clock.now -= 3 * 3600
        assert course.tokens_left("ada", LAB) == 2
        submit(course, 1)
        submit(course, 2)

        with pytest.raises(QuotaReached) as no:
            submit(course, 3)
        assert no.value.retry_after_s <= 360


def test_bucket_is_of_one_user_and_check_is_free(service, clock):
    with service.course(TIGHT) as course:
        for number in range(3):
            submit(course, number)
            submit(course, number, mode="check")

        submit(course, 9, mode="check")
        submit(course, 9, user="bob")
        assert course.tokens_left("ada", LAB) == 0
        assert course.tokens_left("bob", LAB) == 2


@pytest.mark.parametrize(
    ("state", "charged", "left"),
    [
        pytest.param(State.DONE, True, 2, id="graded"),
        pytest.param(State.DONE, False, 3, id="report_costs_nothing"),
        pytest.param(State.SYSTEM_ERROR, False, 3, id="our_fault"),
        pytest.param(State.CANCELLED, True, 2, id="cancelled_while_it_ran"),
    ],
)
def test_token_comes_back(service, clock, state, charged, left):
    with service.course(TIGHT) as course:
        attempt_id = submit(course, 0)
        end_by_hand(course, attempt_id, state=state, charged=charged)

        assert course.tokens_left("ada", LAB) == left
        assert course.status(attempt_id, user="ada").charged == (left == 2)


def test_cancelled_before_it_ran_costs_nothing(service, clock):
    with service.course(TIGHT) as course:
        attempt_id = submit(course, 0)

        assert course.cancel(attempt_id, user="ada") is State.CANCELLED

        assert course.tokens_left("ada", LAB) == 3
        assert course.cancel(attempt_id, user="ada") is State.CANCELLED


def test_same_source_again_shows_the_old_report_for_nothing(service, clock):
    with service.course(TIGHT) as course:
        first = submit(course, 0)
        end_by_hand(course, first)
        clock.now += 1

        again = submit(course, 0)

        status = course.status(again, user="ada")
        assert (status.state, status.same_as, status.charged, status.verdict) == (State.DONE, first, False, "passed")
        assert again != first
        assert course.report(again, user="ada") == course.report(first, user="ada")
        assert course.tokens_left("ada", LAB) == 2
        assert [entry.id for entry in course.history(user="ada")] == [again, first]
        # another person, another prediction and a Check are graded for themselves
        assert course.status(submit(course, 0, user="bob"), user="bob").state == State.QUEUED
        assert course.status(submit(course, 0, mode="check"), user="ada").state == State.QUEUED
        guess = course.submit(user="ada", lab_id=LAB, source="number 0", mode="submit", prediction=3)
        assert course.status(guess, user="ada").state == State.QUEUED


def test_same_source_is_free_even_with_an_empty_bucket(service, clock):
    with service.course(TIGHT) as course:
        end_by_hand(course, submit(course, 0))
        submit(course, 1)
        submit(course, 2)

        assert course.status(submit(course, 0), user="ada").state == State.DONE


def test_button_pressed_twice_is_one_attempt(service):
    with service.course(TIGHT) as course:
        found = []
        threads = [threading.Thread(target=lambda: found.append(submit(course, 0))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(found) == 8
        assert len(set(found)) == 1
        assert course.tokens_left("ada", LAB) == 2
        assert len(list(service.archive.glob("submissions/*/*.json"))) == 1


def test_bucket_holds_against_many_at_once(service):
    taken, refused = [], []

    def hand_in(number):
        try:
            taken.append(submit(course, number))
        except QuotaReached as error:
            refused.append(error)

    with service.course(TIGHT) as course:
        threads = [threading.Thread(target=hand_in, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (len(taken), len(refused)) == (3, 9)
        assert len(service.rows()) == 3
        assert len(list(service.archive.rglob("*.json"))) == 3


def test_health_without_a_process(service):
    with service.course(TIGHT) as course:
        submit(course, 0)

        health = course.health()

    assert (health["grading"], health["queue"], health["processes"]) == ("off", {"queued": 1, "running": 0}, [])
    assert health["reason"] == "No grading process is running; one should start within seconds."
    assert {"python", "torch", "triton", "dbos"} <= health["versions"].keys()


def test_rate_limit_counts_everything(service, clock):
    with service.course(Quota(rate=3, rate_window_s=300)) as course:
        for number in range(3):
            course.cancel(submit(course, number, mode="check"), user="ada")
            clock.now += 10

        with pytest.raises(QuotaReached, match="more than 3 attempts in 5 minutes; the next is taken in 5 minutes.") as no:
            submit(course, 3, mode="check")
        submit(course, 3, user="bob")

        clock.now += no.value.retry_after_s
        submit(course, 3, mode="check")


def test_open_attempts_are_capped(service):
    with service.course(Quota(open_per_user=2, open_overall=3)) as course:
        submit(course, 0)
        submit(course, 1)
        with pytest.raises(QuotaReached, match="2 of your attempts are still waiting or running; at most 2 may."):
            submit(course, 2)

        submit(course, 0, user="bob")
        with pytest.raises(QuotaReached, match="3 attempts are waiting; at most 3 may"):
            submit(course, 0, user="cy")


def test_nothing_is_spent_where_nothing_can_be_stored(service, monkeypatch):
    with service.course(TIGHT) as course:

        def refuse(*_args, **_fields):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(course._archive, "keep_submission", refuse)
        with pytest.raises(StoreError, match="could not be stored, and nothing was spent: .*No space left"):
            submit(course, 0)

        assert course.history(user="ada") == []
        assert course.tokens_left("ada", LAB) == 3


def test_archive_file_goes_where_the_database_refuses(service, monkeypatch):
    with service.course(TIGHT) as course:

        def refuse(*_args, **_fields):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(course._queue, "put", refuse)
        with pytest.raises(StoreError):
            submit(course, 0)

        assert service.rows() == {}
        assert not list(service.archive.rglob("*.json"))


OWN_DECISIONS = {
    "note": lambda course, attempt, number: course.learner("ada").note(attempt, f"{number}"),
    "nickname": lambda course, attempt, number: course.learner("ada").set_nickname(f"ada {number}"),
    "hidden": lambda course, attempt, number: course.learner("ada").hide(attempt, hidden=bool(number % 2)),
    "chosen": lambda course, attempt, number: course.learner("ada").choose(LAB, attempt if number % 2 else None),
    "answers": lambda course, attempt, number: course.keep_answers({"shape": Answered(False, number + 1)}, user="ada"),
    "replies": lambda course, attempt, number: course.keep_replies([(number, "a task", "line", True)], user="ada"),
}


@pytest.mark.parametrize("kind", OWN_DECISIONS)
def test_no_decision_of_ones_own_is_kept_without_end(service, clock, monkeypatch, kind):
    """One token wrote fifty files of 10 kB a second into the archive, for ever: each note over the one before."""
    monkeypatch.setattr(events, "time", types.SimpleNamespace(time=lambda: clock.now))
    with service.course(Quota(decisions=3)) as course:
        attempt = submit(course, 0)
        for number in range(3):
            OWN_DECISIONS[kind](course, attempt, number)
            clock.now += 1
        with pytest.raises(QuotaReached, match="more than 3 notes, answers and the like in 60 minutes") as no:
            OWN_DECISIONS[kind](course, attempt, 3)
        assert no.value.retry_after_s == pytest.approx(3597)
        course.learner("bob").set_nickname("bob")

        clock.now += no.value.retry_after_s + 0.01
        OWN_DECISIONS[kind](course, attempt, 3)
