"""The bug hunt in a real browser: marked, named and mended, by mouse and by keyboard; a reload loses nothing, Back works."""

from __future__ import annotations

import dataclasses
import re

import pytest
import reports
from playwright.sync_api import Page, expect

from labs.hunt.task import tasks
from tabs.labs.hunt import FREE

pytestmark = pytest.mark.browser

TASKS = [task for task in tasks().values() if task.lab == FREE]
TASK = next(task for task in TASKS if task.mistake.name == "shifted_by_one")
ROOM = "?tab=labs&room=hunt"
PASTE = """text => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const target = document.querySelector("#hunt-editor .cm-content");
  target.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def write(page: Page, text: str) -> None:
    """Replace what stands in the mend's editor."""
    page.locator("#hunt-editor .cm-content").click()
    page.keyboard.press("Control+A")
    page.evaluate(PASTE, text)


def shown(page: Page) -> str:
    expect(page.locator("#hunt-code [data-task]")).to_be_visible()
    return page.locator("#hunt-code [data-task]").get_attribute("data-task")


def choose(page: Page, line: int) -> None:
    page.locator("#hunt-code label.line", has=page.locator(f"input[value='{line}']")).click()


def choose_kind(page: Page, kind) -> None:
    page.locator("#hunt-kind").get_by_label(kind.title, exact=True).check()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["desktop", "phone_in_the_dark"])
def test_a_bug_is_marked_named_and_mended_and_a_reload_loses_nothing(open_page, course, scheme, width):
    page = open_page(f"{ROOM}&task={TASK.id}", viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert shown(page) == TASK.id
    other = next(number for number in range(8, 20) if number not in TASK.lines and TASK.source.splitlines()[number - 1].strip())
    choose(page, other)
    page.click("#hunt-mark")
    expect(page.locator("#hunt-marked")).to_contain_text(f"Line {other} is not where the bug is.")
    choose(page, min(TASK.lines))
    choose_kind(page, TASK.kind)
    write(page, TASK.mended)

    page.reload()

    expect(page.locator(f"#hunt-code input[value='{min(TASK.lines)}']")).to_be_checked()
    expect(page.locator("#hunt-kind").get_by_label(TASK.kind.title, exact=True)).to_be_checked()
    expect(page.locator("#hunt-marked")).to_contain_text("Tried once, not found yet.")
    page.click("#hunt-mark")
    expect(page.locator("#hunt-marked")).to_contain_text(f"Line {min(TASK.lines)}.")
    expect(page.locator("#hunt-code .lit")).to_have_count(len(TASK.lines))
    page.click("#hunt-name")
    expect(page.locator("#hunt-named")).to_contain_text(TASK.kind.says)
    before = len(course.attempts)
    page.click("#hunt-check")
    expect(page.locator("#hunt-state")).to_contain_text("Next in line")
    assert len(course.attempts) == before + 1
    assert course.sources[course.newest] == TASK.mended

    page.reload()

    expect(page.locator("#hunt-state")).to_contain_text("Next in line")
    course.finish(course.newest, dataclasses.replace(reports.passed(), lab=TASK.lab, mode="check"))
    expect(page.locator("#hunt-answer")).to_contain_text("Mended.")
    expect(page.locator("#hunt-kinds figcaption")).to_contain_text("1 missed")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.reload()
    expect(page.locator("#hunt-answer")).to_contain_text("Mended.")


def test_back_and_forward_in_one_breath_end_where_the_address_does(open_page, course):
    """Gradio forgets an event that comes while another of its kind is answered, unless it is told to keep the last."""
    page = open_page(ROOM)
    first = shown(page)
    page.click("#hunt-next")
    expect(page.locator(f"#hunt-code [data-task='{first}']")).to_have_count(0)
    second = shown(page)
    expect(page).to_have_url(re.compile(rf"task={second}$"))

    page.evaluate(
        """(first) => {
      const there = () => document.querySelector(`#hunt-code [data-task='${first}']`);
      const seen = new MutationObserver(() => there() && (seen.disconnect(), history.forward()));
      seen.observe(document.documentElement, { childList: true, subtree: true });
      history.back();
    }""",
        first,
    )

    expect(page).to_have_url(re.compile(rf"task={second}$"))
    expect(page.locator(f"#hunt-code [data-task='{second}']")).to_be_visible()


def test_tasks_are_steps_of_the_readers_history(open_page, course):
    page = open_page(ROOM)
    first = shown(page)
    expect(page).to_have_url(re.compile(rf"room=hunt&task={first}$"))
    page.click("#hunt-next")
    expect(page.locator(f"#hunt-code [data-task='{first}']")).to_have_count(0)
    second = shown(page)
    expect(page).to_have_url(re.compile(rf"task={second}$"))

    page.go_back()
    expect(page.locator(f"#hunt-code [data-task='{first}']")).to_be_visible()
    page.go_forward()
    expect(page.locator(f"#hunt-code [data-task='{second}']")).to_be_visible()
    page.get_by_role("tab", name="Write a kernel").click()
    expect(page).to_have_url(re.compile(r"\?tab=labs$"))
    page.go_back()
    expect(page.locator(f"#hunt-code [data-task='{second}']")).to_be_visible()
    expect(page).to_have_title("Bug hunt · Attention kernels")


def test_a_false_mend_says_so_and_its_report_is_folded(open_page, course):
    page = open_page(f"{ROOM}&task={TASK.id}")
    shown(page)
    page.click("#hunt-check")
    expect(page.locator("#hunt-state")).to_contain_text("Nothing is changed yet")
    write(page, TASK.mended.replace("col", "column"))
    page.click("#hunt-check")
    expect(page.locator("#hunt-state")).to_contain_text("Next in line")
    cases = tuple(dataclasses.replace(reports.wrong().cases[0], name=case.name, verdict="wrong_answer") for case in TASK.shown)
    course.finish(course.newest, dataclasses.replace(reports.wrong(), lab=TASK.lab, cases=cases))

    expect(page.locator("#hunt-state")).to_contain_text("still fail")
    expect(page.locator("#hunt-report .verdict")).not_to_be_visible()
    page.get_by_role("button", name="What the report says of it").click()
    expect(page.locator("#hunt-report .verdict")).to_be_visible()


def test_a_line_is_chosen_and_marked_by_keyboard(open_page, course):
    page = open_page(f"{ROOM}&task={TASK.id}")
    shown(page)
    page.locator("#hunt-code input").first.focus()
    while page.evaluate("document.activeElement.value") != str(min(TASK.lines)):
        page.keyboard.press("ArrowDown")
    page.locator("#hunt-mark").focus()
    page.keyboard.press("Enter")

    expect(page.locator("#hunt-marked")).to_contain_text("✓")
