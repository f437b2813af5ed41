"""Every mistake that a lab names links to the section that explains it, with the figure in a state that its own rules allow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import labs
from tabs import load_tabs
from tabs.labs.explained import PLACES, explained, link_to, place_of

TABS = {tab.ID for tab in load_tabs()}
NAMED = {
    (lab_id, one.name) for lab_id in labs.lab_ids() for one in (*labs.load(lab_id).lab.oracles, *labs.load(lab_id).lab.symptoms)
}
FIGURES = {name: tab.ID for tab in load_tabs() for name in getattr(tab, "FIGURES", ())}


@pytest.mark.parametrize("lab_id", labs.lab_ids())
def test_every_named_mistake_links_to_a_section(lab_id):
    for name in (name for lab, name in NAMED if lab == lab_id):
        assert place_of(name, lab_id).tab in TABS, name
        assert 'href="?tab=' in explained(name, lab_id)


def test_a_mistake_shows_itself():
    link = explained("max_not_subtracted", "lab02_safe_softmax")

    assert "with a score of 100 in four lanes" in link
    assert "tab=normalization&amp;state=softmax-lanes." in link


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.names[:20])
def test_every_place_is_used_and_its_figure_stands_in_its_section(place):

    assert place.figure == "" or FIGURES[place.figure] == place.tab
    assert any(re.fullmatch(place.names, name) for _, name in NAMED) or "race" in place.names


@pytest.mark.browser
@pytest.mark.parametrize("place", [place for place in PLACES if place.figure], ids=lambda place: place.names[:20])
def test_a_link_is_followed_and_read(open_page, place):
    page = open_page(link_to(place))

    expect(page.locator(f"#figure-{place.figure} .fig-body")).to_be_visible()
    assert "could not be read" not in page.locator(f"#figure-{place.figure}").inner_text()
    assert page.evaluate(f"document.getElementById('figure-{place.figure}').figure.state") == dict(place.state)


def test_what_the_chapter_has_no_section_for_has_no_link():
    assert explained("syntax", "lab99") == ""
