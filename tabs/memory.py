"""Memory: bytes stored, bytes moved, the time they take, and the roof over it all."""

from __future__ import annotations

import functools
import math
from typing import Any

import plotly.graph_objects as go

from tabs.figures import memory_traffic, roofline
from tabs.figures.widget import Card, Option, figure
from tabs.identity import Identities
from tabs.plots import colour, layout, plot_when_shown
from tabs.section import section

TITLE = "Memory"
ID = "memory"
FIGURES = ("memory-traffic", "cache-traffic")

GIB, TIB = 2**30, 2**40
_LONG = 131072
_ONE_HEAD = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=1, score_bytes=2)
_ALL_HEADS = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=32, score_bytes=2)
_SMALL = memory_traffic.scores_bytes(seqlen=4096, num_heads=1, score_bytes=2)
_ROOF = roofline.measured_roof(roofline.documents()) or next(roof for roof in roofline.SHEETS if roof.device == "H100 SXM")

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
        text="FlashAttention stores one number a row instead. At d = 128 a tile of 64 queries is a usual choice.",
        ask="Without any help from the L2 cache, does it also move less than the naive way?",
        options=(
            Option(text="Far less", why="K and V are read again for every tile of queries: here that adds up to the same."),
            Option(text="About the same", why="Memory is linear, traffic quadratic. A tile of 128 halves it."),
        ),
        right=1,
        before={"seqlen": 8192},
        after={"seqlen": 8192, "tile": 64},
    ),
)  # fmt: skip

_PROSE = f"""
## Bytes kept, bytes moved

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

The roof {"was measured by a copy" if _ROOF.measured else "is that of the data sheet"}. Your own timed attempts appear as
points once a lab has been graded on a GPU.
"""


def roof_figure(roof: roofline.Roof, kernels: list[roofline.Point], own: list[roofline.Point]) -> go.Figure:
    """Both axes logarithmic; labels stand on the lines and points."""
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
        line={"color": colour("query"), "width": 3},
        hovertemplate="%{y:.3g} TFLOP/s at %{x:.3g} FLOP/B<extra>roof</extra>",
    )
    marks = [(f"decode, {g} head{'s' if g > 1 else ''} a KV head", roofline.decode_intensity(g)) for g in (1, 4, 8)]
    marks += [(f"prefill, {n} tokens", roofline.prefill_intensity(n)) for n in (1024, 8192)]
    for name, x in marks:
        chart.add_scatter(
            x=[x], y=[roofline.attainable(roof, x)], mode="markers",
            marker={"color": colour("scores"), "size": 9, "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate=f"{name}: at most %{{y:.3g}} TFLOP/s<extra></extra>",
        )  # fmt: skip
    for points, role, symbol in ((kernels, "value", "diamond"), (own, "key", "star")):
        for point in points:
            chart.add_scatter(
                x=[point.intensity], y=[point.tflops], mode="markers",
                marker={"color": colour(role), "size": 10, "symbol": symbol},
                hovertemplate=f"{point.name}: %{{y:.3g}} TFLOP/s<extra></extra>",
            )  # fmt: skip
    notes = [
        (corner, roof.peak_tflops, f"{roof.peak_tflops:,.0f} TFLOP/s", "query", 14),
        (4.0, roofline.attainable(roof, 1.2), f"{roof.bandwidth_gb_s:,.0f} GB/s", "query", -22),
        (marks[0][1], roofline.attainable(roof, marks[0][1]), "decode", "scores", -20),
        (marks[3][1], roof.peak_tflops, "prefill", "scores", -18),
    ]
    for x, y, text, role, shift in notes:
        chart.add_annotation(
            x=math.log10(x), y=math.log10(y), text=text, showarrow=False, yshift=shift, font={"color": colour(role), "size": 13}
        )
    return chart


def own_points(course: Any, identities: Identities, token: str) -> list[roofline.Point]:
    """The timed attempts of whoever holds the token; none for a stranger."""
    user = identities.read(token)
    history = getattr(course, "history", None)
    if user is None or history is None:
        return []
    timed = []
    for status in history(user=user.id):
        report = course.report(status.id, user=user.id) if status.verdict else None
        if report is not None:
            timed.append((f"your {status.lab}", report.timing))
    return roofline.attempt_points(timed)


def build(course: Any) -> None:
    traffic = figure(
        "memory_traffic", title="Stored and moved", tab=ID, defaults=memory_traffic.DEFAULTS, ids=FIGURES, cards=TRAFFIC_CARDS
    )
    cache = figure(
        "cache_traffic", title="One token's cache", tab=ID, ids=FIGURES, mathematics=("memory_traffic.js",),
        defaults={**memory_traffic.DECODE_DEFAULTS, "bandwidth_gb_s": round(_ROOF.bandwidth_gb_s)},
        roof=f"Bandwidth ({_ROOF.device}{', measured' if _ROOF.measured else ', data sheet'})",
    )  # fmt: skip
    section(_PROSE, figure=traffic, quizzes=("bytes", "faster"))
    section(_DECODE_PROSE, figure=cache)
    section(_ROOF_PROSE, figure=functools.partial(_roofline, course))


def _roofline(course: Any) -> None:
    identities = Identities.from_environment()

    def draw(token: str) -> go.Figure:
        return roof_figure(_ROOF, roofline.kernel_points(roofline.documents()), own_points(course, identities, token))

    told = (
        f"Roofline of the {_ROOF.device}: {_ROOF.bandwidth_gb_s:,.0f} GB/s and {_ROOF.peak_tflops:,.0f} TFLOP/s meet at "
        f"{roofline.ridge(_ROOF):.0f} FLOP a byte. Rings: the most that decode (1, 4, 8 query heads a KV head) and prefill "
        "(1,024 and 8,192 tokens) can reach. Diamonds: our kernels. Stars: your attempts. Drag to zoom, double-click to return."
    )
    plot_when_shown(draw, label="Roofline", told=told)
