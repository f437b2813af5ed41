"""The player of a trace where there is no chapter around it: in a report, and as one page that works alone.

A trace is what `grader.trace` lets through. Both go into the page as JSON, so that nothing of a submission becomes markup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from tabs.figures.widget import HERE, STYLE, fetched, head, on_load, script

TITLE = "Watch it run"
_PLAYER = ("watch.js", "watch.says.js", "watch.view.js")
_LOOK = HERE.parent / "page" / "look.css"

# A report is put into its place as text, now and again; the player is then mounted over the data that came with it.
_MOUNT = """
const play = () => element.querySelectorAll(".watch-data").forEach((data) => {
  if (data.played) return;
  data.played = true;
  WatchView.mount(data.previousElementSibling, { title: data.dataset.title, ...JSON.parse(data.textContent) });
});
new MutationObserver(play).observe(element, { childList: true, subtree: true });
play();
"""
_PAGE_STYLE = """
body { margin: 0 auto; padding: 24px 16px 48px; max-width: 680px; background: var(--page); color: var(--ink); }
body { font: 15px/1.5 var(--sans); } p { margin: 0 0 16px; }
h1 { font-size: var(--size-title); font-weight: 500; margin: 0 0 8px; }
"""
_MODE = "document.documentElement.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches)"


def place(trace: Mapping[str, Any], source: str, *, failed: bool) -> str:
    """Where the player comes to stand, and what it plays, as HTML. `failed`: the case that is played is not right."""
    told = json.dumps({"trace": trace, "source": source, "failed": failed}, ensure_ascii=False, separators=(",", ":"))
    data = escape(told, quote=False)
    return f'<div class="watch-place"></div><div class="watch-data" hidden data-title="{TITLE}">{data}</div>'


def on_report_load() -> str:
    """`js_on_load` of the component that reports are shown in."""
    return fetched(script(*_PLAYER) + _MOUNT)


def page(trace: Mapping[str, Any], source: str, *, lab: str, verdict: str, failed: bool) -> str:
    """One HTML page with everything in it: it asks for no other file.

    Args:
        source: the submission whose lines are lit.
        lab: the lab's title.
        verdict: one sentence on what the report says.
        failed: the case that is played is not right.
    """
    style = _LOOK.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8") + _PAGE_STYLE
    player = on_load(f"const element = document.querySelector('main');\n{script(*_PLAYER)}{_MOUNT}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(TITLE)} · {escape(lab)}</title><style>{style}</style>
<script>{_MODE}</script>
{head()}</head>
<body><main><h1>{escape(lab)}</h1><p>{escape(verdict)}</p>{place(trace, source, failed=failed)}</main>
<script>{player}</script></body></html>
"""
