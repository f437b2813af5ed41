"""Normalization: softmax, and what it does in sixteen bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import formats, softmax_lanes
from tabs.figures.widget import Card, Option, figure

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Normalization"
ID = "normalization"
FIGURES = ("softmax-lanes",)

_LIMIT_16, _LIMIT_32 = softmax_lanes.largest_score("fp16"), softmax_lanes.largest_score("fp32")
_TYPED = 999.7
_HELD = float(formats.rounded(_TYPED, "fp16"))
_RATIO = math.exp(10) / math.exp(5)
_HUGE = "{} \\cdot 10^{{{}}}".format(*f"{math.exp(100):.2e}".split("e+"))
_REST = softmax_lanes.DEFAULTS["scores"][1:]

CARDS = (
    Card(
        text="Five scores, four ways to normalise them. They agree so far.",
        ask=f"Score 1 becomes 12, and exp(12) is {math.exp(12):,.0f}. Which lane fails?",
        options=(
            Option(
                text="Naive fp16",
                why=f"Its largest number is 65,504: past a score of {_LIMIT_16:.2f} exp is inf, and inf / inf is NaN.",
            ),
            Option(
                text="Naive fp16 and naive fp32", why=f"fp32 holds out until {_LIMIT_32:.2f}. Only the fp16 lane is lost here."
            ),
            Option(
                text="None", why="Look at the fp16 lane: exp(12) does not fit 16 bits. Nothing crashes, the numbers are gone."
            ),
        ),
        right=0,
        after={"scores": [12, *_REST]},
    ),
    Card(
        text="Now the same scores as at the start, with a constant added to each.",
        ask="Add 100 to all five. What do the exact probabilities do?",
        options=(
            Option(
                text="They stay exactly the same",
                why="exp(100) divides out above and below. So subtract the max: same answer, no overflow.",
            ),
            Option(
                text="They get sharper",
                why="Multiplying the scores sharpens. Adding a constant multiplies above and below by the same exp.",
            ),
            Option(text="They get flatter", why="Dividing the scores flattens. Adding a constant cancels."),
        ),
        right=0,
        after={"shift": 100},
    ),
    Card(
        text="The max subtracted, the largest exp is exp(0) = 1.",
        ask="Can the stable lane still overflow, in fp16, with a score of 1000?",
        options=(
            Option(text="Yes", why="No exp can exceed 1. What is far below the max underflows to 0, and that does no harm."),
            Option(
                text="No", why="Every exp lies between 0 and 1. What is far below the max becomes 0, and that does no harm."
            ),
        ),
        right=1,
        after={"scores": [1000, *_REST]},
    ),
)

_PROSE = f"""
# From scores to shares of one

Scores can be any number. Softmax turns them into weights: all positive, adding up to one.

$$ \\mathrm{{softmax}}(x)_i = \\frac{{e^{{x_i}}}}{{\\sum_j e^{{x_j}}}} $$

The exponential makes it sharp. A score of 10 beside one of 5 weighs not twice as much but
$e^{{10}} / e^5 \\approx {_RATIO:.0f}$ times.

It also makes it dangerous. $e^{{100}} \\approx {_HUGE}$: no fp16 number is that large, and no fp32 number
either. fp16 overflows past a score of {_LIMIT_16:.2f}, fp32 past {_LIMIT_32:.2f}, and their sum earlier. The kernel does
not crash. It computes inf, then inf / inf, and returns NaN; where only the sum is inf, it returns zeros.

Subtract the largest score first:

$$ \\mathrm{{softmax}}(x)_i = \\frac{{e^{{x_i - \\max(x)}}}}{{\\sum_j e^{{x_j - \\max(x)}}}} $$

No exponential exceeds one, and the result is the same. What lies far below the maximum underflows to zero, harmlessly.
What it cannot mend is the input: in fp16 a score of {_TYPED} is {_HELD:g} before any softmax sees it.

For the five scores of the figure the book prints 0.50, 0.18, 0.11, 0.02, 0.07. They add up to 0.88, so they cannot be a
softmax; the figure shows the true ones.
"""


def build(course: Course) -> None:
    arguments = figure(
        "softmax_lanes", title="Softmax in four ways", tab=ID, defaults=softmax_lanes.DEFAULTS, ids=FIGURES, cards=CARDS,
        mathematics=("formats.js",), limit=f"{_LIMIT_16:.2f}",
    )  # fmt: skip
    section(_PROSE, figure=arguments, quizzes=("hundred", "tens"))
    ending(ID)
