"""One judge for all labs. Its attempts run as many at a time as there are cores, ahead of the tests that ask for them."""

import concurrent.futures
import os
from pathlib import Path

import psutil
import pytest
from interpreted import Interpreted, Unlisted, attempt
from known_seed import SEED

from grader.judge import Judge
from grader.judge.cpu import watching
from labs import load
from labs.check.grading import left_out

HERE = Path(__file__).parent
GIVING_WAY = 5


@pytest.fixture(scope="session")
def judge():
    """Its sessions give way: tests that watch a clock may run beside them, in another of pytest-xdist's processes."""
    with Judge() as judge:
        judge.self_test()
        sandbox = psutil.Process(judge._sandbox.pid)
        for process in (sandbox, *sandbox.children()):
            process.nice(process.nice() + GIVING_WAY)
        yield judge


@pytest.fixture(scope="session")
def graded(judge, request):
    """A function from an answer of a lab (`labs.check.answers`) to its report; each is graded once.

    What the selected tests are going to ask for is begun at once, in their order.
    """
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1)
    reports = {}
    enough = pytest.MonkeyPatch()
    enough.setattr(watching, "SHARE", 60.0)  # of the time that an attempt takes: what is watched here is watched to its end
    enough.setattr(watching, "LONGEST_S", 60.0)

    def begin(answer):
        place = answer.lab, answer.file
        if place not in reports:
            reports[place] = pool.submit(_grade, judge, answer)
        return reports[place]

    for item in filter(_asks_for_a_report, request.session.items):
        asked = item.callspec.params if hasattr(item, "callspec") else {}
        if "answer" in asked:
            begin(asked["answer"])
    yield lambda answer: begin(answer).result()
    pool.shutdown(cancel_futures=True)
    enough.undo()


@pytest.fixture(scope="session", autouse=True)
def begun(request):
    """Grading begins before the first test, where any of them asks for a report; those come last (see below)."""
    if any(map(_asks_for_a_report, request.session.items)):
        request.getfixturevalue("graded")


def pytest_collection_modifyitems(items):
    """Of the tests of labs, those that ask for a report come last: the others run while files are graded."""
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(HERE)]
    ours = sorted((items[place] for place in places), key=_asks_for_a_report)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _asks_for_a_report(item):
    return "graded" in getattr(item, "fixturenames", ())


def _grade(judge, answer):
    """The solution as a learner's file would be, with the right prediction. An honest kernel without a listing of its code. A
    mistake by the interpreter alone: its Check, or its Submit where only a hidden or hostile case finds it.
    No report may lack a part.
    """
    with left_out() as lost:
        report = _report(judge, answer)
    assert not lost, lost
    return report


def _report(judge, answer):
    folder, source = load(answer.lab), answer.source.encode()
    if answer.kind == "mistake":
        check = attempt(Interpreted, judge, folder, source, mode="check", seed=SEED)
        return attempt(Interpreted, judge, folder, source, mode="submit", seed=SEED) if check.passed else check
    if answer.kind == "honest":
        return attempt(Unlisted, judge, folder, source, mode="submit", seed=SEED)
    prediction = folder.lab.prediction.answer if folder.lab.prediction and answer.right else None
    return judge.grade(source, folder.id, mode="submit", prediction=prediction, seed=SEED)
