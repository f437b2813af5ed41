"""Can the wrong line be found by watching alone? Thirty wrong kernels, and what in the player's picture shows each.

    python -m benchmarks.watched            the thirty: twenty of the labs' mistakes, and ten made for this
    python -m benchmarks.watched --all      every mistake of every lab that is an edit
    python -m benchmarks.watched NAME …     these kernels alone

prints a table. A kernel counts as found where the first sign that its picture shows (SIGNS, the worst first) marks at most
`FEW_LINES` lines, and the wrong line is one of them, or gives a name that one of them uses, by one name between them at the
most. Where lanes miss the elements, launches are marked too, since strides come from there. The diagnosis is never read.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import labs
from grader.judge import Judge
from grader.judge.cpu import watching
from labs.mistake import Edit, Entry, Mistake, made
from tabs.figures import watch

FEW_LINES = 3

FROM_THE_LABS = (
    "lab00_roof stride_assumed",
    "lab00_roof last_column_lost",
    "lab00_roof store_without_mask",
    "lab00_roof first_row_again",
    "lab01_scores whole_tiles_only",
    "lab01_scores last_component_lost",
    "lab02_safe_softmax half_of_the_rows",
    "lab02_safe_softmax last_column_lost",
    "lab02_safe_softmax not_normalised",
    "lab03_online_softmax first_tile_written",
    "lab03_online_softmax last_tile_lost",
    "lab04_naive_attention head_ignored",
    "lab04_naive_attention key_as_value",
    "lab05_flash_attention tail_lost",
    "lab05_flash_attention one_tile_of_queries",
    "lab05_flash_attention sum_not_rescaled",
    "lab06_causal query_stride_assumed",
    "lab07_decode one_head_per_group",
    "lab07_decode padded_heads_stored",
    "lab08_split_kv remainder_dropped",
)


def _new(lab: str, name: str, base: str, old: str, new: str, what: str) -> tuple[str, Entry]:
    return lab, Entry(name=name, verdict="", what=what, diagnosis="", base=base, edits=(Edit(old, new),))


_TILES, _ONE_LAUNCH = "honest/small_tiles.py", "honest/one_launch.py"
NEW = (
    _new(
        "lab02_safe_softmax",
        "stored_one_to_the_right",
        "solution.py",
        "tl.store(out_ptr + row * stride_out + offs, probs.to(out_ptr.dtype.element_ty), mask=mask)",
        "tl.store(out_ptr + row * stride_out + offs + 1, probs.to(out_ptr.dtype.element_ty), mask=mask)",
        "Stores every row one column to the right.",
    ),
    _new(
        "lab02_safe_softmax",
        "next_row_read",
        "solution.py",
        'x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=-float("inf")).to(tl.float32)',
        'x = tl.load(x_ptr + (row + 1) * stride_x + offs, mask=mask, other=-float("inf")).to(tl.float32)',
        "Reads the row below its own.",
    ),
    _new(
        "lab00_roof",
        "stored_one_to_the_left",
        "honest/starter_completed.py",
        "tl.store(out_ptr + row * stride_out + offs, x, mask=mask)",
        "tl.store(out_ptr + row * stride_out + offs - 1, x, mask=mask)",
        "Stores every row one column to the left.",
    ),
    _new(
        "lab03_online_softmax",
        "first_tile_never_written",
        "solution.py",
        "for step in range(num_tiles):",
        "for step in range(num_tiles - 1):",
        "The second pass stops one tile early.",
    ),
    _new(
        "lab05_flash_attention",
        "row_stride_forgotten",
        _TILES,
        "k = tl.load(k_ptr + offs_n[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
        "k = tl.load(k_ptr + offs_n[:, None] + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
        "Keys begin one element after the other, not one row.",
    ),
    _new(
        "lab05_flash_attention",
        "all_heads_into_the_first",
        _TILES,
        "out_ptr += tl.program_id(1).to(tl.int64) * seqlen_q * HEAD_DIM",
        "out_ptr += (tl.program_id(1) // heads).to(tl.int64) * seqlen_q * HEAD_DIM",
        "All heads of a sequence are stored into one.",
    ),
    _new(
        "lab05_flash_attention",
        "first_tile_of_keys_skipped",
        _TILES,
        "for start in range(0, seqlen_kv, BLOCK_N):",
        "for start in range(BLOCK_N, seqlen_kv, BLOCK_N):",
        "The loop begins at the second tile of keys.",
    ),
    _new(
        "lab08_split_kv",
        "barrier_left_out",
        _ONE_LAUNCH,
        "tl.debug_barrier()",
        "",
        "Nothing waits for the block's stores before the count is raised.",
    ),
    _new(
        "lab08_split_kv",
        "count_is_relaxed",
        _ONE_LAUNCH,
        'arrived = tl.atomic_add(arrived_ptr + tl.program_id(0), 1, sem="acq_rel")',
        'arrived = tl.atomic_add(arrived_ptr + tl.program_id(0), 1, sem="relaxed")',
        "The count orders nothing.",
    ),
    _new(
        "lab08_split_kv",
        "first_split_keeps_its_sum",
        _ONE_LAUNCH,
        "tl.store(partial_lse_ptr + at, lse, mask=mask_g)",
        "tl.store(partial_lse_ptr + at, lse, mask=mask_g & (kv_split > 0))",
        "The first split does not store its lse.",
    ),
)

Lines = set[int]


@dataclasses.dataclass(frozen=True)
class Shown:
    """A trace by the accesses of each tensor."""

    trace: Mapping[str, Any]
    text: tuple[str, ...]  # the submission's lines

    def lines(self, *, tensor: int | None = None, kinds: tuple[str, ...] = ("load", "store", "atomic")) -> Lines:
        """Of the accesses to a tensor, and of these kinds."""
        forms = self.trace["forms"]
        return {form["line"] for form in forms if form["kind"] in kinds and (tensor is None or form["tensor"] == tensor)} - {
            None
        }

    def line(self, event: int) -> int | None:
        return self.trace["forms"][watch.events(self.trace)[event][2]]["line"]

    @property
    def ended(self) -> bool:
        return not self.trace["cut"] and self.trace["fault"] is None


def _fault(shown: Shown) -> Lines:
    fault = shown.trace["fault"]
    return set() if fault is None else {shown.line(fault)} - {None}


def _race(shown: Shown) -> Lines:
    race, other = shown.trace["race"], shown.trace["other"]
    lines = set() if race is None else {shown.line(race), other[1] if other else None, *watch.between(shown.trace)}
    return lines - {None}


def _unwritten(shown: Shown) -> Lines:
    event = shown.trace["unwritten"]
    if event is None:
        return set()
    tensor = shown.trace["forms"][watch.events(shown.trace)[event][2]]["tensor"]
    return ({shown.line(event)} - {None}) | shown.lines(tensor=tensor, kinds=("store", "atomic"))


def _astray(shown: Shown) -> Lines:
    every = range(len(watch.events(shown.trace)))
    lines = {shown.line(event) for event in every if watch.astray(shown.trace, event)}
    strides = {launch["line"] for launch in shown.trace["launches"]} if lines else set()  # they come from there
    return (lines | strides) - {None}


def _parts(shown: Shown) -> Lines:
    return {shown.trace["parts"]} - {None}


def _first_wrong(shown: Shown) -> Lines:
    """The line that stores the first element that is not right, and those whose values it takes."""
    event = watch.wrong(shown.trace)[1] if shown.trace["wrong"] else None
    line = None if event is None else shown.line(event)
    taken = next((made[1] for made in shown.trace["lines"] if made[0] == line), [])
    return set() if line is None else {line, *taken}


def _nobody_reads(shown: Shown) -> Lines:
    """The launches, where a tensor of the case is read by no line."""
    touched = watch.touched(shown.trace, len(watch.events(shown.trace))) if shown.ended else []
    roles = [tensor["role"] for tensor in shown.trace["tensors"]]
    lost = any(role == "input" and not read.any() for role, (read, _) in zip(roles, touched, strict=bool(touched)))
    launches = {launch["line"] for launch in shown.trace["launches"]} - {None}
    return launches | _never_run(shown, r"\.load") if lost else set()


def _never_run(shown: Shown, what: str) -> Lines:
    """Lines that load or store, and never ran."""
    return {line for line, text in enumerate(shown.text, 1) if re.search(rf"^[^#]*({what})\(", text)} - shown.lines()


def _passed_over(shown: Shown) -> Lines:
    over = watch.passed_over(shown.trace) if shown.ended else {}
    return set().union(*(over[tensor] for tensor in over if shown.trace["tensors"][tensor]["role"] == "input"))


def _never(role: str) -> Callable[[Shown], Lines]:
    def lines(shown: Shown) -> Lines:
        found: Lines = set()
        touched = watch.touched(shown.trace, len(watch.events(shown.trace))) if shown.ended else []
        for number, (read, written) in enumerate(touched):
            if shown.trace["tensors"][number]["role"] == role and not (written if role == "out" else read).all():
                found |= shown.lines(tensor=number, kinds=("store", "atomic") if role == "out" else ("load", "atomic"))
                found |= {launch["line"] for launch in shown.trace["launches"]} - {None} if role == "out" else set()
                found |= _never_run(shown, r"tl\.atomic_\w+|\.store") if role == "out" else set()
        return found

    return lines


def _again(shown: Shown) -> Lines:
    """Lines of one program that load an input's very same lanes."""
    known: dict[tuple[int, int, int, int], Lines] = {}
    for launch, program, number, at in watch.events(shown.trace):
        form = shown.trace["forms"][number]
        if form["kind"] == "load" and shown.trace["tensors"][form["tensor"]]["role"] == "input" and form["line"]:
            known.setdefault((launch, program, form["tensor"], at), set()).add(form["line"])
    return set().union(*(lines for lines in known.values() if len(lines) > 1))


SIGNS: tuple[tuple[str, Callable[[Shown], Lines]], ...] = (
    ("out of bounds, in red", _fault),
    ("two programs race, in red", _race),
    ("read, and nobody wrote it", _unwritten),
    ("lanes between or beyond the elements", _astray),
    ("never written, hatched at the end", _never("out")),
    ("read by no line", _nobody_reads),
    ("never read, hatched at the end", _never("input")),
    ("holds no quantity of the lab from here on", _parts),
    ("passed over by a line, read by another", _passed_over),
    ("the same tile loaded by two lines", _again),
    ("the first store that is not right, and what it takes", _first_wrong),
)


def found(mistake: Mistake, trace: Mapping[str, Any] | None) -> tuple[bool, str, Lines]:
    """Whether the picture leads to the wrong line; by which sign, and which lines that marks."""
    if trace is None:
        return False, "no trace", set()
    shown = Shown(trace, tuple(mistake.source.splitlines()))
    sign, lines = next(((name, lines) for name, look in SIGNS if (lines := look(shown))), ("nothing", set()))
    text, statements = mistake.source.splitlines(), _statements(mistake.source)
    wrong = {number for change in mistake.changes for number in range(change.first, change.last + 1)}
    lines = {statements.get(line, line) for line in lines}  # one that spans lines is lit as a whole, and counts as one
    wrong |= {statements.get(line, line) for line in wrong}
    names = {name for number in wrong for name in _given(text[number - 1])}
    names |= {name for line in text if any(re.search(rf"\b{each}\b", line) for each in names) for name in _given(line)}
    led = wrong & lines or any(re.search(rf"\b{name}\b", text[line - 1]) for line in lines for name in names)
    return bool(led) and len(lines) <= FEW_LINES, sign, lines


def _statements(source: str) -> dict[int, int]:
    """For each line of a statement that is no block, the one on which it begins."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            found |= dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.lineno)
    return found


def _given(line: str) -> set[str]:
    """Names that a line gives a value to: `mask = …`, `x += …`, `for start in …`."""
    given = re.match(r"\s*(?:for\s+)?([\w, ]+?)\s*(?:[-+*/|&]?=(?!=)|\bin\b)", line)
    return {name.strip() for name in given[1].split(",")} if given else set()


def thirty() -> list[tuple[str, Mistake]]:
    """(lab, wrong kernel)."""
    chosen = [each.split() for each in FROM_THE_LABS]
    known = [(lab, next(each for each in labs.load(lab).mistakes if each.name == name)) for lab, name in chosen]
    return known + [(lab, made(entry, labs.load(lab).path)) for lab, entry in NEW]


def every() -> list[tuple[str, Mistake]]:
    """Every mistake that is an edit."""
    return [(lab, each) for lab in labs.lab_ids() for each in labs.load(lab).mistakes if each.changes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every mistake of every lab")
    parser.add_argument("names", nargs="*", help="these kernels alone")
    options = parser.parse_args()
    kernels = every() if options.all else thirty()
    kernels = [(lab, mistake) for lab, mistake in kernels if not options.names or mistake.name in options.names]
    hits = 0
    print("| lab | kernel | what is wrong | what the picture shows | lines | found |\n|---|---|---|---|---|---|", flush=True)
    watching.SHARE = watching.LONGEST_S = 60.0  # whether a picture shows it, not whether this machine was quick enough
    with Judge() as judge:
        for lab, mistake in kernels:
            report = judge.grade(mistake.source, lab, mode="check", seed=bytes(32))
            led, sign, lines = found(mistake, report.trace)
            hits += led
            told = ", ".join(map(str, sorted(lines))) if len(lines) <= FEW_LINES else f"{len(lines)} lines"
            answer = "yes" if led else "passes" if report.passed else "no"
            print(f"| {lab[:5]} | `{mistake.name}` | {mistake.what} | {sign} | {told} | {answer} |", flush=True)
    print(f"\n{hits} of {len(kernels)}")


if __name__ == "__main__":
    main()
