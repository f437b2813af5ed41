"""What is true of a mutant, by operator; and which sentences were read and found untrue. The documents show both.

`readings.json` holds, by a mutant's name, the diagnosis that was given, the words of it that are not so, and why; an entry
counts as long as those words are still said.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

from grader.judge.diagnosis.repaired import RIGHT_THEN
from labs.mutants.trial import Tried

FILE = Path(__file__).with_name("readings.json")

FACTS = ("measured", "wrong_answer", "not_finite", "not_written", "ragged_tail")  # diagnoses that name no cause
LOCATED = ("syntax_error", "compile_error", "runtime_error", "bad_entry", "refused", "out_of_bounds", "race", "crashed",
           "time_limit", "memory_limit", "output_limit", "input_changed")  # fmt: skip
ORIGIN = "not_finite_from"  # NaN or Inf, by the line that made it

_OUTSIDE = "the access outside, with its line; else which keys, rows or heads are read in the place of which"
_SUM = "how many keys the sum counts; weights that are all off by one factor"
_ORDER = "the two lines that race; cells that are read before anybody wrote them"
TRUE = {
    "arguments exchanged": f"an argument that is no pointer; {_OUTSIDE}",
    "arithmetic": f"{_OUTSIDE}; a factor of the scores, of the sums, or of the answer",
    "atomic made plain": _ORDER,
    "atomic relaxed": _ORDER,
    "axis exchanged": "blocks whose shapes do not fit; a maximum or a sum that several rows share",
    "barrier left out": _ORDER,
    "base": "weights in base 2, log2(e) twice, or sums rescaled in another base than the weights",
    "bits": "which codes are decoded as what",
    "bound shifted": "one key, row or column too many or too few: lost, never written, or the access outside",
    "boundary not checked": "the access outside, through a block pointer",
    "branch always": "no bug where the branch spares work alone; else a mask where none is asked, or lanes outside",
    "branch never": "keys without a weight; cells that are never written",
    "cast left out": "the types that do not fit; an offset of 32 bits; a sum or product in fp16",
    "comparison": "one key, row or column too many or too few; or all the others",
    "constant": f"codes decoded as others; {_OUTSIDE}; cells that are never written; no bug where it is a width",
    "dtype": "a sum or product in fp16: digits lost, large values infinite; an offset of 32 bits",
    "factor left out": f"{_OUTSIDE}; a scale that is missing; sums that are not rescaled; programs that store the same cells",
    "factor twice": f"{_OUTSIDE}; a scale that is applied twice; sums rescaled twice",
    "function left out": "weights that are the scores themselves; blocks whose shapes do not fit",
    "index of 16 bits": "the access outside, or keys of another place, from the index 32768 on",
    "loop ends a little early": "the last key lost where it is alone in its tile",
    "loop ends early": "the last tile lost, of everything or of one sum",
    "loop ends late": "no bug where every lane is masked; else the access outside",
    "loop starts late": "the first tile lost, of everything or of one sum",
    "loop steps too far": "every second tile lost",
    "mask dropped": "the access outside; lanes beyond the end that take part",
    "maximum replaced": "the maximum of the last tile, or of the first; no bug where a bound only spares work",
    "minus infinity": "a maximum that starts at that number; lanes, or hidden keys, that count as it",
    "other changed": "lanes beyond the end that count as that number; no bug where they are masked again",
    "program id exchanged": _OUTSIDE,
    "program id left out": f"{_OUTSIDE}; programs that store the same cells",
    "reduction": _SUM,
    "rounded down": "rows or columns that are never written: the grid is too small",
    "scope of a block": _ORDER,
    "store left out": "cells that are never written",
    "store moved into the loop": "the answer of another step",
    "store moved up": "a name that is not defined yet; the value of the step before",
    "stride dropped": f"{_OUTSIDE}; views that are wrong where contiguous tensors are right",
    "stride of a neighbour": f"{_OUTSIDE}; whose strides are used for what",
    "term left out": f"{_OUTSIDE}; cells that are never written; {_SUM}; programs that store the same cells",
    "update left out": f"{_SUM}; the first tile alone, or the last",
    "where turned round": "hidden keys with a weight and visible ones without",
    "where without condition": "hidden keys, or lanes beyond the end, that take part; NaN of rows without a key",
}  # fmt: skip


@functools.cache
def readings() -> Mapping[str, Mapping[str, str]]:
    """By a mutant's name: "said", the diagnosis that was read, "words" of its sentence that are not so, and "why"."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def told_how(result: Tried) -> str:
    """How a wrong mutant was told: "named", "repaired", by "facts", "located" in a line, or "" where it was not asked or is not
    wrong.
    """
    if not result.said or result.survived:
        return ""
    if result.sentence.endswith(RIGHT_THEN):
        return "repaired"
    if result.verdict in LOCATED or result.said == ORIGIN:
        return "located"
    return "facts" if result.said in FACTS else "named"


def told_wrongly(result: Tried) -> bool:
    """Whether its sentence was read and is not so."""
    found = readings().get(result.name)
    return found is not None and found["said"] == result.said and found["words"] in result.sentence
