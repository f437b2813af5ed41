"""The labs' editor under a person's fingers: everything here is typed with keys."""

from __future__ import annotations

import dataclasses

import pytest
import reports
from driving import caret_after, paste, text_of
from playwright.sync_api import Page, expect

import labs
from grader.report import Diagnosis, Report

pytestmark = pytest.mark.browser

LAB = labs.load("lab02_safe_softmax")
QUERY = "?tab=labs&lab=lab02"
MARKED = "#editor .line-reported"
COLOURS = """() => {
  const words = [...document.querySelectorAll("#editor .cm-line span")];
  const of = (text) => getComputedStyle(words.find((word) => word.textContent.startsWith(text))).color;
  const named = (name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  return [["import", '"', "# 1.", "0"].map(of), ["accent", "value", "muted", "key"].map(named)];
}"""


def opened(open_page) -> Page:
    page = open_page(QUERY, viewport={"width": 1440, "height": 900})
    expect(page.locator("#state .state")).to_be_visible()
    expect(page.locator("#editor")).to_contain_text("softmax_kernel")
    return page


@pytest.fixture
def page(open_page, course):
    return opened(open_page)


@pytest.fixture(scope="module")
def sheet(open_for_all):
    """A page for tests that begin with `write` and look at the text alone."""
    return opened(open_for_all)


def write(page: Page, text: str) -> None:
    """Clear the editor and type; "\\n" is Enter, and only that: every other blank comes from the editor."""
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def named(line: int) -> Report:
    return dataclasses.replace(
        reports.wrong(), diagnosis=Diagnosis(sentence="the padding takes part", name="padding_zero", line=line)
    )


def judged(page: Page, course, report) -> None:
    before = len(course.attempts)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state [data-live]")).to_be_visible()
    assert len(course.attempts) == before + 1
    course.finish(course.newest, report)
    expect(page.locator("#state .verdict")).to_be_visible()


def test_enter_keeps_the_indent_and_goes_deeper_after_a_colon(page):
    caret_after(page, "offs = tl.arange")
    page.keyboard.type("\nfor i in range(3):  # thrice\nx = i\nif x:\ny = 1\nz = 2")

    body = text_of(page).partition("offs = tl.arange(0, BLOCK)\n")[2].splitlines()[:5]
    assert body == [
        "    for i in range(3):  # thrice",
        "        x = i",
        "        if x:",
        "            y = 1",
        "            z = 2",
    ]


def test_after_a_long_line_the_left_edge_is_back(page):
    caret_after(page, "offs = tl.arange")
    page.keyboard.type("\nx = ")
    page.keyboard.insert_text("1 + " * 60)  # at once: key by key, so long a line takes ten seconds
    page.wait_for_function("document.querySelector('#editor .cm-scroller').scrollLeft > 0")
    page.keyboard.press("Enter")

    page.wait_for_function("document.querySelector('#editor .cm-scroller').scrollLeft === 0")


def test_a_typed_answer_is_python(sheet):
    """The solution's kernel, typed line by line without a blank at the beginning of any."""
    kernel = LAB.solution.partition("@triton.jit")[2].partition("\n\n\n")[0]
    lines = [line for line in kernel.strip().splitlines() if line.strip()]
    write(sheet, "import triton\n@triton.jit\n" + "\n".join(line.strip() for line in lines))

    assert text_of(sheet).splitlines()[2:] == lines


@pytest.mark.parametrize(
    ("line", "after"),
    [
        pytest.param("x = {1:", 4, id="inside_a_brace"),
        pytest.param("f(", 4, id="after_a_bracket"),
        pytest.param("x = 1  # note:", 0, id="colon_in_a_comment"),
        pytest.param("x = 'a:'", 0, id="colon_in_a_string"),
    ],
)
def test_what_makes_the_next_line_deeper(sheet, line, after):
    write(sheet, f"{line}\n@")

    typed = next(text for text in text_of(sheet).splitlines() if "@" in text)
    assert len(typed) - len(typed.lstrip()) == after


def test_brackets_open_into_three_lines(sheet):
    write(sheet, "f(\nx")

    assert text_of(sheet) == "f(\n    x\n)"


def test_tab_and_shift_tab(sheet):
    write(sheet, "a = 1\nb = 2")
    sheet.keyboard.press("Control+A")
    sheet.keyboard.press("Tab")
    assert text_of(sheet) == "    a = 1\n    b = 2"
    sheet.keyboard.press("Shift+Tab")
    assert text_of(sheet) == "a = 1\nb = 2"
    sheet.keyboard.press("Control+End")
    sheet.keyboard.press("Tab")
    assert text_of(sheet) == "a = 1\nb = 2   "


def test_backspace_takes_a_whole_step(sheet):
    write(sheet, "if a:\nb")
    sheet.keyboard.press("Home")
    sheet.keyboard.press("Backspace")
    assert text_of(sheet) == "if a:\nb"
    sheet.keyboard.press("End")
    sheet.keyboard.press("Backspace")
    assert text_of(sheet) == "if a:\n"


def test_ctrl_slash_comments_and_back(sheet):
    write(sheet, "a = 1")
    sheet.keyboard.press("Control+/")
    assert text_of(sheet) == "# a = 1"
    sheet.keyboard.press("Control+/")
    assert text_of(sheet) == "a = 1"


def test_ctrl_z_takes_what_was_typed_back(page):
    caret_after(page, "offs = tl.arange")
    page.keyboard.type("\nfor i in x:\ny = 1")
    assert text_of(page) != LAB.starter.rstrip()
    for _ in range(8):
        page.keyboard.press("Control+z")
        if text_of(page) == LAB.starter.rstrip():
            break

    assert text_of(page) == LAB.starter.rstrip()


def test_escape_then_tab_leaves(page):
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.closest('#editor .cm-content') === null")
    assert text_of(page) == LAB.starter.rstrip()


def test_ctrl_f_finds_from_match_to_match(page):
    caret_after(page, "import torch")
    page.keyboard.press("Control+f")
    page.keyboard.type("stride_x")
    bar = page.get_by_role("search")
    expect(bar).to_contain_text("1 of 2")
    page.keyboard.press("Enter")
    expect(bar).to_contain_text("2 of 2")
    expect(page.locator("#editor .text-found")).to_have_text("stride_x")
    page.keyboard.press("Escape")

    expect(bar).to_have_count(0)
    page.keyboard.type("found")
    assert "found" in next(line for line in text_of(page).splitlines() if "1. Load the row" in line)


def test_ctrl_enter_checks_what_was_just_typed(page, course):
    write(page, "last = 'word'")

    judged(page, course, reports.wrong())

    assert course.sources[course.newest] == "last = 'word'"
    assert course.attempts[course.newest].mode == "check"


def test_the_line_that_a_report_names_is_marked_until_it_is_edited(page, course):
    write(page, "a = 1\nb = 2\nc = 3")
    judged(page, course, named(2))
    expect(page.locator(MARKED)).to_have_text("b = 2")

    page.keyboard.press("Control+Home")
    page.keyboard.type("first\n")
    expect(page.locator(MARKED)).to_have_text("b = 2")
    caret_after(page, "b = 2")
    page.keyboard.type("2")

    expect(page.locator(MARKED)).to_have_count(0)


def test_pressing_a_line_goes_there(page, course):
    paste(page, "\n".join(f"line_{number} = {number}" for number in range(1, 80)))  # a key costs 20 ms
    judged(page, course, named(5))
    page.get_by_role("button", name="Line 5").first.click()
    page.keyboard.type("here ")

    assert text_of(page).splitlines()[4] == "here line_5 = 5"
    expect(page.locator("#editor .cm-line", has_text="here line_5")).to_be_in_viewport()


def test_a_mark_comes_back_with_the_draft(page, course):
    write(page, "a = 1\nb = 2")
    judged(page, course, named(1))
    page.reload()

    expect(page.locator(MARKED)).to_have_text("a = 1")


def test_another_text_is_not_marked(page, course):
    write(page, "a = 1\nb = 2")
    judged(page, course, named(1))
    paste(page, "all = 'new'")

    expect(page.locator(MARKED)).to_have_count(0)


def test_draft_and_prediction_survive_a_reload(page):
    write(page, "draft = 1")
    page.locator("#prediction textarea, #prediction input").fill("134.2")  # as pasted: no key is pressed
    page.wait_for_function(f"localStorage.getItem('attention-labs-prediction:{LAB.id}') === '134.2'")
    page.reload()

    expect(page.locator("#editor")).to_contain_text("draft = 1")
    expect(page.locator("#prediction textarea, #prediction input")).to_have_value("134.2")


def test_back_to_the_starter_asks_and_is_taken_back(page):
    write(page, "mine = 1")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#restart")
    expect(page.locator("#editor")).to_contain_text("mine = 1")
    expect(page.locator("#take-back")).to_be_hidden()

    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#restart")
    expect(page.locator("#editor")).to_contain_text("softmax_kernel")
    page.reload()
    expect(page.locator("#editor")).to_contain_text("softmax_kernel")
    page.click("#take-back")

    expect(page.locator("#editor")).to_contain_text("mine = 1")
    page.reload()
    expect(page.locator("#editor")).to_contain_text("mine = 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_kinds_of_words_have_colours_that_can_be_read(open_page, course, scheme):
    page = open_page(QUERY, color_scheme=scheme)
    expect(page.locator("#editor")).to_contain_text("softmax_kernel")
    page.wait_for_timeout(500)

    colours, variables = page.evaluate(COLOURS)

    assert len(set(colours)) == 4
    assert colours == variables  # all pass 4.5:1 (look.css)


@pytest.mark.parametrize("lab_id", labs.lab_ids())
def test_starters_fit_the_editor(lab_id):
    assert max(map(len, labs.load(lab_id).starter.splitlines())) <= 88
