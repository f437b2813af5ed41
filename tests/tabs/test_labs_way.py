"""The way through the labs: standings, labels, specs with links, the map, and what a pass opens (nothing before it)."""

from __future__ import annotations

import dataclasses
import re

import pytest
import reports
from fake_course import FakeCourse

import labs
from grader.course.states import State
from tabs import load_tabs
from tabs.labs import designs, way
from tabs.labs.desk import Desk
from tabs.page.identity import Identities

LAB = "lab02_safe_softmax"
TABS = {tab.ID for tab in load_tabs()}


@pytest.fixture
def desk():
    return Desk(FakeCourse(), Identities(b"a key for tests, long enough"))


@pytest.fixture
def user(desk):
    return desk.identities.issue()


def attempt(desk, user, report, mode="submit", lab=LAB, source="mine = 1\n"):
    made = desk.course.submit(user=user.id, lab_id=lab, source=source, mode=mode)
    desk.course.finish(made, dataclasses.replace(report, lab=lab, mode=mode))
    return made


def test_a_lab_passes_by_a_submit_alone(desk, user):
    attempt(desk, user, reports.passed(), mode="check")

    standing = way.standings(desk.course.history(user=user.id))[LAB]
    assert (standing.begun, standing.passed, standing.points) == (True, False, None)
    attempt(desk, user, reports.passed())
    attempt(desk, user, reports.wrong())
    standing = way.standings(desk.course.history(user=user.id))[LAB]
    assert standing.passed and way.label(LAB, standing).startswith("✓ 2 · Safe softmax")
    assert standing.points == pytest.approx(reports.passed().points.total)


def test_solutions_are_sent_after_a_pass_and_never_before(desk, user):
    other = desk.identities.issue()
    for report, mode in ((reports.wrong(), "submit"), (reports.passed(), "check")):
        attempt(desk, user, report, mode=mode)
        assert desk.designs(LAB, user) == []
        assert desk.design(LAB, designs.OURS, user) == ""
    attempt(desk, user, reports.passed())

    assert [design for _, design in desk.designs(LAB, user)][0] == designs.OURS
    assert "_softmax_kernel" in desk.design(LAB, designs.OURS, user)
    assert desk.design("lab03_online_softmax", designs.OURS, user) == ""
    assert desk.designs(LAB, other) == [] and desk.design(LAB, designs.OURS, other) == ""
    assert desk.designs(LAB, None) == [] and desk.design(LAB, "many_rows", None) == ""
    assert desk.design(LAB, "../solution", user) == ""


def test_a_design_stands_beside_ones_own(desk, user):
    attempt(desk, user, reports.passed(), source="mine = '<b>'\n")

    html = desk.design(LAB, "many_rows", user)

    assert '<span class="yours">-mine = &#x27;&lt;b&gt;&#x27;\n</span>' in html
    assert '<span class="theirs">+import torch\n</span>' in html
    assert "<b>" not in html


def test_the_same_file_says_so():
    assert "Line for line" in designs.compared(LAB, designs.OURS, labs.load(LAB).solution)


@pytest.mark.parametrize("lab_id", labs.lab_ids())
def test_a_spec_begins_with_what_it_needs(lab_id):
    spec = way.spec_with_way(lab_id)
    second = spec.split("\n\n")[1]

    assert spec.startswith(f"# Lab {labs.number_of(lab_id)} ")
    assert second.startswith("Read first: ")
    assert re.search(r"about \d+ minutes", second)
    tabs = re.findall(r"\?tab=(\w+)\)", second)
    assert tabs and set(tabs) <= TABS
    for link in re.findall(r"lab=(\w+)\)", second):
        assert way.lab_of(link) in labs.lab_ids()
    assert "## Predict first" not in spec
    asked = labs.load(lab_id).spec.partition("## Predict first")[0]
    assert asked.partition("\n")[2].strip()[:400] in spec


@pytest.mark.parametrize("lab_id", labs.lab_ids())
def test_every_lab_is_on_the_map(lab_id):
    html = way.map_of_labs(())
    lab = labs.load(lab_id).lab

    assert f'href="{way.link_to(lab_id).replace("&", "&amp;")}"' in html
    assert lab.idea and lab.minutes
    assert lab.idea in html.replace("&#x27;", "'")


def test_the_map_says_how_far_one_is(desk, user):
    assert "not begun" in desk.map_of_labs(user)
    attempt(desk, user, reports.wrong(), lab="lab03_online_softmax")
    attempt(desk, user, reports.passed())
    best = dataclasses.replace(reports.passed(), points=dataclasses.replace(reports.passed().points, performance=4.8))
    attempt(desk, user, best, lab="lab05_flash_attention")

    html = desk.map_of_labs(user)

    assert "2 of 13 passed" in html
    assert "… begun · 5.5" in html
    assert "✓ full · 16" in html
    labels = dict(map(reversed, desk.choices(user)))
    assert labels["lab03_online_softmax"] == "3 · Online softmax · 5.5 of 12 points · begun"
    assert labels["lab01_scores"] == "1 · Scores · 8 points"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lab02", LAB),
        (LAB, LAB),
        ("2", LAB),
        ("lab2", LAB),
        ("02", LAB),
        ("²", None),
        ("lab99", None),
        ("", None),
        ("lab", None),
        (None, None),
        ("lab02_", None),
    ],
)
def test_a_link_names_a_lab_by_its_number(text, found):
    assert way.lab_of(text) == found


def test_the_last_lab_leads_to_the_map():
    assert way.next_after(labs.lab_ids()[-1]) is None
    assert "room=map" in way.onward(labs.lab_ids()[-1])
    assert "lab=lab03" in way.onward(LAB)


def test_a_check_that_passes_leads_to_submit(desk, user):
    made = attempt(desk, user, reports.passed(), mode="check")

    state = desk.look(made, user).headline
    assert "Submit runs the hidden and hostile cases too" in state
    assert "Next: lab" not in state


def test_what_is_missing_and_why(desk, user):
    report = dataclasses.replace(
        reports.passed(), points=dataclasses.replace(reports.passed().points, prediction=None, visible=3.97)
    )
    made = attempt(desk, user, report)

    state = desk.look(made, user).headline
    assert "9.6 of 16 points." in state
    assert "Missing: 4.8 for speed: needs a GPU; 1.6 for the prediction: not stated." in state


def test_an_attempt_in_work_has_no_marks(desk, user):
    made = desk.course.submit(user=user.id, lab_id=LAB, source="x = 1", mode="check")
    desk.course.move(made, state=State.RUNNING)

    view = desk.look(made, user)
    assert view.live and view.marks == ()
    assert f'data-attempt="{made}"' in view.framed


@pytest.mark.parametrize("lab_id", labs.lab_ids())
def test_every_design_has_its_figures(lab_id):
    measured = designs.measured()[lab_id]

    assert designs.OURS in measured
    assert set(measured) <= {design for _, design in designs.designs(lab_id)}, "python -m benchmarks.designs writes them anew"
    assert all(row["bytes"] > 0 and 0 < row["occupancy"] <= 1 and row["registers"] > 0 for row in measured.values())


def test_ones_own_figures_stand_first(desk, user):
    attempt(desk, user, reports.passed())

    html = desk.design(LAB, None, user)

    rows = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td>', html)
    assert rows[:2] == [("Yours", "1.50×"), ("Our solution", "1.00×")]
    assert {name for name, _ in rows[2:]} <= {name for name, _ in desk.designs(LAB, user)}
    assert desk.design(LAB, None, desk.identities.issue()) == ""
