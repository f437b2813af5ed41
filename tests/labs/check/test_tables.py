"""A sweep's tables say which files are not as promised, how fast the right ones are, and what was left."""

from labs.check.answers import Answer
from labs.check.document import markdown
from labs.check.grading import Result
from labs.check.standing import unexpected
from labs.check.terminal import text


def result(file, verdict="passed", *, kind="honest", step="right", broken="", ratio=None, seconds=2.0):
    timing = ratio and {"latency_ms": 1.0, "reference_ratio": ratio, "roof_share": 0.5, "spread": 0.001}
    told = {"lab": "lab05_flash_attention", "file": file, "kind": kind, "verdict": verdict, "broken": broken, "step": step}
    told |= {"sentence": "Wrong | so.", "failing": ("ones",), "timing": timing, "earns": ratio or 0.0, "points": 14.4}
    return Result(**told, seconds=seconds, gpu_held_s=1.0)


def test_a_file_is_counted_as_it_was_graded_last():
    results = [result("a.py", "crashed", broken="it crashed"), result("b.py"), result("a.py", step="again")]

    page = text(results, [], 1.0)

    assert "as promised   2 /   2" in page
    assert "UNEXPECTED" not in page
    assert "UNSTEADY lab05_flash_attention/a.py: crashed, then passed" in page
    assert unexpected(results) == []


def test_what_is_not_as_promised_is_said():
    wrong = result("a.py", "wrong_answer", broken="a right answer gets wrong_answer")

    assert unexpected([wrong]) == [wrong]
    page = text([wrong], [], 1.0)
    assert "UNEXPECTED lab05_flash_attention/a.py: a right answer gets wrong_answer\n    wrong_answer: Wrong | so." in page
    assert "failing: ones" in page


def test_a_repeat_is_no_grading_of_the_file():
    results = [
        result("solution.py", kind="solution"),
        result("solution.py", "crashed", kind="solution", step="repeat 1", broken="!"),
    ]

    assert unexpected(results) == []


def test_times_are_told_from_the_fastest_on():
    page = text([result("slow.py", ratio=0.1), result("fast.py", ratio=1.0)], [], 1.0)

    assert page.index("fast.py") < page.index("slow.py")
    fast, slow = (next(line for line in page.splitlines() if line.lstrip().startswith(name)) for name in ("fast.py", "slow.py"))
    assert "reference 1.000‡  roof 0.500 " in fast and fast.endswith("earns 100%")
    assert slow.endswith("earns 10%")


def test_repeats_and_what_was_left_are_said():
    repeats = [result("solution.py", step=f"repeat {run}", ratio=ratio) for run, ratio in enumerate((0.99, 1.0, 1.01, None))]
    left = Answer(lab="lab01_scores", file="solution.py", kind="solution", source="")

    page = text(repeats, [("right", left)], 1.0)

    assert "solution 4 times, 2.00 s in the median, GPU held 1.00 s, ratio 1.0000 (-1.00% to +1.00%), refused 1" in page
    assert "NOT GRADED, the budget was spent: 1\n    lab01_scores/solution.py (right)" in page


def test_the_document_has_a_row_for_every_file():
    mistake = Result(
        lab="lab05_flash_attention",
        file="mistakes/causal",
        kind="mistake",
        verdict="wrong_answer",
        found_by="Check",
        sentence="Causal | so.",
        named=True,
    )

    page = markdown(
        [result("solution.py", kind="solution", ratio=1.0), result("honest/a.py", broken="slow"), mistake], "Today."
    )

    assert "Today.\nThe first sentence names the bug of 1 of 1 mistakes." in page
    assert "| lab05_flash_attention | 3 | 2 | 1 | 1 | 1 |" in page
    assert "| `solution.py` | passed | 14.4 | 1.0000 | 1.000 | 0.500 | 100% |" in page
    assert "| `honest/a.py` | passed **UNEXPECTED: slow** | 14.4 | - | - | - | - |" in page
    assert "| `mistakes/causal` | wrong_answer | Check | Causal \\| so. |" in page
