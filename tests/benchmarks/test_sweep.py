"""A sweep's table says which files are not as promised, how fast the right ones are, and what was left."""

from benchmarks.sweep_table import table


def result(file, verdict="passed", *, step="timed", as_promised=True, ratio=None):
    timing = ratio and {"latency_ms": 1.0, "reference_ratio": ratio, "roof_share": 0.5, "spread": 0.001}
    said = {
        "diagnosis": "Wrong.",
        "failing": ["ones"],
        "note": "",
        "timing": timing,
        "seconds": 2.0,
        "phases_s": {"gpu_held": 1.0},
    }
    return {"lab": "lab05_flash_attention", "file": file, "verdict": verdict, "as_promised": as_promised, "step": step, **said}


def test_a_file_is_counted_as_it_was_graded_last():
    results = [result("a.py", "crashed", as_promised=False), result("b.py"), result("a.py", step="again")]

    text = table(results, [], 1.0)

    assert "as promised   2 /   2" in text
    assert "UNEXPECTED" not in text
    assert "UNSTEADY lab05_flash_attention/a.py: crashed, then passed" in text


def test_what_is_not_as_promised_is_said():
    text = table([result("a.py", "wrong_answer", as_promised=False)], [], 1.0)

    assert "UNEXPECTED lab05_flash_attention/a.py: wrong_answer: Wrong.\n    failing: ones" in text


def test_a_time_is_held_against_what_the_lab_counts():
    text = table([result("fast.py", ratio=1.0), result("slow.py", ratio=0.1)], [], 1.0)

    fast, slow = (next(line for line in text.splitlines() if line.lstrip().startswith(name)) for name in ("fast.py", "slow.py"))
    assert "reference 1.000‡  roof 0.500 " in fast and fast.endswith("earns 100%")
    assert slow.endswith("earns 0%")


def test_repeats_and_what_was_left_are_said():
    repeats = [result("solution.py", step=f"repeat {run}", ratio=ratio) for run, ratio in enumerate((0.99, 1.0, 1.01, None))]

    text = table(repeats, [("timed", "lab01_scores", "solution.py")], 1.0)

    assert "solution 4 times, 2.00 s in the median, GPU held 1.00 s, ratio 1.0000 (-1.00% to +1.00%), refused 1" in text
    assert "NOT GRADED, the budget was spent: 1\n    lab01_scores/solution.py (timed)" in text
