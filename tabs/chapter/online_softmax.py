"""Online softmax: max and sum in one pass over blocks that arrive one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import online_softmax
from tabs.figures.widget import Card, Option, figure

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Online softmax"
ID = "online"
FIGURES = ("online-softmax",)

_PRESETS = online_softmax.PRESETS
_ERROR = online_softmax.check(_PRESETS["ascending"], 4, rescale=False).error
_END = 4 * 3

CARDS = (
    Card(
        text="Twelve scores, falling. The first block holds the largest.",
        ask="How often must the old sum be rescaled by something other than 1?",
        options=(
            Option(
                text="Never, after the first block", why="m is right from the first block on: every later alpha is exp(0) = 1."
            ),
            Option(
                text="Once for every block",
                why="alpha = exp(m − m_new) is 1 whenever m does not move, and here it moves only once, from −inf.",
            ),
        ),
        right=0,
        before={"scores": _PRESETS["descending"]},
        after={"step": _END},
    ),
    Card(
        text="The same scores, but the rescale is left out.",
        ask="Does the output change?",
        options=(
            Option(
                text="It is wrong now",
                why="Not on this data: all the alphas were 1 anyway. A test that only tries falling scores would pass.",
            ),
            Option(text="It is still right", why="Every alpha was 1. That is why one test is not enough."),
        ),
        right=1,
        before={"scores": _PRESETS["descending"], "rescale": False},
        after={"step": _END},
    ),
    Card(
        text="Still without the rescale; now the scores rise.",
        ask="And now?",
        options=(
            Option(
                text="Still right",
                why=f"Every block brings a new maximum, and the old sum is measured from the wrong one: off by {_ERROR:.2f}.",
            ),
            Option(
                text="Wrong",
                why=f"Every block brings a new maximum. The old terms count too much, and the output is off by {_ERROR:.2f}.",
            ),
        ),
        right=1,
        before={"scores": _PRESETS["ascending"], "rescale": False},
        after={"step": _END},
    ),
    Card(
        text="The first block is masked: four times −inf. The rescale is back, the guard is not.",
        ask="What does exp(m − m_new) give while m is still −inf?",
        options=(
            Option(text="0", why="exp(−inf − 0) would be 0. But here m_new is −inf too, and −inf − (−inf) is NaN."),
            Option(
                text="NaN", why="−inf − (−inf) is NaN, and it stays in l and acc for good. Guard m_new before you subtract it."
            ),
        ),
        right=1,
        before={"scores": _PRESETS["first block masked"], "guard": False},
        after={"step": _END},
    ),
)

_PROSE = """
# One pass, block by block

Subtracting the maximum needs the maximum, and the maximum needs all scores. But a kernel works on blocks that fit on the
chip; reading everything twice would cost as much again.

So keep two numbers: the largest score so far, <span class="running-max">m</span>, and the sum of exponentials measured
from it, <span class="running-sum">l</span>. When a block raises the maximum, what was summed before is too large by a
known factor:

$$ m' = \\max(m, \\max \\text{block}) $$

$$ \\ell \\leftarrow \\ell\\, e^{m - m'} + \\sum_{x \\in \\text{block}} e^{x - m'} $$

Attention carries a third: the <span class="value">accumulator</span> of weighted values, rescaled with the sum. At the end
it is divided by it once. Nothing else is kept, however long the context.

The order of the data decides which mistakes show. Leave out the rescale below and try falling, then rising scores.
"""


def build(course: Course) -> None:
    arguments = figure(
        "online_softmax", title="Scores that stream by", tab=ID, defaults=online_softmax.DEFAULTS,
        opening=online_softmax.OPENING, ids=FIGURES, cards=CARDS,
        presets=_PRESETS, least=online_softmax.LEAST, below=online_softmax.BELOW,
    )  # fmt: skip
    section(_PROSE, figure=arguments, quizzes=("online", "halves"))
    ending(ID)
