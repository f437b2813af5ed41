"""Memory: bytes stored, bytes moved, the time they take, and the roof over it all."""

from __future__ import annotations

import functools
import html
import math
from typing import Any

import plotly.graph_objects as go

from tabs.figures import memory_traffic, roofline
from tabs.figures.widget import Card, Option, figure
from tabs.identity import Identities
from tabs.plots import PlotAndTwin, colour, layout, plot_when_shown
from tabs.section import section

TITLE = "Memory"
ID = "memory"
FIGURES = ("memory-traffic", "cache-traffic")

GIB, TIB = 2**30, 2**40
_LONG = 131072
_ONE_HEAD = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=1, score_bytes=2)
_ALL_HEADS = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=32, score_bytes=2)
_SMALL = memory_traffic.scores_bytes(seqlen=4096, num_heads=1, score_bytes=2)
_SHEET = next(roof for roof in roofline.SHEETS if roof.device == "H100 SXM")
_ROOF = roofline.measured_roof(roofline.documents()) or _SHEET

TRAFFIC_CARDS = (
    Card(
        text=f"4,096 tokens, one head, fp16: the scores take {_SMALL / 2**20:.0f} MiB.",
        ask="And at 131,072 tokens, 32 times as many?",
        options=(
            Option(text="1 GiB", why=f"That is 32 times as much. But both sides grow: {_ONE_HEAD / GIB:.0f} GiB."),
            Option(text="32 GiB", why=f"32² times as much. With 32 heads: {_ALL_HEADS / TIB:.0f} TiB, beyond any card."),
        ),
        right=1,
        after={"seqlen": _LONG},
    ),
    Card(
        text="FlashAttention stores one number a row instead. At d = 128 128 queries a tile halve the traffic; 64 is common.",
        ask="Without any help from the L2 cache, does it also move less than the naive way?",
        options=(
            Option(text="Far less", why="K and V are read again for every tile of queries: here that adds up to the same."),
            Option(text="About the same", why="Memory is linear, traffic quadratic, and half a tile twice of it."),
        ),
        right=1,
        before={"seqlen": 8192, "tile": 128},
        after={"seqlen": 8192, "tile": 64},
    ),
)  # fmt: skip

_CACHE = {name: memory_traffic.DECODE_DEFAULTS[name] for name in ("kv_len", "num_heads_kv", "head_dim", "batch")}


def _cache_us(**changed: int) -> float:
    """The time of one token over an fp16 cache, at the roof's bandwidth."""
    return memory_traffic.decode_us(memory_traffic.cache_bytes("fp16", **{**_CACHE, **changed}), _ROOF.bandwidth_gb_s)


CACHE_CARDS = (
    Card(
        text=f"One token after {_CACHE['kv_len']:,} others, one layer: {_cache_us():.1f} µs at best in fp16.",
        ask="Twice as many cached tokens. How long does the next token take?",
        options=(
            Option(
                text="Twice as long", why=f"{_cache_us(kv_len=2 * _CACHE['kv_len']):.1f} µs: one query meets each key once."
            ),
            Option(
                text="Four times as long",
                why="A whole prompt is quadratic: n queries meet n keys. Here a single query does, so "
                f"{_cache_us(kv_len=2 * _CACHE['kv_len']):.1f} µs.",
            ),
        ),
        right=0,
        after={"kv_len": 2 * _CACHE["kv_len"]},
    ),
    Card(
        text=f"32 query heads share {_CACHE['num_heads_kv']} cached heads: grouped-query attention.",
        ask="Without sharing, 32 heads are cached. What does that cost?",
        options=(
            Option(
                text="Nothing: the arithmetic is the same",
                why=f"The arithmetic is, and it does not matter. The bytes are {32 // _CACHE['num_heads_kv']} times as many.",
            ),
            Option(
                text=f"{32 // _CACHE['num_heads_kv']} times as long",
                why=f"{_cache_us(num_heads_kv=32):.1f} µs. Sharing heads saves bytes, and bytes are time.",
            ),
        ),
        right=1,
        after={"num_heads_kv": 32},
    ),
    Card(
        text="Serving many sequences together reads the weights of a model once for all of them.",
        ask="And their caches? 32 sequences instead of one:",
        options=(
            Option(
                text="About the same time: one pass serves all",
                why=f"Each sequence has a cache of its own, read for it alone: {_cache_us(batch=32) / 1e3:.2f} ms.",
            ),
            Option(
                text="32 times the time",
                why=f"{_cache_us(batch=32) / 1e3:.2f} ms. No sequence can use another one's keys: batching does not help.",
            ),
        ),
        right=1,
        after={"batch": 32},
    ),
)

_PROSE = f"""
# Bytes kept, bytes moved

The naive way writes the whole score matrix. For one head in fp16 that is {_SMALL / 2**20:.0f} MiB at 4,096 tokens,
{_ONE_HEAD / GIB:.0f} GiB at 131,072, and {_ALL_HEADS / GIB:,.0f} GiB with 32 heads: the terabyte that one hears of.

FlashAttention keeps a tile on the chip and stores one log-sum-exp a row. Its *memory* is linear in the length. Its *traffic*
is not: every tile of queries reads all keys and values again. With 64 queries a tile and d = 128 it moves, cache aside, as
much as the naive way; larger tiles and the L2 cache are where the speed comes from.
"""

_DECODE_PROSE = """
## Decoding waits for bytes

One token reads every cached key and value of its sequence once. The time cannot be less than those bytes over the bandwidth.

Halve the bytes and you may halve the time: that is the case for FP8 and NVFP4. Grouped queries help in the same way, since
fewer KV heads are cached. Set your own bandwidth.
"""

_ROOF_PROSE = f"""
## Under the roof

FLOP per byte decides what a kernel waits for. Left of the ridge it waits for memory, right of it for arithmetic. On the
{_ROOF.device} the ridge lies at {roofline.ridge(_ROOF):.0f} FLOP a byte.

Decoding in fp16 does {roofline.decode_intensity(1):.0f} FLOP a byte for each query head that shares the cache: far left,
whatever the kernel. Prefill at 4,096 tokens could do {roofline.prefill_intensity(4096):,.0f}: far right.

The roof {"was measured by a copy" if _ROOF.measured else "is that of the data sheet"}. Once a lab of yours has been timed on a
GPU, your attempts appear as points, under the roof of that GPU.
"""


def roof_figure(roof: roofline.Roof, kernels: list[roofline.Point], own: list[roofline.Point]) -> go.Figure:
    """Both axes logarithmic; labels stand on the lines and points. Colours as in a report: yours the accent, ours the ink."""
    low, high, corner = 0.25, 16384.0, roofline.ridge(roof)
    xs = [low, corner, high]
    chart = go.Figure(layout=layout(
        height=420,
        xaxis={"type": "log", "title": {"text": "FLOP per byte moved"}, "range": [-0.6, 4.2],
               "tickvals": [1, 10, 100, 1000, 10000]},
        yaxis={"type": "log", "title": {"text": "TFLOP/s"}, "tickvals": [0.1, 1, 10, 100, 1000]},
    ))  # fmt: skip
    ys = [roofline.attainable(roof, x) for x in xs]
    chart.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": colour("muted"), "width": 3},
        hovertemplate="%{y:.3g} TFLOP/s at %{x:.3g} FLOP/B<extra>roof</extra>",
    )
    marks = [(f"decode, {g} head{'s' if g > 1 else ''} a KV head", roofline.decode_intensity(g)) for g in (1, 4, 8)]
    marks += [(f"prefill, {n} tokens", roofline.prefill_intensity(n)) for n in (1024, 8192)]
    for name, x in marks:
        chart.add_scatter(
            x=[x], y=[roofline.attainable(roof, x)], mode="markers",
            marker={"color": colour("muted"), "size": 9, "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate=f"{name}: at most %{{y:.3g}} TFLOP/s<extra></extra>",
        )  # fmt: skip
    for points, role, symbol in ((kernels, "ink", "diamond"), (own, "query", "star")):
        for point in points:
            chart.add_scatter(
                x=[point.intensity], y=[point.tflops], mode="markers",
                marker={"color": colour(role), "size": 10, "symbol": symbol},
                hovertemplate=f"{point.name}: %{{y:.3g}} TFLOP/s<extra></extra>",
            )  # fmt: skip
    notes = [
        (corner, roof.peak_tflops, f"{roof.peak_tflops:,.0f} TFLOP/s", 14),
        (24.0, roofline.attainable(roof, 24.0), f"{roof.bandwidth_gb_s:,.0f} GB/s", 6),
        (marks[0][1], roofline.attainable(roof, marks[0][1]), "decode", -14),
        (marks[3][1], roof.peak_tflops, "prefill", -18),
    ]
    # the slope's words stand beside it: its own at the left, those of its rings at the right
    anchors = {"decode": "left", f"{roof.bandwidth_gb_s:,.0f} GB/s": "right"}
    for x, y, text, shift in notes:
        side = anchors.get(text, "center")
        chart.add_annotation(
            x=math.log10(x), y=math.log10(y), text=text, showarrow=False, yshift=shift, xanchor=side,
            xshift={"left": 8, "right": -8, "center": 0}[side], font={"color": colour("muted"), "size": 13},
        )  # fmt: skip
    return chart


def roof_table(roof: roofline.Roof, kernels: list[roofline.Point], own: list[roofline.Point]) -> str:
    """The points of the plot as a table, folded; nothing where there are none."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(point.name)}</th><td>{whose}</td><td>{point.intensity:.3g}</td>'
        f"<td>{point.tflops:.3g}</td><td>{point.tflops / roofline.attainable(roof, point.intensity):.0%}</td></tr>"
        for whose, points in (("ours", kernels), ("yours", own))
        for point in points
    )
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("kernel", "whose", "FLOP a byte", "TFLOP/s", "of the roof"))
    caption = f"{html.escape(roof.device)}: {roof.bandwidth_gb_s:,.0f} GB/s, {roof.peak_tflops:,.0f} TFLOP/s"
    return (
        '<div class="fig"><details class="fig-twin"><summary>As a table</summary><div class="fig-twin-body" tabindex="0">'
        f"<table><caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details></div>"
    )


def own_reports(course: Any, identities: Identities, token: str) -> list[Any]:
    """Reports of the timed attempts of whoever holds the token, newest first; none for a stranger."""
    user = identities.read(token)
    history = getattr(course, "history", None)
    if user is None or history is None:
        return []
    ended = [status.id for status in history(user=user.id) if status.verdict and status.device == "cuda"]
    reports = [course.report(attempt, user=user.id) for attempt in ended]
    return [report for report in reports if report is not None and report.timing is not None]


def drawn(documents: list[dict[str, Any]], reports: list[Any]) -> PlotAndTwin:
    """The plot and its twin, under the roof of the newest report, else of a benchmark, else of a data sheet."""
    roof = roofline.attempt_roof((report.device, report.timing) for report in reports)
    roof = roof or roofline.measured_roof(documents) or _SHEET
    kernels = roofline.kernel_points(documents, device=roof.device)
    own = roofline.attempt_points((report.title, report.timing) for report in reports if report.device == roof.device)
    return roof_figure(roof, kernels, own), roof_table(roof, kernels, own)


def build(course: Any) -> None:
    traffic = figure(
        "memory_traffic", title="Stored and moved", tab=ID, defaults=memory_traffic.DEFAULTS, ids=FIGURES, cards=TRAFFIC_CARDS
    )
    cache = figure(
        "cache_traffic", title="One token's cache", tab=ID, ids=FIGURES, mathematics=("memory_traffic.js",),
        cards=CACHE_CARDS, defaults={**memory_traffic.DECODE_DEFAULTS, "bandwidth_gb_s": round(_ROOF.bandwidth_gb_s)},
        roof=f"Bandwidth ({_ROOF.device}{', measured' if _ROOF.measured else ', data sheet'})",
    )  # fmt: skip
    section(_PROSE, figure=traffic, quizzes=("bytes", "faster"))
    section(_DECODE_PROSE, figure=cache)
    section(_ROOF_PROSE, figure=functools.partial(_roofline, course))


def _roofline(course: Any) -> None:
    identities = Identities.from_environment()

    def draw(token: str) -> PlotAndTwin:
        return drawn(roofline.documents(), own_reports(course, identities, token))

    told = (
        f"Roofline of the {_ROOF.device}: {_ROOF.bandwidth_gb_s:,.0f} GB/s and {_ROOF.peak_tflops:,.0f} TFLOP/s meet at "
        f"{roofline.ridge(_ROOF):.0f} FLOP a byte. Rings: the most that decode (1, 4, 8 query heads a KV head) and prefill "
        "(1,024 and 8,192 tokens) can reach. Diamonds: our kernels. Stars: your attempts. Drag to zoom, double-click to return."
    )
    plot_when_shown(draw, label="Roofline", told=told)
