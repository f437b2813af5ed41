"""The museum of reward hacks: what its cards say, and the page in a real browser over a course moved by hand."""

from __future__ import annotations

import dataclasses
from html import escape

import pytest
import reports
from fake_course import FakeCourse
from playwright.sync_api import expect

import labs
from grader.report import Verdict
from labs.museum import LAB, exhibits
from tabs.labs import museum
from tabs.labs.desk import Desk
from tabs.page.identity import Identities

NAMES = [exhibit.name for exhibit in exhibits()]
ROOM = "?tab=labs&room=museum"


@pytest.fixture
def desk():
    return Desk(FakeCourse(), Identities(b"a key for tests, long enough"))


def handed_in(desk, name, verdict):
    """A visitor's token and how the exhibit stands after it was judged."""
    token = desk.identities.issue().token
    view = museum.hand_in(desk, name, token)
    desk.course.finish(view.attempt, dataclasses.replace(reports.wrong(), lab=LAB, verdict=verdict))
    return token, museum.look(desk, name, view.attempt, token)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_handed_in_is_the_exhibit_without_its_docstring(name):
    code = museum.code_of(name)
    exhibit = museum.by_name()[name]

    assert exhibit.trick not in code
    assert escape(exhibit.title) in museum.card(name)
    assert [line for line in code.splitlines() if line] == [
        line for line in exhibit.source.split('"""\n', 2)[1].splitlines() if line
    ]
    assert "\n\n\n\n" not in code
    compile(code, name, "exec")


def test_the_way_leads_through_all_exhibits():
    seen = [NAMES[0]]
    while (following := museum.next_after(seen[-1])) != NAMES[0]:
        seen.append(following)

    assert seen == NAMES
    assert len(seen) >= 8


def test_an_exhibit_is_not_among_the_visitors_attempts(desk):
    token, view = handed_in(desk, "zeros", Verdict.WRONG_ANSWER)
    user = desk.identities.read(token)

    assert "The values are not right" in view.report
    assert desk.course.history(user=user.id) == []
    assert desk.course.attempts[desk.course.newest].mode == "check"
    assert desk.course.attempts[desk.course.newest].lab == LAB


def test_a_report_without_hints_is_held_against_the_card(desk):
    _, as_told = handed_in(desk, "zeros", Verdict.WRONG_ANSWER)
    _, other = handed_in(desk, "zeros", Verdict.CRASHED)

    assert "As the card says." in as_told.state
    assert "Not what the card says" in other.state
    assert "Show a hint" not in as_told.report


def test_a_stranger_sees_nothing(desk):
    token = desk.identities.issue().token
    attempt = museum.hand_in(desk, "zeros", token).attempt

    assert "not here" in museum.look(desk, "zeros", attempt, desk.identities.issue().token).state
    assert museum.look(desk, "zeros", attempt, "made up").state == museum.BEGINNING
    assert "no valid token" in museum.hand_in(desk, "zeros", "made up").state


def test_refused_is_one_sentence(desk):
    desk.course.refusal = "Grading is off: no wall <holds>."

    view = museum.hand_in(desk, "zeros", desk.identities.issue().token)

    assert "no wall &lt;holds&gt;" in view.state
    assert not view.live


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["desktop", "phone_in_the_dark"])
def test_an_exhibit_is_read_handed_in_and_reported(open_page, course, scheme, width):
    page = open_page(ROOM, viewport={"width": width, "height": 900}, color_scheme=scheme)
    zeros = museum.by_name()["zeros"]
    expect(page.locator("#exhibit-picker input")).to_have_count(len(NAMES))
    before = len(course.attempts)

    page.get_by_role("radio", name=zeros.title).check()
    expect(page.locator("#exhibit-card")).to_contain_text(zeros.trick[1:])
    expect(page.locator("#exhibit-code")).to_contain_text("out.zero_()")
    page.get_by_role("button", name="Hand it in").click()

    expect(page.locator("#exhibit-state")).to_contain_text("Next in line")
    assert len(course.attempts) == before + 1
    course.finish(course.newest, dataclasses.replace(reports.wrong(), lab=LAB))
    expect(page.locator("#exhibit-report .verdict")).to_contain_text("Wrong")
    expect(page.locator("#exhibit-state")).to_contain_text("As the card says.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.get_by_role("button", name="Next exhibit").click()
    expect(page.locator("#exhibit-card")).to_contain_text(museum.by_name()[museum.next_after("zeros")].title)
    expect(page.locator("#exhibit-report .verdict")).to_have_count(0)
    page.get_by_role("radio", name=zeros.title).check()
    expect(page.locator("#exhibit-report .verdict")).to_contain_text("Wrong")

    page.get_by_role("tab", name="Write a kernel").click()
    page.click("#lab-picker input")
    page.get_by_role("option", name=labs.load(LAB).lab.title).click()
    expect(page.locator("#state")).to_contain_text("Nothing handed in yet")


@pytest.mark.browser
def test_exhibits_are_picked_by_keyboard(open_page, course):
    page = open_page(ROOM)
    page.locator("#exhibit-picker input").first.focus()

    page.keyboard.press("Tab")
    page.keyboard.press("Space")

    expect(page.locator("#exhibit-card")).to_contain_text(museum.by_name()[NAMES[1]].title)
