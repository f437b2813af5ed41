"""Which lines became others: as few as possible, told so that the second text can be made from the first, and at once."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labs
from labs import lines

TEXTS = st.lists(st.sampled_from("abc"), max_size=14)
SIZE = 64 * 1024


def mended(before, found, after):
    made, at = [], 0
    for edit in found:
        made += [*before[at : edit.begin], *after[edit.other_begin : edit.other_end]]
        at = edit.end
    return made + before[at:]


def longest_common(first, second):
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(TEXTS, TEXTS)
def test_the_second_text_comes_of_the_first_by_as_few_lines_as_can_be(before, after):
    found = lines.edits(before, after)

    assert mended(before, found, after) == after
    gone = sum(edit.end - edit.begin for edit in found)
    come = sum(edit.other_end - edit.other_begin for edit in found)
    assert gone + come == len(before) + len(after) - 2 * longest_common(before, after)
    assert all(one.end < other.begin for one, other in zip(found, found[1:], strict=False))


@given(TEXTS, TEXTS, st.integers(0, 3))
def test_a_difference_can_be_applied(tmp_path_factory, before, after, context):
    told = lines.unified("\n".join(before), "\n".join(after), names=("a", "b"), context=context)

    assert bool(told) == (before != after)
    if not told or not shutil.which("patch") or not context:
        return
    file = tmp_path_factory.mktemp("patch") / "file"
    file.write_text("".join(f"{line}\n" for line in before))
    patch = "".join(f"{line}\n" for line in told)
    done = subprocess.run(["patch", "-s", str(file)], input=patch, text=True, capture_output=True)
    assert done.returncode == 0, (done.stdout, patch)
    assert (file.read_text() if file.exists() else "") == "".join(f"{line}\n" for line in after)


def drawn(words, seed):
    chosen = random.Random(seed)
    return [chosen.choice(words) for _ in range(SIZE // 3)]


HOSTILE = {
    "few_words": (drawn(["a", "b"], 1), drawn(["a", "b"], 2)),
    "hundred_words": (drawn([chr(0x100 + n) for n in range(100)], 1), drawn([chr(0x100 + n) for n in range(100)], 2)),
    "two_hundred_words": (drawn([chr(0x100 + n) for n in range(200)], 1), drawn([chr(0x100 + n) for n in range(200)], 2)),
    "a_period": (["a", "b"] * (SIZE // 4), ["b", "a"] * (SIZE // 4 - 50)),
    "noise_between": ([f"{n}" for n in range(12_000)], [word for n in range(9_000) for word in (f"{n}", "")]),
    "backwards": ([f"{n}" for n in range(12_000)], [f"{n}" for n in range(12_000, 0, -1)]),
    "nothing_alike": (["a"] * (SIZE // 2), ["b"] * (SIZE // 2)),
}


@pytest.mark.parametrize(("before", "after"), HOSTILE.values(), ids=HOSTILE)
def test_no_text_holds_the_page(before, after):
    began = time.thread_time()

    found = lines.edits(before, after)

    assert time.thread_time() - began < 1.0
    assert mended(before, found, after) == after


def test_two_labs_answers_are_compared_line_by_line():
    """No honest text is so different that it is given up."""
    answers = [labs.load(lab_id).solution.splitlines() for lab_id in labs.lab_ids()]

    assert all(len(lines.edits(one, other)) > 1 for one, other in zip(answers, answers[1:], strict=False))


def test_no_text_of_a_stranger_meets_difflib():
    root = Path(labs.__file__).parents[1]
    files = [path for room in ("grader", "tabs", "labs/hunt") for path in (root / room).rglob("*.py")]

    assert len(files) > 100
    assert not [str(path) for path in files if "difflib" in path.read_text(encoding="utf-8")]
