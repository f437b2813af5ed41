"""Answers to the chapter's questions: kept by account, only ever added to, whichever browser they come from."""

from grader.course.answers import MOST_TRIES, Answered


def test_what_two_browsers_know_is_put_together(service):
    with service.course() as course:
        course.keep_answers({"shape": Answered(False, 3), "bytes": Answered(True, 1)}, user="hf:ada")
        together = course.keep_answers({"shape": Answered(True, 1), "bytes": Answered(False, 2)}, user="hf:ada")

        assert together == {"shape": Answered(True, 3), "bytes": Answered(True, 2)}
        assert course.keep_answers({}, user="hf:ada") == together
        assert course.keep_answers({}, user="hf:bob") == {}


def test_they_survive_a_new_start_and_cannot_grow_without_end(service):
    with service.course() as course:
        course.keep_answers({"shape": Answered(True, 10**30)}, user="hf:ada")

    with service.course() as course:
        assert course.keep_answers({}, user="hf:ada") == {"shape": Answered(True, MOST_TRIES)}
