"""The Labs tab in a real browser over a course moved by hand: every state, drafts, reloads, two windows, a phone."""

from __future__ import annotations

import dataclasses
import time

import pytest
import reports
from driving import paste, text_of
from playwright.sync_api import Page, expect

import labs
from grader.course.states import State
from grader.report import Fact, Picture

pytestmark = pytest.mark.browser

IDS_AROUND_FOCUS = "[...document.querySelectorAll('[id]')].filter(e => e.contains(document.activeElement)).map(e => e.id)"
LAB = "?tab=labs&lab=lab02_safe_softmax"


def press(page: Page, course, button: str = "#check") -> str:
    """Press Check or Submit; the id of the attempt that came of it."""
    before = len(course.attempts)
    page.click(button)
    for _ in range(300):
        if len(course.attempts) > before:
            break
        page.wait_for_timeout(50)
    expect(page.locator("#state [data-live]")).to_be_visible()
    return course.newest


def test_nothing_handed_in_yet(open_page, course):
    page = open_page(LAB)

    expect(page.locator("#state")).to_contain_text("Nothing handed in yet")
    expect(page.locator("#spec .katex").first).to_be_visible()
    expect(page.locator("#editor")).to_contain_text("softmax_kernel")
    expect(page.locator("#allowance")).to_contain_text("9 left. No GPU is graded on here")
    expect(page.locator("#cancel")).to_be_disabled()


def test_from_press_to_report(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, "def softmax(x, out):\n    pass\n")
    page.locator("#prediction input, #prediction textarea").fill("134.2")

    attempt = press(page, course, "#submit")

    expect(page.locator("#state")).to_contain_text("Next in line")
    expect(page.locator("#submit")).to_be_disabled()
    assert course.sources[attempt] == "def softmax(x, out):\n    pass\n"
    assert course.predictions[attempt] == 134.2
    course.move(attempt, place=3)
    expect(page.locator("#state")).to_contain_text("2 ahead of you")
    course.move(attempt, state=State.RUNNING, phase="running", done=2, total=7, case="ragged_tail_17", started=time.time())
    expect(page.locator("#state")).to_contain_text("2 of 7 · ragged_tail_17")
    course.finish(attempt, reports.wrong())
    expect(page.locator("#state .diagnosis")).to_contain_text("The old sum is not rescaled")
    expect(page.locator("#submit")).to_be_enabled()
    expect(page.locator("#cancel")).to_be_disabled()


def test_a_reload_loses_neither_draft_nor_attempt(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, "draft = 'kept here'\n")
    attempt = press(page, course)

    page.reload()

    expect(page.locator("#state")).to_contain_text("Next in line")
    expect(page.locator("#editor")).to_contain_text("kept here")
    expect(page.locator("#cancel")).to_be_enabled()
    course.finish(attempt, reports.passed())
    expect(page.locator("#state .verdict")).to_contain_text("Passed")


def test_two_windows_hold_one_draft(open_page, course):
    """What is typed in one stands in the other, whose caret stays; whoever goes on there loses nothing of it."""
    one = open_page(LAB)
    expect(one.locator("#state .state")).to_be_visible()
    paste(one, "begin\nend")
    other = one.context.new_page()
    other.goto(one.url)
    expect(other.locator("#editor")).to_contain_text("begin")
    other.locator("#editor .cm-content").click()
    other.keyboard.press("Control+End")
    other.locator("#prediction input, #prediction textarea").focus()
    one.locator("#editor .cm-content").click()
    one.keyboard.press("Control+Home")
    one.keyboard.press("End")
    one.keyboard.type("\nfrom one")

    expect(other.locator("#editor")).to_contain_text("from one")
    one.locator("#prediction input, #prediction textarea").focus()
    other.locator("#editor .cm-content").focus()
    other.keyboard.type(", from the other")

    expect(one.locator("#editor")).to_contain_text("end, from the other")
    assert text_of(one) == text_of(other) == "begin\nfrom one\nend, from the other"


def test_each_lab_keeps_its_own_draft(open_page, course):
    other = "lab05_flash_attention"
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, "of_lab_two = 2\n")

    page.click("#lab-picker input")
    page.get_by_role("option", name=labs.load(other).lab.title).click()

    expect(page.locator("#editor")).to_contain_text(labs.load(other).lab.entry)
    page.click("#lab-picker input")
    page.get_by_role("option", name=labs.load("lab02_safe_softmax").lab.title).click()
    expect(page.locator("#editor")).to_contain_text("of_lab_two")
    page.reload()
    expect(page.locator("#editor")).to_contain_text("of_lab_two")


def test_cancel(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    attempt = press(page, course)
    expect(page.locator("#cancel")).to_be_enabled()

    page.click("#cancel")

    expect(page.locator("#state")).to_contain_text("Cancelled")
    expect(page.locator("#check")).to_be_enabled()
    assert course.attempts[attempt].state is State.CANCELLED


def test_refused_keeps_the_report_on_show(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    course.finish(press(page, course), reports.wrong())
    expect(page.locator("#state .diagnosis")).to_be_visible()
    course.refusal = "No Submit is left for this lab <b>today</b>."

    page.click("#submit")

    expect(page.locator("#state")).to_contain_text("Not taken")
    expect(page.locator("#state")).to_contain_text("No Submit is left for this lab <b>today</b>.")
    expect(page.locator("#state .diagnosis")).to_be_visible()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = 1\n" * 300_000, id="two_megabytes"),
        pytest.param("   \n", id="blank"),
    ],
)
def test_a_source_that_cannot_be_graded_is_one_sentence(open_page, course, text):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, text)
    before = len(course.attempts)

    page.click("#submit")

    expect(page.locator("#state")).to_contain_text("Not taken")
    expect(page.locator("#state")).to_contain_text("1,800,000 characters long" if len(text) > 100 else "empty")
    assert len(course.attempts) == before


@pytest.mark.parametrize("around", ["# 🚀\n{}", "{}# 𝛼 = exp(m − m′), 每一行 👩‍🔬\n"])
def test_a_file_with_characters_that_a_browser_counts_twice_is_taken(open_page, course, around):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    source = around.format(labs.load("lab02_safe_softmax").solution)
    paste(page, source)

    page.click("#check")

    expect(page.locator("#state [data-live]")).to_be_visible()
    assert course.sources[course.newest] == source


def test_a_prediction_that_is_no_number(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    page.locator("#prediction input, #prediction textarea").fill("a lot")

    page.click("#submit")

    expect(page.locator("#state")).to_contain_text("'a lot' is not a number")


def test_grading_off_says_why_and_comes_back_by_itself(open_page, course):
    course.reason = "Landlock is missing: <this machine> cannot hold a submission."
    page = open_page(LAB)
    expect(page.locator("#state")).to_contain_text("Grading is off")
    expect(page.locator("#state")).to_contain_text("<this machine>")

    course.reason = ""

    expect(page.locator("#state")).to_contain_text("Nothing handed in yet")


def test_our_own_fault_is_not_charged(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    attempt = press(page, course, "#submit")

    course.move(attempt, state=State.SYSTEM_ERROR, fault="The disk is full.", charged=False)

    expect(page.locator("#state")).to_contain_text("This one is on us")
    expect(page.locator("#state")).to_contain_text("The disk is full.")
    expect(page.locator("#submit")).to_be_enabled()


def test_earlier_attempts_open_again(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, "first = 1\n")
    course.finish(press(page, course), reports.wrong())
    expect(page.locator("#state .verdict")).to_contain_text("Wrong")
    paste(page, "second = 2\n")
    course.finish(press(page, course), reports.passed())
    expect(page.locator("#state .verdict")).to_contain_text("Passed")

    page.get_by_text("Earlier attempts").click()
    page.click("#history input")
    page.get_by_role("option", name="Wrong").click()

    expect(page.locator("#state .verdict")).to_contain_text("Wrong")
    page.click("#take-source")
    expect(page.locator("#editor")).to_contain_text("first = 1")


def test_two_browsers_are_two_people(open_page, course):
    mine, theirs = open_page(LAB), open_page(LAB)
    expect(mine.locator("#state .state")).to_be_visible()
    course.finish(press(mine, course), reports.passed())
    expect(mine.locator("#state .verdict")).to_be_visible()

    theirs.reload()

    expect(theirs.locator("#state")).to_contain_text("Nothing handed in yet")


def test_open_details_stay_open_while_nothing_changes(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    course.finish(press(page, course), reports.wrong())

    page.get_by_text("Why it happens").click()
    page.wait_for_timeout(1200)

    expect(page.locator(".hints p").first).to_be_visible()


# Texts of the report beyond the window's edge, but for what scrolls by itself.
CUT_OFF = """() => [...document.querySelectorAll("#report :is(th, td, dd, p, li, figcaption, summary)")].filter((node) => {
  for (let box = node; box.id !== "report"; box = box.parentElement)
    if (getComputedStyle(box).overflowX !== "visible") return false;
  return node.getBoundingClientRect().right > innerWidth;
}).map((node) => node.textContent)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_in_one_direction_only(open_page, course, scheme):
    page = open_page(LAB, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    expect(page.locator("#state .state")).to_be_visible()
    fact = Fact(given="256 columns, 0 in the first half", got="the halves sum to 2.344 and 128", expected="they sum to 1")
    picture = Picture(kind="table", title="Codes", got=((0.125,) * 16,), expected=((0.5,) * 16,), columns=("0b1000",) * 16)
    course.finish(press(page, course), dataclasses.replace(reports.computing(), facts=(fact,), picture=picture))
    expect(page.locator("#report .roofline svg")).to_be_visible()
    page.get_by_text("SASS of").click()

    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]


def test_everything_is_reached_by_keyboard(open_page, course):
    page = open_page(LAB)
    expect(page.locator("#state .state")).to_be_visible()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.update(page.evaluate(IDS_AROUND_FOCUS))
        if page.evaluate("document.activeElement.closest('.cm-content') !== null"):
            page.keyboard.press("Escape")  # Tab indents in the editor; its label says how to leave
        if "earlier" in reached:
            break

    assert {"lab-picker", "editor", "prediction", "check", "submit", "restart", "earlier"} <= reached
