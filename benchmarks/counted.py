"""Do the bytes that we count agree with those that the GPU counts? The solutions of labs 0 to 12, as a table.

    python -m benchmarks.counted --out benchmarks/counted_h200.json [--only 5 7]

Two rows a lab. "asked for": on a case that the interpreter can run, the bytes of its loads, stores and atomics beside those
that the threads of the compiled kernel asked for. "moved": on the timed case, the ideal kernel's bytes beside those that came
from memory and those that multiprocessors wrote. A write to memory is counted where it reaches L2, since at the end of a kernel
up to all of L2 still waits to be written.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import datetime
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import labs
from benchmarks.replayed import record
from grader.judge.attempt import versions
from grader.judge.case.inputs import prepare
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing
from grader.judge.cpu.runner import CpuRunner
from grader.judge.gpu.lock import gpu_lock
from grader.judge.gpu.memory import DeviceSet
from grader.judge.gpu.profiler import CounterAccess, Profiler
from grader.judge.recording import RecordedCase
from grader.sandbox.process.door import Sandbox
from labs import LabFolder
from labs.declaration import Case

SEED = bytes(range(32))
LIMIT_S = 20.0  # a call is launched some twenty times, by instructions that are patched in
PATIENCE = 12.0
BEYOND = 0.05
ASKED = ("smsp__sass_data_bytes_mem_global.sum",)
MOVED = ("dram__bytes_read.sum", "dram__bytes_write.sum", "lts__t_sectors_srcunit_tex_op_write.sum")
SECTOR_BYTES = 32
# What of the timed case's sizes is smaller, so that the interpreter is done in seconds.
SMALLER: dict[str, dict[str, int]] = {
    "lab00_roof": {"rows": 256},
    "lab01_scores": {"n": 65536},
    "lab02_safe_softmax": {"rows": 512},
    "lab03_online_softmax": {"rows": 64},
    "lab04_naive_attention": {"heads": 1, "seqlen_q": 1024, "seqlen_kv": 1024},
    "lab05_flash_attention": {"heads": 1, "seqlen_q": 2048, "seqlen_kv": 2048},
    "lab06_causal": {"heads": 1, "seqlen_q": 2048, "seqlen_kv": 2048},
    "lab07_decode": {"batch": 2},
    "lab08_split_kv": {"num_heads_kv": 2},
    "lab09_fp8_kv": {"batch": 2},
    "lab10_nvfp4_kv": {"batch": 2},
    "lab11_sliding_window": {"heads": 1, "seqlen_q": 4096, "seqlen_kv": 4096},
    "lab12_backward": {"num_heads_kv": 1, "seqlen_q": 1024, "seqlen_kv": 1024},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", help="some of the labs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = [labs.load(labs.named(text) if options.only else text) for text in options.only or SMALLER]
    with Sandbox() as sandbox, concurrent.futures.ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
        counted = pool.map(lambda folder: _interpreted(sandbox, folder), chosen)
        rows = [
            {"lab": folder.id, "sizes": SMALLER[folder.id], "counted_bytes": count}
            for folder, count in zip(chosen, counted, strict=True)
        ]
        if torch.cuda.is_available():
            _on_gpu(sandbox, pool, chosen, rows)
        else:
            print("There is no GPU here: bytes are counted, and nothing is beside them.")
            print(*map(json.dumps, rows), sep="\n")
            return
    document = {
        "device": torch.cuda.get_device_name(0),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks.counted " + " ".join(sys.argv[1:]),
        "counted": rows,
    }
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _case(folder: LabFolder) -> Case:
    """The timed case, smaller."""
    case = _timed(folder)
    return dataclasses.replace(case, sizes={**case.sizes, **SMALLER[folder.id]}, patience=PATIENCE)


def _interpreted(sandbox: Sandbox, folder: LabFolder) -> int:
    """Bytes of every load, store and atomic.

    Raises:
        RuntimeError: it did not come to its end.
    """
    prepared = prepare(folder.lab, _case(folder), SEED)
    lab = dataclasses.replace(folder.lab, cpu_limit_s=PATIENCE * folder.lab.cpu_limit_s)
    submission = Briefing(source=folder.solution, lab=lab, target="sm_90")
    with CpuRunner(sandbox, submission, [prepared], lambda: False) as runner:
        outcome = runner.run(prepared)
    if outcome.done is None:
        raise RuntimeError(f"{folder.id} was not interpreted: {outcome.fault or outcome.ending}")
    return outcome.done.loaded_bytes + outcome.done.stored_bytes + outcome.done.atomic_bytes


def _on_gpu(
    sandbox: Sandbox, pool: concurrent.futures.Executor, chosen: Sequence[LabFolder], rows: list[dict[str, Any]]
) -> None:
    """Put what the GPU counts beside what was counted, row by row."""
    properties = torch.cuda.get_device_properties(0)
    target = f"sm_{properties.major}{properties.minor}"
    tool = CounterAccess(target).tool
    if tool is None:
        raise RuntimeError("ncu is not installed here")
    calls = [call for folder in chosen for call in ((folder, _case(folder), ASKED), (folder, _timed(folder), MOVED))]
    recorded = list(
        pool.map(lambda call: record(sandbox, call[0].lab, call[0].solution, call[1], target, device="cuda"), calls)
    )
    with gpu_lock(str(properties.uuid), lambda: False) as lock_fd:

        def started(place: int) -> concurrent.futures.Future[Profiler] | None:
            """The profiler of a call, while the one before is counted."""
            if place == len(calls):
                return None
            metrics = calls[place][2]
            return pool.submit(Profiler, tool, lock_fd=lock_fd, cancelled=lambda: False, metrics=metrics)

        sums, ahead = [], started(0)
        for place, (folder, case, metrics) in enumerate(calls):
            assert ahead is not None
            profiler, ahead = ahead.result(), started(place + 1)
            sums.append(_sums(profiler, folder, case, recorded[place], metrics))
    for row, folder, (asked,), (read, written, sectors) in zip(rows, chosen, sums[::2], sums[1::2], strict=True):
        timed = prepare(folder.lab, _timed(folder), SEED, device="cuda")
        ideal, moved = int(folder.lab.ideal_bytes(timed.inputs)), read + sectors * SECTOR_BYTES
        row |= {
            "asked_bytes": asked,
            "asked_ratio": asked / row["counted_bytes"],
            "within": abs(asked / row["counted_bytes"] - 1) <= BEYOND,
            "ideal_bytes": ideal,
            "read_bytes": read,
            "written_by_its_end_bytes": written,
            "written_to_l2_bytes": sectors * SECTOR_BYTES,
            "moved_ratio": moved / ideal,
        }
        print(json.dumps(row), flush=True)


def _timed(folder: LabFolder) -> Case:
    performance = folder.lab.performance
    assert performance is not None
    return performance.case


def _sums(profiler: Profiler, folder: LabFolder, case: Case, recorded: RecordedCase, metrics: Sequence[str]) -> list[float]:
    """Each metric, over the launches of one call."""
    prepared = prepare(folder.lab, case, SEED, device="cuda")
    lent = DeviceSet(lay_out(prepared))
    try:
        lent.lend(prepared.inputs)
        torch.cuda.synchronize()
        with profiler:
            rows = profiler.count(recorded, folder.lab, lent, (), deadline=time.monotonic() + LIMIT_S)
    finally:
        lent.close()
    return [sum(row[name] for row in rows) for name in metrics]


if __name__ == "__main__":
    main()
