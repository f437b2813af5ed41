"""The address follows the reader and brings him back: tab, room, lab, attempt; Back, Forward, a reload, the title, links."""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import reports
from driving import paste
from playwright.sync_api import Page, expect

import labs

pytestmark = pytest.mark.browser

ADD_A_LINK = """() => document.querySelector(".section-text p")
  .insertAdjacentHTML("beforeend", '<a href="?tab=labs&lab=lab03">lab 3</a>')"""
SECOND, THIRD = labs.load("lab02_safe_softmax").lab.title, labs.load("lab03_online_softmax").lab.title


def tab(page: Page, name: str):
    return page.get_by_role("tab", name=name, exact=True).filter(visible=True)


def at(page: Page, **place: str) -> None:
    """The address names this place and no other."""
    query = "&".join(f"{key}={value}" for key, value in place.items())
    expect(page).to_have_url(re.compile(rf"/\?{query}$" if query else r"/\??$"))


def handed(page: Page, course, report) -> str:
    before = len(course.attempts)
    page.click("#check")
    expect(page.locator("#state [data-live]")).to_be_visible()
    assert len(course.attempts) == before + 1
    course.finish(course.newest, report)
    expect(page.locator("#state .verdict")).to_be_visible()
    return course.newest


def test_tabs_are_steps_of_the_readers_history(open_page, course):
    page = open_page()
    expect(page).to_have_title("Attention kernels")
    tab(page, "Precision").click()
    at(page, tab="precision")
    expect(page).to_have_title("Precision · Attention kernels")
    tab(page, "Labs").click()
    at(page, tab="labs")
    expect(page).to_have_title("Lab 0 · Your roof · Attention kernels")

    page.go_back()
    expect(tab(page, "Precision")).to_have_attribute("aria-selected", "true")
    expect(page).to_have_title("Precision · Attention kernels")
    page.go_back()
    expect(tab(page, "Start")).to_have_attribute("aria-selected", "true")
    page.go_forward()
    expect(tab(page, "Precision")).to_have_attribute("aria-selected", "true")
    page.reload()
    expect(tab(page, "Precision")).to_have_attribute("aria-selected", "true")


def test_a_lab_that_is_picked_is_there_after_a_reload_and_left_by_back(open_page, course):
    page = open_page("?tab=labs&lab=lab02")
    expect(page.locator("#spec h1")).to_contain_text(SECOND)
    page.click("#lab-picker input")
    page.get_by_role("option", name=THIRD).click()
    at(page, tab="labs", lab="lab03_online_softmax")
    expect(page).to_have_title(f"Lab 3 · {THIRD} · Attention kernels")

    page.reload()
    expect(page.locator("#spec h1")).to_contain_text(THIRD)
    page.go_back()
    expect(page.locator("#spec h1")).to_contain_text(SECOND)
    expect(page.locator("#editor")).to_contain_text("The launcher below is complete.")
    page.go_forward()
    expect(page.locator("#spec h1")).to_contain_text(THIRD)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("?lab=2", {"lab": "2", "tab": "labs"}),
        ("?Tab=ignored&tab=LABS&lab=lab02", {"Tab": "ignored", "tab": "labs", "lab": "lab02"}),
        ("?room=Map", {"room": "map", "tab": "labs"}),
        ("?tab=&lab=lab02#top", {"tab": "labs", "lab": "lab02"}),
    ],
)
def test_a_link_that_somebody_wrote_by_hand_is_understood(open_page, course, written, meant):
    page = open_page(written)
    expect(tab(page, "Labs")).to_have_attribute("aria-selected", "true")
    if "lab" in meant:
        expect(page.locator("#spec h1")).to_contain_text(SECOND)
    else:
        expect(tab(page, "All labs")).to_have_attribute("aria-selected", "true")
    assert dict(parse_qsl(urlsplit(page.url).query)) == meant
    page.reload()
    expect(tab(page, "Labs")).to_have_attribute("aria-selected", "true")


def test_an_attempt_has_an_address(open_page, course):
    page = open_page("?tab=labs&lab=lab02")
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, "first = 1\n")
    first = handed(page, course, reports.wrong())
    at(page, tab="labs", lab="lab02_safe_softmax", attempt=first)
    paste(page, "second = 2\n")
    second = handed(page, course, reports.passed())
    at(page, tab="labs", lab="lab02_safe_softmax", attempt=second)

    page.go_back()
    expect(page.locator("#state .verdict")).to_contain_text("Wrong")
    page.reload()
    expect(page.locator("#state .verdict")).to_contain_text("Wrong")
    page.go_forward()
    expect(page.locator("#state .verdict")).to_contain_text("Passed")


def test_an_earlier_attempt_that_is_opened_has_an_address(open_page, course):
    page = open_page("?tab=labs&lab=lab02")
    expect(page.locator("#state .state")).to_be_visible()
    first = handed(page, course, reports.wrong())
    paste(page, "x = 2\n")
    handed(page, course, reports.passed())

    page.get_by_text("Earlier attempts").click()
    page.click("#history input")
    page.get_by_role("option", name="Wrong").click()

    at(page, tab="labs", lab="lab02_safe_softmax", attempt=first)


def test_someone_elses_attempt_is_not_shown(open_page, course):
    mine, theirs = open_page("?tab=labs&lab=lab02"), open_page()
    attempt = handed(mine, course, reports.wrong())

    theirs.goto(mine.url)

    expect(theirs.locator("#state")).to_contain_text("That attempt is not here")
    expect(theirs.locator("#spec h1")).to_contain_text(SECOND)
    assert attempt in theirs.url


def test_rooms_have_addresses(open_page, course):
    page = open_page("?tab=labs&lab=lab02")
    expect(page.locator("#spec h1")).to_contain_text(SECOND)
    tab(page, "All labs").click()
    at(page, tab="labs", lab="lab02", room="map")
    expect(page).to_have_title("All labs · Attention kernels")
    page.reload()
    expect(page.locator("#lab-map")).to_contain_text("not begun")
    page.go_back()
    expect(page.locator("#editor")).to_be_visible()
    expect(page).to_have_title(f"Lab 2 · {SECOND} · Attention kernels")


def test_the_labs_are_left_and_found_again(open_page, course):
    page = open_page("?tab=labs&lab=lab03")
    expect(page.locator("#spec h1")).to_contain_text(THIRD)
    tab(page, "Memory").click()
    at(page, tab="memory")
    tab(page, "Labs").click()

    at(page, tab="labs", lab="lab03")
    expect(page.locator("#spec h1")).to_contain_text(THIRD)


def test_without_a_link_the_labs_open_where_one_was(open_page, course):
    page = open_page("?tab=labs&lab=lab03")
    expect(page.locator("#spec h1")).to_contain_text(THIRD)
    page.wait_for_function("localStorage.getItem('attention-labs-last') === 'lab03_online_softmax'")
    page.goto(page.url.partition("?")[0] + "?tab=labs")

    expect(page.locator("#spec h1")).to_contain_text(THIRD)


def test_links_are_followed_without_loading_the_page_again(open_page, course):
    page = open_page("?tab=labs&room=map")
    page.evaluate("window.same = true")
    page.locator("#lab-map").get_by_role("link", name=SECOND).click()
    expect(page.locator("#spec h1")).to_contain_text(SECOND)
    at(page, tab="labs", lab="lab02")

    page.locator("#spec").get_by_role("link", name="Normalization").click()
    expect(tab(page, "Normalization")).to_have_attribute("aria-selected", "true")
    at(page, tab="normalization")
    page.go_back()
    expect(page.locator("#spec h1")).to_contain_text(SECOND)
    expect(page.locator("#editor")).to_be_visible()
    page.go_back()
    expect(page.locator("#lab-map")).to_be_visible()
    assert page.evaluate("window.same")


def test_a_link_from_a_section_opens_a_lab_that_was_never_laid_out(open_page, course):
    page = open_page("?tab=normalization")
    page.evaluate(ADD_A_LINK)
    page.get_by_role("link", name="lab 3").click()

    expect(page.locator("#spec h1")).to_contain_text(THIRD)
    expect(page.locator("#editor")).to_contain_text("the maximum so far")


def test_a_pass_leads_to_the_next_lab_and_opens_other_designs(open_page, course):
    page = open_page("?tab=labs&lab=lab02")
    expect(page.locator("#state .state")).to_be_visible()
    expect(page.locator("#opened")).to_be_hidden()
    page.click("#submit")
    expect(page.locator("#state [data-live]")).to_be_visible()
    course.finish(course.newest, dataclasses.replace(reports.passed(), lab="lab02_safe_softmax"))
    expect(page.locator("#state .verdict")).to_contain_text("Passed")

    page.get_by_text("Our solution, and other designs").click()
    page.get_by_role("radio", name="Many rows").check()
    expect(page.locator("#design")).to_contain_text("ROWS: tl.constexpr")
    page.get_by_text("What it does differently from yours").click()
    expect(page.locator("#design .diff .yours").first).to_be_visible()
    page.locator("#state").get_by_role("link", name="Next: lab 3").click()

    expect(page.locator("#spec h1")).to_contain_text(THIRD)
    expect(page.locator("#state")).to_contain_text("Nothing handed in yet")
    expect(page.locator("#opened")).to_be_hidden()


def test_a_lab_is_opened_by_its_number_and_a_missing_one_is_said(open_page, course):
    page = open_page("?tab=labs&lab=99")
    expect(page.locator("#state")).to_contain_text("There is no lab '99': this is lab 0.")
    expect(page.locator("#spec h1")).to_contain_text("Lab 0")
    page.evaluate("history.pushState(null, '', '?tab=labs&lab=2'), dispatchEvent(new Event('popstate'))")

    expect(page.locator("#spec h1")).to_contain_text(SECOND)
    expect(page.locator("#state")).not_to_contain_text("There is no lab")


@pytest.mark.parametrize("query", ["?tab=nowhere", "?tab=labs&lab=lab99", "?tab=labs&room=cellar", "?tab=labs&attempt=none"])
def test_an_address_of_nothing_still_opens_the_page(open_page, course, query):
    page = open_page(query)

    expect(page.get_by_role("tab", selected=True).filter(visible=True).first).to_be_visible()
