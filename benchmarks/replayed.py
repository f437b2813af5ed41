"""Is a replayed kernel as fast as the same kernel launched by Triton itself? Ten kernels of different make, side by side.

    python -m benchmarks.replayed --out benchmarks/replayed_h100.json [--only softmax atomic] [--rounds 40]

Both sides run on the very same buffers: a CUDA graph over all sets in this process (Triton compiles and launches, torch
captures), and the record in a replayer. The same kernel empties L2 and the graph is queued behind it, by the same calls of the
driver on either side, so that neither number holds what a host did between the events (`CUDAGraph.replay` does more than
launch). Rounds take turns; medians are compared. On a machine without a GPU the records are made and read again, which is all
that can be done there.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import importlib.util
import json
import sys
from pathlib import Path

import torch

from benchmarks.ten_kernels import KERNELS, Kernel
from grader.judge.attempt import versions
from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing
from grader.judge.gpu.attempt import NOTHING
from grader.judge.gpu.bench import number_of_sets
from grader.judge.gpu.lock import gpu_lock
from grader.judge.gpu.memory import DeviceSet
from grader.judge.gpu.replayer import Replayer, places
from grader.judge.gpu.roof import READ_LAB, SOURCE, read_case
from grader.judge.gpu.statistics import Samples
from grader.judge.recording import RecordedCase, start_recorder
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from grader.sandbox.process.door import Sandbox
from grader.sandbox.replay.cuda_driver import Event, Graph, Stream
from grader.sandbox.replay.loaded_record import LoadedRecord
from labs.declaration import Case, Lab

BEYOND = 0.01  # a ratio farther from 1 is marked
WARM_UP = 4
SEED = bytes(range(32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", choices=[kernel.name for kernel in KERNELS], help="some of the ten")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = [kernel for kernel in KERNELS if not options.only or kernel.name in options.only]
    with Sandbox() as sandbox:
        if not torch.cuda.is_available():
            print("There is no GPU here: each kernel is compiled for sm_90 and recorded; nothing is launched or timed.")
            for kernel in chosen:
                recorded = record(sandbox, kernel.lab, kernel.source, kernel.small, "sm_90", device="cpu")
                launches = sum(1 for _ in recorded.record.every_launch())
                print(f"  {kernel.name:30} {len(recorded.blob):9,} bytes, {launches} launches with every alternative")
            return
        rows = [_measured(sandbox, kernel, options.rounds) for kernel in chosen]
    document = {
        "device": torch.cuda.get_device_name(0),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks.replayed " + " ".join(sys.argv[1:]),
        "replayed": rows,
    }
    beyond = [row["name"] for row in rows if abs(row["ratio"] - 1) > BEYOND]
    print(f"beyond {BEYOND:.0%}: {', '.join(beyond) or 'none'}")
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def record(sandbox: Sandbox, lab: Lab, source: str, case: Case, target: str, *, device: str) -> RecordedCase:
    """The record of one of our own submissions.

    Raises:
        RuntimeError: it could not be recorded.
    """
    prepared = prepare(lab, case, NOTHING, device=device)
    with start_recorder(sandbox, Briefing(source=source, lab=lab, target=target), lambda: False) as recording:
        recorded = recording.record(prepared, lay_out(prepared))
    if recorded.record is None:
        raise RuntimeError(f"{lab.entry} could not be recorded: {recorded.fault or recorded.ending}")
    return recorded


def _measured(sandbox: Sandbox, kernel: Kernel, rounds: int) -> dict:
    properties = torch.cuda.get_device_properties(0)
    target = f"sm_{properties.major}{properties.minor}"
    flush_case = read_case(properties.L2_cache_size)
    recorded = record(sandbox, kernel.lab, kernel.source, kernel.case, target, device="cuda")
    flush = record(sandbox, READ_LAB, SOURCE, flush_case, target, device="cuda")
    prepared = [prepare(kernel.lab, kernel.case, SEED, device="cuda")]
    layout = lay_out(prepared[0])
    count = number_of_sets(layout.inputs_bytes + layout.out_bytes, properties.L2_cache_size)
    prepared += [prepare(kernel.lab, kernel.case, bytes([index]) + SEED[1:], device="cuda") for index in range(1, count)]
    sets = [DeviceSet(layout) for _ in range(count)]
    to_flush = DeviceSet(lay_out(prepare(READ_LAB, flush_case, SEED, device="cuda")))
    try:
        for each, given in zip(sets, prepared, strict=True):
            each.lend(given.inputs)
        torch.cuda.synchronize()
        with (
            gpu_lock(str(properties.uuid), lambda: False) as lock_fd,
            Replayer(lock_fd=lock_fd, cancelled=lambda: False) as replay,
        ):
            replay.load("kernel", recorded.blob, kernel.lab.arguments, sets)
            replay.load("read", flush.blob, READ_LAB.arguments, [to_flush])
            tuned = replay.tune("kernel")
            replay.capture("kernel")
            replay.capture("read")
            replayed_right = _right(kernel, sets, prepared)
            here = _InProcess(kernel, sets, prepared, flush, to_flush)
            here.time_ms()
            row = _rounds(rounds, count, here, replay)
            right = replayed_right and _right(kernel, sets, prepared)
    finally:
        for each in (*sets, to_flush):
            each.close()
    row = {"name": kernel.name, **row, "sets": count, "alternative": tuned, "right": right}
    mark = "" if abs(row["ratio"] - 1) <= BEYOND else f"  beyond {BEYOND:.0%}"
    times = f"replayed {row['replayed_ms']:.4f} ms, in process {row['in_process_ms']:.4f} ms"
    print(
        f"{kernel.name:30} {times}, ratio {row['ratio']:.4f} ± {row['error']:.4f}{'' if right else '  WRONG'}{mark}", flush=True
    )
    return row


def _rounds(rounds: int, count: int, here: _InProcess, replay: Replayer) -> dict:
    """Medians of a launch on either side, taking turns, and the standard error of their ratio."""
    times: dict[str, list[float]] = {"replayed": [], "in_process": []}

    def replayed() -> float:
        return replay.time_ms("kernel", behind="read")

    measures = {"replayed": replayed, "in_process": here.time_ms}
    for number in range(WARM_UP + rounds):
        for name in sorted(times, reverse=bool(number % 2)):
            elapsed_ms = measures[name]()
            if number >= WARM_UP:
                times[name].append(elapsed_ms / count)
    samples = {name: Samples(tuple(values)) for name, values in times.items()}
    ratio = samples["replayed"].median / samples["in_process"].median
    error = ratio * sum(each.standard_error**2 for each in samples.values()) ** 0.5
    medians = {f"{name}_ms": each.median for name, each in samples.items()}
    spreads = {f"{name}_spread": each.spread for name, each in samples.items()}
    return {**medians, **spreads, "ratio": ratio, "error": error}


class _InProcess:
    """The kernel as its author would run it: Triton compiles and launches, torch captures a graph over all sets."""

    def __init__(
        self, kernel: Kernel, sets: list[DeviceSet], prepared: list[PreparedCase], flush: RecordedCase, to_flush: DeviceSet
    ) -> None:
        spec = importlib.util.spec_from_file_location(f"ten_kernels_{kernel.name}", kernel.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        calls = [_arguments(each, given) for each, given in zip(sets, prepared, strict=True)]
        stream = torch.cuda.Stream()
        self._captured = torch.cuda.CUDAGraph(keep_graph=True)  # holds the memory that the calls asked for
        with torch.cuda.stream(stream):
            for call in calls[:2]:
                module.entry(**call)  # compiled, and tuned where it is autotuned
            torch.cuda.synchronize()
        with torch.cuda.graph(self._captured, stream=stream):
            for call in calls:
                module.entry(**call)
        self._graph = Graph(ctypes.c_void_p(self._captured.raw_cuda_graph()))
        self._flush = LoadedRecord(flush.record)
        bases = {"inputs": to_flush.inputs.address, "out": to_flush.out.address}
        self._flush.sets.append({name: bases[buffer] + offset for name, (buffer, offset) in places(to_flush.layout).items()})
        self._stream = Stream()
        self._before, self._after = Event(), Event()

    def time_ms(self) -> float:
        """Milliseconds of one round over all sets, queued behind what empties L2."""
        self._flush.launch_set(self._stream, 0, [])
        self._before.record(self._stream)
        self._graph.launch(self._stream)
        self._after.record(self._stream)
        self._stream.synchronize()
        return self._after.milliseconds_since(self._before)


def _arguments(each: DeviceSet, given: PreparedCase) -> dict:
    tensors = {lent.name: each.inputs.view(lent) for lent in each.layout.inputs}
    return {**tensors, "out": each.out.view(each.layout.out), **given.scalars}


def _right(kernel: Kernel, sets: list[DeviceSet], prepared: list[PreparedCase]) -> bool:
    """Whether every set's out is the answer to its inputs; they are poisoned again afterwards."""
    verdicts = []
    for each, given in zip(sets, prepared, strict=True):
        with torch.device("cuda"):
            expected = kernel.lab.expected(given.inputs)
        limit = limit_for(given.out_dtype, 0.0, None)
        verdicts.append(compare(each.out.view(each.layout.out), expected, limit).verdict)
        each.out.fill(as_out=True)
    torch.cuda.synchronize()
    return all(verdict is Verdict.PASSED for verdict in verdicts)


if __name__ == "__main__":
    main()
