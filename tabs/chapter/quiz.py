"""The chapter's questions, each section's with one that carries it further: an explanation for every option, answers kept.

Every figure in an explanation is computed here by the models of `tabs.figures`, never typed.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import gradio as gr

from tabs.figures import formats, memory_traffic, softmax_lanes, tile_map
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
    transfer: bool = False  # asks for more than the text says: what follows from it


@functools.cache
def questions() -> tuple[Question, ...]:
    """All questions, in the chapter's order."""
    positive = [value for value in formats.positive_values("e2m1") if value > 0]
    listed = ", ".join(f"{value:g}" for value in positive)
    hundred = softmax_lanes.exact([100.0, *softmax_lanes.DEFAULTS["scores"][1:]])
    normal = [value for value in positive if value >= 1]
    scores_mib = memory_traffic.scores_bytes(seqlen=8192, num_heads=1, score_bytes=4) / 2**20
    half_mib = memory_traffic.scores_bytes(seqlen=8192, num_heads=1, score_bytes=2) / 2**20
    side_mib = 8192 * 128 * 4 / 2**20
    causal = [kind for row in tile_map.tiles(seqlen=1024, block_m=128, block_n=128, causal=True) for kind in row]
    tiles_all, tiles_some = len(causal), sum(kind != tile_map.SKIPPED for kind in causal)
    quarter = memory_traffic.moved(seqlen=65536, head_dim=64, num_heads=1, element_bytes=2, score_bytes=2, tile=128)
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
            id="split",
            objective=1,
            transfer=True,
            text="A model's heads are cut in two, from d = 64 to d = 32, but its kernel still divides by √64. How wide do "
            "its scores spread?",
            answers=(
                Answer(text="σ = 1, as before", why="That would need a division by √32: the sum has 32 terms now."),
                Answer(
                    text=f"σ = {32**0.5 / 8:.2f}",
                    right=True,
                    why="√32 / √64. The weights are flatter than they should be, and nothing fails: such a bug lives long.",
                ),
                Answer(text=f"σ = {64**0.5 / 32**0.5:.2f}", why="The other way round: fewer terms spread less, not more."),
            ),
            show=Show(figure="scaling", label="Show d = 32", state={"head_dim": 32}),
        ),
        Question(
            id="hundred",
            objective=4,
            text="Score 1 is set to 100. What happens to the other probabilities?",
            answers=(
                Answer(
                    text="They decrease proportionally",
                    why="Half right: the ratios among them do not change at all. But all of them "
                    f"fall to about {hundred[1]:.0e}, too small for any bar.",
                ),
                Answer(
                    text="They collapse to nearly zero",
                    right=True,
                    why=f"Exactly computed they are at most {hundred[1:].max():.1e}: nothing in fp16, one of the last "
                    "subnormals in fp32.",
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
            id="tens",
            objective=4,
            transfer=True,
            text="All five scores are 10, below the limit of fp16. What does the naive fp16 kernel return?",
            answers=(
                Answer(
                    text="0.2 each",
                    why=f"That is the truth. But 5 · e^10 = {5 * math.exp(10):,.0f}, and the largest fp16 number is 65,504.",
                ),
                Answer(text="NaN", why="No exp is inf, so nothing is inf / inf. Only the sum overflows."),
                Answer(
                    text="0 each",
                    right=True,
                    why=f"Each exp fits, their sum, {5 * math.exp(10):,.0f}, does not: it is inf, and x / inf is 0. No NaN "
                    "warns you.",
                ),
            ),
            show=Show(figure="softmax-lanes", label="Set all to 10", state={"scores": [10] * 5}),
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
            id="halves",
            objective=4,
            transfer=True,
            text="Two GPUs each hold half a row: one has m = 3, l = 2, the other m = 5, l = 1. What is l of the whole row, "
            "measured from m = 5?",
            answers=(
                Answer(text="3", why="2 + 1 adds sums that are measured from different maxima."),
                Answer(
                    text=f"{2 + math.exp(2):.2f}",
                    why="That is 2 + 1·e^(5 − 3): the same sum, but measured from 3, where exps pass 1 and can overflow.",
                ),
                Answer(
                    text=f"{1 + 2 * math.exp(-2):.2f}",
                    right=True,
                    why="1 + 2·e^(3 − 5). The order of merging does not matter: that is how one row is shared out over "
                    "many programs.",
                ),
            ),
            show=Show(
                figure="online-softmax",
                label="Merge them block by block",
                state={"scores": [3, 3, 5, None], "size": 2, "step": 8},
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
                    why="The book's key says 8: it counts all eight codes with sign 0, zero among them. The question "
                    "leaves zero out; list the codes and count.",
                ),
                Answer(
                    text=str(2 * len(positive) + 1),
                    why="That is all distinct values: the positive ones, the negative ones, and zero once.",
                ),
            ),
            show=Show(figure="bits", label="List the codes", state={"format": "e2m1", "bits": 1}),
        ),
        Question(
            id="scales",
            objective=None,
            transfer=True,
            text="NVFP4 with one E4M3 scale for 64 values instead of 16: how many bits is a value?",
            answers=(
                Answer(text="4", why="The scale is still there; it is only shared by more."),
                Answer(
                    text=f"{4 + 8 / 64:g}",
                    right=True,
                    why="4 + 8/64. The error grows: one large value in 64 sets the step of all of them.",
                ),
                Answer(text=f"{4 + 8 / 16:g}", why="That is one scale for 16: 4 + 8/16."),
            ),
        ),
        Question(
            id="behind",
            objective=1,
            transfer=True,
            text="Beyond kv_len the cache holds NaN. The scores there are set to −inf, so their weights are exactly 0. "
            "What is the output?",
            answers=(
                Answer(
                    text="Right: a weight of 0 takes nothing",
                    why="0 × NaN is NaN, and NaN plus anything is NaN. The values must be masked as they are loaded, too.",
                ),
                Answer(
                    text="NaN",
                    right=True,
                    why="0 × NaN = NaN in the weighted sum. So both loads need a mask: keys or scores for −inf, values for 0.",
                ),
                Answer(text="0", why="Nothing sets the others to 0: their weights still add up to 1."),
            ),
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
            id="quarter",
            objective=3,
            transfer=True,
            text="A long prompt, head_dim 64, fp16, no help from a cache. With 128 queries a tile, what does flash move "
            "against naive?",
            answers=(
                Answer(
                    text="Half as much",
                    why="That is head_dim 128. Naive moves scores whatever head_dim is; flash moves keys and values, which "
                    "are half here.",
                ),
                Answer(
                    text="About a quarter",
                    right=True,
                    why=f"{quarter.flash / quarter.naive:.2f} at 65,536 tokens: keys and values are half as many bytes as "
                    "at 128, read half as often as with 64 queries a tile.",
                ),
                Answer(text="As much", why="That is head_dim 128 with 64 queries a tile: each of the two halves it."),
            ),
            show=Show(figure="memory-traffic", label="Set it", state={"seqlen": 65536, "head_dim": 64, "tile": 128}),
        ),
        Question(
            id="skipped",
            objective=5,
            text="Which tiles of the score matrix can a causal kernel skip?",
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
        Question(
            id="computed",
            objective=5,
            transfer=True,
            text="1,024 tokens, tiles of 128 × 128, causal. How many of the tiles does the kernel compute?",
            answers=(
                Answer(
                    text=f"{tiles_all // 2} of {tiles_all}",
                    why="Half of the pairs are allowed, but the tiles on the diagonal are computed whole.",
                ),
                Answer(
                    text=f"{tiles_some} of {tiles_all}",
                    right=True,
                    why=f"1 + 2 + … + 8 = {tiles_some}: {tiles_some / tiles_all:.0%} of the tiles, not 50%, and the longer "
                    "the row the closer to it.",
                ),
                Answer(text=f"All {tiles_all}", why="A causal kernel stops each row of tiles at the diagonal."),
            ),
            show=Show(
                figure="tile-map", label="Show 512 tokens", state={"seqlen": 512, "block_m": 64, "block_n": 64, "causal": True}
            ),
        ),
        Question(
            id="lanes",
            objective=1,
            transfer=True,
            text="head_dim is 80. A program loads one key with tl.arange(0, 128). How many lanes must the mask leave out?",
            answers=(
                Answer(
                    text="None: choose arange(0, 80)", why="arange takes powers of two only: 128 is the least that holds 80."
                ),
                Answer(
                    text=f"{128 - 80}", right=True, why="128 − 80. They must hold 0 if their products are summed, so other=0.0."
                ),
                Answer(text="80", why="Those are the lanes that are components of the key."),
            ),
            show=Show(
                figure="lanes",
                label="Show ten columns, 16 lanes",
                state={"rows": 1, "cols": 10, "block_m": 1, "block_n": 16, "program": 0, "lane": 12, "line": 5},
            ),
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
        transfer=asked.transfer,
    )
