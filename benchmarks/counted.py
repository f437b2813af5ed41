"""Do the bytes that we count agree with those that the GPU counts? The solutions of labs 0 to 12, as a table.

    python -m benchmarks.counted --out benchmarks/counted_h200.json [--only 5 7]

Two rows a lab. "asked for": on a case that the interpreter can run, the bytes of its loads, stores and atomics beside those
that the threads of the compiled kernel asked for. "moved": on the timed case, the ideal kernel's bytes beside those that came
from memory and those that multiprocessors wrote. A write to memory is counted where it reaches L2, since at the end of a kernel
up to all of L2 still waits to be written.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import logging
import sys
import time
from pathlib import Path

import torch

import labs
from benchmarks.replayed import record
from grader.judge.attempt import versions
from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing
from grader.judge.cpu.runner import CpuRunner
from grader.judge.gpu.lock import gpu_lock
from grader.judge.gpu.memory import DeviceSet
from grader.judge.gpu.profiler import CounterAccess, Profiler
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
    logging.basicConfig(level=logging.INFO)
    chosen = [labs.named(text) for text in options.only] if options.only else list(SMALLER)
    rows = []
    with Sandbox() as sandbox:
        for lab_id in chosen:
            folder = labs.load(lab_id)
            counted = _interpreted(sandbox, folder)
            row = {"lab": lab_id, "sizes": SMALLER[lab_id], "counted_bytes": counted}
            if torch.cuda.is_available():
                row |= _on_gpu(sandbox, folder, counted)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.out:
        document = {
            "device": torch.cuda.get_device_name(0),
            "versions": versions(),
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": "python -m benchmarks.counted " + " ".join(sys.argv[1:]),
            "counted": rows,
        }
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _case(folder: LabFolder) -> Case:
    """The timed case, smaller."""
    performance = folder.lab.performance
    assert performance is not None
    case = performance.case
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


def _on_gpu(sandbox: Sandbox, folder: LabFolder, counted: int) -> dict:
    performance = folder.lab.performance
    assert performance is not None
    asked = sum(_launches(sandbox, folder, _case(folder), ASKED, ASKED))
    timed = prepare(folder.lab, performance.case, SEED, device="cuda")
    ideal = int(folder.lab.ideal_bytes(timed.inputs))
    read, written, sectors = _launches(sandbox, folder, performance.case, MOVED, MOVED)
    moved = read + sectors * SECTOR_BYTES
    return {
        "asked_bytes": asked,
        "asked_ratio": asked / counted,
        "ideal_bytes": ideal,
        "read_bytes": read,
        "written_by_its_end_bytes": written,
        "written_to_l2_bytes": sectors * SECTOR_BYTES,
        "moved_ratio": moved / ideal,
        "within": abs(asked / counted - 1) <= BEYOND,
    }


def _launches(
    sandbox: Sandbox, folder: LabFolder, case: Case, metrics: tuple[str, ...], wanted: tuple[str, ...]
) -> list[float]:
    """The sums over the launches of one call of each metric that is wanted."""
    properties = torch.cuda.get_device_properties(0)
    target = f"sm_{properties.major}{properties.minor}"
    recorded = record(sandbox, folder.lab, folder.solution, case, target, device="cuda")
    prepared: PreparedCase = prepare(folder.lab, case, SEED, device="cuda")
    lent = DeviceSet(lay_out(prepared))
    tool = CounterAccess().tool
    if tool is None:
        raise RuntimeError("ncu is not installed here")
    try:
        lent.lend(prepared.inputs)
        torch.cuda.synchronize()
        with (
            gpu_lock(str(properties.uuid), lambda: False) as lock_fd,
            Profiler(tool, lock_fd=lock_fd, cancelled=lambda: False, metrics=metrics) as profiler,
        ):
            rows = profiler.count(recorded, folder.lab, lent, (), deadline=time.monotonic() + LIMIT_S)
    finally:
        lent.close()
    return [sum(row[name] for row in rows) for name in wanted]


if __name__ == "__main__":
    main()
