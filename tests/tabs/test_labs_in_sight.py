"""Whoever presses Check sees what happens: state and first sentence stand in the window, on a desk and on a phone."""

from __future__ import annotations

import pytest
import reports
from driving import caret_after
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

LAB = "?tab=labs&lab=lab02"
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SCREENS = pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])


def whole_in_sight(page: Page, selector: str) -> bool:
    """Whether it is in the window, and nothing stands before it."""
    return page.evaluate(
        """(selector) => {
      const node = document.querySelector(selector), { top, bottom, left, right } = node.getBoundingClientRect();
      const seen = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
      return top >= 0 && bottom <= innerHeight && Boolean(seen) && (node.contains(seen) || seen.contains(node));
    }""",
        selector,
    )


def check_a_wrong_kernel(page: Page, course) -> None:
    page.click("#check")
    expect(page.locator("#state [data-live]")).to_be_visible()
    course.finish(course.newest, reports.wrong())


@pytest.fixture
def opened(open_page, course):
    def open_in(screen):
        page = open_page(LAB, viewport=screen)
        expect(page.locator("#state .state")).to_be_visible()
        if screen is PHONE:
            page.get_by_role("button", name="Editor").click()
        return page

    return open_in


@SCREENS
@pytest.mark.parametrize("report", [reports.wrong, reports.syntax_error, reports.passed], ids=lambda made: made.__name__)
def test_a_press_is_answered_in_sight(opened, course, screen, report):
    page = opened(screen)
    caret_after(page, "offs = tl.arange")
    page.keyboard.type("\nx = tl.load(x_ptr + offs)")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state [data-live]")).to_be_visible()
    assert whole_in_sight(page, "#state .lead")
    course.finish(course.newest, report())
    expect(page.locator("#state .verdict")).to_be_visible()

    assert whole_in_sight(page, "#state .verdict")
    assert whole_in_sight(page, "#state .diagnosis")
    assert whole_in_sight(page, "#check")


@SCREENS
def test_the_verdict_stays_in_sight_beside_the_report(opened, course, screen):
    page = opened(screen)
    check_a_wrong_kernel(page, course)
    page.locator("#report .cases").scroll_into_view_if_needed()
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(300)

    assert whole_in_sight(page, "#state .verdict")
    assert whole_in_sight(page, "#state .diagnosis")


def test_the_first_sentence_stands_once(opened, course):
    page = opened(DESK)
    check_a_wrong_kernel(page, course)
    expect(page.locator("#state .diagnosis")).to_be_visible()

    assert page.locator("body").inner_text().count("The old sum is not rescaled when a larger") == 1


def test_a_wrong_kernel_shows_facts_then_cases_and_folds_what_it_used(opened, course):
    page = opened(DESK)
    check_a_wrong_kernel(page, course)
    expect(page.locator("#report .failures")).to_be_visible()

    tops = [page.locator(f"#report .{name}").bounding_box()["y"] for name in ("failures", "hints", "cases", "points")]
    assert tops == sorted(tops)
    expect(page.locator("#report .anatomy")).to_be_hidden()
    page.get_by_text("Bytes, memory, anatomy and listings").click()
    expect(page.locator("#report .anatomy")).to_be_visible()


def test_on_a_phone_the_report_has_the_window_and_the_verdict_a_strip_of_it(opened, course):
    page = opened(PHONE)
    check_a_wrong_kernel(page, course)
    expect(page.locator("#report .failures")).to_be_visible()
    below = page.locator("#state .aside")
    expect(below.first).to_be_visible()

    page.get_by_role("button", name="Report").click()
    page.mouse.wheel(0, 500)

    expect(below.first).to_be_hidden()
    expect(page.locator("#state .diagnosis")).to_be_in_viewport()
    assert page.locator(".bench").bounding_box()["height"] < 180
    page.get_by_role("button", name="Editor").click()
    expect(below.first).to_be_visible()


def test_on_a_phone_the_editor_is_one_press_from_the_task(open_page, course):
    page = open_page(LAB, viewport=PHONE)
    expect(page.locator("#spec h1")).to_be_in_viewport()
    page.get_by_role("button", name="Editor").click()
    expect(page.locator("#editor .cm-content")).to_be_in_viewport()
    page.get_by_role("button", name="Task").click()
    expect(page.locator("#spec h1")).to_be_in_viewport()


@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_every_tab_is_reached_by_its_name(open_page, course, width):
    page = open_page(viewport={"width": width, "height": 844})

    for name in ("Start", "Online softmax", "Labs", "References"):
        expect(page.get_by_role("tab", name=name, exact=True).filter(visible=True)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_tablet_has_the_editor_in_its_full_width_and_a_phone_whole_lines_and_the_whole_map(open_page, course):
    page = open_page(LAB, viewport={"width": 820, "height": 1180})
    expect(page.locator("#editor .cm-content")).to_be_visible()
    assert page.locator("#editor .cm-editor").bounding_box()["width"] > 700

    page.set_viewport_size(PHONE)
    page.wait_for_function(
        "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('#editor .cm-scroller'))"
    )
    page.get_by_role("tab", name="All labs").filter(visible=True).click()
    expect(page.locator("#lab-map table")).to_be_visible()
    assert page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('#lab-map .wide'))"
    )


def test_all_tabs_have_one_left_edge(open_page, course):
    page = open_page(viewport=DESK)
    edges = {}
    for name, first in (("Start", "h1"), ("Precision", ".section-text h1"), ("Labs", "#lab-picker"), ("References", "h1, h2")):
        page.get_by_role("tab", name=name, exact=True).filter(visible=True).click()
        found = page.locator(f"[role=tabpanel] :is({first})").filter(visible=True).first
        expect(found).to_be_visible()
        edges[name] = round(found.bounding_box()["x"])

    assert max(edges.values()) - min(edges.values()) <= 1, edges
