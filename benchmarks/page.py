"""The page in a real browser: what travels, how soon a tab shows its first picture, how a drag runs.

    python -m benchmarks.page [--repeats 5] [--out benchmarks/page.json] [--address http://127.0.0.1:7860/]

Serves `app.py` over a course of its own unless an address is given, and drives Chromium, cache empty at every visit. Prints
JSON: medians in milliseconds since the visit began (`from_link`: the picture; `gradio_from_link`: Gradio has taken over what
`tabs/page/first_page.js` drew) or since the tab was pressed (`from_press`), and of a drag of
60 steps the p95 of the frames, the main thread's own time a frame, and the requests that it made. `idle_frame_p95_ms` is what
the same machine does while nothing is dragged: above 17 ms it was not quiet, and a drag cannot be judged.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.chromium import chromium

ROOT = Path(__file__).parents[1]
STEPS = 60
START_LIMIT_S = 120

# What each tab shows first. A tab's label is what is pressed.
PICTURES = {
    "start": ("Start", "#figure-stream svg"),
    "similarity": ("Similarity", "#figure-dot-product svg"),
    "normalization": ("Normalization", "#figure-softmax-lanes svg"),
    "online": ("Online softmax", "#figure-online-softmax svg"),
    "precision": ("Precision", "#figure-bits svg"),
    "synthesis": ("Synthesis", "#figure-decode-attention svg"),
    "memory": ("Memory", "#figure-memory-traffic svg"),
    "tiling": ("Tiling", "#figure-tile-map svg"),
    "triton": ("Triton", "#figure-lanes svg"),
    "labs": ("Labs", "#editor .cm-content"),
    "references": ("References", ".references li"),
}
BELOW = {"memory": "#figure-roofline svg"}  # further down in its tab, and not drawn before Gradio has started
# Gradio has taken over from what first_page.js drew: its tabs answer.
TAKEN_OVER = "body:not(:has(#early)) [role=tab][aria-selected=true]"
DRAGGED = {
    "similarity": ("dot-product", "q₁"),
    "normalization": ("softmax-lanes", "Add to all"),
    "online": ("online-softmax", "Block size"),
    "precision": ("bits", "Nearest to"),
    "synthesis": ("decode-attention", "Sharpness"),
    "memory": ("memory-traffic", "Tokens n"),
    "tiling": ("tile-map", "Tokens n"),
    "triton": ("lanes", "Columns"),
}

# Says at which frame something became visible, in milliseconds since the visit began.
WATCH = """
window.firstSeen = (selector) => new Promise((seen) => {
  const look = () => {
    const found = [...document.querySelectorAll(selector)].find((node) => node.getClientRects().length);
    found ? requestAnimationFrame(() => seen(performance.now())) : requestAnimationFrame(look);
  };
  look();
});
window.frames = () => {
  const times = [];
  let last = performance.now(), on = true;
  const next = (now) => { times.push(now - last); last = now; if (on) requestAnimationFrame(next); };
  requestAnimationFrame(next);
  return () => { on = false; return times.slice(2); };
};
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--address", help="a page that is served already; ends with a slash")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with served() if options.address is None else contextlib.nullcontext(options.address) as address, chromium() as browser:
        result = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "command": "python -m benchmarks.page " + " ".join(sys.argv[1:]),
            "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load_1_min": os.getloadavg()[0]},
            "browser": browser.version,
            "landing": landing(browser, address, options.repeats),
            "first_picture_ms": {
                tab: first_picture(browser, address, tab, options.repeats) for tab in PICTURES if tab != "start"
            },
            "drag": {tab: drag(browser, address, tab) for tab in DRAGGED},
        }
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of `app.py` over an empty course; waits until it answers and its grading process has started or given up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        own = {"GRADER_DB_URL": f"sqlite:///{folder}/course.db", "GRADER_ARCHIVE": f"{folder}/archive"}
        own |= {"GRADER_IDENTITY_KEY": "only for this measurement", "GRADIO_SERVER_PORT": str(port)}
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            address = f"http://127.0.0.1:{port}/"
            wait_for(address, app)
            yield address
        finally:
            app.terminate()
            app.wait()


def wait_for(address: str, app: subprocess.Popen) -> None:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end and app.poll() is None:
        with contextlib.suppress(OSError):
            health = json.load(urllib.request.urlopen(f"{address}health"))
            if health["grading"] == "on" or any(process["state"] == "off" for process in health["processes"]):
                return
        time.sleep(0.5)
    raise SystemExit(f"app.py did not come up within {START_LIMIT_S} s (exit status {app.poll()})")


@contextlib.contextmanager
def visit(browser: Browser) -> Iterator[Page]:
    """A page of a browser that was never here before."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(WATCH)
    try:
        yield context.new_page()
    finally:
        context.close()


def settle(page: Page) -> None:
    """Nothing was loaded for half a second; the page's open connection to the server does not count."""
    seen = -1
    while seen != (seen := page.evaluate("performance.getEntriesByType('resource').length")):
        page.wait_for_timeout(500)


def landing(browser: Browser, address: str, repeats: int) -> dict[str, Any]:
    """First picture: the objectives, drawn before Gradio has started, and the links beside them. Interactive: drawn again by
    Gradio, whose events answer then."""
    first, shown, megabytes, counts = [], [], [], []
    for _ in range(repeats):
        with visit(browser) as page:
            devtools = page.context.new_cdp_session(page)
            devtools.send("Network.enable")
            loaded: list[float] = []
            devtools.on("Network.loadingFinished", lambda event, loaded=loaded: loaded.append(event["encodedDataLength"]))
            page.goto(address, wait_until="commit")
            first.append(page.evaluate("firstSeen('.progress-row')"))
            shown.append(page.evaluate("selector => firstSeen(selector)", PICTURES["start"][1]))
            settle(page)
            megabytes.append(sum(loaded) / 1e6)
            counts.append(len(loaded))
    seen = {"first_picture_ms": median(first), "interactive_ms": median(shown)}
    return seen | {"megabytes": round(statistics.median(megabytes), 3), "requests": max(counts)}


def first_picture(browser: Browser, address: str, tab: str, repeats: int) -> dict[str, float]:
    label, picture = PICTURES[tab]
    linked, taken_over, pressed, below = [], [], [], []
    for _ in range(repeats):
        with visit(browser) as page:
            page.goto(f"{address}?tab={tab}", wait_until="commit")
            linked.append(page.evaluate("selector => firstSeen(selector)", picture))
            taken_over.append(page.evaluate("selector => firstSeen(selector)", TAKEN_OVER))
        with visit(browser) as page:
            page.goto(address)
            page.evaluate("selector => firstSeen(selector)", PICTURES["start"][1])
            settle(page)
            press = """async ([label, selector]) => {
              const start = performance.now();
              [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === label).click();
              return await firstSeen(selector) - start;
            }"""
            pressed.append(page.evaluate(press, [label, picture]))
            if tab in BELOW:
                below.append(pressed[-1] + wait_ms(page, BELOW[tab]))
    times = {"from_link": median(linked), "gradio_from_link": median(taken_over), "from_press": median(pressed)}
    return times | ({"below_from_press": median(below)} if below else {})


def wait_ms(page: Page, selector: str) -> float:
    return page.evaluate("async (selector) => { const t = performance.now(); return await firstSeen(selector) - t; }", selector)


def drag(browser: Browser, address: str, tab: str) -> dict[str, float]:
    """A number dragged through 60 steps."""
    figure, label = DRAGGED[tab]
    with visit(browser) as page:
        page.goto(f"{address}?tab={tab}")
        field = page.locator(f"#figure-{figure}").get_by_role("spinbutton", name=label, exact=True)
        field.scroll_into_view_if_needed()
        settle(page)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url) if "heartbeat" not in request.url else None)
        box = field.bounding_box()
        x, y = box["x"] + 6, box["y"] + box["height"] / 2
        idle, _ = sweep(page, x, y)
        page.mouse.move(x, y)
        page.mouse.down()
        frame, work = sweep(page, x, y)
        page.mouse.up()
    return {
        "frame_p95_ms": round(frame, 2),
        "idle_frame_p95_ms": round(idle, 2),
        "work_a_frame_ms": round(work, 2),
        "requests": len(requests),
    }


def sweep(page: Page, x: float, y: float) -> tuple[float, float]:
    """60 steps of the pointer to the right: the p95 of the frame times, and the main thread's own time a frame, in ms."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy_s(devtools)
    page.evaluate("() => { window.stopFrames = frames(); }")
    for step in range(STEPS):
        page.mouse.move(x + 2 * step, y)
        page.wait_for_timeout(16)
    frames = sorted(page.evaluate("() => stopFrames()"))
    return frames[int(0.95 * (len(frames) - 1))], 1e3 * (busy_s(devtools) - before) / len(frames)


def busy_s(devtools: Any) -> float:
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def median(times: list[float]) -> int:
    return round(statistics.median(times))


if __name__ == "__main__":
    main()
