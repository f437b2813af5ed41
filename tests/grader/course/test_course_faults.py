"""Faults of ours, made on purpose: a second one on the same source is charged and said, and nobody gets them without end."""

import pytest

from grader.course import Quota, QuotaReached, State
from grader.course.grading import AGAIN, OUR_FAULT
from tests.grader.course.by_hand import end_by_hand
from tests.grader.course.service import LAB, state_is, until


def hand_in(course, source, *, user="ada", mode="submit"):
    return course.submit(user=user, lab_id=LAB, source=source, mode=mode)


@pytest.mark.slow
def test_the_second_fault_on_one_source_is_charged_and_said(service):
    service.start_process()
    with service.course() as course:
        for user, fault, charged in (("ada", OUR_FAULT, False), ("ada", AGAIN, True), ("bob", OUR_FAULT, False)):
            failed = hand_in(course, "fail", user=user)
            until(state_is(course, failed, State.SYSTEM_ERROR, user=user), service)

            status = course.status(failed, user=user)
            assert (status.fault, status.charged) == (fault, charged)

        other = hand_in(course, "fail\nanother 1")
        until(state_is(course, other, State.SYSTEM_ERROR), service)
        assert not course.status(other, user="ada").charged


def test_faults_are_not_had_without_end(service):
    with service.course(Quota(faults=3, open_per_user=100, tokens=100)) as course:
        for number in range(3):
            end_by_hand(course, hand_in(course, f"{number}"), state=State.SYSTEM_ERROR, charged=False)

        with pytest.raises(QuotaReached, match="The grader failed on 3 of your attempts in 60 minutes") as refusal:
            hand_in(course, "one more")
        assert 3000 < refusal.value.retry_after_s <= 3600
        assert hand_in(course, "bob's", user="bob")
