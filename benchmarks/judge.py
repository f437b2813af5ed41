"""The judge on this machine: does every file of the labs get its verdict, how long does an attempt take, how steady is a ratio?

    python -m benchmarks.judge --device cuda --out benchmarks/judge_h100.json [--labs 2 3 5] [--repeats 10]

Writes JSON with device, versions, date and command; prints a line for each file.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import re
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from grader.judge import Judge
from grader.judge.attempt import versions
from grader.report import Report, Verdict
from labs import LabFolder, lab_ids, load


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--labs", nargs="*", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--mode", choices=("check", "submit"), default="submit", help="of the solutions; other files are submitted"
    )
    parser.add_argument("--only-solutions", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = [lab for lab in lab_ids() if options.labs is None or int(lab[3:5]) in options.labs]
    results = {}
    with Judge(device=options.device) as judge:
        walls = judge.self_test()
        print("walls:", walls.ok, walls.reason, f"{walls.duration_s:.1f} s", flush=True)
        for lab_id in chosen:
            results[lab_id] = measure(judge, load(lab_id), options.repeats, options.mode, options.only_solutions)
    document = {
        "device": device_name(options.device),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks.judge " + " ".join(sys.argv[1:]),
        "labs": results,
    }
    if options.out:
        options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def device_name(device: str) -> str:
    if device == "cpu":
        return "CPU"
    import torch

    return torch.cuda.get_device_name(0)


def measure(judge: Judge, folder: LabFolder, repeats: int, mode: str, only_solutions: bool) -> dict:
    files = [] if only_solutions else [folder.path / "starter.py", *folder.honest, *folder.mistakes]
    graded = [grade(judge, folder, path) for path in files]
    runs = [grade(judge, folder, folder.path / "solution.py", mode) for _ in range(repeats)]
    timed = [run["timing"] for run in runs if run.get("timing")]
    summary = {"files": graded, "solution": runs[-1] if runs else None}
    if runs:
        seconds = sorted(run["seconds"] for run in runs[1:] or runs)
        summary["seconds_median"] = statistics.median(seconds)
        summary["seconds_p95"] = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
        held = [run["phases_s"]["gpu_held"] for run in runs if "gpu_held" in run.get("phases_s", {})]
        summary["gpu_held_median"] = statistics.median(held) if held else None
    if timed:
        ratios = [timing["reference_ratio"] for timing in timed]
        summary["reference_ratios"] = ratios
        summary["ratio_spread"] = (max(ratios) - min(ratios)) / statistics.median(ratios)
        summary["roof_share"] = statistics.median(timing["roof_share"] for timing in timed)
    shown = {key: value for key, value in summary.items() if key not in ("files", "solution", "reference_ratios")}
    print(folder.id, json.dumps(shown), flush=True)
    return summary


def grade(
    judge: Judge, folder: LabFolder, path: Path, mode: str = "submit", cancelled: Callable[[], bool] = lambda: False
) -> dict:
    """One file: what was said of it, and whether that is what its folder and name promise."""
    started = time.perf_counter()
    try:
        report = judge.grade(path.read_bytes(), folder.id, mode=mode, cancelled=cancelled)
    except Exception as error:
        print(f"{folder.id}/{path.name}: {traceback.format_exc()[-600:]}", flush=True)
        told = {"verdict": "error", "diagnosis": repr(error)[:500], "failing": [], "as_promised": False}
        return {"file": str(path.relative_to(folder.path)), **told, "seconds": round(time.perf_counter() - started, 3)}
    seconds = round(time.perf_counter() - started, 3)
    promised = as_promised(folder, path, report)
    result = {
        "file": str(path.relative_to(folder.path)),
        "mode": mode,
        "verdict": str(report.verdict),
        "failing": [case.name for case in report.cases if case.verdict not in (Verdict.PASSED, Verdict.NOT_RUN)],
        "diagnosis": report.diagnosis.sentence,
        "points": round(report.points.total, 3),
        "as_promised": promised,
        "seconds": seconds,
        "phases_s": dict(report.phases_s),
        "timing": report.timing and dataclasses.asdict(report.timing),
        "note": report.points.note,
    }
    wrong = "" if promised else f" UNEXPECTED failing={result['failing'][:6]}"
    said = f"{report.diagnosis.sentence[:150]} | {report.points.note[:150]}"
    print(f"{seconds:6.2f} s {folder.id}/{result['file']}: {report.verdict}{wrong} | {said}", flush=True)
    return result


def as_promised(folder: LabFolder, path: Path, report: Report) -> bool:
    if path.parent.name == "mistakes":
        found = re.search(r"^Diagnosis: (.*?)\.?$", path.read_text(encoding="utf-8"), re.M)
        return path.name.split("__")[0] == report.verdict and bool(found) and found.group(1) in report.diagnosis.sentence
    if path.name == "starter.py":
        return report.points.total == 0
    return report.passed


if __name__ == "__main__":
    main()
