"""The simulation behind docs/hosting.md: what can be worked out by hand comes out of it."""

import random
from xml.etree import ElementTree

import pytest

from benchmarks.capacity import DEADLINE, OPEN_WEB, Night, Phases, Wish, per_hour, simulate, wishes
from benchmarks.capacity_plot import curves
from grader.course.quota import Quota

EACH = Phases(core_s=1.0, gpu_s=2.0)
MANY = Quota(open_per_user=1000)


def at_once(number, *, user=0, check=True, phases=EACH):
    return [Wish(0.0, user, check, phases) for _ in range(number)]


@pytest.mark.parametrize(
    ("gpus", "recorders", "lasts"),
    [
        pytest.param(1, 1, 12 * 3.0, id="one_after_the_other"),
        pytest.param(1, 2, 1.0 + 12 * 2.0, id="the_gpu_is_never_free"),
        pytest.param(3, 1, 4 * 3.0, id="three_gpus"),
        pytest.param(12, 1, 3.0, id="one_each"),
    ],
)
def test_twelve_at_once(gpus, recorders, lasts):
    outcome = simulate(at_once(12), gpus=gpus, recorders=recorders, seed=1, quota=MANY)

    assert len(outcome.waits) == 12
    assert outcome.lasted_s == pytest.approx(lasts)
    assert outcome.busy_gpu == pytest.approx(24.0 / (gpus * lasts))


def test_a_gpu_is_held_by_one_at_a_time():
    outcome = simulate(at_once(4, phases=Phases(core_s=0.0, gpu_s=1.0)), gpus=1, recorders=4, seed=1, quota=MANY)

    assert outcome.waits == pytest.approx((1.0, 2.0, 3.0, 4.0))


def test_checks_go_before_the_same_users_submits():
    submit, check = Phases(core_s=0.0, gpu_s=10.0), Phases(core_s=0.0, gpu_s=1.0)
    asked = [Wish(0.0, 0, False, submit), Wish(0.1, 0, False, submit), Wish(0.2, 0, True, check)]

    outcome = simulate(asked, gpus=1, recorders=1, seed=1, quota=MANY)

    assert outcome.waits == pytest.approx((10.0, 10.8, 20.9))


def test_nobody_has_more_open_than_the_quota_lets_them():
    outcome = simulate(at_once(12), gpus=1, recorders=1, seed=1, quota=Quota(open_per_user=5))

    assert (len(outcome.waits), outcome.refused) == (5, 7)


def test_a_hog_delays_nobody_for_long():
    """Whose turn it is, is drawn: others' two attempts are not behind the forty."""
    asked = sorted([*at_once(40), *(Wish(0.5, user, True, EACH) for user in (1, 2) for _ in range(2))])
    outcome = simulate(asked, gpus=1, recorders=1, seed=1, quota=MANY)
    alone = simulate(at_once(40), gpus=1, recorders=1, seed=1, quota=MANY)

    assert outcome.lasted_s == pytest.approx(alone.lasted_s + 4 * 3.0)
    assert sum(outcome.waits) < sum(alone.waits) + 4 * 40.0 + 40 * 12.0


def test_attempts_an_hour_are_what_one_attempt_takes():
    """Half light, half heavy: 1.5 s and 4.7 s one after the other."""
    assert per_hour(gpus=1, recorders=1) == pytest.approx(3600 / 3.1, rel=0.05)


@pytest.mark.parametrize("night", [DEADLINE, OPEN_WEB], ids=lambda night: night.name)
def test_people_come_when_it_is_said(night):
    small = Night(
        name="",
        people=100,
        lasts_s=night.lasts_s,
        checks_each=night.checks_each,
        submits_each=night.submits_each,
        rush_s=night.rush_s,
    )
    asked = wishes(small, random.Random(1))

    assert len(asked) == round(100 * night.checks_each) + round(100 * night.submits_each)
    assert all(0 <= wish.at <= night.lasts_s for wish in asked)
    late = sum(wish.at > night.lasts_s / 2 for wish in asked) / len(asked)
    assert late > 0.8 if night.rush_s else 0.3 < late < 0.7


def test_the_plot_is_a_picture_with_every_name():
    drawn = {"a night": [(1, 5000.0), (2, 600.0), (100, 0.5)], "<another>": [(1, 90.0), (100, 5.0)]}

    picture = ElementTree.fromstring(curves(drawn, across="GPUs", up="seconds"))

    texts = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert {"a night", "<another>", "GPUs", "seconds", "10,000", "100"} <= set(texts)
