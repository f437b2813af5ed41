"""Synthesis: the steps of attention for one decode query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import decode_attention
from tabs.figures.widget import Card, Option, figure

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Synthesis"
ID = "synthesis"
FIGURES = ("decode-attention",)

_INPUTS = {name: decode_attention.DEFAULTS[name] for name in ("query", "keys", "values")}
_PLAIN = decode_attention.attention(**_INPUTS)
_SHARP = decode_attention.attention(**_INPUTS, sharpness=20)
_UNSCALED = decode_attention.attention(**_INPUTS, scaled=False)

CARDS = (
    Card(
        text=f"The scores are {', '.join(f'{score:.2f}' for score in _PLAIN.scores)}.",
        ask="After scaling and softmax: how much of the weight does the best key get?",
        options=(
            Option(
                text="Nearly all",
                why=f"Only {_PLAIN.weights.max():.2f}. The scores differ by less than one, and scaling halves that.",
            ),
            Option(text="About a third", why=f"{_PLAIN.weights.max():.3f}. With scores this close, all four keys are heard."),
        ),
        right=1,
        before={"step": 1},
        after={"step": 3},
    ),
    Card(
        text="Sharpness multiplies the scaled scores.",
        ask="At 20, what is the output close to?",
        options=(
            Option(text="The mean of the four values", why="That is what sharpness 0 gives: equal weights."),
            Option(
                text="The value of the best key",
                why=f"Its weight is {_SHARP.weights.max():.2f}: attention has become a lookup.",
            ),
        ),
        right=1,
        before={"step": 4},
        after={"step": 4, "sharpness": 20},
    ),
    Card(
        text="Leave out the division by √d.",
        ask="What changes at d = 4?",
        options=(
            Option(
                text="The weights get sharper",
                why=f"The best key goes from {_PLAIN.weights.max():.2f} to "
                f"{_UNSCALED.weights.max():.2f}. At d = 128 the factor is not {4**0.5:.0f} but {128**0.5:.0f}.",
            ),
            Option(text="Only their order", why="A positive factor cannot change an order. It changes how far apart they are."),
        ),
        right=0,
        before={"step": 3},
        after={"step": 3, "scaled": False},
    ),
    Card(
        text="Last: the keys come two at a time, as in a kernel.",
        ask="Is the output of the blocked walk the same?",
        options=(
            Option(text="Up to a small error", why="No approximation is involved: the rescale is exact but for rounding."),
            Option(text="The same", why="m, l and the accumulator carry all that is needed."),
        ),
        right=1,
        before={"step": 4},
        after={"step": 4, "blocked": True},
    ),
)

_PROSE = """
# All of it, for one token

$$ \\mathrm{Attention}(Q, K, V) = \\mathrm{softmax}\\!\\left(\\frac{QK^\\top}{\\sqrt d}\\right) V $$

To decode a token, one <span class="query">query</span> meets every cached <span class="key">key</span>; the
<span class="scores">weights</span> mix the cached <span class="value">values</span>.

What a kernel has to do well:

1. load the query once;
2. stream keys and values through the chip in blocks;
3. take dot products and carry m and l along;
4. accumulate the weighted values, rescaled when m grows;
5. divide once, and write one row.

Each cached byte is read once and used for a handful of operations. So the time is the bytes over the bandwidth, and what
makes it shorter is fewer bytes: FP8, NVFP4.
"""


def build(course: Course) -> None:
    arguments = figure(
        "decode_attention", title="Attention, step by step", tab=ID, defaults=decode_attention.DEFAULTS,
        opening=decode_attention.OPENING, ids=FIGURES,
        cards=CARDS, steps=decode_attention.STEPS,
    )  # fmt: skip
    section(_PROSE, figure=arguments, quizzes=("behind",))
    ending(ID)
