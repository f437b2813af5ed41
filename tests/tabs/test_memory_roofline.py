"""The roofline of the Memory tab: the reader's own timed attempts, and nobody else's."""

from __future__ import annotations

import dataclasses

import reports
from fake_course import FakeCourse
from playwright.sync_api import expect

from tabs.chapter import memory
from tabs.figures import roofline
from tabs.page.identity import Identities


def graded(course, identities):
    """A reader with an attempt that was timed on a GPU and one that a CPU judged."""
    me = identities.issue()
    for report, device in ((reports.computing(), "cuda"), (reports.passed(), "cpu")):
        attempt = course.submit(user=me.id, lab_id="lab05_flash_attention", source="x", mode="submit")
        course.move(attempt, device=device)
        course.finish(attempt, dataclasses.replace(report, device="NVIDIA L4"))
    return me


def test_only_the_holder_of_the_token_sees_timed_attempts():
    course, identities = FakeCourse(), Identities(b"a key for tests, long enough")
    mine, other = graded(course, identities), identities.issue()

    assert [found.timing for found in memory.own_reports(course, identities, mine.token)] == [reports.computing().timing]
    assert memory.own_reports(course, identities, other.token) == []
    assert memory.own_reports(course, identities, "made.up") == []


def test_the_roof_is_that_of_the_readers_own_gpu_once_there_is_one(open_page, course):
    identities = Identities(b"a key for tests, long enough")
    me, timing = graded(course, identities), reports.computing().timing
    page = open_page("?tab=start")
    figure = page.locator("#figure-roofline")

    page.get_by_role("tab", name="Memory", exact=True).click()
    expect(figure.get_by_role("button", name="yours")).to_have_count(0)
    page.evaluate("token => localStorage.setItem('attention-labs-token', token)", me.token)
    page.reload()
    page.get_by_role("tab", name="Memory", exact=True).click()

    expect(figure.get_by_role("button", name="yours: L4", pressed=True)).to_be_visible()
    expect(figure.locator("svg path.query")).to_have_count(1)
    figure.locator("svg path.query").hover()
    expect(figure.locator(".fig-why")).to_contain_text(f"{timing.tflops:.0f} TFLOP/s")
    expect(figure.locator(".fig-say")).to_contain_text(f"at {1e3 * timing.peak_tflops / timing.roof_gb_s:.0f} FLOP a byte")
    figure.get_by_role("button", name="T4", exact=True).click()
    expect(figure.locator("svg path.query")).to_have_count(0)
    expect(figure.locator(".fig-say")).to_contain_text("T4: the ridge lies at 203 FLOP a byte")


def test_the_rings_follow_the_workload_and_the_roof_the_gpu(open_page):
    page = open_page("?tab=memory")
    figure = page.locator("#figure-roofline")
    slope = figure.locator("svg path.line").get_attribute("d")

    figure.get_by_role("spinbutton", name="Heads a KV head").fill("8")
    figure.get_by_role("button", name="FP8").click()
    figure.get_by_role("button", name="L4", exact=True).click()

    most = roofline.attainable(next(sheet for sheet in roofline.SHEETS if sheet.device == "L4"), 16)
    expect(figure.locator(".fig-say")).to_contain_text(f"Decoding does 16 and waits for memory: at most {most:.2f} TFLOP/s")
    assert figure.locator("svg path.line").get_attribute("d") != slope
    figure.get_by_text("As a table").click()
    expect(figure.get_by_role("row", name="decode, 8 heads a KV head, FP8 at most")).to_be_visible()
