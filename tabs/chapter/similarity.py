"""Similarity: the dot product, one query's scores, and why they are divided by the root of head_dim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabs.chapter.section import section
from tabs.chapter.way import ending
from tabs.figures import dot_product, scaling
from tabs.figures.widget import Card, Option, figure

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "Similarity"
ID = "similarity"
FIGURES = ("dot-product", "scaling")

_SCALED = {**dot_product.DEFAULTS, "query": [2 * q for q in dot_product.DEFAULTS["query"]]}
_DOT = dot_product.agreement(dot_product.DEFAULTS["query"], dot_product.DEFAULTS["keys"][0]).dot

CARDS = (
    Card(
        text=f"Here q · k is {_DOT:.2f}. The third pair contributes all that the first does not.",
        ask="Double every number of the query. What happens to q · k and to the angle?",
        options=(
            Option(
                text="Both double", why="The dot product doubles, but the query only grew longer: it still points the same way."
            ),
            Option(
                text="q · k doubles, the angle stays",
                why=f"It is {2 * _DOT:.2f} now. Length scales the score; direction alone sets the angle.",
            ),
            Option(
                text="Neither changes", why="A cosine would not change. The dot product counts length too, and length doubled."
            ),
        ),
        right=1,
        after={"query": _SCALED["query"]},
    ),
    Card(
        text="Two vectors can be long and have nothing to do with each other.",
        ask="Which key gives a score of zero against the query (1, 0, 0.5, −0.5)?",
        options=(
            Option(text="(0, 1, 0, 0)", why="Every term has a zero factor: the vectors are perpendicular, 90° apart."),
            Option(
                text="(1, 0, 0.5, −0.5)",
                why="That is the query itself: the score is its squared length, as large as a key of this length can make it.",
            ),
            Option(text="(−1, 0.5, 0, 1)", why="That one disagrees: its score is negative, not zero."),
        ),
        right=0,
        after={"chosen": 2},
    ),
    Card(
        text="Attention does this for every cached key. The list below holds six of them.",
        ask="Rank the six keys. Is the key with the largest score the one with the smallest angle?",
        options=(
            Option(text="Always", why="Only among keys of one length. A long key can win with a worse angle."),
            Option(
                text="Not always",
                why="Right: the score is length × length × cosine, so a long key can outrank a better aligned one.",
            ),
        ),
        right=1,
        after={"ranked": True, "chosen": 5},
    ),
)

_CONTEXT = 4096
_PROSE = f"""
# How much do two vectors agree?

Attention starts with one question per cached token: how relevant is its <span class="key">key</span> to my
<span class="query">query</span>? The measure is the dot product, multiply entry by entry and add up:

$$ q \\cdot k = \\sum_i q_i k_i = \\lVert q \\rVert\\,\\lVert k \\rVert \\cos\\theta $$

Large when both point the same way, zero when they are perpendicular, negative when they oppose.

One decode step does this for every key in the cache: a context of {_CONTEXT:,} tokens is {_CONTEXT:,} dot products
for one query of one head. Each key is read once and used once, so the step waits for memory, not for arithmetic.
"""


_SMALL, _LARGE = scaling.spreads()[0], scaling.spreads()[-1]
_BEST = [one.largest_weight_scaled for one in scaling.spreads()]
_ROOT_PROSE = f"""
## Why the root of d?

Add up more terms and sums grow. With independent entries of variance one, q · k has variance d: at
d = {_LARGE.head_dim:,} the standard deviation is √{_LARGE.head_dim} = {_LARGE.head_dim**0.5:.0f}, so nearly all scores lie
within three of it, ±{3 * _LARGE.head_dim**0.5:.0f}.

Softmax turns such a spread into a lookup. Among {scaling.KEYS} random keys the best one gets {_SMALL.largest_weight:.0%} of the
weight at d = {_SMALL.head_dim}, and {_LARGE.largest_weight:.0%} at d = {_LARGE.head_dim:,}. Divided by √d the spread is
one again at every d, and the weight of the best stays between {min(_BEST):.0%} and {max(_BEST):.0%}.
"""


SCALING_CARDS = (
    Card(
        text=f"At d = {_SMALL.head_dim} the best of {scaling.KEYS} random keys gets {_SMALL.largest_weight:.0%} of the weight.",
        ask=f"And at d = {_LARGE.head_dim:,}, nothing scaled?",
        options=(
            Option(
                text="About the same",
                why=f"The scores are {_LARGE.std / _SMALL.std:.0f} times as far apart, and softmax is exponential.",
            ),
            Option(text="Nearly all", why=f"{_LARGE.largest_weight:.0%}: attention has become a lookup."),
        ),
        right=1,
        before={"head_dim": _SMALL.head_dim},
        after={"head_dim": _LARGE.head_dim},
    ),
    Card(
        text="The standard deviation of q · k grows with d.",
        ask="Four times as many entries: how much wider do the scores spread?",
        options=(
            Option(text="Four times", why="Variances add up, standard deviations do not: the root of four."),
            Option(text="Twice", why="Variance d, standard deviation √d. So √d is what takes the spread back to one."),
        ),
        right=1,
        before={"head_dim": 64},
        after={"head_dim": 256},
    ),
)


def build(course: Course) -> None:
    section(
        _PROSE,
        figure=figure("dot_product", title="Query · key", tab=ID, defaults=dot_product.DEFAULTS, ids=FIGURES, cards=CARDS),
        quizzes=("shape", "split"),
    )
    section(
        _ROOT_PROSE,
        figure=figure(
            "scaling", title="Scores as d grows", tab=ID, defaults=scaling.DEFAULTS, ids=FIGURES, cards=SCALING_CARDS,
            **scaling.drawn(),
        ),
    )  # fmt: skip
    ending(ID)
