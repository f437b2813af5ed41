"""The README's picture: the Labs tab after a Check of a wrong answer, as a reader sees it. `make picture` makes it again.

    python -m benchmarks.picture [FILE]

Serves the page on a free port with a database of its own, hands a mistake of lab 2 in, waits for its report, and takes a
screenshot of 1440 × 900 with Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.chromium import chromium
from benchmarks.page import served
from labs import load

ROOT = Path(__file__).parents[1]
LAB, MISTAKE = "lab02_safe_softmax", "max_not_subtracted"


def take(to: Path) -> None:
    """The screenshot."""
    source = next(mistake for mistake in load(LAB).mistakes if mistake.name == MISTAKE).source
    with served() as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.goto(f"{address}?tab=labs&lab={LAB}")
        page.locator(".cm-content").first.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
        page.wait_for_timeout(500)  # the page hears of it
        page.get_by_role("button", name="Check", exact=True).click()
        page.locator("[data-verdict]").first.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=to)


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "picture.png")
