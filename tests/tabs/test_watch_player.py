"""The player of a trace in a real browser: it plays, steps and scrubs, by pointer and by keys, and works as a page alone."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path

import axe_playwright_python
import pytest
import reports
from driving import paste
from playwright.sync_api import expect

from tabs.figures.watch_page import page as page_of

sys.path.insert(0, str(Path(__file__).parent / "figures"))
sys.path.insert(0, str(Path(__file__).parents[1] / "grader"))
from test_trace import TRACE  # noqa: E402
from traces import drawn, whole  # noqa: E402

pytestmark = pytest.mark.browser

SOURCE = "\n".join(
    f"line_{number} = {number}  # as long as a kernel's lines are: no phone holds them" for number in range(1, 31)
)
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WORK_MS = 8.0  # half a frame, on the thread's own clock
STEPS = 60


@pytest.fixture
def play(chromium, tmp_path):
    """play(trace, …) gives the page that plays it; at the end nothing was asked for and no error was seen."""
    contexts, complaints, count = [], [], itertools.count()

    def open_alone(trace, *, failed=True, **options):
        path = tmp_path / f"{next(count)}.html"
        path.write_text(page_of(trace, SOURCE, lab="A lab", verdict="Wrong.", failed=failed), encoding="utf-8")
        context = chromium.new_context(**{"viewport": {"width": 760, "height": 1000}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        expect(page.locator("#figure-watch .fig-say")).not_to_be_empty()
        return page

    yield open_alone
    for context in contexts:
        context.close()
    assert not complaints


def says(page, text):
    expect(page.locator("#figure-watch .fig-say")).to_contain_text(text)


def lit(page, number):
    expect(page.locator("#figure-watch .watch-code .lit")).to_contain_text(f"line_{number} =")


def test_it_opens_where_it_goes_wrong_with_the_line_lit_and_the_lanes_in_red(play):
    page = play(TRACE)  # access 3 of 6 stores past the end, and is not allowed

    says(page, "Step 3 of 6: program 2 of _softmax, line 12. 32 lanes store into out")
    says(page, "15 lanes lie past the end of out. The run ends here")
    lit(page, 12)
    expect(page.locator(".watch-code .lit.wrong")).to_have_count(1)
    assert page.locator(".watch-tensor.ink rect.wrong").count() == 1
    assert page.locator(".watch-tensor path.wrong.mark").get_attribute("d").startswith("M0.00")
    expect(page.locator(".watch-name", has_text="out")).to_contain_text("✗ 15 past the end")


def test_it_is_stepped_scrubbed_and_played_by_keys_alone(play):
    page = play({**TRACE, "fault": None}, failed=False)
    says(page, "15 lanes lie past the end")
    stage = page.locator(".watch-stage")
    stage.focus()

    page.keyboard.press("Home")
    says(page, "Nothing has run yet: 6 steps of 2 programs will follow.")
    page.keyboard.press("ArrowRight")
    says(page, "Step 1 of 6: the host, line 20. It fills out: rows 0 to 2, columns 0 to 16.")
    lit(page, 20)
    page.keyboard.press("ArrowRight")
    says(page, "17 lanes load x: row 2, columns 0 to 16. 15 of 32 lanes are masked off.")
    page.keyboard.press("ArrowLeft")
    says(page, "Step 1 of 6")
    page.keyboard.press("End")
    says(page, "Step 6 of 6")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    says(page, "Step 6 of 6")  # after a while: it plays to the end
    expect(page.get_by_role("button", name="Play")).to_be_visible()

    track = page.get_by_role("slider")
    track.focus()
    page.keyboard.press("Home")
    says(page, "Nothing has run yet")
    page.keyboard.press("ArrowUp")
    says(page, "Step 1 of 6")


def test_one_program_is_chosen_and_a_line_leads_to_its_next_access(play):
    page = play(TRACE)

    page.get_by_role("button", name="program 0 of _softmax").click()
    says(page, "Step 4 of 6: program 0 of _softmax")
    page.get_by_role("button", name="Step").click()
    says(page, "Step 5 of 6")
    page.get_by_role("button", name="All programs").click()
    page.locator(".watch-code [role=button]", has_text="line_10 =").click()
    says(page, "Step 2 of 6: program 2 of _softmax, line 10")


def test_a_lane_is_read_by_its_number_and_by_pressing_its_element(play):
    page = play({**TRACE, "fault": None}, failed=False)
    page.locator(".watch-stage").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")

    page.get_by_role("spinbutton", name="Lane").fill("5")
    says(page, "Lane 5: row 2 · stride 17 + column 5 = 39, counted in elements of x.")
    box = page.locator(".watch-tensor.scores > svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.68)
    says(page, "Lane 8: row 2 · stride 17 + column 8 = 42")
    expect(page.locator(".fig-why")).to_have_text(
        "x[2, 8]: row 2 · stride 17 + column 8 = 42; read first in step 2, by program 2 of _softmax, line 10"
    )


def test_it_is_zoomed_by_keys_by_buttons_and_by_pressing_an_element_twice(play):
    page = play({**TRACE, "fault": None}, failed=False)
    name = page.locator(".watch-tensor.scores .watch-name")
    page.locator(".watch-stage").focus()

    page.keyboard.press("+")
    expect(name).to_contain_text("columns 0 to 8 shown")
    page.keyboard.press("+")
    expect(name).to_contain_text("columns 0 to 4 shown")
    page.keyboard.press("-")
    expect(name).to_contain_text("columns 0 to 8 shown")
    page.get_by_role("button", name="Reset zoom").click()
    expect(name).not_to_contain_text("shown")
    box = page.locator(".watch-tensor.scores > svg").bounding_box()
    page.mouse.dblclick(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5)
    expect(name).to_contain_text("columns 8 to 16 shown")
    page.keyboard.press("0")
    page.locator(".watch-stage").focus()
    page.keyboard.press("0")
    expect(name).not_to_contain_text("shown")


def test_what_a_line_holds_and_where_that_parts_from_the_lab_stands_beside_it(play):
    page = play(whole(races=False))  # its first two elements are not right; line 12 holds no quantity

    says(page, "2 elements that it stores into are not right in the end.")
    says(page, "Line 12, which takes from line 11, is the first that holds none of the quantities")
    expect(page.locator(".watch-code .lit.wrong")).to_contain_text("✗ no quantity of the lab")
    expect(page.locator(".watch-code", has_text="line_11").locator(".watch-holds").first).to_have_text("input")
    text_in_its_box = """(tag) => {
      const text = document.createRange(), box = tag.getBoundingClientRect();
      text.selectNodeContents(tag);
      return text.getBoundingClientRect().left >= box.left && text.getBoundingClientRect().right <= box.right;
    }"""
    for tag in page.locator(".watch-holds").all():  # else it is written over the line
        assert tag.evaluate(text_in_its_box), tag.inner_text()
    page.set_viewport_size({"width": 390, "height": 844})
    for tag in page.locator(".watch-holds").all():
        box, code = tag.bounding_box(), page.locator(".watch-code").bounding_box()
        assert box["x"] + box["width"] <= code["x"] + code["width"], "on a phone it is beyond the edge"
    expect(page.locator(".watch-name", has_text="out")).to_contain_text("✗ 2 not right")
    assert page.locator(".watch-off").last.get_attribute("d") != ""


def test_a_walk_is_drawn_beside_the_ideal_one(play):
    page = play({**whole(races=False), "runs": [[0, 0, [0, 0, 0, 0, 1, 0]]]})

    said = page.locator(".watch-walk svg").get_attribute("aria-label")
    assert "an ideal kernel's program loads" in said and "this one goes on with" in said
    assert page.locator(".watch-walk .watch-edge").count() == 2


def test_its_text_twin_says_the_same_in_sentences(play):
    page = play(TRACE)
    page.get_by_text("As a table").click()
    rows = page.locator(".fig-twin tbody tr")

    expect(rows).to_have_count(6)
    expect(rows.nth(1)).to_contain_text("program 2 of _softmax, line 10. 17 lanes load x: row 2, columns 0 to 16.")
    spoken = page.locator(".fig-spoken")
    expect(spoken).to_contain_text("Step 3 of 6")


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 375, "height": 800}}], ids=str)
def test_nothing_hangs_over_the_edge_in_any_mode(play, options):
    for seed in (0, 3):
        page = play(drawn(seed), **options)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_step_is_drawn_in_half_a_frame(play):
    page = play(drawn(3))
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_ms():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    length = len(drawn(3)["runs"])
    move = (
        "async (steps) => { const figure = document.querySelector('#figure-watch').figure;"
        " for (let i = 0; i < steps; i += 1) { figure.set({ step: i % %d });"
        " await new Promise(requestAnimationFrame); } }"
    )
    before = busy_ms()
    page.evaluate(move.replace("%d", str(length)), STEPS)
    assert (busy_ms() - before) / STEPS < WORK_MS


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_nothing_serious(play, mode):
    page = play(TRACE, color_scheme=mode)
    page.get_by_text("As a table").click()
    expect(page.locator(".fig-twin tbody tr")).to_have_count(6)
    page.evaluate(AXE)
    found = page.evaluate(
        "async () => (await axe.run({ resultTypes: ['violations'] })).violations.map((one) => [one.impact, one.id])"
    )

    assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_a_report_in_the_labs_tab_is_played_over_the_file_that_was_handed_in(open_page, course):
    page = open_page("?tab=labs&lab=lab02_safe_softmax")
    expect(page.locator("#state .state")).to_be_visible()
    paste(page, SOURCE)
    before = len(course.attempts)
    page.click("#check")
    while len(course.attempts) == before:
        page.wait_for_timeout(50)
    case = dataclasses.replace(reports.wrong().cases[0], name=TRACE["case"])
    course.finish(course.newest, dataclasses.replace(reports.wrong(), trace=TRACE, cases=(case,)))

    says(page, "Step 3 of 6: program 2 of _softmax, line 12")
    lit(page, 12)
    page.locator(".watch-stage").focus()
    page.keyboard.press("ArrowLeft")
    says(page, "Step 2 of 6")
    course.finish(course.newest, reports.passed())
    page.reload()
    expect(page.locator("#report .cases")).to_be_visible()
    expect(page.locator("#figure-watch")).to_have_count(0)
