"""How long a learner waits: from a press of Check on the page to the report on the screen, in a real browser.

    python -m benchmarks.clicks [--labs 2 3 5] [--clicks 20] [--out benchmarks/clicks.json] [--address http://127.0.0.1:7860/]

Serves `app.py` over an empty course unless an address is given, hands each lab's own solution in so many times (after one press
that is not counted), and prints JSON: median and p95 in seconds of the wait, and the median of the judge's own part of it.
Every lab is visited by a new person, since 30 attempts in five minutes is what one may make. Quiet machine:
`chrt -r 1 python -m benchmarks.clicks` keeps other load away where it is allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.chromium import chromium
from benchmarks.page import served, visit
from labs import LabFolder, lab_ids, load, number_of

GRADED_WITHIN_MS = 120_000

PASTE = """text => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  document.querySelector("#editor .cm-content")
    .dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""
# From the press to the frame in which another report than before stands there.
PRESS = """(limit) => new Promise((seen, never) => {
  const before = document.querySelector("#report .report");
  const start = performance.now();
  document.querySelector("#check").click();
  const look = () => {
    const now = document.querySelector("#report .report");
    if (now && now !== before && !document.querySelector("#state [data-live]")) {
      requestAnimationFrame(() => seen([performance.now() - start, now.querySelector("header").textContent]));
    } else if (performance.now() - start > limit) never(new Error("no report came"));
    else requestAnimationFrame(look);
  };
  look();
})"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--labs", nargs="*", type=int, default=[2, 3, 5])
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--address", help="a page that is served already; ends with a slash")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folders = [load(lab) for lab in lab_ids() if number_of(lab) in options.labs]
    load_before = os.getloadavg()[0]
    with served() if options.address is None else contextlib.nullcontext(options.address) as address, chromium() as browser:
        result = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": "python -m benchmarks.clicks " + " ".join(sys.argv[1:]),
            "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load_1_min_before": load_before},
            "browser": browser.version,
            "labs": {folder.id: waits(browser, address, folder, options.clicks) for folder in folders},
        }
    text = json.dumps(result, indent=1, ensure_ascii=False)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def waits(browser: Browser, address: str, folder: LabFolder, clicks: int) -> dict[str, Any]:
    """Seconds from press to report, of one lab."""
    with visit(browser) as page:
        page.goto(f"{address}?tab=labs&lab={folder.id}")
        page.locator("#state .state").wait_for(timeout=GRADED_WITHIN_MS)
        page.locator("#editor .cm-content").click()
        page.keyboard.press("Control+A")
        page.evaluate(PASTE, folder.solution)
        press(page)
        pairs = [press(page) for _ in range(clicks)]
    seconds = sorted(wait for wait, _ in pairs)
    return {
        "clicks": clicks,
        "median_s": round(statistics.median(seconds), 3),
        "p95_s": round(seconds[-(-95 * clicks // 100) - 1], 3),
        "judge_median_s": round(statistics.median(judged for _, judged in pairs), 3),
        "all_s": [round(wait, 3) for wait, _ in pairs],
    }


def press(page: Page) -> tuple[float, float]:
    """Seconds from one press of Check to its report, and of these what the judge says it took."""
    milliseconds, head = page.evaluate(PRESS, GRADED_WITHIN_MS)
    if "Passed" not in head:
        raise SystemExit(f"the solution did not pass: {head[:300]}")
    value, unit = re.search(r"· ([\d.]+) (ms|s)\b", head).groups()
    return milliseconds / 1e3, float(value) / (1e3 if unit == "ms" else 1)


if __name__ == "__main__":
    main()
