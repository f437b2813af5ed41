"""Replies in the bug hunt: kept by account, only ever added to, archived like everything that was acknowledged."""

import pytest

from grader.course import replies
from grader.course.gradebook.exports import dump

FIRST, SECOND, THIRD = (100, "aa", "mark", False), (160, "aa", "mark", True), (90, "bb", "name", True)


def test_what_two_browsers_know_is_put_together(service):
    with service.course() as course:
        course.keep_replies([FIRST, SECOND], user="hf:ada")

        assert course.keep_replies([THIRD, FIRST], user="hf:ada") == [THIRD, FIRST, SECOND]
        assert course.keep_replies([], user="hf:ada") == [THIRD, FIRST, SECOND]
        assert course.keep_replies([], user="hf:bob") == []
        assert course.learner("hf:ada").own_data()["replies"] == [THIRD, FIRST, SECOND]


def test_they_survive_the_loss_of_the_database(service):
    with service.course() as course:
        course.keep_replies([FIRST], user="hf:ada")
        course.keep_replies([FIRST, SECOND], user="hf:ada")
    service.lose_database()

    with service.course() as course:
        assert course.keep_replies([], user="hf:ada") == [FIRST, SECOND]


def test_another_installation_takes_them_in(service, tmp_path):
    with service.course() as course:
        course.keep_replies([FIRST, THIRD], user="hf:ada")
        with service.engine.connect() as connection:
            told = dump.dump(connection)
    service.lose_database()
    for path in service.archive.rglob("*.json"):
        path.unlink()

    with service.course() as course:
        assert course.keep_replies([], user="hf:ada") == []
        dump.take_in(service.engine, course._archive, told)
        assert course.keep_replies([], user="hf:ada") == [THIRD, FIRST]


def test_what_is_known_already_is_not_stored_again(service):
    with service.course() as course:
        course.keep_replies([FIRST, SECOND], user="hf:ada")
        before = len(list(service.archive.rglob("events/**/*.json")))
        course.keep_replies([SECOND, FIRST], user="hf:ada")

        assert before == 1
        assert len(list(service.archive.rglob("events/**/*.json"))) == before


@pytest.mark.parametrize(
    ("kept", "told", "new"),
    [
        pytest.param([], [SECOND, FIRST], [FIRST, SECOND], id="the_oldest_first"),
        pytest.param([FIRST], [FIRST, SECOND], [SECOND], id="known"),
        pytest.param([FIRST], [(100, "aa", "mark", True)], [], id="a_question_has_one_reply_a_second"),
        pytest.param([FIRST] * (replies.MOST - 1), [SECOND, THIRD], [THIRD], id="no_room_for_more"),
    ],
)
def test_what_comes_in(kept, told, new):
    assert replies.new(kept, told) == new
