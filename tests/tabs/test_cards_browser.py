"""Guided mode and the questions' "show me": every state that they set obeys its figure's rules and shows something new."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tabs import load_tabs

pytestmark = pytest.mark.browser

# The figure on the first tab has no cards.
TABS = [tab.ID for tab in load_tabs() if getattr(tab, "FIGURES", ()) and tab.ID != "start"]
# Goes through every card of every figure of the tab, answers each, and tells what went wrong.
WALK_THE_CARDS = """async () => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const wrong = [];
  let cards = 0;
  // Setting nothing checks what is there against the figure's rules, as a link to it would be.
  const refused = async (where) => {
    document.querySelectorAll(".fig[id]").forEach(({ figure }) => figure.set({}));
    await drawn();
    for (const { textContent } of document.querySelectorAll(".fig-notice")) {
      if (textContent) wrong.push(`${where}: ${textContent}`);
    }
  };
  for (const figure of document.querySelectorAll(".fig[id]")) {
    const press = (text) => [...figure.querySelectorAll("button")].find((button) => button.textContent === text).click();
    press("Guided");
    await drawn();
    for (let last = false; !last; cards += 1) {
      const asked = JSON.stringify(figure.figure.state), at = figure.querySelector(".fig-count").textContent;
      const options = figure.querySelectorAll(".fig-option").length;
      figure.querySelector(".fig-option").click();
      await drawn();
      if (options < 2) wrong.push(`${figure.id} ${at}: nothing to choose`);
      if (figure.querySelectorAll(".fig-option.good").length !== 1) wrong.push(`${figure.id} ${at}: no single right answer`);
      if (!figure.querySelector(".fig-explain").textContent) wrong.push(`${figure.id} ${at}: no explanation`);
      if (JSON.stringify(figure.figure.state) === asked) wrong.push(`${figure.id} ${at}: nothing is shown`);
      await refused(`${figure.id} ${at}`);
      last = [...figure.querySelectorAll("button")].some((button) => button.textContent === "Finish");
      press(last ? "Finish" : "Next");
      await drawn();
    }
  }
  for (const quiz of document.querySelectorAll(".quiz")) {
    // Nothing is shown before an answer; after each wrong one the next is tried, until all is told.
    if (quiz.querySelector(".quiz-after button")) wrong.push(`${quiz.id}: shown before it was answered`);
    while (quiz.querySelector(".quiz-option:not(:disabled)")) quiz.querySelector(".quiz-option:not(:disabled)").click();
    const others = quiz.querySelectorAll(".quiz-others dd").length, options = quiz.querySelectorAll(".quiz-option").length;
    if (others !== options - 1) wrong.push(`${quiz.id}: ${others} of ${options - 1} other answers explained`);
    const shows = [...quiz.querySelectorAll(".quiz-after button")].at(-1);
    if (shows) shows.click();
    await drawn();
    await refused(quiz.id);
  }
  return [cards, wrong];
}"""


@pytest.mark.parametrize("tab", TABS)
def test_every_card_and_every_question_shows_what_it_says(tab, open_page):
    page = open_page(f"?tab={tab}")
    expect(page.locator(".fig svg").first).to_be_visible()
    expect(page.locator(".fig-place:visible")).to_have_count(0)  # every figure has been drawn in its place

    cards, wrong = page.evaluate(WALK_THE_CARDS)

    assert wrong == []
    assert cards >= 2 * page.locator(".fig[id]").count()
