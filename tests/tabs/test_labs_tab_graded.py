"""The whole path in a real browser: a file is pasted, graded by the real course behind real walls, and reported."""

from __future__ import annotations

import time

import pytest
from driving import caret_after, free_port, paste
from playwright.sync_api import Page, expect

import labs

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LAB = labs.load("lab02_safe_softmax")
GRADED_WITHIN_MS = 150_000

HOSTILE = '''
"""Reads what it may not, reaches out, prints markup, and leaves with a success code."""
import os
import socket

import triton


def attempt(name, action):
    try:
        action()
    except Exception:
        return
    print("STOLEN", name)


attempt("key", lambda: open("var/identity.key").read())
attempt("solution", lambda: open("labs/lab02_safe_softmax/solution.py").read())
attempt("passwords", lambda: open("/etc/passwd").read())
attempt("network", lambda: socket.create_connection(("127.0.0.1", 80), timeout=1))
attempt("shell", lambda: os.execv("/bin/sh", ["sh", "-c", "true"]))
attempt("parent", lambda: os.kill(os.getppid(), 9))
attempt("secrets", lambda: os.environ["GRADER_IDENTITY_KEY"])
print('<img src=x onerror="document.title = 1">')


def softmax(x, out):
    os._exit(0)
'''

_FIRST_LINE = "    row = tl.program_id(0).to(tl.int64)\n"
ENDLESS = LAB.starter.replace(_FIRST_LINE, _FIRST_LINE + "    while row >= 0:\n        row += 1\n")


@pytest.fixture(scope="module")
def graded_url(tmp_path_factory):
    """The page over a real course with a grading process beside it, once the walls were probed and grading is on."""
    import app
    from grader.course.course import Course
    from grader.course.supervise import Supervisor

    home = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADER_IDENTITY_KEY", "a key for tests, long enough")
        patch.delenv("OAUTH_CLIENT_ID", raising=False)
        with Course(home) as course, Supervisor(course.settings):
            page = app.build(course)
            where = {"server_name": "127.0.0.1", "server_port": free_port()}
            _, address, _ = app.launch(page, course, prevent_thread_lock=True, quiet=True, **where)
            deadline = time.monotonic() + 240
            while course.health()["grading"] != "on":
                assert time.monotonic() < deadline, course.health()["reason"]
                time.sleep(0.2)
            yield address
            page.close()


@pytest.fixture
def desk(open_page, graded_url):
    page = open_page(f"?tab=labs&lab={LAB.id}", address=graded_url)
    expect(page.locator("#state .state")).to_be_visible()
    return page


def graded(page: Page, source: str, button: str = "#check", *, reload: bool = False) -> str:
    """Paste, press, wait; the report's text."""
    paste(page, source)
    page.click(button)
    expect(page.locator("#state [data-live]")).to_be_visible()
    if reload:
        page.reload()
        expect(page.locator("#state [data-live], #state .verdict").first).to_be_visible()
    expect(page.locator("#state .verdict")).to_be_visible(timeout=GRADED_WITHIN_MS)
    return page.inner_text("#state") + page.inner_text("#report")


def test_the_solution_passes_across_a_reload(desk):
    text = graded(desk, LAB.solution, "#submit", reload=True)

    assert "✓ Passed" in text
    assert "✗" not in text
    assert "needs a GPU" in text
    desk.get_by_text("SASS of").click()
    expect(desk.locator("pre.code").last).to_contain_text("EXIT")
    expect(desk.locator("#editor")).to_contain_text("_softmax_kernel")  # the draft came back as well


def test_a_mistake_is_named(desk):
    mistake = next(mistake for mistake in LAB.mistakes if mistake.name == "max_not_subtracted")

    text = graded(desk, mistake.source)

    assert "✗ NaN" in text
    assert "subtract the row's maximum" in text
    desk.get_by_text("Why it happens").click()
    expect(desk.locator(".hints p").first).to_be_visible()


def test_a_syntax_error_costs_nothing(desk):
    text = graded(desk, "def softmax(x, out:\n    pass\n", "#submit")

    assert "✗ Unreadable" in text
    assert "'(' was never closed" in text
    assert "no attempt spent" in text
    expect(desk.locator("#allowance")).to_contain_text("10 left")


def test_a_hostile_file_gets_nothing(desk):
    text = graded(desk, HOSTILE)

    assert "✓" not in text
    assert "STOLEN " not in desk.text_content("#report")  # what it printed stands there, folded
    assert desk.locator("#report img").count() == 0
    assert desk.title() != "1"


def test_an_endless_loop_is_cancelled(desk):
    paste(desk, ENDLESS)
    desk.click("#check")
    expect(desk.locator("#state progress[max]")).to_be_visible(timeout=GRADED_WITHIN_MS)

    desk.click("#cancel")

    expect(desk.locator("#state")).to_contain_text("Cancelled", timeout=15_000)
    expect(desk.locator("#check")).to_be_enabled()


def test_an_exhibit_of_the_museum_is_judged_live(open_page, graded_url):
    page = open_page("?tab=labs&room=museum", address=graded_url)
    page.get_by_role("radio", name="Zeros are close enough").check()
    expect(page.locator("#exhibit-code")).to_contain_text("out.zero_()")

    page.get_by_role("button", name="Hand it in").click()

    expect(page.locator("#exhibit-report .verdict")).to_contain_text("Wrong", timeout=GRADED_WITHIN_MS)
    expect(page.locator("#exhibit-state")).to_contain_text("As the card says.")


KERNEL = """mask = offs < cols
x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=0.0).to(tl.float32)
p = tl.exp(x - tl.max(x, axis=0))
tl.store(out_ptr + row * stride_out + offs, p / tl.sum(p, axis=0), mask=mask)"""


DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_an_evening_typed_with_keys_from_the_start_to_a_pass(open_page, graded_url, screen):
    """Lab 2 with one mistake on the way, whose verdict is seen without scrolling, in under five minutes."""
    began = time.monotonic()
    page = open_page(address=graded_url, **screen)
    page.get_by_role("tab", name="Labs", exact=True).filter(visible=True).click()
    page.get_by_role("tab", name="All labs").filter(visible=True).click()
    page.get_by_role("link", name=LAB.lab.title).click()
    expect(page.locator("#editor")).to_contain_text("softmax_kernel")
    if screen is PHONE:
        page.get_by_role("button", name="Editor").click()
    caret_after(page, "3. Store the row")
    page.keyboard.type("\n" + KERNEL)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state .verdict")).to_contain_text("Wrong", timeout=GRADED_WITHIN_MS)
    expect(page.locator("#state .diagnosis")).to_be_in_viewport(ratio=1)
    expect(page.locator("#state .diagnosis")).to_contain_text("Padding takes part")

    page.get_by_text("Why it happens").click()
    page.get_by_text("Where in your file").click()
    page.locator("#report .hints [data-line]").first.click()
    page.keyboard.press("End")
    page.keyboard.press("Control+f")
    page.keyboard.type("0.0")
    page.keyboard.press("Escape")
    page.keyboard.type('-float("inf")')
    page.locator("#prediction input, #prediction textarea").fill("134.2")
    page.click("#submit")
    expect(page.locator("#state .verdict")).to_contain_text("Passed", timeout=GRADED_WITHIN_MS)

    expect(page.locator("#state")).to_contain_text("5.6 of 8 points. Missing: 2.4 for speed: needs a GPU.")
    expect(page.get_by_role("link", name="Next: lab 3")).to_be_in_viewport()
    assert time.monotonic() - began < 300
