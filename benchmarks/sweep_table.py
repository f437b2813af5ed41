"""What a sweep found, as a page of text: each lab's files as promised, the others with what was said, and every time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from labs import load

SENTENCE = 160  # letters of a diagnosis


def table(results: Sequence[dict], left: Sequence[tuple[str, str, str]], seconds: float) -> str:
    """`results` in the order in which they came: the last of a file counts, save for the solutions' repeats."""
    repeats = [each for each in results if each["step"].startswith("repeat")]
    latest = {(each["lab"], each["file"]): each for each in results if each not in repeats}
    of_lab: dict[str, list[dict]] = {}
    for (lab, _), each in sorted(latest.items()):
        of_lab.setdefault(lab, []).append(each)
    return "\n".join(
        [
            f"{len(latest)} files in {seconds:.0f} s",
            *_promised(of_lab),
            *_unexpected(latest.values()),
            *_changed(results, repeats),
            *_timed(of_lab),
            *_repeated(repeats),
            *_left(left),
            "",
        ]
    )


def _promised(of_lab: dict[str, list[dict]]) -> Iterator[str]:
    for lab, files in of_lab.items():
        good = sum(each["as_promised"] for each in files)
        slowest = max(files, key=lambda each: each["seconds"])
        yield f"{lab:22} as promised {good:3} / {len(files):3}   slowest {slowest['seconds']:.1f} s {slowest['file']}"


def _unexpected(files) -> Iterator[str]:
    for each in files:
        if not each["as_promised"]:
            yield f"UNEXPECTED {each['lab']}/{each['file']}: {each['verdict']}: {each['diagnosis'][:SENTENCE]}"
            yield f"    failing: {', '.join(each['failing'][:8]) or '-'}"


def _changed(results: Sequence[dict], repeats: Sequence[dict]) -> Iterator[str]:
    """Files that were graded twice with two verdicts."""
    verdicts: dict[tuple[str, str], list[str]] = {}
    for each in results:
        if each not in repeats:
            verdicts.setdefault((each["lab"], each["file"]), []).append(each["verdict"])
    for (lab, file), said in verdicts.items():
        if len(set(said)) > 1:
            yield f"UNSTEADY {lab}/{file}: {', then '.join(said)}"


def _timed(of_lab: dict[str, list[dict]]) -> Iterator[str]:
    """Every right file: its time, its ratio to the reference and share of the roof, ‡ at the one that its lab counts, and what
    part of the points for speed that earns.
    """
    for lab, files in of_lab.items():
        performance = load(lab).lab.performance
        right = [each for each in files if each["verdict"] == "passed"]
        if performance is None or not any(each.get("timing") or each.get("note") for each in right):
            continue
        counts = "roof_share" if performance.measure == "roof" else "reference_ratio"
        yield f"{lab}: {performance.measure}, none at {performance.zero_at}, full at {performance.full_at}"
        for each in sorted(right, key=_speed, reverse=True):
            timing = each.get("timing")
            if not timing:
                yield f"    {each['file']:46} not timed: {each.get('note', '')[:SENTENCE]}"
                continue
            share = (timing[counts] - performance.zero_at) / (performance.full_at - performance.zero_at)
            shown = [
                f"{name.partition('_')[0]} {timing[name]:.3f}{'‡' if name == counts else ' '}"
                for name in ("reference_ratio", "roof_share")
            ]
            yield (
                f"    {each['file']:46} {timing['latency_ms']:8.4f} ms  {'  '.join(shown)}"
                f"  spread {timing['spread']:.1%}  earns {min(1.0, max(0.0, share)):.0%}"
            )


def _speed(each: dict) -> float:
    timing = each.get("timing")
    return timing["reference_ratio"] if timing else 0.0


def _repeated(repeats: Sequence[dict]) -> Iterator[str]:
    of_lab: dict[str, list[dict]] = {}
    for each in repeats:
        of_lab.setdefault(each["lab"], []).append(each)
    for lab, runs in sorted(of_lab.items()):
        ratios = [each["timing"]["reference_ratio"] for each in runs if each.get("timing")]
        seconds = sorted(each["seconds"] for each in runs)
        line = f"{lab}: solution {len(runs)} times, {statistics.median(seconds):.2f} s in the median"
        held = [each["phases_s"]["gpu_held"] for each in runs if "gpu_held" in each.get("phases_s", {})]
        if held:
            line += f", GPU held {statistics.median(held):.2f} s"
        if ratios:
            middle = statistics.median(ratios)
            line += f", ratio {middle:.4f} ({min(ratios) / middle - 1:+.2%} to {max(ratios) / middle - 1:+.2%})"
            line += f", refused {len(runs) - len(ratios)}"
        yield line


def _left(left: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if left:
        yield f"NOT GRADED, the budget was spent: {len(left)}"
        yield "    " + ", ".join(f"{lab}/{file} ({step})" for step, lab, file in left[:60])
