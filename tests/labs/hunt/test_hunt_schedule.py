"""When kinds come back: 1, 3 and 7 days after a miss, then by FSRS; and what comes next."""

import itertools
import random
import sys

import pytest

from labs.hunt.kinds import KINDS
from labs.hunt.schedule import DAYS, ROUND_S, Reply, following, standings, this_round
from labs.hunt.task import tasks

DAY = 86400
START = 1_800_000_000
MASK = next(kind for kind in KINDS if kind.name == "mask")
OF_MASK = [task for task in tasks().values() if task.kind is MASK]


def replies(*told, task=OF_MASK[0]):
    """Of days and rights: a right or wrong mark on each of these days."""
    return [Reply(START + round(day * DAY), task.id, "mark", right) for day, right in told]


def mask(told, day):
    return standings(told, tasks(), START + day * DAY)["mask"]


def due(told):
    return (mask(told, 0).due - START) / DAY


def test_a_kind_that_was_missed_comes_back_after_1_3_and_7_days():
    assert DAYS == (1, 3, 7)
    told = replies((0, False))
    assert due(told) == pytest.approx(1)
    told += replies((1, True))
    assert due(told) == pytest.approx(1 + 3)
    told += replies((4, True))
    assert due(told) == pytest.approx(4 + 7)
    assert mask(told, 10).missed
    told += replies((11, True))
    assert not mask(told, 11).missed
    assert due(told) > 11 + 7


def test_later_misses_begin_again_at_one_day():
    learned = replies((0, False), (1, True), (4, True), (11, True))
    late = round(due(learned)) + 1

    again = [*learned, *replies((late, False))]

    assert due(again) == pytest.approx(late + 1)
    assert mask(again, late).missed
    assert due([*again, *replies((late + 1, True))]) == pytest.approx(late + 1 + 3)
    assert due(replies((0, False), (1, True), (4, False))) == pytest.approx(5)


def test_what_is_right_before_it_is_due_moves_nothing():
    assert due(replies((0, False), (0.01, True), (0.5, True))) == pytest.approx(1)


def test_a_second_miss_before_it_is_due_is_the_same_miss():
    assert due(replies((0, False), (0.5, False))) == pytest.approx(1)


def test_a_miss_counts_though_something_was_right_just_before():
    assert due(replies((0, True), (0.01, False))) == pytest.approx(1.01)


def test_a_kind_that_was_right_at_once_is_known():
    stands = mask(replies((0, True)), 0)

    assert stands.known and not stands.missed and stands.recalled == pytest.approx(1.0)
    assert mask(replies((0, True)), 60).recalled < 0.9
    assert not mask([], 0).known and mask([], 0).due is None


def test_the_order_in_which_replies_are_told_is_nothing_to_it():
    told = replies((0, False), (1, True), (4, True), (11, True), (40, False), (41, True))
    mixed = random.Random(5).sample(told, len(told))

    assert mask(mixed, 50) == mask(told, 50)


def test_a_task_that_is_no_more_counts_for_nothing():
    assert standings([Reply(START, "00000000", "mark", False)], tasks(), START)["mask"].due is None


def test_what_was_missed_and_is_due_comes_first_then_what_is_due_then_what_is_new():
    sight, rescale = (next(task for task in tasks().values() if task.kind.name == name) for name in ("sight", "rescale"))
    told = [*replies((0, False)), *replies((0, True), task=sight), *replies((3.5, True), task=rescale)]

    def kind_at(day):
        return following(told, tasks(), START + day * DAY).kind.name

    assert kind_at(0.5) not in ("mask", "sight", "rescale")
    assert kind_at(1.5) == "mask"
    assert kind_at(4) == "mask"
    told += replies((4, True))
    assert kind_at(4.1) == "sight"


def test_of_a_kind_the_easiest_not_yet_tried_comes_then_the_one_tried_longest_ago():
    there = {task.id: task for task in OF_MASK}
    order, told = [], []
    for number in range(len(OF_MASK)):
        task = following(told, there, START + number, besides=order[-1].id if order else "")
        order.append(task)
        told.append(Reply(START + number, task.id, "mark", True))

    assert len({task.id for task in order}) == len(OF_MASK)
    assert all(easy.score <= hard.score for easy, hard in itertools.pairwise(order))
    assert following(told, there, START + 99, besides=order[-1].id) is order[0]
    assert following(told, {order[0].id: order[0]}, START, besides=order[0].id) is order[0]
    assert following([], {}, START) is None


def test_a_round_ends_before_a_missed_kind_is_due():
    told = replies((0, False), (0.1, True))

    assert this_round(told, OF_MASK[0].id, START + 0.2 * DAY) == told
    assert this_round(told, OF_MASK[0].id, START + ROUND_S + 1) == told[1:]
    assert this_round(told, OF_MASK[0].id, START + DAY) == []


def test_the_part_of_fsrs_that_needs_torch_and_pandas_is_not_loaded():
    assert "fsrs" in sys.modules and "fsrs.optimizer" not in sys.modules
