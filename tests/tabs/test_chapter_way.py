"""The way through the chapter: where each section leads, where the reader goes on, and a picture that moves only if it may."""

from __future__ import annotations

import ast
import re

import pytest
from playwright.sync_api import expect
from test_widgets_browser import figure_of, settle, state

import labs
from tabs import load_tabs
from tabs.chapter import landing, way

SECTIONS = [tab.ID for tab in load_tabs() if tab.__name__.startswith("tabs.chapter.") and tab.ID not in ("start", "references")]
WITH_FIGURES = [tab.ID for tab in load_tabs() if tab.ID in SECTIONS and getattr(tab, "FIGURES", ())]


def test_every_section_leads_on():
    assert SECTIONS and all(re.fullmatch("[a-z]+", tab) for tab in SECTIONS), "the ID of a tab is small letters alone"
    assert set(way.PRACTICE) == set(SECTIONS), "each section of the chapter has a row in PRACTICE of tabs/chapter/way.py"
    order = [tab.ID for tab in load_tabs()]
    for tab in SECTIONS:
        links = re.findall(r'href="\?tab=([a-z]+)(?:&amp;lab=(\w+))?"', way.markup(tab))
        *practice, (after, none) = links
        assert practice and all(room == "labs" and lab in labs.lab_ids() for room, lab in practice)
        assert none == "" and order.index(after) == order.index(tab) + 1


def test_every_lab_is_practice_for_a_section():
    practised = {lab for found in way.PRACTICE.values() for lab in found}

    assert practised == set(labs.lab_ids())


def test_links_within_the_text_lead_to_tabs():
    known = {tab.ID for tab in load_tabs()}
    text = landing._PROSE + "".join((labs.load(lab).path / "spec.md").read_text(encoding="utf-8") for lab in labs.lab_ids())

    assert {"triton"} <= set(re.findall(r"\?tab=(\w+)", text)) <= known


def test_starters_are_python_and_fit_the_editor():
    for lab in labs.lab_ids():
        ast.parse(labs.load(lab).starter, filename=lab)
    wide = [
        f"{lab}: {number}"
        for lab in labs.lab_ids()
        for number, line in enumerate(labs.load(lab).starter.splitlines(), start=1)
        if len(line) > 88
    ]

    assert wide == []


@pytest.mark.browser
def test_begin_leads_to_the_first_section_and_its_end_to_the_next(open_page):
    page = open_page("?tab=start")

    page.get_by_role("link", name="Begin", exact=True).click()
    expect(page.get_by_role("heading", name="How much do two vectors agree?").first).to_be_visible()
    page.locator(".way:visible a", has_text="Normalization").click()
    expect(page.locator("#figure-softmax-lanes")).to_be_visible()
    page.locator(".way:visible a", has_text="lab 2").click()
    expect(page.locator("#editor .cm-content")).to_be_visible()


@pytest.mark.browser
def test_start_knows_where_the_reader_was(open_page, url):
    page = open_page("?tab=precision")
    page.goto(f"{url}?tab=start")

    again = page.locator(".resume a")
    expect(again).to_have_text("Precision")
    page.goto(f"{url}?tab=labs&lab=lab05_flash_attention")
    page.goto(url)
    expect(again).to_have_text("lab 5, FlashAttention")
    again.click()
    expect(page.locator("#editor .cm-content")).to_be_visible()


@pytest.mark.browser
def test_the_first_picture_moves_until_the_reader_takes_hold(open_page):
    page = open_page("?tab=start")
    figure_of(page, "stream")
    page.wait_for_function("document.querySelector('#figure-stream').figure.state.tiles >= 2")
    expect(page.locator("#figure-stream .fig-say")).to_contain_text(re.compile("Tile|All"))

    grip = page.get_by_role("slider", name="score 1", exact=True)
    box = grip.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"])
    page.mouse.up()
    settle(page)
    assert state(page, "stream", "scores.0") == 4
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    held = state(page, "stream", "tiles")
    grip.focus()
    page.keyboard.press("ArrowDown")
    settle(page)
    assert state(page, "stream", "scores.0") == 3.9
    page.wait_for_timeout(1500)
    assert state(page, "stream", "tiles") == held


@pytest.mark.browser
def test_whoever_wants_no_motion_sees_none(open_page):
    page = open_page("?tab=start", reduced_motion="reduce")
    figure_of(page, "stream")

    page.wait_for_timeout(2500)

    assert state(page, "stream", "tiles") == 0
    page.get_by_role("button", name="One tile on").click()
    settle(page)
    assert state(page, "stream", "tiles") == 1


@pytest.mark.browser
@pytest.mark.parametrize("tab", WITH_FIGURES)
def test_paper_has_the_text_and_the_picture_and_nothing_to_press(tab, turned_to):
    page = turned_to(tab)
    expect(page.locator(".fig svg:visible").first).to_be_visible()

    page.emulate_media(media="print")

    expect(page.locator(".section-text:visible").first).to_be_visible()
    expect(page.locator(".fig svg:visible").first).to_be_visible()
    for pressed in (".fig-foot", ".fig-modes", ".fig-button", ".way", "[role=tablist]", ".fig-toggle[aria-pressed=false]"):
        expect(page.locator(f"{pressed}:visible")).to_have_count(0)
    # A flex box keeps its height of the screen, and what grows over the pages is cut off at it.
    boxes = "n => { const found = []; while ((n = n.parentElement)) found.push(getComputedStyle(n).display); return found; }"
    assert set(page.locator(".section:visible").last.evaluate(boxes)) == {"block"}


@pytest.mark.browser
def test_paper_is_never_dark(open_page):
    page = open_page("?tab=references", color_scheme="dark")
    expect(page.locator("body.dark")).to_have_count(1)

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("body.dark")).to_have_count(0)

    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("body.dark")).to_have_count(1)


@pytest.mark.browser
def test_lanes_follow_the_lines_and_show_where_an_unmasked_one_lands(open_page):
    page = open_page("?tab=triton")
    figure = figure_of(page, "lanes")
    for _ in range(4):
        figure.get_by_role("button", name="Step ▸").click()
        settle(page)
    assert (state(page, "lanes", "line"), state(page, "lanes", "program")) == (2, 2)

    figure.get_by_role("button", name="program (0, 1)").click()
    figure.get_by_role("button", name="x = tl.load").click()
    expect(figure.locator(".fig-code .lit")).to_contain_text("mask=mask, other=0.0")
    expect(figure.locator(".fig-say")).to_contain_text("4 numbers are read. The masked 4 lanes touch no memory")
    figure.get_by_role("button", name="Leave out the mask").click()
    expect(figure.locator(".fig-say")).to_contain_text("Off the end: 4 between elements")
    figure.get_by_role("button", name="Contiguous").click()
    expect(figure.locator(".fig-say")).to_contain_text("4 on another element")
