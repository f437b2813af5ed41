"""Memory: bytes stored, bytes moved, the time they take, and the roof over it all."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import gradio as gr

from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import memory_traffic, roofline
from tabs.figures.widget import Card, Option, figure
from tabs.page.identity import Identities
from tabs.page.scripts import script

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Memory"
ID = "memory"
FIGURES = ("memory-traffic", "cache-traffic", "roofline")

GIB, TIB = 2**30, 2**40
_LONG = 131072
_ONE_HEAD = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=1, score_bytes=2)
_ALL_HEADS = memory_traffic.scores_bytes(seqlen=_LONG, num_heads=32, score_bytes=2)
_SMALL = memory_traffic.scores_bytes(seqlen=4096, num_heads=1, score_bytes=2)
_DOCUMENTS = roofline.documents()
_ROOF = roofline.roofs(_DOCUMENTS)[0]

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
        text="FlashAttention stores one number a row instead. Tiles of 128 queries halve its traffic at d = 128; 64 is common.",
        ask="Without any help from the L2 cache, does it also move less than the naive way?",
        options=(
            Option(text="Far less", why="K and V are read again for every tile of queries: here that adds up to the same."),
            Option(text="About the same", why="Memory is linear, traffic quadratic: half the tile, twice the traffic."),
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

_HALF = roofline.decode_intensity(8, memory_traffic.CACHE_BITS["fp8"] / 8)

ROOF_CARDS = (
    Card(
        text="8 query heads share a cached head: each value that arrives is used for 8 of them.",
        ask="If each head has a cache of its own, how busy can decoding keep the arithmetic?",
        options=(
            Option(
                text="As busy as before",
                why="Each value is used by one head alone, so there is an eighth of the work for the same bytes.",
            ),
            Option(
                text="An eighth as busy",
                why=f"{roofline.attainable(_ROOF, 1):.1f} of {_ROOF.peak_tflops:.0f} TFLOP/s: the ring slides down the slope.",
            ),
        ),
        right=1,
        before={"group_size": 8},
        after={"group_size": 1},
    ),
    Card(
        text="An FP8 cache has half the bytes of one in fp16, and the arithmetic stays.",
        ask="8 heads share a cached head. Does decoding over FP8 reach the ridge?",
        options=(
            Option(text="Nearly", why=f"It does {_HALF:.0f} FLOP a byte now; the ridge lies at {roofline.ridge(_ROOF):.0f}."),
            Option(
                text="No, not by far",
                why=f"{_HALF:.0f} FLOP a byte, twice as many; the ridge lies at {roofline.ridge(_ROOF):.0f}.",
            ),
        ),
        right=1,
        before={"group_size": 8, "cache": "fp16"},
        after={"group_size": 8, "cache": "fp8"},
    ),
    Card(
        text=f"A prompt of 4,096 tokens does {roofline.prefill_intensity(4096):,.0f} FLOP a byte if each byte moves once.",
        ask="From which length on does a prompt wait for arithmetic?",
        options=(
            Option(
                text=f"About {2 * roofline.ridge(_ROOF):.0f} tokens", why="n / 2 FLOP a byte in fp16: the ridge, times two."
            ),
            Option(text="About 4,096 tokens", why="The ridge is far to the left of that: n / 2 FLOP a byte in fp16."),
        ),
        right=0,
        before={"seqlen": 4096},
        after={"seqlen": round(2 * roofline.ridge(_ROOF))},
    ),
)

_PROSE = f"""
# Bytes kept, bytes moved

The naive way writes the whole score matrix. For one head in fp16 that is {_SMALL / 2**20:.0f} MiB at 4,096 tokens,
{_ONE_HEAD / GIB:.0f} GiB at 131,072, and {_ALL_HEADS / GIB:,.0f} GiB with 32 heads: the terabyte that one hears of.

FlashAttention keeps a tile on the chip and stores one log-sum-exp a row. Its *memory* is linear in the length. Its *traffic*
is not: every tile of queries reads all keys and values again. With 64 queries a tile and d = 128 it moves, cache aside, as
much as the naive way, and with 32 twice as much; larger tiles and the L2 cache are where the speed comes from.
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
whatever the kernel. A prompt of 4,096 tokens does {roofline.prefill_intensity(4096):,.0f} if each byte moves once, that is
if the L2 cache catches all repeated reads: far right. With none of it caught and 64 queries a tile, as in the first figure,
it does {roofline.tiled_intensity(4096, 64):.0f}: left of the ridge. Kernels live between the two. A causal prompt has half
the FLOP: {roofline.prefill_intensity(4096, causal=True):,.0f}, and it waits for arithmetic from about
{4 * roofline.ridge(_ROOF):,.0f} tokens on, not {2 * roofline.ridge(_ROOF):,.0f}.

Move the rings, change the GPU. Once a lab of yours has been timed on a GPU, your attempts stand here as stars, under the roof
that was measured beside them.
"""


def own_reports(course: Course, identities: Identities, token: str) -> list[Any]:
    """Reports of the timed attempts of whoever holds the token, newest first; none for a stranger."""
    user = identities.read(token)
    history = getattr(course, "history", None)
    if user is None or history is None:
        return []
    ended = [status.id for status in history(user=user.id) if status.verdict and status.device == "cuda"]
    reports = [course.report(attempt, user=user.id) for attempt in ended]
    return [report for report in reports if report is not None and report.timing is not None]


def own_roof(course: Course, identities: Identities, token: str) -> dict[str, Any] | None:
    """The roof and the points of the reader's own attempts, as the figure takes them."""
    reports = own_reports(course, identities, token)
    return roofline.own([(report.title, report.device, report.timing) for report in reports])


def build(course: Course) -> None:
    traffic = figure(
        "memory_traffic", title="Stored and moved", tab=ID, defaults=memory_traffic.DEFAULTS, ids=FIGURES, cards=TRAFFIC_CARDS
    )
    cache = figure(
        "cache_traffic", title="One token's cache", tab=ID, ids=FIGURES, mathematics=("memory_traffic.js",),
        cards=CACHE_CARDS, defaults={**memory_traffic.DECODE_DEFAULTS, "bandwidth_gb_s": round(_ROOF.bandwidth_gb_s)},
        roof=f"Bandwidth ({_ROOF.device}{', measured' if _ROOF.measured else ', data sheet'})",
    )  # fmt: skip
    section(_PROSE, figure=traffic, quizzes=("bytes", "faster", "quarter"))
    section(_DECODE_PROSE, figure=cache)
    section(_ROOF_PROSE, figure=functools.partial(_roofline, course))
    ending(ID)


def _roofline(course: Course) -> None:
    """The figure, which asks for the reader's attempts when its tab is opened."""
    identities = Identities.from_environment()
    token = gr.Textbox(visible=False)
    options = figure(
        "roofline", title="The roof", tab=ID, ids=FIGURES, mathematics=("memory_traffic.js",), cards=ROOF_CARDS,
        defaults={"device": _ROOF.device, **roofline.DEFAULTS}, roofs=roofline.drawn(_DOCUMENTS), own=None,
    )  # fmt: skip
    shown = gr.HTML(**options)

    def look(token: str):
        return gr.update(own=own_roof(course, identities, token) or {})

    shown.shown(
        look, token, shown, js=script("recall the token"), show_progress="hidden", queue=False, api_visibility="private"
    )
