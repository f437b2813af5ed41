"""axe finds nothing serious on any tab, nor in the museum with a report and the hunt with an answer, in light and in dark.

What differs between the two modes is colour alone.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import axe_playwright_python
import pytest
import reports
from playwright.sync_api import expect

from labs import museum
from tabs import load_tabs

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
OF_COLOUR = ["color-contrast", "link-in-text-block"]
# Everything is shown at once: tables unfolded, a question answered, guided mode on, a number refused.
UNFOLD = """() => {
  const shown = [...document.querySelectorAll("[role=tabpanel]")].find((panel) => panel.getClientRects().length);
  shown.dataset.id = shown.id;
  shown.id = "shown";
  shown.querySelectorAll(".fig-twin, .references details, .report details").forEach((fold) => { fold.open = true; });
  shown.querySelectorAll(".quiz").forEach((quiz) => quiz.querySelector(".quiz-option")?.click());
  const guided = [...shown.querySelectorAll(".fig-modes button")].find((button) => button.textContent === "Guided");
  guided?.click();
  const field = shown.querySelector(".fig-number");
  if (field) {
    field.value = "letters";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}"""
RUN = """async (only) => {
  const options = { resultTypes: ["violations"], preload: false, ...(only ? { runOnly: { type: "rule", values: only } } : {}) };
  const { violations } = await axe.run({ include: ["#shown", "[role=tablist]"] }, options);
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = ({ html, failureSummary }) => `${html.slice(0, 120)} | ${failureSummary.slice(0, 200)}`;
  return serious.map(({ id, nodes }) => [id, ...nodes.slice(0, 3).map(told)].join(" || "));
}"""
# The tables' cells have the colours of the text around them: once is enough.
FOLD_AND_DARKEN = """() => {
  document.querySelectorAll("#shown .fig-twin").forEach((fold) => { fold.open = false; });
  document.body.classList.add("dark");
}"""
# As the page was, for the next tab.
PUT_BACK = """() => {
  const shown = document.querySelector("#shown");
  shown.id = shown.dataset.id;
  document.body.classList.remove("dark");
}"""
ROOMS = [*((tab.ID, "") for tab in load_tabs()), ("labs", "museum"), ("labs", "hunt")]


@pytest.mark.parametrize(("tab", "room"), ROOMS, ids=[room or tab for tab, room in ROOMS])
def test_axe_finds_nothing_serious(tab, room, turned_to, open_page, course):
    how = {"color_scheme": "light", "reduced_motion": "reduce"}
    page = open_page(f"?tab={tab}&room={room}", **how) if room else turned_to(tab, **how)
    expect(page.get_by_role("tabpanel").filter(visible=True).first).not_to_be_empty()
    if tab == "labs":
        scrolls = {"museum": "#exhibit-code pre[tabindex]", "hunt": "#hunt-editor .cm-content[tabindex]"}
        expect(page.locator(scrolls.get(room, "#editor .cm-content[tabindex]"))).to_be_attached()  # page.js has been there
    if room == "museum":
        page.get_by_role("button", name="Hand it in").click()
        expect(page.locator("#exhibit-state")).to_contain_text("Next in line")
        course.finish(course.newest, dataclasses.replace(reports.wrong(), lab=museum.LAB))
        expect(page.locator("#exhibit-report .verdict")).to_be_visible()
    if room == "hunt":
        expect(page.locator("#hunt-code [data-task]")).to_be_visible()
        page.get_by_role("button", name="Show the answer").click()
        expect(page.locator("#hunt-answer .diff")).to_be_visible()
    page.evaluate(UNFOLD)
    page.wait_for_timeout(400)  # the tables are drawn when a figure has been still for a while
    page.evaluate(AXE)

    found = page.evaluate(RUN, None)
    page.evaluate(FOLD_AND_DARKEN)
    found += [f"dark: {one}" for one in page.evaluate(RUN, OF_COLOUR)]
    page.evaluate(PUT_BACK)

    assert found == []
