"""The chapter's questions: one try at a time, an explanation for every option, answers kept for the reader's progress.

Every figure in an explanation is computed here by the models of `tabs.figures`, never typed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import gradio as gr

from tabs.figures import formats, memory_traffic, softmax_lanes
from tabs.figures.widget import on_load


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    text: str
    why: str
    right: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show:
    """The figure state that answers the question, and what the button says."""

    figure: str
    label: str
    state: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    id: str
    objective: int | None  # of the five on the first tab; None: number formats, which have none of their own
    text: str
    answers: tuple[Answer, ...]
    show: Show | None = None


@functools.cache
def questions() -> tuple[Question, ...]:
    """The seven questions, in the chapter's order."""
    positive = [value for value in formats.positive_values("e2m1") if value > 0]
    listed = ", ".join(f"{value:g}" for value in positive)
    hundred = softmax_lanes.exact([100.0, *softmax_lanes.DEFAULTS["scores"][1:]])
    normal = [value for value in positive if value >= 1]
    scores_mib = memory_traffic.scores_bytes(seqlen=8192, num_heads=1, score_bytes=4) / 2**20
    half_mib = memory_traffic.scores_bytes(seqlen=8192, num_heads=1, score_bytes=2) / 2**20
    side_mib = 8192 * 128 * 4 / 2**20
    return (
        Question(
            id="shape",
            objective=1,
            text="Q and K have the shape [seq_len, d]. What is the shape of QKᵀ?",
            answers=(
                Answer(text="[d, d]", why="That is QᵀK: features against features. Here the d entries are summed away."),
                Answer(
                    text="[seq_len, seq_len]",
                    right=True,
                    why="Every query meets every key. For one decode query it is a single row, [1, seq_len].",
                ),
                Answer(text="[seq_len, d]", why="That shape comes back one step later, when the weights multiply V."),
            ),
            show=Show(figure="dot-product", label="Show one row", state={"ranked": True}),
        ),
        Question(
            id="hundred",
            objective=4,
            text="Score 1 is set to 100. What happens to the other probabilities?",
            answers=(
                Answer(
                    text="They decrease proportionally",
                    why="Half right: the ratios among them do not change at all. But all of them "
                    f"fall to about {hundred[1]:.0e}, which no figure can show.",
                ),
                Answer(
                    text="They collapse to nearly zero",
                    right=True,
                    why=f"Exactly computed they are at most {hundred[1:].max():.1e}; on a GPU they are 0.",
                ),
                Answer(text="They stay the same", why="Softmax shares out a total of 1: what one score gains the others lose."),
            ),
            show=Show(
                figure="softmax-lanes",
                label="Set score 1 to 100",
                state={"scores": [100, *softmax_lanes.DEFAULTS["scores"][1:]]},
            ),
        ),
        Question(
            id="online",
            objective=4,
            text="What does online softmax keep while the scores stream by?",
            answers=(
                Answer(
                    text="The running max only",
                    why="The max keeps exp from overflowing, but without the sum nothing can be normalised.",
                ),
                Answer(
                    text="The running sum only",
                    why="When a larger score arrives, the old sum belongs to the old max: without m it cannot be rescaled.",
                ),
                Answer(
                    text="Both the running max and the sum of exp",
                    right=True,
                    why="m and l together. Attention adds a third: the output accumulator, rescaled with l.",
                ),
            ),
            show=Show(
                figure="online-softmax", label="Watch m and l", state={"scores": [-2, -1, 0, 1, 2, 3], "size": 2, "step": 8}
            ),
        ),
        Question(
            id="e2m1",
            objective=None,
            text="With one mantissa bit (E2M1), how many distinct positive values can NVFP4 represent, zero not counted?",
            answers=(
                Answer(
                    text=str(len(normal)), why=f"That counts the normal numbers and leaves out the subnormal {positive[0]:g}."
                ),
                Answer(text=str(len(positive)), right=True, why=f"They are {listed}. E2M1 has neither infinities nor NaN."),
                Answer(
                    text=str(len(positive) + 1),
                    why="That counts the code of zero, which the question leaves out. The "
                    "book's own key says so; list the codes and count. "
                    "A course may accept both.",
                ),
                Answer(
                    text=str(2 * len(positive) + 1),
                    why="That is all distinct values: the positive ones, the negative ones, and zero once.",
                ),
            ),
            show=Show(figure="bits", label="List the codes", state={"format": "e2m1", "bits": 1}),
        ),
        Question(
            id="bytes",
            objective=2,
            text="seq_len is 8192. How many bytes does QKᵀ take in fp32, for one head?",
            answers=(
                Answer(
                    text=f"{side_mib:.0f} MiB", why="That is one of Q, K or V at d = 128: seq_len × d, not seq_len × seq_len."
                ),
                Answer(text=f"{half_mib:.0f} MiB", why="Two bytes a score: that is fp16."),
                Answer(
                    text=f"{scores_mib:.0f} MiB",
                    right=True,
                    why="8192 × 8192 scores of 4 bytes. Twice the length takes four times as much.",
                ),
                Answer(
                    text=f"{scores_mib / 1024 * 4:.0f} GiB", why="That is four times too much: it is what 16,384 tokens take."
                ),
            ),
            show=Show(
                figure="memory-traffic", label="Set 8192 in fp32", state={"seqlen": 8192, "num_heads": 1, "score_bytes": 4}
            ),
        ),
        Question(
            id="faster",
            objective=3,
            text="Why is FlashAttention faster than attention in separate steps?",
            answers=(
                Answer(
                    text="It does fewer multiplications",
                    why="It does as many, and a few more: old sums are rescaled whenever the max grows.",
                ),
                Answer(
                    text="It moves less between memory and chip",
                    right=True,
                    why="Scores and weights never leave the chip. At small tiles and "
                    "large d the model's saving vanishes: try it.",
                ),
                Answer(
                    text="It uses more threads",
                    why="Threads wait for bytes in either case. What changes is how many bytes there are.",
                ),
            ),
            show=Show(figure="memory-traffic", label="Compare the traffic", state={"tile": 128}),
        ),
        Question(
            id="skipped",
            objective=5,
            text="Which tiles of the score matrix need a causal kernel not touch at all?",
            answers=(
                Answer(
                    text="Those that lie wholly above the diagonal",
                    right=True,
                    why="All their keys come after all their queries: every weight is zero, so load nothing.",
                ),
                Answer(
                    text="Those that the diagonal crosses",
                    why="They hold allowed and forbidden pairs: computed, then masked cell by cell.",
                ),
                Answer(
                    text="Those below the diagonal",
                    why="There every query may see every key: they are the full tiles, computed without a mask.",
                ),
            ),
            show=Show(figure="tile-map", label="Show the tiles", state={"causal": True}),
        ),
    )


def question(name: str) -> gr.HTML:
    """Lay out the question with this id."""
    number, asked = next((i, one) for i, one in enumerate(questions(), start=1) if one.id == name)
    return gr.HTML(
        value="",
        html_template="<div class='quiz-place'></div>",
        apply_default_css=False,
        js_on_load=on_load("Quiz.mount(element, props);"),
        elem_id=f"place-quiz-{name}",
        id=name,
        number=number,
        question=asked.text,
        options=[dataclasses.asdict(answer) for answer in asked.answers],
        show=dataclasses.asdict(asked.show) if asked.show else None,
    )
